//! Workers as an operator runs them: the real program in the background, and what people type beside it.

use crate::program::on_server;
use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{migrated, sqlite};
use crate::support::program::{Home, Ran, facts, github, key_line, write_keys};
use sqlx::{Connection as _, SqliteConnection};
use std::fs;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use twinflow::scan::queue::run_all;
use twinflow::store::{Claiming, State};
use twinflow_fixtures::stands;
use uuid::Uuid;

/// A program that runs until it is told to stop.
struct Running {
    line: String,
    child: Option<Child>,
}

impl Running {
    fn start(home: &Home, line: &str) -> Self {
        Self { line: line.to_owned(), child: Some(home.command(line).spawn().unwrap()) }
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// By a service manager; it has to end well.
    fn stop(mut self) {
        let child = self.child.take().unwrap();
        let pid = child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        Ran::of(&self.line, child.wait_with_output().unwrap()).done();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_serves_a_fresh_data_directory_makes_the_key_and_leaves_another_programs_redis_alone() {
    let mut home = Home::new();
    home.set("REDIS_URL", "nonsense");
    home.run("serve --all --quiet --redis-url nonsense").complains(&["not an address of a Redis"]);
    let mut serving = Running::start(&home, "serve --all");
    until("there is a key", || home.data().join("vault.key").exists() || serving.has_ended()).await;
    // Its signals it hears from the very beginning.
    serving.stop();
    key_line(&fs::read_to_string(home.data().join("vault.key")).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rotated_while_it_serves_opens_in_its_next_scan() {
    let tool = github(3).await;
    let home = Home::allowing(&[&tool]);
    home.connect_github(&tool).done();
    let serving = Running::start(&home, "serve --all --look 1");
    home.run("scan --background").done();
    home.run("scans watch github").done();
    let old = fs::read_to_string(home.data().join("vault.key")).unwrap();
    let new = home.run("vault keygen").done().out;
    write_keys(&home, &format!("primary {}\nformer {}\n", key_line(&new), key_line(&old)));
    home.run("vault rotate").done();
    home.run("scan --background").done();
    home.run("scans watch github").done();
    assert!(home.log() == facts(&[&tool]));
    serving.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_says_what_becomes_of_it() {
    let tool = github(120).await;
    let home = Home::allowing(&[&tool]);
    home.connect_github(&tool).done();
    let queued = home.run("scan --background").done();
    assert_eq!(queued.out, "github: queued\n");
    assert!(queued.err.contains("No `twinflow serve` runs now"), "{}", queued.err);

    tool.latency(Duration::from_millis(400));
    let before = tool.asked();
    let serving = Running::start(&home, "serve --all --look 1");
    until("it is under way", || tool.asked() > before).await;
    let handed = home.run("scan --background").done();
    assert!(handed.out.starts_with("github: under way since 20"), "{}", handed.out);
    assert!(handed.err.contains("scans watch"), "{}", handed.err);
    serving.stop();

    let file = format!("sqlite://{}", home.data().join("twinflow.db").display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    sqlx::query("UPDATE connections SET paused = 'see to it'").execute(&mut database).await.unwrap();
    let paused = home.run("scan --background --json").ends(1).json();
    assert_eq!((&paused[0]["stands"], &paused[0]["scan"]), (&"paused".into(), &serde_json::Value::Null));
    assert!(paused[0]["says"].as_str().unwrap().contains("see to it"), "{paused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_beside_a_worker_ends_as_the_scan_does_whoever_runs_it() {
    let database = migrated().await;
    let tool = github(200).await;
    let home = on_server(&database.login_url("tf_app").await, &[&tool]);
    home.connect_github(&tool).done();
    tool.latency(Duration::from_millis(400));
    let before = tool.asked();
    let workers = database.login_url("tf_app, tf_dispatch").await;
    let worker = Running::start(&home, &format!("worker --look 1 --database-url {workers}"));
    home.run("scan --background").done();
    until("the worker has it", || tool.asked() > before).await;
    let scans = home.run("scan --json").done().json();
    assert_eq!((scans[0]["state"].as_str(), scans[0]["attempts"].as_i64()), (Some("complete"), Some(1)));
    assert!(home.log() == facts(&[&tool]));
    worker.stop();
}

/// A scan that another worker has claimed, and the bench it is of.
async fn elsewhere() -> (Bench, Uuid, twinflow::store::Claim) {
    let clock = TestClock::new();
    let stand = stands(&story(30, &clock)).into_iter().find(|it| it.tool == "jira").unwrap();
    let bench = Bench::of(clock.clone(), sqlite(&clock).await, stand).await;
    let scan = bench.store().open_scan(bench.connection.id, Uuid::new_v4()).await.unwrap();
    let claiming = Claiming::new("another", Duration::from_secs(60));
    let claim = bench.store().claim(scan, &claiming).await.unwrap().unwrap();
    (bench, scan, claim)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_on_and_is_told_to_stop_leaves_the_scan_to_its_worker() {
    let (bench, scan, claim) = elsewhere().await;
    bench.scanner.stop.pull();
    let followed = run_all(Arc::new(bench.scanner.clone()), &[bench.connection.id]).await.unwrap();
    assert_eq!(followed[&bench.connection.id], Ok(scan));
    assert_eq!(bench.store().renew(&claim).await, Ok(()), "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_on_takes_the_scan_up_when_its_worker_is_gone() {
    let (bench, scan, _) = elsewhere().await;
    let followed = run_all(Arc::new(bench.scanner.clone()), &[bench.connection.id]).await.unwrap();
    assert_eq!(followed[&bench.connection.id], Ok(scan));
    let ended = bench.store().scan(scan).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.attempts), (State::Complete, 2));
    assert_eq!(bench.log().await, bench.facts());
}

#[test]
fn help_says_which_login_a_worker_needs_and_that_it_works_for_every_tenant() {
    let home = Home::new();
    for line in ["worker", "scheduler", "serve"] {
        let help = home.run(&format!("{line} --help")).done().out;
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["member of both tf_app and tf_dispatch", "--tenant is neither needed nor heeded"] {
            assert!(help.contains(words), "{line} --help does not say {words:?}\n{help}");
        }
        assert_eq!(help.contains("every two seconds"), line != "serve");
    }
    home.run("serve --all --redis-prefix a:b").ends(2);
}
