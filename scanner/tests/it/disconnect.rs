//! The end of a connection: nothing more is read, what was granted is given back, what is deleted is counted.

use crate::support::bench::{Bench, story};
use crate::support::browser::{consent_line, dance};
use crate::support::clock::TestClock;
use crate::support::engines::sqlite;
use crate::support::program::{Home, PROJECT, Ran, facts, github, jira};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use twinflow::disconnect::{Setting, disconnect};
use twinflow_connectors::Kind;
use twinflow_fixtures::oauth::OAuthDialect;
use twinflow_fixtures::{Fault, Service, stands};

async fn consented(cases: usize) -> (Service, Home) {
    let tool = jira(cases).await;
    tool.oauth(OAuthDialect::JIRA);
    let home = Home::allowing(&[&tool]);
    dance(&home, &format!("{} --project {PROJECT}", consent_line(&tool))).done();
    (tool, home)
}

fn revocations(tool: &Service) -> usize {
    tool.ledger().iter().filter(|it| it.path == "/oauth/revoke").count()
}

fn connection(home: &Home) -> Value {
    home.run("connections --json").done().json()[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_tool_takes_back_what_it_granted_and_what_was_read_stays() {
    let (tool, home) = consented(20).await;
    home.run("scan").done();
    let receipt = home.run("disconnect jira --json").done().json();
    assert_eq!(receipt["at_the_tool"], json!({"result": "revoked"}));
    assert_eq!((revocations(&tool), tool.grants()), (1, 0));
    assert!(home.log() == facts(&[&tool]));
    assert!(connection(&home)["disconnected_at"].is_string());
    assert!(home.run("connections").done().out.contains("(disconnected)"));
    home.run("doctor").done();
    home.run("vault rotate").done();
    home.run("report").done();

    // Nothing is left to scan with, and a second time nothing is left to take back.
    let asked = tool.asked();
    home.run("scan").done();
    home.run("scan jira").complains(&["disconnected", "twinflow connect jira"]);
    home.run("renew jira").complains(&["disconnected"]);
    let again = home.run("disconnect jira").done();
    assert!(again.out.contains("nothing left to take back"), "{}", again.out);
    assert_eq!(tool.asked(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_name_is_connected_again_and_goes_on_where_it_ended() {
    let (tool, home) = consented(20).await;
    home.run("scan").done();
    let before = connection(&home)["id"].clone();
    home.run("disconnect jira").done();
    dance(&home, &format!("{} --project {PROJECT}", consent_line(&tool))).done();
    let now = connection(&home);
    assert_eq!((&now["id"], &now["disconnected_at"]), (&before, &Value::Null));
    let scan = &home.run("scan --json").done().json()[0];
    assert_eq!((&scan["state"], &scan["events_new"]), (&json!("complete"), &json!(0)));
    assert!(home.log() == facts(&[&tool]));

    home.run("disconnect jira --purge --yes").done();
    home.connect_jira(&tool).done();
    assert_ne!(connection(&home)["id"], before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_was_another_tools_is_not_taken_over() {
    let (tool, other) = (jira(3).await, github(3).await);
    let home = Home::allowing(&[&tool, &other]);
    home.connect_jira(&tool).done();
    home.run("disconnect jira").done();
    let line = format!("--quiet connect github --name jira --repo acme/shop --base-url {}", other.url());
    home.feed(twinflow_fixtures::github::TOKEN, &line).complains(&["--name", "disconnect jira --purge"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_name_does_not_come_back_with_pseudonyms_of_others_than_it_had() {
    let tool = github(3).await;
    let home = Home::allowing(&[&tool]);
    home.connect_github(&tool).done();
    home.run("disconnect github").done();
    let line =
        format!("--quiet connect github --repo acme/shop --base-url {} --pseudonymise=everybody", tool.url());
    let connect = || home.feed(twinflow_fixtures::github::TOKEN, &line);
    connect().complains(&["--pseudonymise=nobody", "--name", "disconnect github --purge"]);
    assert!(connection(&home)["disconnected_at"].is_string());
    home.run("disconnect github --purge --yes").done();
    connect().done();
    home.run("disconnect github").done();
    connect().done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_is_in_no_file_any_more_not_even_while_the_database_is_open() {
    let clock = TestClock::new();
    let stand = stands(&story(40, &clock)).into_iter().find(|it| it.tool == "github").unwrap();
    let repository = stand.streams[0].clone();
    let bench = Bench::of(clock.clone(), sqlite(&clock).await, stand).await;
    bench.scan().await;
    let files = || {
        let files = fs::read_dir(bench.database.folder().unwrap()).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect::<Vec<u8>>()
    };
    let is_there = |bytes: &[u8]| files().windows(bytes.len()).any(|it| it == bytes);
    let sealed = bench.store().sealed_credential(&bench.connection).await.unwrap();
    let names = bench.store().names(bench.connection.id).await.unwrap();
    let people = names.0.iter().filter(|((kind, _), _)| *kind == Kind::Person);
    let logins: Vec<String> = people.map(|(_, (name, _))| name.clone()).collect();
    assert!(is_there(&sealed) && is_there(repository.as_bytes()) && logins.len() > 2);

    let (scanner, clock) = (&bench.scanner, clock.clock());
    let setting = Setting {
        store: bench.store(),
        vault: &scanner.vault,
        tenant: scanner.tenant,
        allowed: &scanner.allowed,
        clock: &clock,
    };
    disconnect(setting, &bench.connection, false).await.unwrap();
    assert!(!is_there(&sealed), "the credential is still there");
    assert!(logins.iter().all(|login| is_there(login.as_bytes())));
    disconnect(setting, &bench.connection, true).await.unwrap();
    assert!(!is_there(repository.as_bytes()), "the repository is still there");
    for login in logins {
        assert!(!is_there(login.as_bytes()), "{login} is still there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_runs_is_cut_off_within_a_page() {
    let (tool, home) = consented(600).await;
    tool.latency(Duration::from_millis(100));
    let before = tool.asked();
    let scan = home.command("scan").stdout(Stdio::piped()).spawn().unwrap();
    while tool.asked() < before + 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let receipt = home.run("disconnect jira --json").done().json();
    assert_eq!((&receipt["scans_ended"], &receipt["at_the_tool"]["result"]), (&json!(1), &json!("revoked")));
    let kept = home.log().len();
    let ran = Ran::of("scan", scan.wait_with_output().unwrap()).ends(1);
    assert!(ran.out.contains("the connection was disconnected"), "{}", ran.out);
    assert_eq!(home.log().len(), kept, "a page was kept after the end");
    assert!(kept < tool.facts().len());
    assert_eq!(home.run("scans --json").done().json()[0]["state"], "failed");
    assert_eq!(tool.grants(), 0);
    assert!(connection(&home)["paused"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_deletes_everything_and_the_receipt_counts_it() {
    let (tool, home) = consented(30).await;
    home.run("scan").done();
    home.run("scan").done();
    let cases = home.run("connections --json").done().json()[0]["streams"][0]["cases"].clone();
    let events = home.log().len();
    home.run("disconnect jira --purge").complains(&["--yes"]);
    let receipt = home.run("disconnect jira --purge --yes --json").done().json();
    let deleted = &receipt["deleted"];
    assert_eq!(deleted["events"], json!(events));
    assert_eq!((&deleted["cases"], &deleted["scans"], &deleted["streams"]), (&cases, &json!(2), &json!(1)));
    assert!(deleted["names"].as_u64() > Some(0));
    for line in ["connections --json", "scans --json", "events --format json"] {
        assert_eq!(home.run(line).done().json(), json!([]), "{line}");
    }
    assert_eq!(tool.grants(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_tool_does_not_take_back_is_said_with_what_to_do_by_hand() {
    let (tool, home) = consented(3).await;
    tool.faults().always(Fault::ServerError(503));
    let ran = home.run("disconnect jira").done();
    assert!(ran.out.contains("HTTP 503") && ran.out.contains("in the settings of Jira"), "{}", ran.out);
    assert!(connection(&home)["disconnected_at"].is_string(), "it ends all the same");

    let hand_made = github(3).await;
    let home = Home::allowing(&[&hand_made]);
    home.connect_github(&hand_made).done();
    let asked = hand_made.asked();
    let ran = home.run("disconnect github").done();
    assert!(ran.out.contains("delete it in the settings of GitHub"), "{}", ran.out);
    assert_eq!(hand_made.asked(), asked);
}
