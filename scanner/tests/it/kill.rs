//! kill -9 at any moment loses nothing and doubles nothing.

use crate::support::bench::{logged, story, without_stream};
use crate::support::clock::TestClock;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use twinflow_fixtures::{GitHub, Jira, Service, ServiceOptions, github, jira};

const KILLS: usize = 20;

fn twinflow(folder: &Path, services: &[&Service]) -> Command {
    let allowed: Vec<_> = services.iter().map(|service| service.url()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinflow"));
    command.env_clear().env("TWINFLOW_DATA_DIR", folder).env("TWINFLOW_EGRESS_ALLOW", allowed.join(","));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn connect(mut command: Command, arguments: &[&str], token: &str) {
    let mut child = command.args(["connect"]).args(arguments).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_killed_twenty_times_ends_with_the_event_log_of_an_undisturbed_one() {
    let clock = TestClock::new();
    let told = story(1200, &clock);
    let at_github = Service::start(GitHub::new(&told, "acme/shop"), ServiceOptions::default()).await.unwrap();
    let at_jira = Service::start(Jira::new(&told, "SHOP"), ServiceOptions::default()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let services = [&at_github, &at_jira];
    connect(
        twinflow(folder.path(), &services),
        &["github", "--repo", "acme/shop", "--base-url", &at_github.url()],
        github::TOKEN,
    );
    let base_url = format!("{}/ex/jira/{}", at_jira.url(), jira::CLOUD_ID);
    connect(
        twinflow(folder.path(), &services),
        &["jira", "--project", "SHOP", "--base-url", &base_url],
        jira::TOKEN,
    );

    // Quick enough that a scan spends its time on storing pages, where a kill would hurt.
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut killed = 0;
    for _ in 0..KILLS {
        let scan = twinflow(folder.path(), &services).arg("scan").spawn().unwrap();
        let after = Duration::from_micros(15_000 + rng.next_u64() % 120_000);
        killed += usize::from(kill_after(scan, after).await);
    }
    assert!(killed >= KILLS / 2, "only {killed} scans were alive to be killed");

    let last = twinflow(folder.path(), &services).args(["scan", "--json"]).spawn().unwrap();
    let output = last.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let file = folder.path().join("twinflow.db");
    let store = twinflow::store::open_embedded(&file, uuid::Uuid::from_u128(1), clock.clock()).await.unwrap();
    let mut happened: Vec<_> =
        at_github.facts().into_iter().chain(at_jira.facts()).map(without_stream).collect();
    happened.sort();
    let log = logged(&*store).await;
    assert!(log == happened, "{} events in the log, {} happened", log.len(), happened.len());
}

/// Whether it was alive when it was killed.
async fn kill_after(mut scan: Child, after: Duration) -> bool {
    // The one wait of the suite: what is tested is a process that is cut off by the clock on the wall.
    tokio::time::sleep(after).await;
    let alive = scan.try_wait().unwrap().is_none();
    scan.kill().unwrap();
    scan.wait().unwrap();
    alive
}
