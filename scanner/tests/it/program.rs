//! The program as people meet it: what it prints, how it ends, and what it says when something is wrong.

use crate::support::engines::migrated;
use crate::support::postgres::{TestDatabase, database};
use crate::support::program::{
    Home, REPOSITORY, Ran, facts, github, jira, jira_url, key_line, story, write_keys,
};
use clap::CommandFactory as _;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use twinflow_fixtures::github::{CLASSIC_TOKEN, TOKEN};
use twinflow_fixtures::{Fault, GitHub, Service, ServiceOptions};
use twinflow_vault::KeySet;

const LISTINGS: &[&str] = &[
    "connections",
    "scans",
    "scans list --state failed,queued",
    "scans quarantined",
    "events",
    "report",
    "doctor",
];

/// A home with GitHub connected.
fn connected(tool: &Service) -> Home {
    let home = Home::allowing(&[tool]);
    home.connect_github(tool).done();
    home
}

// --- What can be typed ---

/// Every command there is, as it is typed.
fn commands(of: &clap::Command, line: &str, all: &mut Vec<(String, clap::Command)>) {
    all.push((line.to_owned(), of.clone()));
    for sub in of.get_subcommands().filter(|sub| sub.get_name() != "help") {
        commands(sub, format!("{line} {}", sub.get_name()).trim(), all);
    }
}

fn all_commands() -> Vec<(String, clap::Command)> {
    let mut all = vec![];
    let mut root = twinflow::cli::Cli::command();
    root.build();
    commands(&root, "", &mut all);
    assert!(all.len() > 15, "{all:?}");
    all
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_and_every_option_says_what_it_is_for() {
    let home = Home::new();
    for (line, command) in all_commands() {
        let about = in_one_line(&command.get_about().expect("a purpose").to_string());
        for flag in ["--help", "-h"] {
            let ran = home.run(&format!("{line} {flag}")).done();
            assert!(in_one_line(&ran.out).contains(&about), "{line}: {}", ran.out);
            assert_eq!(ran.err, "");
        }
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{line}: {} has no help", argument.get_id());
        }
    }
}

#[test]
fn the_long_help_of_every_command_names_the_variable_of_every_setting() {
    let home = Home::new();
    let variables = ["TWINFLOW_DATA_DIR", "DATABASE_URL", "TWINFLOW_TENANT", "TWINFLOW_KEY_FILE"];
    let variables = variables.iter().chain(&["TWINFLOW_EGRESS_ALLOW", "TWINFLOW_LOG", "TWINFLOW_LOG_FORMAT"]);
    let variables = variables.chain(&["OTEL_EXPORTER_OTLP_ENDPOINT"]);
    for (line, _) in all_commands() {
        let help = home.run(&format!("{line} --help")).done().out;
        for variable in variables.clone() {
            assert!(help.contains(variable), "twinflow {line} --help does not name {variable}");
        }
    }
}

#[test]
fn help_does_not_show_the_database_url_that_is_set() {
    let mut home = Home::new();
    home.set("DATABASE_URL", "postgres://someone:hunter2@db.example/x");
    assert!(!home.run("--help").done().out.contains("hunter2"));
    assert!(!home.run("scan --help").done().out.contains("hunter2"));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_how_it_is_used() {
    let home = Home::new();
    for line in [
        "",
        "--nonsense",
        "nonsense",
        "connect",
        "connect github",
        "connect jira",
        "scan --patience soon",
        "events --limit 0",
        "events --format xml",
        "completions klingon",
        "vault",
        "--log loud scan",
        "--tenant nobody scan",
        "--egress-allow http:// scan",
        "--log-format xml scan",
        "--otlp-endpoint https://somebody:passphrase@otel.example scan",
        "scan --metrics-addr somewhere",
        "--egress-allow https://somebody:passphrase@ghe.example.com scan",
    ] {
        let ran = home.run(line).ends(2);
        assert_eq!(ran.out, "", "twinflow {line}");
        assert!(!ran.err.contains("passphrase"), "{}", ran.err);
        assert!(ran.err.contains("Usage") || ran.err.contains("--help"), "twinflow {line}\n{}", ran.err);
    }
    assert!(!home.data().exists());
}

#[test]
fn completions_are_made_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.run(&format!("completions {shell}")).done().out;
        assert!(script.contains("twinflow") && script.contains("data-dir"), "{shell}");
    }
}

