//! What a scan promises, kept with every tool there is: nothing lost, nothing twice, nothing made up.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, postgres, sqlite};
use chrono::TimeDelta;
use std::sync::Arc;
use twinflow::scan::watch::{Nobody, Progress, StopCord, Watch};
use twinflow::store::{Outcome, State};
use twinflow_fixtures::{Fact, Fault, Gmail, stands};

const COMPLETE: Outcome = Outcome { state: State::Complete, reasons: vec![], until: None, error: None };
const CASES: usize = 130;

/// A bench for each tool, on an engine of its own.
pub(crate) async fn benches(engine: impl AsyncFn(&TestClock) -> Database) -> Vec<Bench> {
    let mut benches = vec![];
    let tools = stands(&story(1, &TestClock::new())).len();
    for nth in 0..tools {
        let clock = TestClock::new();
        let stand = stands(&story(CASES, &clock)).swap_remove(nth);
        benches.push(Bench::of(clock.clone(), engine(&clock).await, stand).await);
    }
    assert_eq!(benches.len(), twinflow_connectors::ALL.len(), "every tool has a stand");
    benches
}

/// The log is the oracle's. Gmail does not say when a label was changed, so it stands at the time it was found.
pub(crate) async fn is_what_happened(bench: &Bench) {
    let tool = bench.connection.tool.as_str();
    let timeless = |mut fact: Fact| {
        if tool == "gmail" && !["received", "sent", "replied"].contains(&fact.activity.as_str()) {
            fact.at = chrono::DateTime::UNIX_EPOCH;
        }
        fact
    };
    let mut log: Vec<_> = bench.log().await.into_iter().map(timeless).collect();
    let mut facts: Vec<_> = bench.facts().into_iter().map(timeless).collect();
    log.sort();
    facts.sort();
    let lost: Vec<_> = facts.iter().filter(|fact| !log.contains(fact)).take(5).collect();
    let made_up: Vec<_> = log.iter().filter(|fact| !facts.contains(fact)).take(5).collect();
    assert!(lost.is_empty() && made_up.is_empty(), "{tool}: lost {lost:#?}, made up {made_up:#?}");
    assert_eq!(log.len(), facts.len(), "{tool}");
}

fn moment(bench: &Bench) -> chrono::DateTime<chrono::Utc> {
    use twinflow::clock::Time as _;
    bench.clock.now()
}

struct OnPage<F>(F);

