//! Nothing that people wrote, and no secret, is met again: not in the database, not in the log, not on the screen,
//! not in a temporary file; neither as it is nor in another encoding. The pretend tools put canaries wherever
//! people write prose, so a leak is found by searching for them.

use crate::support::engines::migrated;
use crate::support::program::{Home, PROJECT, REPOSITORY, Ran, github, jira, jira_url, story};
use futures::StreamExt as _;
use serde_json::json;
use sqlx::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::fs;
use std::path::Path;
use std::time::Duration;
use twinflow::config::Settings;
use twinflow::leaks::{Found, Hit, Place, Search, Secret, Trial, judge, written};
use twinflow_fixtures::github::{CLASSIC_TOKEN, TOKEN};
use twinflow_fixtures::jira::{JiraSwitches, TOKEN as JIRA_TOKEN, WRITE_TOKEN};
use twinflow_fixtures::{Fault, GitHub, Jira, RetryAfter, Service, ServiceOptions, canary};

// --- The search ---

/// Every file under a folder, and their names, except the one that is to hold the key.
fn search_folder(search: &Search, folder: &Path, found: &mut Found) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        search.bytes("the name of a file", path.as_os_str().as_encoded_bytes(), found);
        if entry.file_type().unwrap().is_dir() {
            files += search_folder(search, &path, found);
        } else if entry.file_name() != "vault.key" {
            search.bytes(&path.display().to_string(), &fs::read(&path).unwrap(), found);
            files += 1;
        }
    }
    files
}

fn named(name: &str, text: &str) -> Secret {
    Secret::new(name, text)
}

/// The canaries, the tokens whole and in part, and the key of this home's vault.
fn secrets(home: &Home) -> Vec<Secret> {
    let mut secrets: Vec<_> = canary::all().iter().map(|canary| named(canary, canary)).collect();
    for (name, token) in [
        ("GitHub's token", TOKEN),
        ("GitHub's classic token", CLASSIC_TOKEN),
        ("Jira's token", JIRA_TOKEN),
        ("Jira's token for writing", WRITE_TOKEN),
    ] {
        secrets.push(named(name, token));
        secrets.push(named(&format!("half of {name}"), &token[token.len() / 2..]));
    }
    if let Ok(keys) = fs::read_to_string(home.data().join("vault.key")) {
        let key = keys.split_whitespace().last().unwrap();
        let bytes = (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap());
        secrets.push(Secret::new("the vault's key in bytes", bytes.collect::<Vec<_>>()));
        secrets.push(named("the vault's key", key));
    }
    secrets
}

