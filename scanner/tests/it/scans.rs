//! A scan reads everything there is, once, whatever happens in between.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, postgres, sqlite};
use chrono::TimeDelta;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use twinflow::scan::watch::{Progress, Watch};
use twinflow::store::{Claim, Claiming, Doing, Outcome, State, Store, WantedScans, random_id};
use twinflow_fixtures::jira::{CreatedAs, JiraSwitches};
use twinflow_fixtures::{Fault, GitHub, Jira, RetryAfter, Service, ServiceOptions};

async fn github(clock: &TestClock, database: Database, cases: usize) -> Bench {
    let world = GitHub::new(&story(cases, clock), "acme/shop");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    Bench::new(clock.clone(), database, tool, &["acme/shop"]).await
}

async fn jira_with(clock: &TestClock, database: Database, cases: usize, switches: JiraSwitches) -> Bench {
    let world = Jira::new(&story(cases, clock), "SHOP").with_switches(switches);
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    Bench::new(clock.clone(), database, tool, &["SHOP"]).await
}

async fn jira(clock: &TestClock, database: Database, cases: usize) -> Bench {
    jira_with(clock, database, cases, JiraSwitches::default()).await
}

/// A scan, and the log is the oracle's: nothing lost, nothing twice, nothing made up.
async fn scans_to_the_oracle(bench: &Bench) -> Outcome {
    let outcome = bench.scan().await;
    let (log, facts) = (bench.log().await, bench.facts());
    assert!(!facts.is_empty());
    assert!(log == facts, "{} events in the log, {} happened", log.len(), facts.len());
    outcome
}

const COMPLETE: Outcome = Outcome { state: State::Complete, reasons: vec![], until: None, error: None };

/// Runs a promise for each tool on each engine.
macro_rules! for_each_tool_and_engine {
    ($($promise:ident)+) => {
        mod github_in_sqlite { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            let clock = super::TestClock::new();
            super::$promise(super::github(&clock, super::sqlite(&clock).await, 330).await).await;
        })+ }
        mod github_in_postgres { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            let clock = super::TestClock::new();
            super::$promise(super::github(&clock, super::postgres().await, 330).await).await;
        })+ }
        mod jira_in_sqlite { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            let clock = super::TestClock::new();
            super::$promise(super::jira(&clock, super::sqlite(&clock).await, 530).await).await;
        })+ }
        mod jira_in_postgres { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            let clock = super::TestClock::new();
            super::$promise(super::jira(&clock, super::postgres().await, 530).await).await;
        })+ }
    };
}

for_each_tool_and_engine! {
    a_first_scan_reads_everything_once
    a_second_scan_reads_what_changed_and_adds_nothing_twice
    cases_that_change_between_pages_are_met_again
    a_scan_cut_short_goes_on_from_the_page_it_kept
    a_worker_that_was_superseded_writes_nothing_more
}

async fn a_first_scan_reads_everything_once(bench: Bench) {
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    let scans = bench.store().scans(&WantedScans::newest(10)).await.unwrap();
    assert_eq!(scans.len(), 1);
    assert_eq!(scans[0].events_new as usize, bench.facts().len());
    assert_eq!(scans[0].requests as usize, bench.tool.ledger().len());
}

async fn a_second_scan_reads_what_changed_and_adds_nothing_twice(bench: Bench) {
    scans_to_the_oracle(&bench).await;
    bench.clock.forward(TimeDelta::hours(3));
    let now = moment(&bench);
    bench.tool.set_now(now);
    for nth in [3, 50, 99] {
        assert!(bench.tool.update_case(nth, now - TimeDelta::minutes(1)));
    }
    bench.tool.add_case(now - TimeDelta::seconds(30));
    bench.tool.clear_ledger();
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    assert!(bench.tool.ledger().len() <= 4, "{} requests for four changes", bench.tool.ledger().len());
}

