//! A case that a tool no longer shows is noted as gone, once, and only by a census that can be believed.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, postgres, sqlite};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use twinflow::clock::Time as _;
use twinflow::insight::Insight;
use twinflow::scan::watch::{Doing, Nobody, Progress, StopCord, Watch};
use twinflow::store::{
    CensusPage, Claim, Claiming, KnownCase, LoggedEvent, Outcome, State, StoreError, Wanted, WantedScans,
};
use twinflow_connectors::Opaque;
use twinflow_fixtures::jira::JiraSwitches;
use twinflow_fixtures::{Fault, Jira, Stand, stands};

const COMPLETE: Outcome = Outcome { state: State::Complete, reasons: vec![], until: None, error: None };
/// More than a page of GitHub's census, and less than half of it is deleted here.
const CASES: usize = 130;

/// A tool that was scanned once, and is counted whenever it is scanned.
async fn bench(tool: &str, clock: &TestClock, database: Database) -> Bench {
    let told = story(CASES, clock);
    let stand = stands(&told).into_iter().find(|stand| stand.tool == tool).unwrap();
    // So that a census of Jira's, too, is longer than a page.
    let small = JiraSwitches { page_at_most: Some(37), ..JiraSwitches::default() };
    let stand = match tool {
        "jira" => Stand { world: Jira::new(&told, "SHOP").with_switches(small).into(), ..stand },
        _ => stand,
    };
    let mut bench = Bench::of(clock.clone(), database, stand).await;
    assert_eq!(bench.scan().await, COMPLETE);
    assert_eq!(counts(&bench), 0, "the first scan has seen everything");
    bench.scanner.census_every = TimeDelta::zero();
    later(&bench);
    bench
}

/// An hour passes.
fn later(bench: &Bench) {
    bench.clock.forward(TimeDelta::hours(1));
    bench.tool.set_now(bench.clock.now());
    bench.tool.clear_ledger();
}

/// Questions of a census that were asked since the ledger was cleared.
fn counts(bench: &Bench) -> usize {
    bench.tool.ledger().iter().filter(|asked| is_count(&asked.body)).count()
}

fn is_count(body: &str) -> bool {
    MARKERS.iter().any(|marker| body.contains(marker))
}

/// What a census's questions are known by: in GraphQL, and in Jira.
const MARKERS: [&str; 2] = ["Census(", r#""fields":["id"]"#];

fn marker(bench: &Bench) -> &'static str {
    MARKERS[usize::from(bench.connection.tool == "jira")]
}

/// Case, activity and time of the events that no tool told of.
async fn noticed(bench: &Bench) -> Vec<(String, String, DateTime<Utc>)> {
    let facts = bench.facts();
    let told = |event: &LoggedEvent| {
        facts.iter().any(|it| it.case == event.case && it.activity == event.activity && it.at == event.at)
    };
    let all = Wanted { limit: i64::MAX, ..Wanted::default() };
    let events = bench.store().events(&all).await.unwrap();
    let known: Vec<_> = bench.tool.cases().into_iter().flatten().collect();
    let mut noticed: Vec<_> = events
        .into_iter()
        .filter(|event| !told(event))
        // Of what was deleted the oracle knows nothing any more.
        .filter(|it| known.contains(&it.case) || it.activity == "deleted" && it.resource.is_none())
        .map(|event| (event.case, event.activity, event.at))
        .collect();
    noticed.sort();
    noticed
}

async fn cases(bench: &Bench) -> Vec<(KnownCase, Vec<LoggedEvent>)> {
    bench.store().cases_with_events(bench.connection.id, "", i64::MAX).await.unwrap()
}

async fn gone(bench: &Bench) -> Vec<String> {
    cases(bench)
        .await
        .into_iter()
        .filter(|(case, _)| case.gone_at.is_some())
        .map(|(case, _)| case.id)
        .collect()
}

fn deleted(cases: &[String], at: DateTime<Utc>) -> Vec<(String, String, DateTime<Utc>)> {
    let mut all: Vec<_> = cases.iter().map(|case| (case.clone(), "deleted".to_owned(), at)).collect();
    all.sort();
    all
}

