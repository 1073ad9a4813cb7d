//! What real tools once answered comes back as the event log that it should. What is expected here was worked out
//! from the files by hand, not by any code of ours.
//!
//! The recorded answers are somebody's content and no part of this repository: they are read where they lie beside
//! the checkout, and where they do not, these tests say so and check nothing.

use crate::support::bench::{Bench, without_stream};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, postgres, sqlite};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use twinflow::store::{State, Wanted};
use twinflow_fixtures::{Fact, Service, ServiceOptions, World, replay};

const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/recorded");

/// The folder of a tool's recorded answers, if there is one.
fn recorded(tool: &str) -> Option<PathBuf> {
    let folder = Path::new(BESIDE).join(tool).join("devlake");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED, nothing was checked: no recorded answers beside the checkout ({})", folder.display());
    None
}

async fn scanned(world: impl Into<World>, database: Database, streams: &[&str]) -> Bench {
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let bench = Bench::new(TestClock::new(), database, tool, streams).await;
    let outcome = bench.scan().await;
    assert_eq!((outcome.state, outcome.reasons), (State::Complete, vec![]));
    let (log, facts) = (bench.log().await, bench.facts());
    assert!(log == facts, "{} events in the log, {} happened", log.len(), facts.len());
    bench
}

async fn scanned_jira(folder: &Path, database: Database) -> Bench {
    scanned(replay::jira(folder).unwrap().world, database, &["EE", "K5"]).await
}

async fn scanned_github(folder: &Path, database: Database) -> Bench {
    scanned(replay::github(folder).unwrap().world, database, &["panjf2000/ants"]).await
}

/// `case at activity by from to`, ids and times alone.
fn line(fact: &Fact) -> String {
    let at = fact.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let [by, from, to] = [&fact.resource, &fact.from, &fact.to].map(|id| id.as_deref().unwrap_or("-"));
    format!("{} {at} {} {by} {from} {to}", fact.case, fact.activity)
}

