//! What an operator types while scans run in the background, and what it comes to.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, postgres, sqlite};
use crate::support::program::{Home, Ran, github as a_github};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use twinflow::store::WantedScans;
use twinflow_fixtures::{GitHub, Service, ServiceOptions};

fn connected(tool: &Service) -> Home {
    let home = Home::allowing(&[tool]);
    home.connect_github(tool).done();
    home
}

fn only(scans: &Value) -> &Value {
    let [scan] = scans.as_array().expect("a list").as_slice() else { panic!("{scans}") };
    scan
}

/// The first letters of the one scan there is.
fn id(home: &Home) -> String {
    let scans = home.run("scans --json").done().json();
    only(&scans)["id"].as_str().expect("an id")[..8].to_owned()
}

/// Behind the program's back.
async fn alter(home: &Home, sql: &'static str) {
    let file = SqliteConnectOptions::new().filename(home.data().join("twinflow.db"));
    sqlx::query(sql).execute(&mut file.connect().await.unwrap()).await.unwrap();
}

/// A worker and a scheduler, ended with this value.
struct Serving(Child);

impl Serving {
    fn of(home: &Home) -> Self {
        Self(
            home.command("serve --all --look 1").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        )
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// --- Looking ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_in_the_background_is_listed_followed_and_shown() {
    let tool = a_github(150).await;
    tool.latency(Duration::from_millis(100));
    let home = connected(&tool);
    home.run("scan --background").done();
    assert!(home.run("scans list --state queued,running").done().out.contains("person"));
    assert!(home.run("scans list --state failed").done().out.contains("No such scans"));

    let serving = Serving::of(&home);
    let ran = home.run("scans watch --json github").done();
    let changes: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = changes.last().expect("a change");
    assert_eq!((&last["state"], &last["connection"]), (&json!("complete"), &json!("github")));
    assert!(changes.len() > 1, "{}", ran.out);
    assert!(changes.windows(2).all(|two| two[0] != two[1]), "what did not change is not repeated");
    drop(serving);

    let id = id(&home);
    let shown = home.run(&format!("scans show {id}")).done().out;
    for words in ["github (github)", "complete", "person", "attempts", "crashes", "acme/shop: ", " left)"] {
        assert!(shown.contains(words), "no {words:?} in\n{shown}");
    }
    let shown = home.run(&format!("scans show {id} --json")).done().json();
    assert_eq!(shown["streams"][0]["doing"]["now"], "complete");
    // Over, it is shown as it ended, and the watching ends as the scan did.
    let line = home.run(&format!("scans watch {id}")).done().out;
    assert!(line.contains("complete") && line.lines().count() == 1, "{line}");
    let nothing = home.run("scans watch").done();
    assert!(nothing.out.contains("Nothing is queued"), "{}", nothing.out);
    home.run("scans watch gitlab").complains(&["gitlab", "twinflow scans"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_scan_is_shown_with_how_far_it_has_come_of_how_much_there_is() {
    let clock = TestClock::new();
    let world = GitHub::new(&story(1_000, &clock), "acme/shop").with_points(5);
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let home = connected(&tool);
    // The hour's points are used up on the way.
    home.run("scan").ends(4);
    let id = id(&home);
    let watched = home.run(&format!("scans watch --json {id}")).ends(4).json();
    let doing = &watched["streams"][0]["doing"];
    let seen = doing["seen"].as_u64().expect("a count");
    assert_eq!((&doing["total"], &doing["now"]), (&json!(1_000), &json!("deferred")));
    assert!((100..1_000).contains(&seen) && doing.get("ends").is_none(), "{doing}");
    for command in ["show", "watch"] {
        let out = home.run(&format!("scans {command} {id}")).out;
        assert!(out.contains(&format!(", {seen} of 1,000 cases")), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_narrowed_and_turned_page_by_page() {
    let tool = a_github(3).await;
    let home = connected(&tool);
    for _ in 0..5 {
        home.run("scan").done();
    }
    let ids = |ran: &Ran| -> Vec<String> {
        let scans = ran.json();
        scans.as_array().unwrap().iter().map(|scan| scan["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(&home.run("scans --json").done());
    let mut turned = vec![];
    for _ in 0..3 {
        let after = turned.last().map_or_else(String::new, |id| format!(" --after {id}"));
        let page = home.run(&format!("scans list --limit 2 --json{after}")).done();
        assert_eq!(page.err.contains("--after"), turned.len() < 4, "{}", page.err);
        turned.extend(ids(&page));
    }
    assert_eq!(turned, all);
    assert_eq!(
        ids(&home.run("scans list --json --since 1h --connection github --state complete").done()).len(),
        5
    );
    assert_eq!(ids(&home.run("scans list --json --error quota").done()).len(), 0);
    assert_eq!(ids(&home.run("scans list --json --since 2099-01-01").done()).len(), 0);
    home.run("scans list --since yesterday").complains(&["yesterday"]);
    home.run("scans list --state sleepy").ends(2);
    home.run("scans show xyz").complains(&["no scan's id begins with"]);
}

async fn letters_find_one_scan(database: Database) {
    let clock = TestClock::new();
    let world = GitHub::new(&story(3, &clock), "acme/shop");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let bench = Bench::new(clock, database, tool, &["acme/shop"]).await;
    bench.scan().await;
    bench.scan().await;
    let scans = bench.store().scans(&WantedScans::newest(9)).await.unwrap();
    assert_eq!(scans.len(), 2);
    for scan in &scans {
        let wanted = WantedScans { ids: Some((scan.id, scan.id)), ..WantedScans::newest(2) };
        assert_eq!(bench.store().scans(&wanted).await.unwrap(), std::slice::from_ref(scan));
    }
    let after = WantedScans { after: Some((scans[0].created_at, scans[0].id)), ..WantedScans::newest(9) };
    assert_eq!(bench.store().scans(&after).await.unwrap(), &scans[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_are_found_by_their_ids_on_both_engines() {
    letters_find_one_scan(sqlite(&TestClock::new()).await).await;
    letters_find_one_scan(postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_the_watching_and_not_the_scan() {
    let tool = a_github(3).await;
    let home = connected(&tool);
    home.run("scan --background").done();
    let mut child = home.command("scans watch --every 1").spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("queued"), "{first}");
    let pid = child.id().to_string();
    Command::new("sh").args(["-c", "kill -s INT \"$1\"", "sh", &pid]).status().unwrap();
    Ran::of("scans watch", child.wait_with_output().unwrap()).ends(130);
    assert_eq!(home.run("scans --json").done().json()[0]["state"], "queued");
}

// --- Acting ---

const CRASHED: &str =
    "UPDATE scans SET state = 'quarantined', crashes = 3, error = 'crash', reasons = '[\"why\"]'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_scan_is_listed_with_what_lets_it_go_and_watched_to_its_end() {
    let tool = a_github(3).await;
    let home = connected(&tool);
    home.run("scan --background").done();
    alter(&home, CRASHED).await;
    let id = id(&home);
    assert!(home.run("scans watch").done().out.contains("Nothing is queued"));
    home.run(&format!("scans watch {id}")).ends(1);

    let groups = home.run("scans quarantined --json").done().json();
    let group = only(&groups);
    assert_eq!(
        (&group["count"], &group["error"], &group["reason"]),
        (&json!(1), &json!("crash"), &json!("why"))
    );
    let listed = home.run("scans quarantined").done().out;
    let retry = group["retry"].as_str().unwrap();
    assert!(listed.contains(retry) && listed.contains("1 scan of github"), "{listed}");

    let retry = retry.strip_prefix("twinflow ").unwrap();
    let would = home.run(&format!("{retry} --dry-run")).done().out;
    assert!(would.contains("would be released"), "{would}");
    assert_eq!(home.run("scans --json").done().json()[0]["state"], "quarantined");
    assert!(home.run(retry).done().out.contains("released, due at once"));
    let scan = home.run("scans --json").done().json();
    assert_eq!(
        (&scan[0]["state"], &scan[0]["crashes"], &scan[0]["error"]),
        (&json!("queued"), &json!(0), &json!(null))
    );

    alter(&home, CRASHED).await;
    let purge = group["purge"].as_str().unwrap().strip_prefix("twinflow ").unwrap();
    assert!(home.run(purge).done().out.contains("given up"));
    assert_eq!(home.run("scans --json").done().json()[0]["state"], "failed");
    home.run(&format!("scans purge {id}")).ends(1);
    home.run("scan").done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_is_cancelled_and_retried_and_every_step_says_what_it_did() {
    let tool = a_github(3).await;
    let home = connected(&tool);
    home.run("scan --background").done();
    let first = id(&home);
    assert!(home.run(&format!("scans retry {first}")).done().out.contains("under way already"));
    assert!(home.run("scans cancel --connection github --dry-run").done().out.contains("would be cancelled"));
    assert!(home.run("scans cancel --connection github").done().out.contains("(queued): cancelled"));
    assert!(home.run(&format!("scans cancel {first}")).ends(1).out.contains("over already"));
    home.run("scans watch github").ends(1);

    let said = home.run("scans retry --state failed,cancelled --json").done().json();
    assert_eq!((&only(&said)["did"], &only(&said)["was"]), (&json!("opened"), &json!("cancelled")));
    // What was followed by another needs no retry.
    assert!(home.run("scans retry --state cancelled").done().out.contains("No such scans"));
    assert!(home.run(&format!("scans retry {first}")).done().out.contains("under way already"));
    // A wait is cut short.
    alter(
        &home,
        "UPDATE scans SET state = 'waiting', due_at = '2100-01-01T00:00:00+00:00' WHERE state = 'queued'",
    )
    .await;
    assert!(home.run("scans list").done().out.contains("waits until 2100-01-01T00:00:00Z"));
    assert!(home.run("scans retry --state waiting").done().out.contains("released"));
    home.run("scan").done();
    for line in ["scans retry", "scans cancel", "scans purge"] {
        home.run(line).complains(&["say which"]);
    }
    home.run(&format!("scans retry {first} --quarantined")).complains(&["ids"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_connection_is_not_scanned_until_it_is_resumed() {
    let tool = a_github(3).await;
    let home = connected(&tool);
    home.run("scan --background").done();
    tool.clear_ledger();
    assert!(home.run("connections pause github").done().out.contains("connections resume github"));
    assert!(home.run("connections pause github").done().out.contains("already"));
    home.run("scan github").complains(&["paused", "twinflow connections resume github"]);
    home.run("scan --background github").complains(&["paused"]);
    home.run("scans backfill github --since 7d").complains(&["paused"]);
    assert!(home.run("scan").done().out.contains("paused"));
    let id = id(&home);
    assert!(home.run(&format!("scans retry {id}")).ends(1).out.contains("connections resume github"));
    assert!(home.run("scans").done().out.contains("twinflow connections resume"));
    assert!(home.run(&format!("scans show {id}")).done().out.contains("when its connection is resumed"));
    // Nobody waits for ever for a scan that waits for a person.
    home.run("scans watch").ends(4);
    assert!(home.run("connections").done().out.contains("(paused by hand)"));
    assert_eq!(tool.ledger().len(), 0);

    assert_eq!(home.run("connections resume github --json").done().json()[0]["paused"], false);
    assert!(home.run("connections resume github").done().out.contains("was not paused"));
    home.run("scan").done();
    home.run("connections pause gitlab").complains(&["gitlab"]);
    home.run("disconnect github --yes");
    home.run("connections pause github").complains(&["disconnected"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_shown_with_its_next_times_and_changed_only_into_one_that_can_be_kept() {
    let tool = a_github(3).await;
    let home = connected(&tool);
    let shown = home.run("connections schedule github").done().out;
    assert!(shown.contains("every 15 minutes") && shown.lines().count() == 6, "{shown}");
    home.run("connections schedule github --every 2h --jitter 30s").done();
    let planned = home.run("connections schedule github --json").done().json();
    assert_eq!((&planned["spec"], &planned["jitter_s"]), (&json!("every 2h"), &json!(30)));
    let mut command = home.command("connections schedule github --zone Europe/Berlin --cron");
    let output = command.arg("30 2 * * mon-fri").output().unwrap();
    let said = Ran::of("connections schedule", output).done().out;
    assert!(said.contains("Europe/Berlin)") && said.contains(" 02:3"), "{said}");
    let next = home.run("connections schedule github --json").done().json();
    let at = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(at(&next["next_at"]), at(&next["next"][0]));
    assert!(next["next"].as_array().unwrap().windows(2).all(|two| at(&two[0]) < at(&two[1])));
    assert!(home.run("connections").done().out.contains("30 2 * * "));
    assert_eq!(home.run("connections --json").done().json()[0]["schedule"]["zone"], "Europe/Berlin");

    home.run("connections schedule github --every 5s").complains(&["every 1m"]);
    home.run("connections schedule github --cron @daily").complains(&["five fields"]);
    home.run("connections schedule github --zone Middle/Earth").complains(&["Europe/Berlin"]);
    home.run("connections schedule github --jitter soon").complains(&["30s"]);
    home.run("connections schedule github --every 2h --zone UTC").ends(2);
    let same = home.run("connections schedule github --json").done().json();
    assert_eq!(same["spec"], next["spec"], "what is refused changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_is_queued_once_and_only_for_a_connection_that_can_be_scanned() {
    let tool = a_github(60).await;
    let home = connected(&tool);
    home.run("scan").done();
    alter(&home, "DELETE FROM events").await;
    let opened = home.run("scans backfill github --since 2000-01-01 --json").done().json();
    assert_eq!((&opened["rank"], &opened["state"]), (&json!("backfill"), &json!("queued")));
    let again = home.run("scans backfill github --since 2000-01-01 --json").done().json();
    assert_eq!(again["id"], opened["id"]);
    home.run("scans backfill github --since 7d").complains(&["another backfill", "scans cancel"]);
    home.run("scans backfill github --since 2099-01-01").complains(&["--since"]);
    home.run("scans backfill github --since 7d --until 8d").complains(&["--until"]);
    let serving = Serving::of(&home);
    home.run(&format!("scans watch {}", opened["id"].as_str().unwrap())).done();
    drop(serving);
    assert!(home.log() == crate::support::program::facts(&[&tool]), "it brings back what was lost");
    home.run("disconnect github --yes");
    home.run("scans backfill github --since 7d").complains(&["disconnected"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_takes_its_waiting_and_quarantined_scans_along() {
    let tool = a_github(3).await;
    for sql in [CRASHED, "UPDATE scans SET state = 'waiting'"] {
        let home = connected(&tool);
        home.run("scan --background").done();
        alter(&home, sql).await;
        home.run("disconnect github --yes");
        assert_eq!(home.run("scans --json").done().json()[0]["state"], "failed", "{sql}");
    }
}
