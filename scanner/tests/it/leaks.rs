//! Nothing that people wrote, and no secret, is met again: not in the database, not in the log, not on the screen,
//! not in a temporary file; neither as it is nor in another encoding. The pretend tools put canaries wherever
//! people write prose, so a leak is found by searching for them.

use crate::support::program::{Home, PROJECT, REPOSITORY, Ran, github, jira, jira_url, story};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;
use twinflow_fixtures::github::{CLASSIC_TOKEN, TOKEN};
use twinflow_fixtures::jira::{JiraSwitches, TOKEN as JIRA_TOKEN};
use twinflow_fixtures::{Fault, GitHub, Jira, RetryAfter, Service, ServiceOptions, canary};

// --- The search ---

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The part of a text's base64 that is the same whatever stands around it, `before` bytes into a group of three.
fn base64(text: &[u8], before: usize) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text);
    let sixes = bytes.len() * 8 / 6;
    let digit = |nth: usize| {
        let (at, shift) = (nth * 6 / 8, nth * 6 % 8);
        let pair = u16::from(bytes[at]) << 8 | u16::from(bytes.get(at + 1).copied().unwrap_or(0));
        BASE64[usize::from(pair >> (10 - shift) & 0x3F)]
    };
    ((before * 8).div_ceil(6)..sixes).map(digit).collect()
}