async fn cases_that_change_between_pages_are_met_again(mut bench: Bench) {
    let tool = Arc::new(bench.tool);
    let (world, now) = (tool.clone(), bench.clock.clone());
    bench.scanner.watch = on_page(move |progress| {
        if (1..=3).contains(&progress.pages) {
            let at = twinflow::clock::Time::now(&now);
            world.update_case(progress.pages as usize, at);
            world.add_case(at);
        }
    });
    let cursor_after =
        bench.scanner.run(open(&bench.scanner.store, bench.connection.id).await).await.unwrap();
    assert_eq!(cursor_after, Some(COMPLETE));
    bench.scanner.watch = Arc::new(twinflow::scan::watch::Nobody);
    bench.tool = Arc::into_inner(tool).expect("nobody else holds it");
    // What changed behind the reader's back is within the overlap of the next scan.
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
}

/// What a scan notes of its one stream with each page, each of which takes ten seconds; cut short when so many
/// are kept and the one after them is there.
async fn noted(bench: &mut Bench, pages: u64) -> Vec<Doing> {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let (kept, clock, stop) = (noted.clone(), bench.clock.clone(), bench.scanner.stop.clone());
    let store = bench.scanner.store.clone();
    let scan = store.open_scan(bench.connection.id, random_id(&mut rand::rng())).await.unwrap();
    bench.scanner.watch = on_page(move |progress| {
        let look = || tokio::runtime::Handle::current().block_on(store.scanned(scan));
        let shown = tokio::task::block_in_place(look).unwrap().remove(0);
        // Also told of its end, when no page is kept.
        let Some(doing) = shown.doing.filter(|doing| doing.now == "reading") else { return };
        kept.lock().unwrap().push(doing);
        clock.forward(TimeDelta::seconds(10));
        if progress.pages == pages {
            stop.pull();
        }
    });
    bench.scanner.run(scan).await.unwrap();
    bench.scanner.stop = twinflow::scan::watch::StopCord::default();
    std::mem::take(&mut *noted.lock().unwrap())
}