#[test]
fn a_contract_is_printed_in_every_format_and_an_unknown_tool_names_the_known_ones() {
    let home = Home::new();
    for tool in ["github", "jira"] {
        let document = home.run(&format!("contract {tool} --format json")).done().json();
        let [contract] = document["tools"].as_array().unwrap().as_slice() else { panic!("{document}") };
        assert_eq!(contract["tool"], tool);
        for format in ["table", "markdown"] {
            let text = home.run(&format!("contract {tool} --format {format}")).done().out;
            for operation in contract["operations"].as_array().unwrap() {
                let asked = operation["path"].as_str().unwrap();
                assert!(text.contains(asked), "{format} of {tool} leaves {asked} out");
            }
        }
    }
    let all = home.run("contract --format json").done().json();
    assert_eq!(all["tools"].as_array().unwrap().len(), twinflow_connectors::ALL.len());
    home.run("contract gitlab").complains(&["gitlab", "github", "jira"]);
    assert!(!home.data().exists(), "a contract needs no database");
}

// --- The demo ---

/// Without what differs from run to run: moments, durations, and ids drawn by lot.
fn without_times(value: &Value) -> Value {
    let differs = |key: &str| {
        key.ends_with("_at")
            || key.ends_with("_seconds")
            || ["as_of", "share", "id", "connection_id"].contains(&key)
    };
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !differs(key));
            Value::Object(kept.map(|(key, value)| (key.clone(), without_times(value))).collect())
        }
        Value::Array(list) => list.iter().map(without_times).collect(),
        leaf => leaf.clone(),
    }
}

/// Everything under a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        all.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        }
    }
    all
}

#[test]
fn a_demo_reads_all_six_tools_whole_is_the_same_for_the_same_seed_and_leaves_nothing_behind() {
    let homes = [Home::new(), Home::new()];
    let line = "demo --once --json --cases 40 --seed 3";
    // At the same time, so that both stories end at nearly the same moment.
    let demos = homes.each_ref().map(|home| {
        let mut command = home.command(line);
        command.env_remove("TWINFLOW_DATA_DIR").spawn().unwrap()
    });
    let shown = demos.map(|demo| Ran::of(line, demo.wait_with_output().unwrap()).done().json());
    let scans = shown[0]["scans"].as_array().unwrap();
    let tools: Vec<_> = scans.iter().map(|scan| scan["tool"].as_str().unwrap()).collect();
    assert_eq!(tools, ["github", "gmail", "jira", "linear", "salesforce", "zendesk"]);
    for scan in scans {
        assert_eq!(scan["state"], "complete");
        assert!(scan["cases"].as_i64() >= Some(40), "{scan}");
        assert!(scan["events_new"].as_i64() > Some(0));
    }
    assert_eq!(shown[0]["reports"].as_array().unwrap().len(), tools.len());
    assert_eq!(without_times(&shown[0]), without_times(&shown[1]));
    for home in &homes {
        for folder in ["home", "tmp"] {
            assert_eq!(files(&home.path().join(folder)), [""; 0]);
        }
    }
}