/// Everything a home holds, a copy of its database that another program might make, and all that was printed.
pub(crate) async fn leaks(home: &Home, printed: &[Ran]) -> Found {
    let (search, mut found) = (Search::new(&secrets(home)), Found::new());
    copy_database(home).await;
    let files = search_folder(&search, home.path(), &mut found);
    assert!(files >= 2, "only {files} files were looked at");
    for ran in printed {
        search.bytes(&format!("standard output of {}", ran.line), ran.out.as_bytes(), &mut found);
        search.bytes(&format!("standard error of {}", ran.line), ran.err.as_bytes(), &mut found);
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

#[tokio::test]
async fn a_leak_in_any_encoding_into_any_place_is_found() {
    let home = Home::new();
    home.run("doctor").done();
    let clean = leaks(&home, &[]).await;
    assert!(clean.is_empty(), "{clean:?}");
    fs::remove_file(home.named("copy.db")).unwrap();

    let all = secrets(&home);
    assert!(all.len() > 40);
    let leaks_of = |secret: &Secret| {
        let name = secret.name.clone();
        written(&secret.text).into_iter().map(move |(disguise, bytes)| (name.clone(), disguise, bytes))
    };
    let everything: Vec<_> = all.iter().flat_map(leaks_of).collect();
    // Between other words, as a log line or a row would have them.
    let around = |bytes: &[u8]| [b"ok body=\"".as_slice(), bytes, b"\" 200\n"].concat();

    let lines: Vec<_> = everything.iter().map(|(_, _, bytes)| around(bytes)).collect();
    fs::write(home.named("tmp/leak"), lines.concat()).unwrap();
    let mut database = open(&home).await;
    sqlx::raw_sql("CREATE TABLE leak (line BLOB)").execute(&mut database).await.unwrap();
    // In one go: what is written after the log was brought into the database is written over it.
    let mut transaction = database.begin().await.unwrap();
    for line in &lines {
        sqlx::query("INSERT INTO leak VALUES ($1)").bind(line).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
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
            let hit =
                |hit: &Hit| hit.what == *name && hit.encoding == *disguise && hit.place.ends_with(place);
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

// --- Every tool there is, by the search that customers have too ---

#[test]
fn the_doctor_finds_no_canary_of_any_tool_and_every_leak_that_was_planted() {
    let mut home = Home::new();
    // The operator's key is no business of the pretend tools'.
    let keys = twinflow_vault::KeySet::generate(&mut rand::rng()).unwrap();
    home.set("TWINFLOW_VAULT_KEY", keys.render().as_str());
    let verdict = home.run("doctor --canary --json").done().json();
    let tools: Vec<_> = twinflow_connectors::ALL.iter().map(|it| it.contract().tool).collect();
    let mut shown: Vec<_> =
        verdict["tools"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    shown.sort_unstable();
    assert_eq!(shown, {
        let mut tools = tools;
        tools.sort_unstable();
        tools
    });
    assert_eq!(verdict["nothing_can_be_said"], json!(null));
    assert_eq!(verdict["canaries"], canary::all().len());
    assert!(canary::all().len() >= 20 && verdict["encodings"].as_array().unwrap().len() >= 7);
    assert_eq!(verdict["found"], json!([]));
    assert!(verdict["control"]["planted"].as_u64() > Some(1000));
    assert_eq!(verdict["control"]["planted"], verdict["control"]["found"]);
    let places = verdict["places"].as_array().unwrap();
    let size = |name: &str| {
        let place = places.iter().find(|it| it["place"] == name);
        place.unwrap_or_else(|| panic!("{name} was not looked at"))["bytes"].as_u64().unwrap()
    };
    assert!(size("data/twinflow.db-wal") > 10_000 && size("standard output of events --format csv") > 10_000);
    assert!(size("standard error of scan") > 500, "nothing was logged");
    assert!(!home.data().exists(), "what is really connected is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_in_which_nothing_was_scanned_is_no_clean_one() {
    let none = Settings { database_url: None, tenant: None, ..settings(String::new()) };
    // The one never runs, the other runs a program that reads nothing, and one that says it did.
    for (program, why) in
        [(None, "nothing was scanned"), (Some("false"), "did not end well"), (Some("true"), "no event of")]
    {
        let mut trial = Trial::begin(Path::new(program.unwrap_or("true")), &none, 3).await.unwrap();
        if program.is_some() {
            trial.run().await.unwrap();
        }
        let verdict = judge(&trial).await.unwrap();
        assert!(verdict.found.is_empty() && !verdict.is_clean());
        assert!(verdict.nothing_can_be_said.as_ref().unwrap().contains(why), "{verdict:?}");
    }
}

fn settings(url: String) -> Settings {
    Settings {
        data_dir: None,
        database_url: Some(url),
        tenant: Some(uuid::Uuid::from_u128(77)),
        key_file: None,
        egress_allow: String::new(),
        log: tracing::Level::TRACE,
        log_format: twinflow::log::Format::Text,
        otlp_endpoint: None,
        quiet: true,
    }
}

/// Every row of every table, as a backup writes them.
async fn dump(superuser: &mut PgConnection) -> Place {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
    )
    .fetch_all(&mut *superuser)
    .await
    .unwrap();
    let mut bytes = vec![];
    for table in tables {
        bytes.extend(format!("COPY {table}\n").into_bytes());
        let mut rows = superuser.copy_out_raw(&format!("COPY {table} TO STDOUT")).await.unwrap();
        while let Some(some) = rows.next().await {
            bytes.extend(some.unwrap());
        }
    }
    Place { name: "the dump".to_owned(), bytes }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_postgres_and_the_log_of_its_scans_hold_no_canary_of_any_tool() {
    let server = migrated().await;
    let settings = settings(server.login_url("tf_app").await);
    let program = Path::new(env!("CARGO_BIN_EXE_twinflow"));
    let mut trial = Trial::begin(program, &settings, 40).await.unwrap();
    trial.run().await.unwrap();
    let search = Search::new(&trial.secrets());
    let mut places = trial.places().await.unwrap();
    let mut superuser = PgConnection::connect(&server.superuser_url()).await.unwrap();
    places.push(dump(&mut superuser).await);
    let has = |place: &Place, text: &str| String::from_utf8_lossy(&place.bytes).contains(text);
    assert!(
        places
            .iter()
            .any(|it| it.name == "the dump" && has(it, "COPY public.events\n") && it.bytes.len() > 50_000)
    );
    let found = search.places(&places);
    assert!(found.is_empty(), "{found:#?}");

    // At the lowest level a scan of each tool says what it asked, and nothing of libraries.
    let log: String = places
        .iter()
        .filter(|it| it.name.starts_with("standard error of scan"))
        .map(|it| String::from_utf8_lossy(&it.bytes).into_owned())
        .collect();
    for tool in trial.tools() {
        assert!(log.contains(&format!("tool={tool} operation=")), "{tool} is not in the log");
    }
    for line in log
        .lines()
        .filter(|line| line.contains(" DEBUG ") || line.contains(" TRACE ") || line.contains(" INFO "))
    {
        assert!(line.contains(" twinflow::"), "{line}");
    }
    for loose in
        ["SELECT ", "INSERT ", "Bearer", "uthorization", "jql", "nextPageToken", "http://", "{\"", "postgres"]
    {
        assert!(!log.contains(loose), "the log has {loose:?}");
    }

    // The same dump with a leak in it.
    sqlx::raw_sql("CREATE TABLE leak (line text, raw bytea)").execute(&mut superuser).await.unwrap();
    for secret in trial.secrets() {
        for (_, bytes) in written(&secret.text) {
            // Text has no room for NUL.
            let text = String::from_utf8(bytes.clone()).ok().filter(|text| !text.contains('\0'));
            let planted = sqlx::query("INSERT INTO leak VALUES ($1, $2)").bind(text).bind(&secret.text);
            planted.execute(&mut superuser).await.unwrap();
        }
    }
    let found = search.places(&[dump(&mut superuser).await]);
    for secret in trial.secrets() {
        // A dump writes backslashes twice, and bytes in hex.
        let encodings = [
            "as it is",
            "in other letter case",
            "backwards",
            "hex",
            "a list of numbers",
            "percent-encoding",
            "base64",
            "base64 for URLs",
        ];
        let text = std::str::from_utf8(&secret.text).is_ok_and(|text| !text.contains('\0'));
        for encoding in encodings.iter().filter(|it| text || ["hex", "base64"].contains(it)) {
            let hit = |hit: &Hit| hit.what == secret.name && hit.encoding == *encoding;
            assert!(found.iter().any(hit), "{} as {encoding} was not found", secret.name);
        }
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