async fn how_far_a_first_scan_has_come_is_noted(mut bench: Bench) {
    let far = |doing: &Doing| (doing.seen, doing.total);
    let first = noted(&mut bench, 1).await;
    assert_eq!(first.iter().map(far).collect::<Vec<_>>(), [(Some(100), Some(730)), (Some(300), Some(730))]);
    // 300 took ten seconds.
    let left = first[1].ends.map(|ends| (ends - moment(&bench)).num_milliseconds());
    assert_eq!((first[0].ends, left), (None, Some(430 * 10_000 / 300 - 10_000)));
    // What is read after that goes on counting, and at its own pace.
    let second = noted(&mut bench, u64::MAX).await;
    assert_eq!((far(&second[0]), second[0].ends), ((Some(500), Some(730)), None));
    assert_eq!(far(&second[1]), (Some(700), Some(730)));
    let last = second.last().unwrap();
    assert_eq!((far(last), last.ends), ((None, None), None));
    // Of what changed, nobody tells how much it is.
    bench.clock.forward(TimeDelta::hours(1));
    assert!(noted(&mut bench, u64::MAX).await.iter().all(|doing| far(doing) == (None, None)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_first_scan_has_come_is_noted_on_both_engines() {
    let clock = TestClock::new();
    how_far_a_first_scan_has_come_is_noted(github(&clock, sqlite(&clock).await, 730).await).await;
    let clock = TestClock::new();
    how_far_a_first_scan_has_come_is_noted(github(&clock, postgres().await, 730).await).await;
}

async fn a_scan_cut_short_goes_on_from_the_page_it_kept(mut bench: Bench) {
    let stop = bench.scanner.stop.clone();
    bench.scanner.watch = on_page(move |progress| {
        if progress.pages == 2 {
            stop.pull();
        }
    });
    assert_eq!(bench.scan().await.state, State::Queued);
    let kept = bench.log().await;
    assert!(!kept.is_empty() && kept.len() < bench.facts().len());

    let first = bench.tool.ledger();
    bench.tool.clear_ledger();
    bench.scanner.watch = Arc::new(twinflow::scan::watch::Nobody);
    bench.scanner.stop = twinflow::scan::watch::StopCord::default();
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    let again =
        bench.tool.ledger().iter().filter(|asked| first.iter().any(|it| it.body == asked.body)).count();
    // The page that was on its way when the cord was pulled, and what was asked beside it.
    assert!(again <= 9, "{again} questions were asked again");
    assert_eq!(bench.store().scans(&WantedScans::newest(10)).await.unwrap().len(), 1, "it is the same scan");
}

async fn a_worker_that_was_superseded_writes_nothing_more(mut bench: Bench) {
    let successor: Arc<Mutex<Option<Claim>>> = Arc::default();
    let scan = open(&bench.scanner.store, bench.connection.id).await;
    let (store, taken) = (bench.scanner.store.clone(), successor.clone());
    let runtime = tokio::runtime::Handle::current();
    bench.scanner.watch = on_page(move |progress| {
        if progress.pages == 2 && taken.lock().unwrap().is_none() {
            let claiming = Claiming::new("the successor", Duration::from_secs(60)).taking_over();
            let claim = store.claim(scan, &claiming);
            *taken.lock().unwrap() = tokio::task::block_in_place(|| runtime.block_on(claim)).unwrap();
        }
    });
    assert_eq!(bench.scanner.run(scan).await.unwrap(), None, "the scan is the successor's");
    let claim = successor.lock().unwrap().take().expect("claimed");
    assert_eq!(claim.epoch, 2);
    let row = bench.store().scan(scan).await.unwrap().expect("a scan");
    assert_eq!((row.state, row.pages), (State::Running, 2), "the third page was not kept");

    bench.scanner.takeover = true;
    bench.scanner.watch = Arc::new(twinflow::scan::watch::Nobody);
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
}

#[tokio::test]
async fn whatever_jira_does_that_is_not_documented_the_log_is_the_same() {
    for created_as in [CreatedAs::Millis, CreatedAs::Seconds, CreatedAs::Text] {
        for siblings_kept in [true, false] {
            let clock = TestClock::new();
            let switches = JiraSwitches {
                created_as,
                siblings_kept,
                repeats_across_pages: true,
                page_at_most: Some(37),
                user_offset_minutes: 330,
            };
            let bench = jira_with(&clock, sqlite(&clock).await, 150, switches).await;
            let outcome = bench.scan().await;
            assert_eq!(outcome, COMPLETE, "{switches:?}");
            let to_the_second = |mut facts: Vec<twinflow_fixtures::Fact>| {
                use chrono::SubsecRound as _;
                facts.iter_mut().for_each(|fact| fact.at = fact.at.trunc_subsecs(0));
                facts.sort();
                facts
            };
            let (log, facts) = (to_the_second(bench.log().await), to_the_second(bench.facts()));
            assert!(log == facts, "{switches:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_is_sat_out_for_as_long_as_the_tool_asks() {
    let clock = TestClock::new();
    let bench = github(&clock, sqlite(&clock).await, 120).await;
    let asked = Duration::from_secs(17);
    bench
        .tool
        .faults()
        .next(Fault::GitHubSecondaryLimit { status: 403, retry_after: Some(RetryAfter::Secs(17)) });
    bench.tool.faults().next(Fault::GitHubPrimaryLimit { resets_in: Duration::from_secs(120) });
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    let waits = clock.waits();
    assert_eq!(waits.len(), 2);
    assert_eq!(waits[0], asked);
    assert!(waits[1] >= Duration::from_secs(100), "{waits:?}");
    assert_eq!(
        bench.store().scans(&WantedScans::newest(1)).await.unwrap()[0].waited_ms as u128,
        waits.iter().map(Duration::as_millis).sum()
    );
}

#[tokio::test]
async fn a_limit_beyond_patience_defers_the_scan_until_the_reset_and_keeps_what_was_read() {
    let clock = TestClock::new();
    let bench = jira(&clock, sqlite(&clock).await, 530).await;
    // Connecting took three requests, the first round two, the second five.
    bench.tool.faults().on_request(11, Fault::JiraQuota { retry_after: Some(RetryAfter::Secs(3000)) });
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Deferred);
    assert_eq!(outcome.until, Some(moment(&bench) + TimeDelta::seconds(3000)));
    assert!(!bench.log().await.is_empty());
    bench.clock.forward(TimeDelta::seconds(3000));
    bench.tool.set_now(moment(&bench));
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
}

#[tokio::test]
async fn what_is_left_to_others_of_a_limit_is_not_used() {
    let clock = TestClock::new();
    let world = GitHub::new(&story(530, &clock), "acme/shop").with_points(20);
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let mut bench = Bench::new(clock.clone(), sqlite(&clock).await, tool, &["acme/shop"]).await;
    bench.scanner.reserve = 50;
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Deferred, "{outcome:?}");
    assert!(outcome.reasons[0].contains("left to others"), "{outcome:?}");
    let spent = bench.tool.asked();
    assert!((5..=14).contains(&spent), "{spent} questions");
    assert!(!bench.log().await.is_empty(), "what was read before is kept");
    bench.scanner.reserve = 0;
    bench.clock.forward(TimeDelta::hours(1));
    bench.tool.set_now(moment(&bench));
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
}

async fn two_repositories(clock: &TestClock) -> Bench {
    let world = GitHub::new(&story(60, clock), "acme/shop").with_repository(&story(40, clock), "acme/api");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    Bench::new(clock.clone(), sqlite(clock).await, tool, &["acme/api", "acme/shop"]).await
}

#[tokio::test]
async fn a_repository_that_cannot_be_read_makes_the_scan_partial_and_says_why() {
    let bench = two_repositories(&TestClock::new()).await;
    bench.tool.hide("acme/shop");
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Partial);
    assert!(outcome.reasons[0].starts_with("acme/shop: the tool does not know it"), "{:?}", outcome.reasons);
    let api: Vec<_> = bench.tool.facts().into_iter().filter(|fact| fact.stream == "acme/api").collect();
    assert_eq!(bench.log().await.len(), api.len());

    bench.tool.show("acme/shop");
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
}

#[tokio::test]
async fn a_connection_of_which_nothing_can_be_read_fails() {
    let bench = two_repositories(&TestClock::new()).await;
    bench.tool.hide("acme/shop");
    bench.tool.hide("acme/api");
    assert_eq!(bench.scan().await.state, State::Failed);
}

#[tokio::test]
async fn a_revoked_token_fails_the_scan_without_a_second_try() {
    let clock = TestClock::new();
    let bench = github(&clock, sqlite(&clock).await, 120).await;
    bench.tool.revoke();
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Failed);
    assert!(outcome.reasons[0].contains("twinflow renew"), "{:?}", outcome.reasons);
    assert_eq!(bench.tool.ledger().len(), 1);
    assert_eq!(
        bench.store().scans(&WantedScans::newest(1)).await.unwrap()[0].requests,
        1,
        "what was asked in vain is counted, too"
    );
}

#[tokio::test]
async fn a_stream_that_had_cases_and_now_shows_none_is_suspicious() {
    let clock = TestClock::new();
    for bench in
        [github(&clock, sqlite(&clock).await, 30).await, jira(&clock, sqlite(&clock).await, 30).await]
    {
        scans_to_the_oracle(&bench).await;
        bench.tool.faults().always(Fault::Empty);
        let outcome = bench.scan().await;
        assert_eq!(outcome.state, State::SuspiciousEmpty, "{:?}", outcome.reasons);
        bench.tool.faults().clear();
        assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    }
}

#[tokio::test]
async fn what_was_skipped_before_an_interruption_still_makes_the_scan_partial() {
    let clock = TestClock::new();
    let mut bench = github(&clock, sqlite(&clock).await, 330).await;
    let gone = Fault::Replace { key: "node".into(), value: serde_json::Value::Null };
    bench.tool.faults().when_body_contains("TwinflowTimeline", gone);
    let stop = bench.scanner.stop.clone();
    bench.scanner.watch = on_page(move |progress| {
        if progress.pages == 2 {
            stop.pull();
        }
    });
    assert_eq!(bench.scan().await.state, State::Queued);
    bench.tool.faults().clear();
    bench.scanner.stop = twinflow::scan::watch::StopCord::default();
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Partial);
    assert!(
        outcome.reasons[0].contains("an issue vanished before its whole history was read"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_one_stream_skipped_is_not_forgotten_when_another_is_cut_short() {
    let clock = TestClock::new();
    let world = GitHub::new(&story(120, &clock), "acme/a").with_repository(&story(330, &clock), "acme/b");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let mut bench = Bench::new(clock.clone(), sqlite(&clock).await, tool, &["acme/a", "acme/b"]).await;
    bench.scanner.streams_side_by_side = 1;
    let gone = Fault::Replace { key: "node".into(), value: serde_json::Value::Null };
    bench.tool.faults().when_body_contains("TwinflowTimeline", gone);
    let stop = bench.scanner.stop.clone();
    bench.scanner.watch = Arc::new(OnProgress(Box::new(move |stream, progress| {
        if stream == "acme/b" && progress.pages == 1 {
            stop.pull();
        }
    })));
    assert_eq!(bench.scan().await.state, State::Queued);
    bench.tool.faults().clear();
    bench.scanner.stop = twinflow::scan::watch::StopCord::default();
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Partial);
    assert!(outcome.reasons.iter().any(|why| why.starts_with("acme/a: an issue vanished")), "{outcome:?}");
}

#[tokio::test]
async fn a_time_in_the_future_does_not_carry_the_mark_there() {
    let clock = TestClock::new();
    for bench in
        [github(&clock, sqlite(&clock).await, 30).await, jira(&clock, sqlite(&clock).await, 30).await]
    {
        let now = moment(&bench);
        bench.tool.update_case(3, now + TimeDelta::days(3000));
        scans_to_the_oracle(&bench).await;
        bench.clock.forward(TimeDelta::hours(1));
        bench.tool.set_now(moment(&bench));
        bench.tool.update_case(5, moment(&bench));
        assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    }
}

#[tokio::test]
async fn a_relative_bound_that_passes_what_was_read_while_limits_are_sat_out_loses_nothing() {
    let clock = TestClock::new();
    let mut bench = jira(&clock, sqlite(&clock).await, 530).await;
    scans_to_the_oracle(&bench).await;
    // 400 cases change within five minutes, long ago; every second request is told to wait for almost that long.
    bench.clock.forward(TimeDelta::hours(5));
    for nth in 0..400 {
        let at = moment(&bench) - TimeDelta::hours(4) + TimeDelta::milliseconds(750 * nth);
        assert!(bench.tool.update_case(nth as usize, at));
    }
    bench.tool.set_now(moment(&bench));
    bench.tool.faults().every(2, Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(290)) });
    let tool = Arc::new(bench.tool);
    let world = tool.clone();
    bench.scanner.watch = on_page(move |progress| {
        if let twinflow::scan::watch::Doing::Waiting { until, .. } = progress.now {
            world.set_now(until);
        }
    });
    let scan = bench.scanner.store.open_scan(bench.connection.id, uuid::Uuid::from_u128(2)).await.unwrap();
    assert_eq!(bench.scanner.run(scan).await.unwrap(), Some(COMPLETE));
    bench.scanner.watch = Arc::new(twinflow::scan::watch::Nobody);
    bench.tool = Arc::into_inner(tool).expect("nobody else holds it");
    let (log, facts) = (bench.log().await, bench.facts());
    assert!(log == facts, "{} events in the log, {} happened", log.len(), facts.len());
}

#[tokio::test]
async fn a_question_that_is_never_accepted_ends_though_another_beside_it_is() {
    let clock = TestClock::new();
    let bench = jira(&clock, sqlite(&clock).await, 330).await;
    bench.tool.faults().when_body_contains("issueIdsOrKeys", Fault::Status(400));
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Failed);
    assert!(outcome.reasons[0].contains("does not accept the question"), "{outcome:?}");
    assert!(bench.tool.ledger().len() < 40);
}