impl<F: Fn(&Progress) + Send + Sync> Watch for OnPage<F> {
    fn progress(&self, _: &str, _: &str, progress: &Progress) {
        (self.0)(progress);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_scan_of_any_tool_reads_everything_once_into_sqlite() {
    for bench in benches(sqlite).await {
        assert_eq!(bench.scan().await, COMPLETE, "{}", bench.connection.tool);
        is_what_happened(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_scan_of_any_tool_reads_everything_once_into_postgres() {
    for bench in benches(async |_| postgres().await).await {
        assert_eq!(bench.scan().await, COMPLETE, "{}", bench.connection.tool);
        is_what_happened(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_scans_of_any_tool_add_what_changed_and_nothing_twice() {
    for bench in benches(sqlite).await {
        assert_eq!(bench.scan().await, COMPLETE, "{}", bench.connection.tool);
        for hours in [3, 30] {
            bench.clock.forward(TimeDelta::hours(hours));
            let now = moment(&bench);
            bench.tool.set_now(now);
            for nth in [3, 50, 99] {
                assert!(bench.tool.update_case(nth, now - TimeDelta::minutes(40)));
            }
            bench.tool.add_case(now - TimeDelta::minutes(30));
            assert_eq!(bench.scan().await, COMPLETE, "{}", bench.connection.tool);
            is_what_happened(&bench).await;
        }
        // And one that finds nothing new.
        bench.clock.forward(TimeDelta::hours(1));
        bench.tool.set_now(moment(&bench));
        assert_eq!(bench.scan().await, COMPLETE, "{}", bench.connection.tool);
        is_what_happened(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_between_the_pages_of_any_tool_is_in_the_log_after_the_next_scan() {
    for mut bench in benches(sqlite).await {
        let tool = Arc::new(bench.tool);
        let (world, clock) = (tool.clone(), bench.clock.clone());
        bench.scanner.watch = Arc::new(OnPage(move |progress: &Progress| {
            if (1..=3).contains(&progress.pages) {
                let now = twinflow::clock::Time::now(&clock);
                world.update_case(7 * progress.pages as usize, now);
                world.add_case(now);
            }
        }));
        let fresh = uuid::Uuid::new_v4();
        let scan = bench.database.store.open_scan(bench.connection.id, fresh).await.unwrap();
        assert_eq!(bench.scanner.run(scan).await.unwrap(), Some(COMPLETE), "{}", bench.connection.tool);
        bench.scanner.watch = Arc::new(Nobody);
        let Some(service) = Arc::into_inner(tool) else { panic!("nobody else holds it") };
        bench.tool = service;
        bench.clock.forward(TimeDelta::minutes(30));
        bench.tool.set_now(moment(&bench));
        assert_eq!(bench.scan().await, COMPLETE, "{}", bench.connection.tool);
        is_what_happened(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_of_any_tool_that_is_stopped_after_each_page_reads_everything_in_the_end() {
    let (mut benches, mut stopped) = (benches(sqlite).await, 0);
    for bench in &mut benches {
        let mut outcome = Outcome { state: State::Queued, ..COMPLETE };
        let mut times = 0;
        while outcome.state == State::Queued {
            let stop = StopCord::default();
            bench.scanner.stop = stop.clone();
            bench.scanner.watch = Arc::new(OnPage(move |progress: &Progress| {
                if progress.pages == 1 {
                    stop.pull();
                }
            }));
            outcome = bench.scan().await;
            times += 1;
            assert!(times < 200, "{} never ends", bench.connection.tool);
        }
        assert_eq!(outcome, COMPLETE, "{}", bench.connection.tool);
        stopped += usize::from(times > 1);
        is_what_happened(bench).await;
    }
    assert!(stopped + 2 > benches.len(), "most have more than one page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_whose_history_was_forgotten_is_read_anew_and_the_gap_is_told() {
    let clock = TestClock::new();
    let mut stand = stands(&story(1, &clock)).into_iter().find(|stand| stand.tool == "gmail").unwrap();
    stand.world = Gmail::new(&story(40, &clock)).keeping_history_for(TimeDelta::days(7)).into();
    let bench = Bench::of(clock.clone(), sqlite(&clock).await, stand).await;
    assert_eq!(bench.scan().await, COMPLETE);
    bench.clock.forward(TimeDelta::days(30));
    let now = moment(&bench);
    bench.tool.set_now(now);
    for nth in [3, 20, 39] {
        assert!(bench.tool.update_case(nth, now - TimeDelta::days(12)));
    }
    bench.tool.add_case(now - TimeDelta::days(11));
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Partial, "{outcome:?}");
    assert!(outcome.reasons[0].contains("unknown"), "{outcome:?}");
    is_what_happened(&bench).await;
    bench.clock.forward(TimeDelta::hours(1));
    bench.tool.set_now(moment(&bench));
    assert_eq!(bench.scan().await, COMPLETE, "the gap is told once");
    is_what_happened(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_had_cases_and_now_shows_none_is_suspicious_and_is_read_on_when_it_shows_them_again() {
    for bench in benches(sqlite).await {
        let tool = bench.connection.tool.clone();
        assert_eq!(bench.scan().await, COMPLETE, "{tool}");
        bench.clock.forward(TimeDelta::hours(1));
        bench.tool.set_now(moment(&bench));
        bench.tool.faults().always(Fault::Empty);
        let outcome = bench.scan().await;
        assert_ne!(outcome.state, State::Complete, "{tool}: {outcome:?}");
        bench.tool.faults().clear();
        assert_eq!(bench.scan().await, COMPLETE, "{tool}");
        is_what_happened(&bench).await;
    }
}