// --- The main job ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_connected_is_scanned_listed_exported_and_reported() {
    let (github, jira) = (github(60).await, jira(60).await);
    let home = Home::allowing(&[&github, &jira]);
    let said = home.connect_github(&github).done();
    assert!(said.out.starts_with("Connected GitHub as ana-dev"), "{}", said.out);
    home.connect_jira(&jira).done();

    let connections = home.run("connections --json").done().json();
    let streams = json!([{"name": REPOSITORY, "cases": 0, "read_up_to": null, "unfinished": false}]);
    assert_eq!(connections[0]["streams"], streams);
    assert_eq!(connections[1]["tool"], "jira");

    let scans = home.run("scan --json").done().json();
    let facts = facts(&[&github, &jira]);
    let events: i64 = (0..2).map(|nth| scans[nth]["events_new"].as_i64().unwrap()).sum();
    assert_eq!(events as usize, facts.len());
    assert!(home.log() == facts, "the exported log is not what happened");
    assert_eq!(home.run("scans --json").done().json().as_array().unwrap().len(), 2);
    assert_eq!(home.run("scans --limit 1 --json").done().json().as_array().unwrap().len(), 1);

    let again = home.run("scan --json").done().json();
    assert_eq!((&again[0]["events_new"], &again[1]["events_new"]), (&json!(0), &json!(0)));
    let reports = home.run("report --json").done().json();
    assert_eq!((reports[0]["tool"].as_str(), reports[1]["tool"].as_str()), (Some("github"), Some("jira")));
    assert_eq!(home.run("report jira --json").done().json().as_array().unwrap().len(), 1);
    let checks = home.run("doctor --json").done().json();
    assert!(checks.as_array().unwrap().iter().all(|check| check["ok"] == true), "{checks}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_event_log_is_narrowed_by_case_connection_and_time_in_every_format() {
    let (github, jira) = (github(40).await, jira(40).await);
    let home = Home::allowing(&[&github, &jira]);
    home.connect_github(&github).done();
    home.connect_jira(&jira).done();
    home.run("scan").done();

    let of_case = home.run("events --case acme/shop#1 --format json").done().json();
    let of_case = of_case.as_array().unwrap();
    assert!(!of_case.is_empty() && of_case.iter().all(|row| row["key"] == "acme/shop#1"));

    // The same rows, whatever they are written as; a spreadsheet's columns are the document's keys.
    let csv = home.run("events --case acme/shop#1 --format csv").done().out;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (record, row) in reader.records().map(Result::unwrap).zip(of_case) {
        assert_eq!(columns.len(), row.as_object().unwrap().len());
        for (column, field) in columns.iter().zip(&record) {
            assert_eq!(field, text(&row[column]), "{column}");
        }
    }
    let lines = |format: &str| {
        home.run(&format!("events --case acme/shop#1 --format {format}")).done().out.lines().count()
    };
    assert_eq!((lines("csv"), lines("table")), (of_case.len() + 1, of_case.len() + 1));

    let facts = facts(&[&github]);
    let mut moments: Vec<_> = facts.iter().map(|fact| fact.at).collect();
    moments.sort();
    let middle = moments[moments.len() / 2];
    let line = format!("events --connection github --format json --since {}", middle.to_rfc3339());
    let since = home.run(&line).done().json().as_array().unwrap().len();
    assert_eq!(since, moments.iter().filter(|at| **at >= middle).count());
    assert_eq!(home.run("events --since 4000d --until 3999d").done().out, "");

    home.run("events --since yesterday").complains(&["yesterday", "2026-11-01"]);
    home.run("events --case acme/shop#9999").complains(&["acme/shop#9999"]);
    for line in ["events --connection gitlab", "report gitlab", "scan gitlab"] {
        home.run(line).complains(&["gitlab", "twinflow connections"]);
    }
}