async fn assert_log(bench: &Bench, counts: &[(&str, usize)], all: &str, cases: &[(&str, &str)]) {
    let log = bench.log().await;
    let mut by_activity = BTreeMap::<&str, usize>::new();
    log.iter().for_each(|fact| *by_activity.entry(&fact.activity).or_default() += 1);
    assert_eq!(by_activity, counts.iter().copied().collect());
    for (case, expected) in cases {
        assert_eq!(history(bench, case).await, expected.trim(), "the history of {case}");
    }
    let mut lines: Vec<_> = log.iter().map(line).collect();
    lines.sort();
    let digest = Sha256::digest(lines.join("\n"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, all, "the lines of all cases, sorted");
}

/// In the store's order of time; what happened in one moment in the order of the alphabet.
async fn history(bench: &Bench, case: &str) -> String {
    let wanted = Wanted { case: Some(case.to_owned()), limit: i64::MAX, ..Wanted::default() };
    let events = bench.store().events(&wanted).await.unwrap();
    assert!(events.is_sorted_by_key(|event| event.at), "{case}");
    let mut lines: Vec<_> = events
        .into_iter()
        .map(|it| Fact {
            stream: String::new(),
            case: it.case,
            at: it.at,
            activity: it.activity,
            resource: it.resource,
            from: it.from,
            to: it.to,
        })
        .map(|fact| line(&without_stream(fact)).split_once(' ').expect("a case").1.to_owned())
        .collect();
    lines.sort();
    lines.join("\n")
}

async fn assert_jira(bench: &Bench) {
    let counts = [
        ("assigned", 39),
        ("created", 36),
        ("priority_changed", 1),
        ("resolution_changed", 32),
        ("status_changed", 175),
        ("type_changed", 8),
        ("unassigned", 2),
    ];
    let cases = [
        ("10085", NINE_STATUSES),
        ("10065", HANDED_ON_AND_TAKEN_AWAY),
        ("10079", TAKEN_UP_AGAIN),
        ("10076", SEVEN_ITEMS_IN_ONE_HISTORY),
        ("13383", COMMITS_AND_A_DESCRIPTION_BETWEEN),
        ("20708", NOTHING_THAT_IS_READ_HAPPENED),
    ];
    let all = "0ba7e8642e39efb52b49f186b94c2fa3d646602169ee820df3d493e3e12c2388";
    assert_log(bench, &counts, all, &cases).await;
}

async fn assert_github(bench: &Bench) {
    let counts = [("assigned", 10), ("created", 41), ("labelled", 18), ("status_changed", 10)];
    let cases =
        [("I_kwDOB_z1Gs5IJOZz", LABELLED_WHEN_OPENED), ("I_kwDOB_z1Gs5K-Ts6", RENAMED_AND_CLOSED_TWICE_TOLD)];
    let all = "3f01245a5b0c6cf0e0e05f66cd70f63ab26ddbe8936e5acea2de6877d411c315";
    assert_log(bench, &counts, all, &cases).await;
}

#[tokio::test]
async fn recorded_jira_comes_back_as_worked_out_by_hand_in_sqlite() {
    let Some(folder) = recorded("jira") else { return };
    assert_jira(&scanned_jira(&folder, sqlite(&TestClock::new()).await).await).await;
}

#[tokio::test]
async fn recorded_jira_comes_back_as_worked_out_by_hand_in_postgres() {
    let Some(folder) = recorded("jira") else { return };
    assert_jira(&scanned_jira(&folder, postgres().await).await).await;
}

#[tokio::test]
async fn recorded_github_comes_back_as_worked_out_by_hand_in_sqlite() {
    let Some(folder) = recorded("github") else { return };
    assert_github(&scanned_github(&folder, sqlite(&TestClock::new()).await).await).await;
}

#[tokio::test]
async fn recorded_github_comes_back_as_worked_out_by_hand_in_postgres() {
    let Some(folder) = recorded("github") else { return };
    assert_github(&scanned_github(&folder, postgres().await).await).await;
}

#[tokio::test]
async fn no_text_of_the_recorded_answers_is_in_the_database_file() {
    let (Some(jira), Some(github)) = (recorded("jira"), recorded("github")) else { return };
    for (bench, folder, texts_at_least) in [
        (scanned_jira(&jira, sqlite(&TestClock::new()).await).await, jira, 1000),
        (scanned_github(&github, sqlite(&TestClock::new()).await).await, github, 1000),
    ] {
        let texts = texts_in(&folder);
        assert!(texts.len() >= texts_at_least, "{} texts in {}", texts.len(), folder.display());
        let file = bytes_of(bench.database.folder().expect("a file"));
        for fact in bench.log().await {
            assert!(file.contains(&fact.case), "what is kept is found by this search");
        }
        for text in &texts {
            // A test's output must not repeat it either.
            assert!(!file.contains(text), "a text of {} characters is in the file", text.chars().count());
        }
    }
}

/// The database with its journal, as one text.
fn bytes_of(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

/// Every long text of every recorded answer and all e-mail addresses; but not what the contract says is kept: ids,
/// and names of people, statuses, priorities and labels.
fn texts_in(folder: &Path) -> BTreeSet<String> {
    let (mut texts, mut kept) = (BTreeSet::new(), BTreeSet::new());
    let inner = folder.join("raw_tables");
    let folder = if inner.is_dir() { inner } else { folder.to_owned() };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "csv") {
            continue;
        }
        let Ok(mut reader) = csv::ReaderBuilder::new().flexible(true).from_path(&path) else { continue };
        for record in reader.records().map(Result::unwrap) {
            let documents = record.iter().filter_map(|field| serde_json::from_str::<Value>(field).ok());
            documents.for_each(|document| collect("", &document, &mut texts, &mut kept));
        }
    }
    texts.difference(&kept).map(|text| beginning(text)).collect()
}

/// Long enough to be told from anything else; what is not there cannot be there whole.
fn beginning(text: &str) -> String {
    text.chars().take(60).collect()
}

fn collect(key: &str, value: &Value, texts: &mut BTreeSet<String>, kept: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => match key {
            "accountId" | "node_id" | "displayName" | "login" => drop(kept.insert(text.clone())),
            "emailAddress" if !text.is_empty() => drop(texts.insert(text.clone())),
            _ if text.chars().count() > 20 => drop(texts.insert(text.clone())),
            _ => {}
        },
        Value::Array(values) => values.iter().for_each(|value| collect(key, value, texts, kept)),
        Value::Object(fields) => {
            let named =
                fields.contains_key("statusCategory") || ["priority", "label", "labels"].contains(&key);
            kept.extend(fields.get("name").filter(|_| named).and_then(Value::as_str).map(str::to_owned));
            fields.iter().for_each(|(key, value)| collect(key, value, texts, kept));
        }
        _ => {}
    }
}