#[tokio::test]
async fn a_page_that_is_never_readable_ends_though_every_second_request_fails_otherwise() {
    let clock = TestClock::new();
    let bench = jira(&clock, sqlite(&clock).await, 330).await;
    bench.tool.faults().when_body_contains("issueIdsOrKeys", Fault::Truncated);
    bench.tool.faults().every(2, Fault::ServerError(500));
    assert_eq!(bench.scan().await.state, State::Failed);
    assert!(bench.tool.ledger().len() < 60);
}

#[tokio::test]
async fn an_incremental_sweep_that_starts_over_does_not_start_from_the_first() {
    let clock = TestClock::new();
    let bench = github(&clock, sqlite(&clock).await, 330).await;
    scans_to_the_oracle(&bench).await;
    bench.clock.forward(TimeDelta::hours(1));
    bench.tool.set_now(moment(&bench));
    assert!(bench.tool.update_case(5, moment(&bench) - TimeDelta::minutes(1)));
    bench.tool.clear_ledger();
    bench.tool.faults().next(Fault::Status(422));
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    assert_eq!(bench.tool.ledger().len(), 2, "one refused, one for the overlap");
}

#[tokio::test]
async fn an_empty_repository_is_complete() {
    let clock = TestClock::new();
    let bench = github(&clock, sqlite(&clock).await, 0).await;
    assert_eq!(bench.scan().await, COMPLETE);
    assert_eq!(bench.scan().await, COMPLETE);
}