#[test]
fn every_listing_says_in_a_sentence_that_there_is_nothing_yet() {
    let home = Home::new();
    for (line, words) in [
        ("connections", "twinflow connect"),
        ("scan", "twinflow connect"),
        ("connections list", "twinflow connect"),
        ("scans", "twinflow scan"),
        ("scans list", "twinflow scan"),
        ("scans quarantined", "No scan is quarantined"),
        ("scans watch", "twinflow scans"),
        ("scans retry --quarantined", "No such scans"),
        ("events", "twinflow scan"),
        ("report", "first scan"),
        ("doctor", "seals under key"),
        ("vault rotate", "Sealed 0"),
    ] {
        let ran = home.run(line).done();
        assert!((ran.out.clone() + &ran.err).contains(words), "twinflow {line}\n{}{}", ran.out, ran.err);
    }
    for line in [
        "connections --json",
        "scan --json",
        "scans --json",
        "scans quarantined --json",
        "scans purge --quarantined --json",
        "report --json",
        "events --format json",
    ] {
        assert_eq!(home.run(line).done().json(), json!([]), "twinflow {line}");
    }
    let csv = home.run("events --format csv").done().out;
    assert!(csv.starts_with("at,connection,case,key,activity,") && csv.lines().count() == 1, "{csv:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_ends_in_blanks() {
    let tool = github(20).await;
    let home = connected(&tool);
    let before: Vec<_> = LISTINGS.iter().map(|line| home.run(line).done()).collect();
    let scan = home.run("scan").done();
    let after =
        LISTINGS.iter().chain(&["contract", "contract --format markdown"]).map(|line| home.run(line).done());
    for ran in before.into_iter().chain([scan]).chain(after) {
        for line in ran.out.lines().chain(ran.err.lines()) {
            assert_eq!(line, line.trim_end(), "twinflow {}", ran.line);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_is_no_failure() {
    /// A pipe nobody reads.
    fn closed() -> Stdio {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer.into()
    }
    let tool = github(20).await;
    let home = connected(&tool);
    let others = ["scan", "scan --json", "events --format csv", "events --format json", "contract", "--help"];
    let others =
        others.iter().chain(&["completions bash", "vault keygen", "vault rotate", "connections --json"]);
    let empty = Home::new();
    for (home, line) in [&empty, &home]
        .iter()
        .flat_map(|home| LISTINGS.iter().chain(others.clone()).map(move |line| (home, line)))
    {
        let ran = Ran::of(line, home.command(line).stdout(closed()).output().unwrap()).done();
        assert!(!ran.err.contains("Broken pipe"), "twinflow {line}\n{}", ran.err);
        Ran::of(line, home.command(line).stderr(closed()).output().unwrap()).done();
    }
    assert!(home.log() == facts(&[&tool]), "what nobody watched was not read whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_line_of_a_long_export_may_be_all_that_is_read() {
    let tool = github(300).await;
    let home = connected(&tool);
    home.run("scan").done();
    for format in ["csv", "json", "table"] {
        let line = format!("events --limit 100000 --format {format}");
        let mut child = home.command(&line).spawn().unwrap();
        let mut first = String::new();
        // Dropped after the line, while more than a pipe holds is still to come.
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let ran = Ran::of(&line, child.wait_with_output().unwrap()).done();
        assert_eq!(ran.err, "", "twinflow {line}");
    }
}

// --- Connecting, when something is wrong ---

async fn holds_nothing(home: &Home) {
    assert_eq!(home.run("connections --json").done().json(), json!([]));
    let mut database = open(home).await;
    let credentials: i64 =
        sqlx::query_scalar("SELECT count(*) FROM credentials").fetch_one(&mut database).await.unwrap();
    assert_eq!(credentials, 0);
}

async fn open(home: &Home) -> SqliteConnection {
    SqliteConnectOptions::new().filename(home.data().join("twinflow.db")).connect().await.unwrap()
}

/// `connect` with this token and these words, of which nothing may be kept.
async fn refused(home: &Home, token: &str, line: &str, words: &[&str]) {
    home.feed(token, &format!("--quiet connect {line}")).complains(words);
    holds_nothing(home).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_or_project_that_cannot_be_read_is_named_and_nothing_is_stored() {
    let (github, jira) = (github(3).await, jira(3).await);
    let home = Home::allowing(&[&github, &jira]);
    let (at, jira_at) = (github.url(), jira_url(&jira));
    let line = format!("github --repo acme/shop --repo acme/nope --base-url {at}");
    refused(&home, TOKEN, &line, &["acme/nope", "does not know", "nothing was stored"]).await;
    for name in ["shop", "acme/", "/shop", "a/b/c", "acme/sh%20op", "https://github.com/acme/shop"] {
        let line = format!("github --repo {name} --base-url {at}");
        refused(&home, TOKEN, &line, &[name, "OWNER/NAME"]).await;
    }
    let token = twinflow_fixtures::jira::TOKEN;
    refused(
        &home,
        token,
        &format!("jira --project NOPE --base-url {jira_at}"),
        &["NOPE", "nothing was stored"],
    )
    .await;
    for name in ["shop", "S", "SHOP-1", "SHOP\"OR"] {
        refused(&home, token, &format!("jira --project {name} --base-url {jira_at}"), &["project"]).await;
    }
    refused(&home, token, "jira --cloud-id ../../admin", &["cloud id"]).await;
    assert!(github.ledger().iter().all(|asked| !asked.body.contains("sh%20op")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_will_not_do_is_refused_and_not_repeated() {
    let tool = github(3).await;
    let home = Home::allowing(&[&tool]);
    let line = format!("github --repo {REPOSITORY} --base-url {}", tool.url());
    refused(&home, "", &line, &["no token"]).await;
    refused(&home, " \n\t\n", &line, &["no token"]).await;
    for broken in ["two words", "line\nbreak", "bell\u{7}bell", "a\0b"] {
        refused(&home, broken, &line, &["spaces or line breaks"]).await;
    }
    assert_eq!(tool.asked(), 0, "such a token is not sent");
    let said = ["does not accept", "twinflow contract", "nothing was stored"];
    refused(&home, "github_pat_unknownUnknown", &line, &said).await;
    refused(&home, "pässwörd", &line, &["nothing was stored"]).await;
    tool.revoke();
    refused(&home, TOKEN, &line, &said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classic_token_is_taken_only_when_that_is_said() {
    let tool = github(3).await;
    let home = Home::allowing(&[&tool]);
    let line = format!("github --repo {REPOSITORY} --base-url {}", tool.url());
    refused(&home, CLASSIC_TOKEN, &line, &["repo, workflow", "--accept-broad-token"]).await;
    home.feed(CLASSIC_TOKEN, &format!("connect {line} --accept-broad-token")).done();
    home.run("scan").done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_nobody_listed_is_not_asked_and_the_sentence_says_where_to_list_it() {
    let tool = github(3).await;
    let home = Home::new();
    let at = |base: &str| format!("github --repo {REPOSITORY} --base-url {base}");
    let url = tool.url();
    refused(&home, TOKEN, &at(&url), &[&format!("TWINFLOW_EGRESS_ALLOW={url}")]).await;
    refused(&home, TOKEN, &at("https://ghe.example.com/api"), &["TWINFLOW_EGRESS_ALLOW=ghe.example.com"])
        .await;
    refused(&home, TOKEN, &at("http://169.254.169.254"), &["TWINFLOW_EGRESS_ALLOW="]).await;
    for nonsense in ["nonsense", "ftp://ghe.example.com", "http://", "https://ghe.example.com/?q=1", "///"] {
        refused(&home, TOKEN, &at(nonsense), &["cannot be asked", "https://host/path"]).await;
    }
    assert_eq!(tool.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_or_talks_nonsense_is_not_connected() {
    let tool = github(3).await;
    let mut home = Home::allowing(&[&tool]);
    let at = |base: &str| format!("github --repo {REPOSITORY} --base-url {base}");
    for (fault, word) in [
        (Fault::Html, "web page"),
        (Fault::RedirectTo("https://evil.example/".into()), "--base-url"),
        (Fault::Truncated, ""),
        (Fault::CutConnection, "broke off"),
        (Fault::NotUtf8, ""),
        (Fault::BadGzip, ""),
        (Fault::WrongType, ""),
        (Fault::ServerError(503), "503"),
        (Fault::Status(403), "may not"),
        (Fault::Status(404), "does not know"),
        (Fault::TooManyRequests { retry_after: None }, "slow down"),
        (Fault::GitHubPrimaryLimit { resets_in: Duration::from_secs(3600) }, "slow down"),
    ] {
        // The first question is whose token it is, the second for the issues.
        for nth in [1, 2] {
            tool.faults().on_request(tool.asked() + nth, fault.clone());
            let line = format!("--quiet connect {}", at(&tool.url()));
            let ran = home.feed(TOKEN, &line);
            if nth == 2 && ran.code == Some(0) {
                panic!("{fault:?} on the first page of issues was taken for an answer");
            }
            ran.complains(&[word, "nothing was stored"]);
        }
    }
    holds_nothing(&home).await;
    let url = tool.url();
    tool.stop().await;
    home.allow(&url);
    refused(&home, TOKEN, &at(&url), &["cannot be reached", "nothing was stored"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_is_said_and_the_first_connection_stays() {
    let tool = github(3).await;
    let home = connected(&tool);
    let again = format!("connect github --repo {REPOSITORY} --base-url {}", tool.url());
    home.feed(TOKEN, &again).complains(&["\"github\"", "--name"]);
    home.feed(TOKEN, &format!("{again} --name second")).done();
    assert_eq!(home.run("connections --json").done().json().as_array().unwrap().len(), 2);
}

// --- Scans that do not end well ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_fails_the_scan_and_says_what_to_do() {
    let tool = github(3).await;
    let home = connected(&tool);
    tool.revoke();
    let ran = home.run("scan").ends(1);
    for text in [&ran.out, &ran.err] {
        assert!(
            text.contains("no longer accepts the credential") && text.contains("twinflow renew"),
            "{text}"
        );
        assert!(!text.contains(TOKEN));
    }
    assert_eq!(home.run("scans --json").done().json()[0]["state"], "failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_whose_token_was_revoked_goes_on_with_a_new_one_of_the_same_account() {
    let tool = github(3).await;
    let home = connected(&tool);
    tool.revoke();
    home.run("scan").ends(1);
    let refused = home.feed(TOKEN, "renew github").ends(1);
    assert!(refused.err.contains("does not accept this token"), "{}", refused.err);
    tool.accept("github_pat_the_next_one");
    home.feed("github_pat_the_next_one", "renew github").done();
    home.run("scan").done();
    home.feed("github_pat_the_next_one", "renew nobody").ends(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_hidden_repository_of_two_makes_a_scan_partial_which_ends_with_3() {
    let world = GitHub::new(&story(20), REPOSITORY).with_repository(&story(20), "acme/till");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let home = Home::allowing(&[&tool]);
    let line = format!("connect github --repo {REPOSITORY} --repo acme/till --base-url {}", tool.url());
    home.feed(TOKEN, &line).done();
    tool.hide("acme/till");
    let ran = home.run("scan").ends(3);
    assert!(ran.out.contains("github partial:\n  acme/till: the tool does not know it"), "{}", ran.out);
    assert!(home.run("scans").done().out.contains("acme/till: "));
    tool.show("acme/till");
    home.run("scan").done();
    assert!(home.log() == facts(&[&tool]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_an_hour_defers_the_scan_which_ends_with_4_and_says_until_when() {
    let tool = github(120).await;
    let home = connected(&tool);
    let spent = Fault::GitHubPrimaryLimit { resets_in: Duration::from_secs(3600) };
    tool.faults().on_request(tool.asked() + 2, spent);
    let ran = home.run("scan").ends(4);
    assert!(ran.out.contains("github deferred until 20"), "{}", ran.out);
    assert!(ran.out.contains("limit is used up until"), "{}", ran.out);
    let scan = &home.run("scans --json").done().json()[0];
    assert!(scan["state"] == "deferred" && scan["until"].is_string(), "{scan}");
    let asked = tool.asked();
    home.run("scan").ends(4);
    assert_eq!(tool.asked(), asked, "a tool that asked for an hour is left alone");
    home.run("scan --anyway").done();
    assert!(home.log() == facts(&[&tool]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_named_twice_is_scanned_once() {
    let tool = github(3).await;
    let home = connected(&tool);
    let ran = home.run("scan github github --json").done();
    assert_eq!(ran.json().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_one_file_after_a_scan_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let tool = github(3).await;
    let home = Home::allowing(&[&tool]);
    std::fs::create_dir(home.data()).unwrap();
    std::fs::set_permissions(home.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    home.feed(TOKEN, &format!("connect github --repo {REPOSITORY} --base-url {}", tool.url())).done();
    home.run("scan").done();
    let mode = std::fs::metadata(home.data().join("twinflow.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!home.data().join("twinflow.db-wal").exists(), "what was written lies in the one file");
}

/// Starts a scan and comes back when the tool has had so many questions.
async fn started(home: &Home, tool: &Service, questions: usize) -> Child {
    let before = tool.asked();
    let child = home.command("scan").spawn().unwrap();
    while tool.asked() < before + questions {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid]).status().unwrap();
    assert!(sent.success());
}

/// Told to stop in the middle, it keeps the page it reads, ends with 130, and the next scan goes on.
async fn is_stopped_by(name: &str) {
    let tool = github(300).await;
    let home = connected(&tool);
    tool.latency(Duration::from_millis(150));
    let child = started(&home, &tool, 3).await;
    signal(&child, name);
    let ran = Ran::of("scan", child.wait_with_output().unwrap()).ends(130);
    assert!(ran.out.contains("queued") && ran.out.contains("goes on from here"), "{}", ran.out);
    assert_eq!(home.run("scans --json").done().json()[0]["state"], "queued");
    let kept = home.log().len();
    assert!((1..tool.facts().len()).contains(&kept), "{kept} events were kept");
    assert!(home.run("connections").done().out.contains("a scan is unfinished"));

    tool.latency(Duration::ZERO);
    let scan = &home.run("scan --json").done().json()[0];
    assert_eq!((scan["state"].as_str(), &scan["attempts"]), (Some("complete"), &json!(2)));
    assert!(home.log() == facts(&[&tool]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_a_scan_with_130_and_the_next_one_goes_on() {
    is_stopped_by("INT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_stops_a_scan_as_ctrl_c_does() {
    is_stopped_by("TERM").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_pressed_again_does_not_wait_for_a_tool_that_hangs() {
    let tool = github(120).await;
    let home = connected(&tool);
    tool.faults().on_request(tool.asked() + 2, Fault::Hang);
    let began = Instant::now();
    let mut child = started(&home, &tool, 2).await;
    while child.try_wait().unwrap().is_none() {
        signal(&child, "INT");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for the tool");
    Ran::of("scan", child.wait_with_output().unwrap()).ends(130);
    home.run("scan").done();
    assert!(home.log() == facts(&[&tool]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_scan_waits_for_nobody_and_says_that_one_runs() {
    let tool = github(3).await;
    let home = connected(&tool);
    let held = File::create(home.data().join("scan.lock")).unwrap();
    held.lock().unwrap();
    home.run("scan").complains(&["another twinflow", "wait for it to end"]);
    home.run("events").done();
    assert_eq!(home.run("scans --json").done().json(), json!([]));
    held.unlock().unwrap();
    home.run("scan").done();
}

// --- Keys ---

#[test]
fn a_new_key_is_printed_or_written_for_one_reader_and_never_over_another_file() {
    let home = Home::new();
    let printed = [(); 2].map(|()| home.run("vault keygen").done().out);
    printed.iter().for_each(|text| assert_eq!(KeySet::parse(text).unwrap().ids().count(), 1));
    assert_ne!(key_line(&printed[0]), key_line(&printed[1]));

    let file = home.path().join("deep/down/keys");
    let line = format!("vault keygen --out {}", file.display());
    let said = home.run(&line).done().out;
    let written = fs::read_to_string(&file).unwrap();
    assert!(!said.contains(key_line(&written)) && KeySet::parse(&written).is_ok());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o400);
    home.run(&line).complains(&["deep/down/keys", "never overwritten"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
    assert!(!home.data().exists(), "a key needs no database");
}

fn read_keys(home: &Home) -> String {
    fs::read_to_string(home.data().join("vault.key")).unwrap()
}

/// The id of the only key.
fn key_id(keys: &str) -> String {
    key_line(keys).split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_may_be_dropped_and_one_that_still_seals_is_asked_for_by_its_id() {
    let (github, jira) = (github(3).await, jira(3).await);
    let home = Home::allowing(&[&github, &jira]);
    home.connect_github(&github).done();
    home.connect_jira(&jira).done();
    let old = read_keys(&home);
    let new = home.run("vault keygen").done().out;

    write_keys(&home, &new);
    for line in ["scan", "vault rotate"] {
        home.run(line).complains(&[&key_id(&old), "former", "--key-file"]);
    }
    let doctor = home.run("doctor --json").ends(1);
    assert!(doctor.out.contains(&key_id(&old)), "{}", doctor.out);

    write_keys(&home, &format!("primary {}\nformer {}\n", key_line(&new), key_line(&old)));
    home.run("scan").done();
    assert!(home.run("vault rotate").done().out.starts_with("Sealed 2 again"));
    assert!(home.run("vault rotate").done().out.starts_with("Sealed 0 again"));
    home.run("scan").done();

    write_keys(&home, &new);
    home.run("scan").done();
    home.run("doctor").done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_missing_open_to_others_or_not_keys_are_refused_and_left_alone() {
    let tool = github(3).await;
    let home = connected(&tool);
    let (file, keys) = (home.data().join("vault.key"), read_keys(&home));
    fs::remove_file(&file).unwrap();
    home.run("scan").complains(&["vault.key", "backup"]);
    assert!(!file.exists(), "a new key would open nothing");
    let elsewhere = home.named("nowhere.key");
    home.run(&format!("scan --key-file {elsewhere}")).complains(&["nowhere.key"]);

    write_keys(&home, &keys);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    home.run("scan").complains(&["0644", "chmod 0400"]);
    write_keys(&home, "primary 12345678 hunter2\n");
    home.run("scan").complains(&["vault.key", "line 1"]);
    assert!(!home.run("doctor").ends(1).out.contains("hunter2"));
    // Under the id of the right key.
    let other = home.run("vault keygen").done().out;
    let bytes = key_line(&other).split_whitespace().last().unwrap();
    write_keys(&home, &format!("primary {} {bytes}\n", key_id(&keys)));
    let ran = home.run("scan").ends(1);
    assert!(ran.out.contains("github failed:") && !ran.err.contains(bytes), "{}{}", ran.out, ran.err);

    write_keys(&home, &keys);
    home.run("scan").done();
}

// --- Databases ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_database_of_ours_is_left_as_it_is() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    let file = home.data().join("twinflow.db");
    let says = ["twinflow.db", "not a TwinFlow database", "--data-dir"];
    let text = "Dear diary, this is no database. ".repeat(100);
    fs::write(&file, &text).unwrap();
    home.run("scan").complains(&says);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    fs::remove_file(&file).unwrap();
    let mut other =
        SqliteConnectOptions::new().filename(&file).create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE recipes (title TEXT)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let before = fs::read(&file).unwrap();
    home.run("connections").complains(&says);
    assert!(fs::read(&file).unwrap() == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_said_to_be_damaged() {
    let tool = github(60).await;
    let home = connected(&tool);
    home.run("scan").done();
    let mut database = open(&home).await;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let file = home.data().join("twinflow.db");
    let whole = fs::read(&file).unwrap();
    // The first page with its schema; everything behind it; half of the file.
    let spoilt = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0xA5);
        bytes
    };
    for bytes in [spoilt(100, 4096), spoilt(4096, whole.len()), whole[..whole.len() / 2].to_vec()] {
        for name in ["twinflow.db-wal", "twinflow.db-shm"] {
            let _ = fs::remove_file(home.data().join(name));
        }
        fs::write(&file, bytes).unwrap();
        home.run("events").complains(&["damaged", "restore"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_not_touched() {
    let home = Home::new();
    home.run("connections").done();
    let mut database = open(&home).await;
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', TRUE, x'00', 0)",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
    home.run("connections").complains(&["newer version (9999)"]);
    home.run("scan").complains(&["newer version (9999)"]);
}

#[test]
fn a_data_folder_that_cannot_be_made_is_said_in_words() {
    let mut home = Home::new();
    let file = home.named("occupied");
    fs::write(&file, "").unwrap();
    home.set("TWINFLOW_DATA_DIR", &file);
    home.run("connections").complains(&["occupied", "not a folder", "--data-dir"]);
    home.set("TWINFLOW_DATA_DIR", format!("{file}/below"));
    home.run("connections").complains(&["occupied/below", "cannot be made", "--data-dir"]);
}

#[test]
fn a_data_folder_that_may_not_be_written_is_said_in_words() {
    use std::os::unix::fs::MetadataExt as _;
    let home = Home::new();
    if fs::metadata(home.path()).unwrap().uid() == 0 {
        eprintln!("skipped: root may write everywhere");
        return;
    }
    fs::create_dir(home.data()).unwrap();
    fs::set_permissions(home.data(), Permissions::from_mode(0o500)).unwrap();
    home.run("connections").complains(&["twinflow.db", "cannot be made", "--data-dir"]);
    fs::set_permissions(home.data(), Permissions::from_mode(0o700)).unwrap();
    home.run("connections").done();
}

// --- Postgres ---

const TENANT: &str = "6d1b1ee0-0000-4000-8000-000000000001";

/// A home whose data is on a server.
pub(crate) fn on_server(url: &str, tools: &[&Service]) -> Home {
    let mut home = Home::allowing(tools);
    let keys = home.named("keys");
    home.run(&format!("vault keygen --out {keys}")).done();
    home.set("TWINFLOW_KEY_FILE", keys);
    home.set("TWINFLOW_TENANT", TENANT);
    home.set("DATABASE_URL", url);
    home
}

#[test]
fn a_tenant_goes_with_a_server_and_a_server_with_a_tenant() {
    let home = Home::new();
    home.run(&format!("scan --tenant {TENANT}")).complains(&["--database-url"]);
    home.run("scan --database-url postgres://nobody@localhost/x").complains(&["--tenant"]);
    home.run("migrate").complains(&["--database-url"]);
    home.run("demo --once --database-url postgres://nobody@localhost/x").complains(&["--database-url"]);
}

#[test]
fn a_server_that_cannot_be_reached_is_said_without_its_password() {
    let url = "postgres://someone:hunter2@127.0.0.1:1/x";
    let home = on_server(url, &[]);
    for (url, line) in [(url, "migrate"), (url, "scan"), ("nonsense", "scan")] {
        let ran = home.run(&format!("{line} --database-url {url}"));
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
        ran.complains(&["database", "--database-url"]);
    }
}

async fn login(database: &TestDatabase) -> String {
    database.login_url("tf_app").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_role_that_could_cross_tenants_is_refused() {
    let database = migrated().await;
    on_server(&database.superuser_url(), &[]).run("connections").complains(&["cross tenants", "tf_app"]);
    on_server(&database.owner_url(), &[]).run("connections").complains(&["no member of tf_app"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_migrated_by_its_owner_and_then_connected_scanned_and_reported() {
    // Its roles belong to the whole server, and are made by the first migration.
    drop(migrated().await);
    let database = database().await;
    let tool = github(60).await;
    let home = on_server(&login(&database).await, &[&tool]);
    home.run("connections").complains(&["twinflow migrate"]);
    for _ in 0..2 {
        home.run(&format!("migrate --database-url {}", database.owner_url())).done();
    }
    home.connect_github(&tool).done();
    home.run("scan").done();
    assert!(home.log() == facts(&[&tool]));
    for line in LISTINGS {
        home.run(line).done();
    }
    assert!(home.run("doctor").done().out.contains("Postgres"));
    let other = format!("connections --json --tenant {}", TENANT.replace('1', "2"));
    assert_eq!(home.run(&other).done().json(), json!([]));
    assert!(!home.data().exists(), "nothing is kept beside the server");
}