const NINE_STATUSES: &str = "
2020-06-12T00:33:57.204Z created 5e9711ba34f7b90c0fbc37d3 - -
2020-06-12T01:18:40.941Z assigned 5e9711ba34f7b90c0fbc37d3 - 5ecfbd0a47d31e0c2a15fd87
2020-06-12T01:27:39.141Z status_changed 5e9711ba34f7b90c0fbc37d3 1 3
2020-06-12T01:27:50.404Z status_changed 5e9711ba34f7b90c0fbc37d3 3 5
2020-06-12T04:58:47.271Z status_changed 5e9711ba34f7b90c0fbc37d3 5 10000
2020-06-12T05:01:20.770Z status_changed 5e9711ba34f7b90c0fbc37d3 10000 1
2020-06-12T13:08:24.581Z status_changed 5e9711ba34f7b90c0fbc37d3 1 10033
2020-06-12T13:15:21.650Z status_changed 5e9711ba34f7b90c0fbc37d3 10033 1
2020-06-15T09:07:56.858Z resolution_changed 5ecfbd0a47d31e0c2a15fd87 - 10000
2020-06-15T09:07:56.858Z status_changed 5ecfbd0a47d31e0c2a15fd87 1 5
2020-06-17T03:08:17.806Z status_changed 5ecfbd0beb77320c1f821a26 5 6
2021-03-28T08:05:57.097Z status_changed 5e9711ba34f7b90c0fbc37d3 6 10068
";

const HANDED_ON_AND_TAKEN_AWAY: &str = "
2020-06-12T00:15:41.600Z created 5e9711ba34f7b90c0fbc37d3 - -
2020-06-12T01:04:26.698Z assigned 5e9711ba34f7b90c0fbc37d3 - 5e9711ba34f7b90c0fbc37d3
2020-06-12T01:04:50.098Z assigned 5e9711ba34f7b90c0fbc37d3 5e9711ba34f7b90c0fbc37d3 5ecfbd0c730ec90c1999cadf
2020-06-12T01:05:05.790Z unassigned 5e9711ba34f7b90c0fbc37d3 5ecfbd0c730ec90c1999cadf -
2020-06-12T01:16:31.283Z assigned 5e9711ba34f7b90c0fbc37d3 - 5ecfbd0c730ec90c1999cadf
2020-06-12T01:45:29.953Z status_changed 5e9711ba34f7b90c0fbc37d3 10020 10029
2020-06-12T04:58:47.353Z status_changed 5e9711ba34f7b90c0fbc37d3 10029 10000
2020-06-12T05:01:20.777Z status_changed 5e9711ba34f7b90c0fbc37d3 10000 1
2020-06-23T10:21:12.046Z resolution_changed 5ecfbd0c730ec90c1999cadf - 10000
2020-06-23T10:21:12.046Z status_changed 5ecfbd0c730ec90c1999cadf 1 5
2020-11-10T01:43:02.920Z status_changed 5e9711ba34f7b90c0fbc37d3 5 6
2021-03-28T08:05:55.063Z status_changed 5e9711ba34f7b90c0fbc37d3 6 10068
";

const TAKEN_UP_AGAIN: &str = "
2020-06-12T00:24:56.048Z created 5e9711ba34f7b90c0fbc37d3 - -
2020-06-12T01:17:31.791Z assigned 5e9711ba34f7b90c0fbc37d3 - 5ecfbd0a47d31e0c2a15fd87
2020-06-12T05:01:20.707Z status_changed 5e9711ba34f7b90c0fbc37d3 10000 1
2020-06-17T07:30:11.259Z unassigned 5e9711ba34f7b90c0fbc37d3 5ecfbd0a47d31e0c2a15fd87 -
2020-06-19T09:04:15.318Z assigned 5ecfbd0a47d31e0c2a15fd87 - 5ecfbd0a47d31e0c2a15fd87
2020-07-22T06:34:22.169Z status_changed 5ecfbd0a47d31e0c2a15fd87 1 3
2020-07-22T07:25:29.223Z resolution_changed 5ecfbd0a47d31e0c2a15fd87 - 10000
2020-07-22T07:25:29.223Z status_changed 5ecfbd0a47d31e0c2a15fd87 3 5
2020-11-10T01:43:03.405Z status_changed 5e9711ba34f7b90c0fbc37d3 5 6
2020-11-10T02:11:30.721Z type_changed 5e9711ba34f7b90c0fbc37d3 10002 10031
2021-03-28T08:05:54.428Z status_changed 5e9711ba34f7b90c0fbc37d3 6 10068
";