#[tokio::test]
async fn a_tool_that_takes_too_long_is_asked_for_less() {
    let clock = TestClock::new();
    let bench = github(&clock, sqlite(&clock).await, 120).await;
    bench.tool.faults().next(Fault::GitHubResourceLimits);
    bench.tool.faults().next(Fault::ServerError(502));
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    let sizes: Vec<_> =
        bench.tool.ledger().iter().filter_map(|asked| first_of(&asked.body)).take(3).collect();
    assert_eq!(sizes, [100, 50, 25]);
}

#[tokio::test]
async fn streams_are_followed_side_by_side_but_no_more_than_allowed() {
    let clock = TestClock::new();
    let mut world = GitHub::new(&story(5, &clock), "acme/r0");
    let names: Vec<_> = (0..9).map(|n| format!("acme/r{n}")).collect();
    for name in &names[1..] {
        world = world.with_repository(&story(5, &clock), name);
    }
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let streams: Vec<_> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::new(clock.clone(), sqlite(&clock).await, tool, &streams).await;
    let (peak, now) = (Arc::new(Mutex::new(0)), Mutex::new(std::collections::BTreeSet::new()));
    let highest = peak.clone();
    bench.scanner.watch = Arc::new(OnProgress(Box::new(move |stream, progress| {
        let mut running = now.lock().unwrap();
        match progress.now {
            twinflow::scan::watch::Doing::Ended { .. } => running.remove(stream),
            _ => running.insert(stream.to_owned()),
        };
        let mut peak = highest.lock().unwrap();
        *peak = running.len().max(*peak);
    })));
    assert_eq!(scans_to_the_oracle(&bench).await, COMPLETE);
    assert!(*peak.lock().unwrap() <= 4);
}

fn first_of(body: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(body).ok()?["variables"]["first"].as_u64()
}

fn moment(bench: &Bench) -> chrono::DateTime<chrono::Utc> {
    twinflow::clock::Time::now(&bench.clock)
}

async fn open(store: &Arc<dyn Store>, connection: uuid::Uuid) -> uuid::Uuid {
    store.open_scan(connection, uuid::Uuid::from_u128(1)).await.unwrap()
}

/// A watcher that is told of every page.
fn on_page(told: impl Fn(&Progress) + Send + Sync + 'static) -> Arc<dyn Watch> {
    Arc::new(OnProgress(Box::new(move |_, progress| told(progress))))
}

type Told = dyn Fn(&str, &Progress) + Send + Sync;

struct OnProgress(Box<Told>);

impl Watch for OnProgress {
    fn progress(&self, _: &str, stream: &str, progress: &Progress) {
        (self.0)(stream, progress);
    }
}