fn delete(bench: &Bench, nth: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut ids: Vec<_> = nth.into_iter().map(|nth| bench.tool.delete_case(nth).unwrap()).collect();
    ids.sort();
    ids
}

/// Runs a promise for each tool on each engine.
macro_rules! for_each_tool_and_engine {
    ($($promise:ident)+) => {
        for_each_tool_and_engine!(github_in_sqlite "github" sqlite { $($promise)+ });
        for_each_tool_and_engine!(github_in_postgres "github" postgres { $($promise)+ });
        for_each_tool_and_engine!(jira_in_sqlite "jira" sqlite { $($promise)+ });
        for_each_tool_and_engine!(jira_in_postgres "jira" postgres { $($promise)+ });
        for_each_tool_and_engine!(linear_in_sqlite "linear" sqlite { $($promise)+ });
        for_each_tool_and_engine!(linear_in_postgres "linear" postgres { $($promise)+ });
    };
    ($name:ident $tool:literal sqlite { $($promise:ident)+ }) => {
        mod $name { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            let clock = super::TestClock::new();
            super::$promise(super::bench($tool, &clock, super::sqlite(&clock).await).await).await;
        })+ }
    };
    ($name:ident $tool:literal postgres { $($promise:ident)+ }) => {
        mod $name { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            let clock = super::TestClock::new();
            super::$promise(super::bench($tool, &clock, super::postgres().await).await).await;
        })+ }
    };
}

for_each_tool_and_engine! {
    what_is_deleted_is_told_once_and_nothing_else_is
    a_census_that_shows_nothing_is_suspicious_and_notes_nothing
    a_census_that_misses_most_cases_is_partial_and_notes_nothing
    a_census_that_fails_makes_the_scan_partial_and_notes_nothing
    what_is_hidden_whole_is_not_counted
    a_case_that_is_read_while_a_census_is_under_way_is_there
    a_census_cut_short_notes_nothing_and_goes_on_from_the_page_it_kept
    a_case_that_is_shown_again_is_restored_once_and_may_vanish_again
}

async fn what_is_deleted_is_told_once_and_nothing_else_is(bench: Bench) {
    let before = noticed(&bench).await;
    assert_eq!(before, []);
    let ids = delete(&bench, [0, 40, 99, 129]);
    let at = bench.clock.now();
    assert_eq!(bench.scan().await, COMPLETE);
    assert!(counts(&bench) > 0);
    assert_eq!(noticed(&bench).await, deleted(&ids, at));
    assert_eq!(gone(&bench).await, ids);
    let scan = &bench.store().scans(&WantedScans::newest(1)).await.unwrap()[0];
    let ledger = &bench.store().scanned(scan.id).await.unwrap()[0].ledger;
    assert_eq!(ledger.kept.get("event deleted"), Some(&4));
    assert!(ledger.asked.keys().any(|operation| operation.starts_with("census")));

    later(&bench);
    assert_eq!(bench.scan().await, COMPLETE);
    assert_eq!(noticed(&bench).await, deleted(&ids, at), "nothing is told twice");
    assert_eq!(cases(&bench).await.len(), CASES, "nothing is dropped");
    let names = bench.store().names(bench.connection.id).await.unwrap();
    let mut insight = Insight::new(&bench.connection, &names);
    let all = cases(&bench).await;
    all.iter().for_each(|(case, events)| insight.case(case, events));
    let counted = insight.report(bench.clock.now()).cases;
    assert_eq!(counted.all(), CASES);
    assert!(counted.gone <= 4 && all.iter().filter(|(_, events)| events.is_empty()).count() == 0);
}