fn for_urls(base64: &[u8]) -> Vec<u8> {
    base64
        .iter()
        .map(|digit| match digit {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect()
}

fn each(text: &[u8], written: impl Fn(u8) -> String) -> Vec<u8> {
    text.iter().flat_map(|byte| written(*byte).into_bytes()).collect()
}

/// As `{:?}` shows bytes, and JSON.
fn list(text: &[u8], comma: &str) -> Vec<u8> {
    text.iter().map(u8::to_string).collect::<Vec<_>>().join(comma).into_bytes()
}

/// The ways a text may be written down, and how each looks in a haystack of small letters or of any.
fn disguises(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![
        ("as it is", text.to_vec()),
        ("UTF-16", text.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("a list of numbers", list(text, ", ")),
        ("a list of numbers", list(text, ",")),
        ("hex", each(text, |byte| format!("{byte:02x}"))),
        ("percent-encoding", each(text, |byte| format!("%{byte:02x}"))),
        ("JSON escapes", each(text, |byte| format!("\\u{byte:04x}"))),
    ];
    for before in 0..3 {
        let plain = base64(text, before);
        all.push(("base64 for URLs", for_urls(&plain)));
        all.push(("base64", plain));
    }
    all
}

/// These may be written in large letters too.
const OF_ANY_CASE: &[&str] = &["hex", "percent-encoding", "JSON escapes"];

/// What it is, how it is written, and how that looks.
type Disguised = (String, &'static str, Vec<u8>);

/// Everything that must not be found, in all its disguises, by its first eight bytes.
struct Sweep {
    by_start: HashMap<[u8; 8], Vec<Disguised>>,
    starts: Vec<bool>,
}

/// What was found: what it is, how it was written, where.
type Found = BTreeSet<(String, &'static str, String)>;

impl Sweep {
    fn new(secrets: &[(String, Vec<u8>)]) -> Self {
        let mut sweep = Self { by_start: HashMap::new(), starts: vec![false; 1 << 16] };
        for (name, text) in secrets {
            for (disguise, bytes) in disguises(text) {
                let start = *bytes.first_chunk().expect("eight bytes");
                sweep.starts[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
                sweep.by_start.entry(start).or_default().push((name.clone(), disguise, bytes));
            }
        }
        sweep
    }

    fn bytes(&self, place: &str, haystack: &[u8], found: &mut Found) {
        self.pass(place, haystack, false, found);
        self.pass(place, &haystack.to_ascii_lowercase(), true, found);
    }

    fn pass(&self, place: &str, haystack: &[u8], small: bool, found: &mut Found) {
        for (at, pair) in haystack.windows(2).enumerate() {
            if !self.starts[usize::from(u16::from_le_bytes([pair[0], pair[1]]))] {
                continue;
            }
            let Some(start) = haystack[at..].first_chunk::<8>() else { return };
            for (name, disguise, bytes) in self.by_start.get(start).into_iter().flatten() {
                if OF_ANY_CASE.contains(disguise) == small && haystack[at..].starts_with(bytes) {
                    found.insert((name.clone(), disguise, place.to_owned()));
                }
            }
        }
    }

    /// Every file under a folder, and their names, except the one that is to hold the key.
    fn folder(&self, folder: &Path, found: &mut Found) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            self.bytes("the name of a file", path.as_os_str().as_encoded_bytes(), found);
            if entry.file_type().unwrap().is_dir() {
                files += self.folder(&path, found);
            } else if entry.file_name() != "vault.key" {
                self.bytes(&path.display().to_string(), &fs::read(&path).unwrap(), found);
                files += 1;
            }
        }
        files
    }
}

fn named(name: &str, text: &str) -> (String, Vec<u8>) {
    (name.to_owned(), text.as_bytes().to_vec())
}

/// The canaries, the tokens whole and in part, and the key of this home's vault.
fn secrets(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut secrets: Vec<_> = canary::all().iter().map(|canary| named(canary, canary)).collect();
    for (name, token) in
        [("GitHub's token", TOKEN), ("GitHub's classic token", CLASSIC_TOKEN), ("Jira's token", JIRA_TOKEN)]
    {
        secrets.push(named(name, token));
        secrets.push(named(&format!("half of {name}"), &token[token.len() / 2..]));
    }
    if let Ok(keys) = fs::read_to_string(home.data().join("vault.key")) {
        let key = keys.split_whitespace().last().unwrap();
        let bytes = (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap());
        secrets.push(("the vault's key in bytes".into(), bytes.collect()));
        secrets.push(named("the vault's key", key));
    }
    secrets
}

/// Everything a home holds, a copy of its database that another program might make, and all that was printed.
async fn leaks(home: &Home, printed: &[Ran]) -> Found {
    let (sweep, mut found) = (Sweep::new(&secrets(home)), Found::new());
    copy_database(home).await;
    let files = sweep.folder(home.path(), &mut found);
    assert!(files >= 2, "only {files} files were looked at");
    for ran in printed {
        sweep.bytes(&format!("standard output of {}", ran.line), ran.out.as_bytes(), &mut found);
        sweep.bytes(&format!("standard error of {}", ran.line), ran.err.as_bytes(), &mut found);
    }
    found
}

async fn open(home: &Home) -> SqliteConnection {
    SqliteConnectOptions::new().filename(home.data().join("twinflow.db")).connect().await.unwrap()
}

/// In pages so large that no value lies on two, and without what was deleted.
async fn copy_database(home: &Home) {
    let mut database = open(home).await;
    sqlx::raw_sql("PRAGMA page_size = 65536").execute(&mut database).await.unwrap();
    let copy = sqlx::query("VACUUM INTO $1").bind(home.named("copy.db"));
    copy.execute(&mut database).await.unwrap();
    database.close().await.unwrap();
}

// --- The search itself is tried first ---

/// What a leaky program would write.
fn written(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = disguises(text);
    for (disguise, bytes) in disguises(text) {
        if OF_ANY_CASE.contains(&disguise) {
            // All but the letter that says what it is.
            let large = String::from_utf8(bytes).unwrap().to_uppercase().replace("\\U", "\\u");
            all.push((disguise, large.into_bytes()));
        }
    }
    all
}

#[test]
fn base64_is_what_others_make_of_it_wherever_a_text_stands_in_it() {
    for (whole, text, before) in [
        // printf %s … | base64
        ("Q0FOQVJZLWdpdGh1Yi10aXRsZS0zZmIx", "CANARY-github-title-3fb1", 0),
        ("eHhDQU5BUlktZ2l0aHViLXRpdGxlLTNmYjF5eXk=", "CANARY-github-title-3fb1", 2),
        ("eENBTkFSWS1naXRodWItdGl0bGUtM2ZiMXp6", "CANARY-github-title-3fb1", 1),
    ] {
        let part = String::from_utf8(base64(text.as_bytes(), before)).unwrap();
        assert!(part.len() >= 30 && whole.contains(&part), "{part} is not in {whole}");
    }
    assert_eq!(for_urls(&base64(&[0xFB, 0xEF, 0xFF], 0)), b"--__");
}

#[tokio::test]
async fn a_leak_in_any_encoding_into_any_place_is_found() {
    let home = Home::new();
    home.run("doctor").done();
    let clean = leaks(&home, &[]).await;
    assert!(clean.is_empty(), "{clean:?}");
    fs::remove_file(home.named("copy.db")).unwrap();

    let all = secrets(&home);
    assert!(all.len() > 40);
    let leaks_of = |(name, text): &(String, Vec<u8>)| {
        let name = name.clone();
        written(text).into_iter().map(move |(disguise, bytes)| (name.clone(), disguise, bytes))
    };
    let everything: Vec<_> = all.iter().flat_map(leaks_of).collect();
    // Between other words, as a log line or a row would have them.
    let around = |bytes: &[u8]| [b"ok body=\"".as_slice(), bytes, b"\" 200\n"].concat();

    let lines: Vec<_> = everything.iter().map(|(_, _, bytes)| around(bytes)).collect();
    fs::write(home.named("tmp/leak"), lines.concat()).unwrap();
    let mut database = open(&home).await;
    sqlx::raw_sql("CREATE TABLE leak (line BLOB)").execute(&mut database).await.unwrap();
    for line in &lines {
        sqlx::query("INSERT INTO leak VALUES ($1)").bind(line).execute(&mut database).await.unwrap();
    }
    let text = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
    let ran = Ran { line: "scan".into(), code: Some(0), out: String::new(), err: text };
    let mut found = leaks(&home, &[ran]).await;
    // The last one to close a database empties its log.
    database.close().await.unwrap();
    fs::remove_file(home.named("copy.db")).unwrap();
    found.extend(leaks(&home, &[]).await);

    let places = ["tmp/leak", "twinflow.db-wal", "twinflow.db", "copy.db", "standard error of scan"];
    for (name, disguise, bytes) in &everything {
        for place in places {
            let hit = |(what, how, at): &(String, &str, String)| {
                what == name && how == disguise && at.ends_with(place)
            };
            // What is not even text cannot be printed as it is.
            let printable = std::str::from_utf8(bytes).is_ok() || !place.starts_with("standard");
            assert!(!printable || found.iter().any(hit), "{name} as {disguise} was not found in {place}");
        }
    }
}

// --- The program is put to it ---

/// What the tools may answer instead of an answer, prose in all of it.
fn faults() -> Vec<Fault> {
    let prose = |key: &str| Fault::Replace {
        key: key.to_owned(),
        value: json!(format!("Dear all, {} {}", canary::all()[0], canary::all()[20])),
    };
    let hour = Duration::from_secs(3600);
    let mut all = vec![
        Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(1)) },
        Fault::GitHubPrimaryLimit { resets_in: hour },
        Fault::GitHubSecondaryLimit { status: 403, retry_after: None },
        Fault::GitHubSecondaryLimit { status: 200, retry_after: Some(RetryAfter::Secs(1)) },
        Fault::GitHubResourceLimits,
        Fault::JiraQuota { retry_after: Some(RetryAfter::Secs(1)) },
        Fault::JiraBurst { retry_after: None },
        Fault::RedirectTo(format!("https://evil.example/{}", canary::all()[9])),
        Fault::Html,
        Fault::Truncated,
        Fault::CutConnection,
        Fault::BadGzip,
        Fault::TruncatedGzip,
        Fault::NotUtf8,
        Fault::DeepUnknown(200),
        Fault::DeepKnown(200),
        Fault::WrongType,
        Fault::Null,
        Fault::Year(9999),
        Fault::Empty,
    ];
    all.extend([400, 401, 403, 404, 410, 422, 451].map(Fault::Status));
    all.extend([500, 502, 503].map(Fault::ServerError));
    let keys = ["id", "number", "key", "state", "author", "actor", "items", "created", "createdAt", "fields"];
    all.extend(keys.map(prose));
    all
}

/// GitHub and Jira with several streams each, everything switched on.
async fn tools() -> [Service; 2] {
    let mut github = GitHub::new(&story(12), "acme/s0");
    let mut jira = Jira::new(&story(12), "S0");
    for nth in 1..4 {
        github = github.with_repository(&story(12), &format!("acme/s{nth}"));
        jira = jira.with_project(&story(12), &format!("S{nth}"));
    }
    let jira = jira.with_switches(JiraSwitches { siblings_kept: true, ..JiraSwitches::default() });
    let options = ServiceOptions::default();
    [Service::start(github, options).await.unwrap(), Service::start(jira, options).await.unwrap()]
}

fn connect(home: &Home, [github, jira]: &[Service; 2], name: &str) -> [Ran; 2] {
    let streams =
        |flag: &str, stem: &str| (0..4).map(|nth| format!(" --{flag} {stem}{nth}")).collect::<String>();
    let of_github = streams("repo", "acme/s");
    let of_github = format!("connect github{of_github} --base-url {} --name g-{name}", github.url());
    let of_jira = streams("project", "S");
    let of_jira = format!("connect jira{of_jira} --base-url {} --name j-{name}", jira_url(jira));
    std::thread::scope(|both| {
        let github = both.spawn(|| home.feed(TOKEN, &of_github));
        let jira = home.feed(JIRA_TOKEN, &of_jira);
        [github.join().unwrap(), jira]
    })
}

/// Every fault, while connecting and in scans of everything.
fn everything_goes_wrong(home: &Home, tools: &[Service; 2]) -> Vec<Ran> {
    let mut printed = vec![];
    for fault in faults() {
        // In the first question, whose token it is; and in the second, for the first page.
        for nth in [1, 2] {
            tools.iter().for_each(|tool| tool.faults().on_request(tool.asked() + nth, fault.clone()));
            printed.extend(connect(home, tools, "never"));
        }
        tools.iter().for_each(|tool| tool.faults().clear());
    }
    for (nth, some) in faults().chunks(8).enumerate() {
        printed.extend(connect(home, tools, &nth.to_string()));
        // Two for each stream, as these are read side by side.
        some.iter().for_each(|fault| tools.iter().for_each(|tool| tool.faults().next(fault.clone())));
        printed.push(home.run(&format!("scan --patience 2 g-{nth} j-{nth}")));
        tools.iter().for_each(|tool| tool.faults().clear());
    }
    printed
}

/// Whatever reads or prints what is stored, and whatever a person may get wrong.
fn everything_is_shown(home: &Home, tools: &[Service; 2]) -> Vec<Ran> {
    let mut printed = vec![];
    let github = tools[0].url();
    let at = format!("connect github --repo acme/s0 --base-url {github}");
    for token in [CLASSIC_TOKEN, "unknown", TOKEN, &format!("{TOKEN} {CLASSIC_TOKEN}"), ""] {
        printed.push(home.feed(token, &format!("{at} --name g-0")));
    }
    printed.push(home.feed(TOKEN, "connect github --repo acme/s0 --base-url https://evil.example"));
    for line in [
        "scan",
        "scan --json",
        "scan --patience x",
        "scan nobody",
        "connections",
        "connections --json",
        "scans",
        "scans --json",
        "events --limit 100000",
        "events --format csv",
        "events --format json",
        "events --case acme/s0#1",
        "events --case nothing",
        "report",
        "report --json",
        "doctor",
        "doctor --json",
        "contract",
        "contract --format json",
        "contract --format markdown",
        "vault rotate",
        "migrate",
        "completions bash",
        "--help",
        "nonsense",
    ] {
        printed.push(home.run(line));
    }
    tools.iter().for_each(Service::revoke);
    printed.push(home.run("scan"));
    let key = home.data().join("vault.key");
    fs::rename(&key, home.named("vault.key")).unwrap();
    printed.push(home.run("scan"));
    fs::rename(home.named("vault.key"), key).unwrap();
    printed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_people_wrote_and_no_secret_is_kept_logged_or_shown() {
    let tools = tools().await;
    let mut home = Home::allowing(&[&tools[0], &tools[1]]);
    home.set("TWINFLOW_LOG", "trace");
    home.set("RUST_LOG", "trace");
    home.set("RUST_BACKTRACE", "full");
    // Read in the middle of the work too, when all is still in the database's log.
    home.run("connections").done();
    let mut reader = open(&home).await;
    sqlx::raw_sql("SELECT count(*) FROM events").execute(&mut reader).await.unwrap();
    let mut printed = everything_goes_wrong(&home, &tools);
    printed.extend(everything_is_shown(&home, &tools));
    let found = leaks(&home, &printed).await;
    assert!(found.is_empty(), "{found:#?}");
    assert!(home.data().join("twinflow.db-wal").exists());
    reader.close().await.unwrap();

    let log: String = printed.iter().map(|ran| ran.err.as_str()).collect();
    let events = printed.iter().map(|ran| ran.out.lines().count()).max();
    assert!(log.contains("claimed") && log.contains("settled") && events > Some(5000), "{events:?}");
    for ran in &printed {
        assert!(ran.code.is_some() && !ran.err.contains("panicked"), "twinflow {}\n{}", ran.line, ran.err);
    }
    // Statements, headers, questions.
    let loose = [
        "SELECT ",
        "INSERT INTO",
        "UPDATE ",
        "Bearer",
        "uthorization",
        "jql",
        "nextPageToken",
        "query",
        "{\"",
    ];
    for words in loose {
        let place =
            log.find(words).map(|at| log[at.saturating_sub(200)..].lines().take(3).collect::<String>());
        assert_eq!(place, None, "the log has {words:?}");
    }
}

// --- Names, which are kept, but not as they come ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_lose_what_could_hide_or_turn_text_before_they_are_stored() {
    let (github, jira) = (github(10).await, jira(10).await);
    let mut home = Home::allowing(&[&github, &jira]);
    home.set("TWINFLOW_LOG", "trace");
    let odd = "mal\u{202e}icious\u{200b}na\u{1b}[31mme\u{e0041}\u{7}\nend";
    let mut printed = vec![];
    let github_at = format!("connect github --repo {REPOSITORY} --base-url {}", github.url());
    let jira_at = format!("connect jira --project {PROJECT} --base-url {}", jira_url(&jira));
    for (tool, at, token, key) in [
        (&github, &github_at, TOKEN, "name"),
        (&github, &github_at, TOKEN, "login"),
        (&jira, &jira_at, JIRA_TOKEN, "name"),
        (&jira, &jira_at, JIRA_TOKEN, "displayName"),
    ] {
        tool.faults().always(Fault::Replace { key: key.into(), value: json!(odd) });
        let name = format!("{}-{key}", at.split(' ').nth(1).unwrap());
        printed.push(home.feed(token, &format!("{at} --name {name}")).done());
        printed.push(home.run(&format!("scan {name}")).done());
        let events = home.run(&format!("events --connection {name} --limit 10000")).done();
        assert!(events.out.contains("maliciousna[31mme end"), "{name} does not show its names");
        printed.push(events);
    }
    for line in ["connections", "events --format csv", "events --format json", "report"] {
        printed.push(home.run(line).done());
    }
    copy_database(&home).await;
    let stored = fs::read(home.named("copy.db")).unwrap();
    let has = |part: &str| stored.windows(part.len()).any(|bytes| bytes == part.as_bytes());
    assert!(has("maliciousna[31mme end"), "the names are not in the database at all");
    for part in ["mal\u{202e}", "icious\u{200b}", "na\u{1b}", "me\u{e0041}", "\u{7}\nend"] {
        assert!(!has(part), "{part:?} is in the database");
    }
    for ran in &printed {
        let bare = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}\u{e0041}".contains(c);
        assert!(!ran.out.contains(bare) && !ran.err.contains(bare), "twinflow {}", ran.line);
    }
}
