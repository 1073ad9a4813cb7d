//! A backfill brings back what is missing of a stretch of time, and touches nothing else.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{postgres, sqlite};
use crate::tools::{benches, is_what_happened};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;
use twinflow::clock::Time as _;
use twinflow::scan::watch::{Nobody, Progress, StopCord, Watch};
use twinflow::store::{Backfill, Outcome, State, WantedScans, random_id};
use twinflow_connectors::Cursor;
use twinflow_fixtures::{Asked, Fact, stands};

const COMPLETE: Outcome = Outcome { state: State::Complete, reasons: vec![], until: None, error: None };

async fn backfills(bench: &Bench, since: DateTime<Utc>, upto: Option<DateTime<Utc>>) -> Outcome {
    let fresh = random_id(&mut rand::rng());
    let window = Backfill { since, upto };
    let scan = bench.store().open_backfill(bench.connection.id, fresh, window).await.unwrap();
    bench.scanner.run(scan).await.unwrap().expect("the backfill is ours")
}

async fn cursors(bench: &Bench) -> Vec<Cursor> {
    let streams = bench.store().streams(bench.connection.id).await.unwrap();
    streams.into_iter().map(|stream| stream.cursor).collect()
}

/// Read whole, and then without what happened in its last month.
async fn robbed(bench: &Bench) -> DateTime<Utc> {
    assert_eq!(bench.scan().await, COMPLETE, "{}", bench.connection.tool);
    let since = bench.clock.now() - TimeDelta::days(30);
    assert!(bench.database.lose_events_since(since).await > 0, "{}", bench.connection.tool);
    since
}

async fn is_restored(bench: &Bench) {
    let since = robbed(bench).await;
    assert!(bench.log().await.len() < bench.facts().len());
    let before = cursors(bench).await;
    assert_eq!(backfills(bench, since, None).await, COMPLETE, "{}", bench.connection.tool);
    is_what_happened(bench).await;
    assert_eq!(cursors(bench).await, before, "{}: what it follows has its own cursor", bench.connection.tool);
    // It is the newest, but not of those that read what is new.
    let last = bench.store().last_scan(bench.connection.id).await.unwrap().expect("a scan");
    let newest = bench.store().scans(&WantedScans::newest(2)).await.unwrap();
    assert!(last.since.is_none() && newest.iter().any(|scan| scan.since == Some(since)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_were_lost_are_brought_back_by_any_tool_into_sqlite() {
    for bench in benches(sqlite).await {
        is_restored(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_were_lost_are_brought_back_by_any_tool_into_postgres() {
    for bench in benches(async |_| postgres().await).await {
        is_restored(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_runs_beside_a_scan_of_the_same_connection() {
    for bench in benches(sqlite).await {
        let since = robbed(&bench).await;
        bench.clock.forward(TimeDelta::hours(3));
        let now = bench.clock.now();
        bench.tool.set_now(now);
        for nth in [3, 50, 99] {
            assert!(bench.tool.update_case(nth, now - TimeDelta::minutes(40)));
        }
        bench.tool.add_case(now - TimeDelta::minutes(30));
        let (scan, backfill) = tokio::join!(bench.scan(), backfills(&bench, since, None));
        assert_eq!((scan, backfill), (COMPLETE, COMPLETE), "{}", bench.connection.tool);
        is_what_happened(&bench).await;
        // What came meanwhile is not read twice.
        let marks = cursors(&bench).await.into_iter().map(|cursor| cursor.mark);
        assert!(
            marks.into_iter().all(|mark| mark >= Some(now - TimeDelta::hours(1))),
            "{}",
            bench.connection.tool
        );
    }
}

struct OnPage<F>(F);

impl<F: Fn(&Progress) + Send + Sync> Watch for OnPage<F> {
    fn progress(&self, _: &str, _: &str, progress: &Progress) {
        (self.0)(progress);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_cut_short_goes_on_from_the_page_it_kept() {
    let mut cut = 0;
    for mut bench in benches(sqlite).await {
        let tool = bench.connection.tool.clone();
        assert_eq!(bench.scan().await, COMPLETE, "{tool}");
        assert!(bench.database.lose_events_since(DateTime::UNIX_EPOCH).await > 0);
        let stop = bench.scanner.stop.clone();
        bench.scanner.watch = Arc::new(OnPage(move |progress: &Progress| {
            if progress.pages == 1 {
                stop.pull();
            }
        }));
        let since = bench.clock.now() - TimeDelta::days(1000);
        bench.tool.clear_ledger();
        let first = backfills(&bench, since, None).await;
        let asked = bench.tool.ledger();
        bench.scanner.watch = Arc::new(Nobody);
        bench.scanner.stop = StopCord::default();
        bench.tool.clear_ledger();
        if first.state == State::Queued {
            cut += 1;
            assert_eq!(backfills(&bench, since, None).await, COMPLETE, "{tool}");
            let scans = bench.store().scans(&WantedScans::newest(10)).await.unwrap();
            assert_eq!(
                (scans.len(), scans.iter().map(|scan| scan.attempts).max()),
                (2, Some(2)),
                "{tool}: it is the same"
            );
            let same = |it: &Asked| {
                asked.first().is_some_and(|first| {
                    (&first.path, &first.query, &first.body) == (&it.path, &it.query, &it.body)
                })
            };
            assert!(!bench.tool.ledger().iter().any(same), "{tool} begins anew");
        }
        is_what_happened(&bench).await;
    }
    assert!(cut > 3, "only {cut} were long enough to be cut short");
}

/// When each case changed last.
fn last_changes(facts: &[Fact]) -> BTreeMap<&str, DateTime<Utc>> {
    let mut last = BTreeMap::new();
    for fact in facts {
        let at = last.entry(fact.case.as_str()).or_insert(fact.at);
        *at = fact.at.max(*at);
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_stops_where_it_was_told_to_and_leaves_nothing_out_before_that() {
    for name in ["github", "jira", "zendesk"] {
        let clock = TestClock::new();
        let stand = stands(&story(900, &clock)).into_iter().find(|stand| stand.tool == name).expect("a tool");
        let bench = Bench::of(clock.clone(), sqlite(&clock).await, stand).await;
        assert_eq!(bench.scan().await, COMPLETE, "{name}");
        let facts = bench.facts();
        let last = last_changes(&facts);
        let mut moments: Vec<_> = last.values().copied().collect();
        moments.sort();
        let (since, upto) = (moments[moments.len() / 10], moments[moments.len() / 3]);
        bench.database.lose_events_since(DateTime::UNIX_EPOCH).await;
        bench.tool.clear_ledger();
        assert_eq!(backfills(&bench, since, Some(upto)).await, COMPLETE, "{name}");
        let some = bench.tool.ledger().len();

        let log = bench.log().await;
        let lost: Vec<_> = facts
            .iter()
            .filter(|fact| (since..=upto).contains(&fact.at) && last[fact.case.as_str()] <= upto)
            .filter(|fact| !log.contains(fact))
            .take(5)
            .collect();
        assert!(lost.is_empty(), "{name}: {lost:#?}");
        let read_on = facts.iter().filter(|fact| fact.at > upto).all(|fact| log.contains(fact));
        assert!(!read_on, "{name} read on to the end");

        bench.tool.clear_ledger();
        assert_eq!(backfills(&bench, since, None).await, COMPLETE, "{name}");
        let all = bench.tool.ledger().len();
        assert!(some < all, "{name}: {some} requests, and {all} for all");
    }
}