async fn a_census_that_shows_nothing_is_suspicious_and_notes_nothing(bench: Bench) {
    delete(&bench, [3]);
    bench.tool.faults().when_body_contains(marker(&bench), Fault::Empty);
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::SuspiciousEmpty, "{outcome:?}");
    assert_eq!(noticed(&bench).await, []);
    assert_eq!(gone(&bench).await, [""; 0]);
    bench.tool.faults().clear();
    later(&bench);
    assert_eq!(bench.scan().await, COMPLETE);
    assert_eq!(gone(&bench).await.len(), 1, "the next census is believed");
}

async fn a_census_that_misses_most_cases_is_partial_and_notes_nothing(bench: Bench) {
    delete(&bench, 0..CASES / 2 + 1);
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Partial);
    assert!(outcome.reasons[0].contains("66 of its 130 cases are no longer shown"), "{outcome:?}");
    assert_eq!(noticed(&bench).await, []);
    assert_eq!(gone(&bench).await, [""; 0]);
}

async fn a_census_cut_short_notes_nothing_and_goes_on_from_the_page_it_kept(mut bench: Bench) {
    let ids = delete(&bench, [1, 2, 128]);
    let at = bench.clock.now();
    let tool = Arc::new(bench.tool);
    let (faults, stop) = (tool.clone(), bench.scanner.stop.clone());
    let read = AtomicU64::new(u64::MAX);
    bench.scanner.watch = Arc::new(OnProgress(Box::new(move |progress| match &progress.now {
        // The census begins: it takes too long, four times, and is asked for in small pages.
        Doing::Ended { .. } if read.load(Relaxed) == u64::MAX => {
            read.store(progress.pages, Relaxed);
            (0..4).for_each(|_| faults.faults().next(Fault::ServerError(502)));
        }
        Doing::Reading if progress.pages == read.load(Relaxed).saturating_add(2) => stop.pull(),
        _ => {}
    })));
    let scan = bench.scanner.store.open_scan(bench.connection.id, uuid::Uuid::from_u128(2)).await.unwrap();
    assert_eq!(bench.scanner.run(scan).await.unwrap().unwrap().state, State::Queued);
    bench.scanner.watch = Arc::new(Nobody);
    bench.scanner.stop = StopCord::default();
    bench.tool = Arc::into_inner(tool).expect("nobody else holds it");
    assert_eq!((noticed(&bench).await, gone(&bench).await), (vec![], vec![]));
    let kept = bench.store().streams(bench.connection.id).await.unwrap().remove(0).census.expect("under way");
    assert!(kept.windows[0].after().is_some());

    later(&bench);
    assert_eq!(bench.scan().await, COMPLETE);
    let first = bench.tool.ledger().into_iter().find(|asked| is_count(&asked.body)).unwrap();
    assert!(first.body.contains(kept.windows[0].after().unwrap()), "{}", first.body);
    assert_eq!(gone(&bench).await, ids);
    assert_eq!(noticed(&bench).await, deleted(&ids, at));
    assert_eq!(bench.store().streams(bench.connection.id).await.unwrap()[0].census, None);
}

async fn a_census_that_fails_makes_the_scan_partial_and_notes_nothing(bench: Bench) {
    delete(&bench, [1, 2, 128]);
    bench.tool.faults().when_body_contains(marker(&bench), Fault::ServerError(500));
    let outcome = bench.scan().await;
    assert_eq!(outcome.state, State::Partial, "{outcome:?}");
    assert!(outcome.reasons[0].contains("its cases could not be counted"), "{outcome:?}");
    assert_eq!((noticed(&bench).await, gone(&bench).await), (vec![], vec![]));
}

async fn what_is_hidden_whole_is_not_counted(bench: Bench) {
    let stream = bench.store().streams(bench.connection.id).await.unwrap().remove(0).name;
    bench.tool.hide(&stream);
    assert_ne!(bench.scan().await.state, State::Complete);
    assert_eq!((counts(&bench), gone(&bench).await), (0, vec![]));
    bench.tool.show(&stream);
    later(&bench);
    assert_eq!(bench.scan().await, COMPLETE);
    assert_eq!((noticed(&bench).await, gone(&bench).await), (vec![], vec![]));
}