const SEVEN_ITEMS_IN_ONE_HISTORY: &str = "
2020-06-12T00:24:25.922Z created 5e9711ba34f7b90c0fbc37d3 - -
2020-06-12T01:18:03.757Z assigned 5e9711ba34f7b90c0fbc37d3 - 5ecfbd0a47d31e0c2a15fd87
2020-06-12T01:22:30.323Z status_changed 5e9711ba34f7b90c0fbc37d3 10000 5
2020-06-12T04:58:47.975Z status_changed 5e9711ba34f7b90c0fbc37d3 5 10000
2020-06-12T05:01:20.966Z status_changed 5e9711ba34f7b90c0fbc37d3 10000 1
2020-06-15T08:59:51.341Z resolution_changed 5ecfbd0a47d31e0c2a15fd87 - 10000
2020-06-15T08:59:51.341Z status_changed 5ecfbd0a47d31e0c2a15fd87 1 5
2020-11-10T01:43:05.342Z status_changed 5e9711ba34f7b90c0fbc37d3 5 6
2020-11-10T02:11:31.036Z type_changed 5e9711ba34f7b90c0fbc37d3 10002 10031
2021-03-28T08:05:56.154Z status_changed 5e9711ba34f7b90c0fbc37d3 6 10068
";

const COMMITS_AND_A_DESCRIPTION_BETWEEN: &str = "
2021-01-25T03:09:27.985Z created - - -
2021-01-25T03:33:16.108Z priority_changed 5fb48fe20d2f61006f0d0106 3 2
2021-01-25T13:49:52.514Z status_changed 5fb48fe20d2f61006f0d0106 1 10074
2021-01-27T06:46:18.086Z resolution_changed 5fb48fe20d2f61006f0d0106 - 10000
2021-01-27T06:46:18.086Z status_changed 5fb48fe20d2f61006f0d0106 10074 6
2021-03-28T08:08:12.742Z status_changed 5e9711ba34f7b90c0fbc37d3 6 10068
";

const NOTHING_THAT_IS_READ_HAPPENED: &str = "
2022-07-15T22:29:49.026Z created 62a2d08d1be00a0068af1945 - -
";

const LABELLED_WHEN_OPENED: &str = "
2022-04-21T01:11:58.000Z assigned MDQ6VXNlcjc3OTYzODM3 - MDQ6VXNlcjc0OTYyNzg=
2022-04-21T01:11:58.000Z created MDQ6VXNlcjc3OTYzODM3 - -
2022-04-21T01:11:58.000Z labelled MDQ6VXNlcjc3OTYzODM3 - MDU6TGFiZWw5Mzc4NjE0NTU=
2022-04-21T01:11:58.000Z labelled MDQ6VXNlcjc3OTYzODM3 - MDU6TGFiZWw5Mzc4NjE0NTg=
2022-04-24T15:19:07.000Z labelled MDQ6VXNlcjc0OTYyNzg= - MDU6TGFiZWwxNjQxMTY3OTcy
2022-05-07T11:29:32.000Z status_changed MDQ6VXNlcjc0OTYyNzg= open completed
";

const RENAMED_AND_CLOSED_TWICE_TOLD: &str = "
2022-06-02T08:13:04.000Z assigned MDQ6VXNlcjQ3NTE1NjYz - MDQ6VXNlcjc0OTYyNzg=
2022-06-02T08:13:04.000Z created MDQ6VXNlcjQ3NTE1NjYz - -
2022-06-02T08:13:04.000Z labelled MDQ6VXNlcjQ3NTE1NjYz - MDU6TGFiZWw5Mzc4NjE0NTU=
2022-06-02T08:13:04.000Z labelled MDQ6VXNlcjQ3NTE1NjYz - MDU6TGFiZWw5Mzc4NjE0NTg=
2022-06-09T01:42:11.000Z status_changed MDQ6VXNlcjQ3NTE1NjYz open completed
";
