//! The real program, run as people run it: in a home of its own, with nothing of the test's environment.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use twinflow::clock::Clock;
use twinflow_fixtures::{Fact, GitHub, Jira, Service, ServiceOptions, Story, StoryOptions, github, jira};

pub(crate) const REPOSITORY: &str = "acme/shop";
pub(crate) const PROJECT: &str = "SHOP";

/// What no complaint may hold: words of the language the program is written in.
const NOISE: &[&str] =
    &["panicked", "RUST_BACKTRACE", "Err(", "Some(", "None", "Error {", "::", "os error", "sqlx", "reqwest"];

/// Folders of one user, all under one: `home`, `tmp`, and `data` once the program makes it.
pub(crate) struct Home {
    folder: TempDir,
    allow: Vec<String>,
    variables: BTreeMap<&'static str, String>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["home", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, allow: vec![], variables: BTreeMap::new() }
    }

    /// A home whose operator lists these services.
    pub(crate) fn allowing(services: &[&Service]) -> Self {
        let allow = services.iter().map(|service| service.url()).collect();
        Self { allow, ..Self::new() }
    }

    pub(crate) fn allow(&mut self, origin: &str) {
        self.allow.push(origin.to_owned());
    }

    pub(crate) fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.variables.insert(variable, value.into());
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What stands in this folder, as one line of a command.
    pub(crate) fn named(&self, file: &str) -> String {
        self.path().join(file).display().to_string()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinflow"));
        command.args(line.split_whitespace()).current_dir(self.path()).env_clear();
        command.env("HOME", self.path().join("home")).env("TMPDIR", self.path().join("tmp"));
        command.env("TWINFLOW_DATA_DIR", self.data()).env("TWINFLOW_EGRESS_ALLOW", self.allow.join(","));
        command.envs(&self.variables);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::of(line, self.command(line).output().unwrap())
    }

    /// With something on its standard input.
    pub(crate) fn feed(&self, input: &str, line: &str) -> Ran {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        // Who complains about the command line does not read on.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(line, child.wait_with_output().unwrap())
    }

    pub(crate) fn connect_github(&self, tool: &Service) -> Ran {
        let line = format!("connect github --repo {REPOSITORY} --base-url {}", tool.url());
        self.feed(&format!("{}\n", github::TOKEN), &line)
    }

    pub(crate) fn connect_jira(&self, tool: &Service) -> Ran {
        let line = format!("connect jira --project {PROJECT} --base-url {}", jira_url(tool));
        self.feed(&format!("{}\n", jira::TOKEN), &line)
    }

    /// The event log as `twinflow events` exports it, in the oracle's words.
    pub(crate) fn log(&self) -> Vec<Fact> {
        let text = |row: &Value, key: &str| row[key].as_str().map(str::to_owned);
        let fact = |row: &Value| Fact {
            stream: String::new(),
            case: text(row, "case").unwrap(),
            at: serde_json::from_value(row["at"].clone()).unwrap(),
            activity: text(row, "activity").unwrap(),
            resource: text(row, "resource"),
            from: text(row, "from"),
            to: text(row, "to"),
        };
        let rows = self.run("events --format json").done().json();
        let mut log: Vec<_> = rows.as_array().unwrap().iter().map(fact).collect();
        log.sort();
        log
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) line: String,
    /// Nothing when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(line: &str, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        let (code, out, err) = (output.status.code(), text(output.stdout), text(output.stderr));
        Self { line: line.to_owned(), code, out, err }
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "twinflow {}\n{}\n{}", self.line, self.out, self.err);
        assert!(!self.err.contains("panicked"), "twinflow {}\n{}", self.line, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.ends(0)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.out);
        parsed.unwrap_or_else(|error| panic!("twinflow {}: {error}\n{}", self.line, self.out))
    }

    /// Failed with one sentence, which says all these words, and nothing else.
    #[track_caller]
    pub(crate) fn complains(self, words: &[&str]) {
        let said = self.ends(1);
        let (line, err) = (&said.line, &said.err);
        assert_eq!(said.out, "", "twinflow {line} prints beside its complaint {err}");
        assert!(err.starts_with("twinflow: ") && err.ends_with('\n'), "twinflow {line}\n{err}");
        assert_eq!(err.lines().count(), 1, "twinflow {line}: not one sentence\n{err}");
        for noise in NOISE.iter().chain(&[github::TOKEN, github::CLASSIC_TOKEN, jira::TOKEN]) {
            assert!(!err.contains(noise), "twinflow {line} says {noise:?}\n{err}");
        }
        for word in words {
            assert!(err.contains(word), "twinflow {line} does not say {word:?}\n{err}");
        }
    }
}

/// A story that ends now, for the program asks the machine for the time.
pub(crate) fn story(cases: usize) -> Story {
    Story::new(StoryOptions { seed: 7, cases, now: Clock::system().now() })
}

pub(crate) async fn github(cases: usize) -> Service {
    Service::start(GitHub::new(&story(cases), REPOSITORY), ServiceOptions::default()).await.unwrap()
}

pub(crate) async fn jira(cases: usize) -> Service {
    Service::start(Jira::new(&story(cases), PROJECT), ServiceOptions::default()).await.unwrap()
}

pub(crate) fn jira_url(tool: &Service) -> String {
    format!("{}/ex/jira/{}", tool.url(), jira::CLOUD_ID)
}

/// What a perfect reader would have found, without the stream, which exports do not repeat per event.
pub(crate) fn facts(tools: &[&Service]) -> Vec<Fact> {
    let all = tools.iter().flat_map(|tool| tool.facts());
    let mut facts: Vec<_> = all.map(super::bench::without_stream).collect();
    facts.sort();
    facts
}

/// The id and the key of a key file's primary key.
pub(crate) fn key_line(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("primary ")).expect("a primary key")
}

/// Writes a key file as its owner does: mode 0400.
pub(crate) fn write_keys(home: &Home, text: &str) {
    let file = home.data().join("vault.key");
    let _ = fs::remove_file(&file);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
}