async fn a_case_that_is_read_while_a_census_is_under_way_is_there(mut bench: Bench) {
    let (claim, began) = (claimed(&bench).await, bench.clock.now());
    let stream = bench.store().streams(bench.connection.id).await.unwrap().remove(0).name;
    // Everything was shown but what comes now, which a later page of the sweep has brought.
    let present: Vec<_> = bench.tool.cases().into_iter().flatten().filter_map(Opaque::new).collect();
    let connector = twinflow_connectors::find(&bench.connection.tool).unwrap();
    let census = connector.census(&connector.stream(&stream).unwrap(), began).unwrap();
    let (asked, waited) = (Default::default(), Duration::ZERO);
    let page = CensusPage { stream: &stream, census: &census, present: &present, asked: &asked, waited };
    bench.store().keep_census(&claim, &page).await.unwrap();
    later(&bench);
    bench.tool.add_case(bench.clock.now() - TimeDelta::minutes(5));
    bench.scanner.census_every = TimeDelta::days(1_000);
    bench.scanner.takeover = true;
    assert_eq!(bench.scan().await, COMPLETE);
    assert_eq!(cases(&bench).await.len(), CASES + 1);
    assert_eq!((noticed(&bench).await, gone(&bench).await), (vec![], vec![]));
    // And whoever was taken over from writes nothing more.
    assert_eq!(bench.store().keep_census(&claim, &page).await, Err(StoreError::Fenced));
    let end = bench.store().end_census(&claim, &stream, bench.clock.now() + TimeDelta::days(1)).await;
    assert_eq!(end, Err(StoreError::Fenced));
    assert_eq!(gone(&bench).await, [""; 0]);
}

async fn claimed(bench: &Bench) -> Claim {
    let scan = bench.store().open_scan(bench.connection.id, uuid::Uuid::from_u128(3)).await.unwrap();
    let lease = Duration::from_secs(60);
    bench.store().claim(scan, &Claiming::new("a dead worker", lease)).await.unwrap().expect("it is due")
}

async fn a_case_that_is_shown_again_is_restored_once_and_may_vanish_again(bench: Bench) {
    let id = bench.tool.cases()[7].clone().unwrap();
    let (hidden, first) = (Fault::Without(id.clone()), bench.clock.now());
    bench.tool.faults().when_body_contains(marker(&bench), hidden.clone());
    assert_eq!(bench.scan().await, COMPLETE);
    assert_eq!(gone(&bench).await, [id.as_str()]);

    bench.tool.faults().clear();
    later(&bench);
    let back = bench.clock.now();
    for _ in 0..2 {
        assert_eq!(bench.scan().await, COMPLETE);
        assert_eq!(gone(&bench).await, [""; 0]);
        later(&bench);
    }
    bench.tool.faults().when_body_contains(marker(&bench), hidden);
    let again = bench.clock.now();
    assert_eq!(bench.scan().await, COMPLETE);
    let told = [(first, "deleted"), (again, "deleted"), (back, "restored")];
    let mut expected: Vec<_> = told.map(|(at, what)| (id.clone(), what.to_owned(), at)).into();
    expected.sort();
    assert_eq!(noticed(&bench).await, expected);
}

#[tokio::test]
async fn a_census_is_due_a_week_after_the_first_scan_and_a_week_after_the_last_census() {
    let clock = TestClock::new();
    let mut bench = bench("github", &clock, sqlite(&clock).await).await;
    bench.scanner.census_every = twinflow::scan::CENSUS_EVERY;
    let mut counted = vec![];
    for day in 1..=16 {
        bench.clock.forward(TimeDelta::hours(23));
        later(&bench);
        assert_eq!(bench.scan().await, COMPLETE);
        if counts(&bench) > 0 {
            counted.push(day);
        }
    }
    assert_eq!(counted, [7, 14]);
}

type Told = dyn Fn(&Progress) + Send + Sync;

struct OnProgress(Box<Told>);

impl Watch for OnProgress {
    fn progress(&self, _: &str, _: &str, progress: &Progress) {
        (self.0)(progress);
    }
}
