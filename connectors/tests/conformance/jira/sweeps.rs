//! Where a sweep begins, and how one that was cut goes on.

use super::{jira, shop, stage};
use crate::stage::{now, pages, told, truth};
use chrono::TimeDelta;
use twinflow_connectors::{Cursor, Pending, Place};
use twinflow_fixtures::jira::JiraSwitches;

fn minutes(since: &str) -> i64 {
    since.strip_prefix('-').and_then(|it| it.strip_suffix('m')).unwrap().parse().unwrap()
}

#[test]
fn the_relative_bound_grows_with_time_and_always_reaches_behind_the_mark() {
    let mark = now();
    let cursor = Cursor { mark: Some(mark), ..Cursor::default() };
    let mut before = 0;
    for seconds in [0, 1, 59, 60, 61, 3_599, 3_600, 86_400, 31_536_000] {
        let later = mark + TimeDelta::seconds(seconds);
        let since = minutes(&jira().begin(&shop(), &cursor, later).windows[0].since);
        let reached = later - TimeDelta::minutes(since);
        assert!(reached <= mark - TimeDelta::minutes(15), "{seconds}");
        assert!(reached >= mark - TimeDelta::minutes(18), "{seconds}");
        assert!(since >= before);
        before = since;
    }
    let clock_behind = minutes(&jira().begin(&shop(), &cursor, mark - TimeDelta::hours(1)).windows[0].since);
    assert!((15..=17).contains(&clock_behind));
    assert_eq!(jira().begin(&shop(), &Cursor::default(), mark).windows[0].since, "1970-01-01 00:00");
}

#[test]
fn a_cut_sweep_goes_on_while_its_bound_and_its_token_hold() {
    let table = [
        // Sixteen minutes behind the mark at first, and no nearer than five.
        (Some(now() - TimeDelta::days(1)), TimeDelta::minutes(10), true),
        (Some(now() - TimeDelta::days(1)), TimeDelta::minutes(11), false),
        (None, TimeDelta::days(5), true),
        (None, TimeDelta::days(6), false),
    ];
    for (mark, waited, goes_on) in table {
        let mut cut = jira().begin(&shop(), &Cursor { mark, ..Cursor::default() }, now());
        cut.windows[0].page = Place::After("token".to_owned());
        let cursor = Cursor { mark, sweep: Some(cut.clone()), ..Cursor::default() };
        assert_eq!(jira().begin(&shop(), &cursor, now() + waited) == cut, goes_on, "{mark:?} {waited}");
    }
}

#[test]
fn a_sweep_that_starts_over_keeps_what_it_reached_and_what_was_left_to_ask() {
    let mark = now() - TimeDelta::days(3);
    let cursor = Cursor { mark: Some(mark), ..Cursor::default() };
    let mut cut = jira().begin(&shop(), &cursor, now());
    cut.windows[0].page = Place::After("token".to_owned());
    cut.reached = Some(now() - TimeDelta::days(1));
    cut.cases = 100;
    let log = |page: Option<&str>| Pending {
        operation: "changelogs".to_owned(),
        cases: vec!["10001".to_owned()],
        page: page.map(str::to_owned),
    };
    cut.pending.push(log(Some("dies with the sweep")));
    let later = now() + TimeDelta::days(3);
    let over = jira().begin(&shop(), &Cursor { sweep: Some(cut), ..cursor }, later);
    assert_eq!(over.windows[0].page, Place::First);
    assert_eq!(minutes(&over.windows[0].since), 4 * 24 * 60 + 1 + 24 * 60);
    assert_eq!((over.reached, over.cases, over.began), (Some(now() - TimeDelta::days(1)), 100, later));
    let operations: Vec<&str> = over.pending.iter().map(|it| it.operation.as_str()).collect();
    assert_eq!(operations, ["statuses", "changelogs"]);
    assert_eq!(over.pending[1], log(None));
}

#[tokio::test]
async fn a_sweep_cut_for_too_long_starts_over_and_misses_nothing() {
    let stage = stage(210, JiraSwitches { page_at_most: Some(10), ..JiraSwitches::default() }).await;
    let mark = now() - TimeDelta::days(40);
    let (mut cursor, mut time) = (Cursor { mark: Some(mark), ..Cursor::default() }, now());
    let whole = stage.sweep(jira().begin(&shop(), &cursor, time)).await;
    assert!(whole.len() > 6);
    let (mut kept, mut starts) = (Vec::new(), 0);
    while kept.is_empty() || cursor.sweep.is_some() {
        // Every third round comes too late.
        time += if kept.len() % 3 == 2 { TimeDelta::days(7) } else { TimeDelta::minutes(1) };
        stage.service.set_now(time);
        let sweep = jira().begin(&shop(), &cursor, time);
        starts += u32::from(sweep.windows[0].page == Place::First);
        let page = stage.round(sweep).await.page;
        cursor =
            serde_json::from_str(&serde_json::to_string(&cursor.after(page.next.clone())).unwrap()).unwrap();
        kept.push(page);
        assert!(kept.len() < 200, "the sweep never ends");
    }
    assert!(starts > 2, "it started over");
    let read = told(&kept);
    assert!(told(pages(&whole)).iter().all(|happening| read.contains(happening)));
    let newest = pages(&whole).flat_map(|page| &page.cases).map(|case| case.updated_at).max();
    assert_eq!(cursor.mark, newest);
}

#[tokio::test]
async fn a_first_sweep_reads_what_follows_its_first_page_in_parts() {
    for (cases, offset) in [(0, 0), (1, 0), (2, 330), (100, 60), (101, -720), (450, 840), (450, -720)] {
        let switches = JiraSwitches { user_offset_minutes: offset, ..JiraSwitches::default() };
        let stage = stage(cases, switches).await;
        let rounds = stage.sweep(stage.begin()).await;
        assert_eq!(told(pages(&rounds)), truth(&stage), "{cases} cases");
        assert!(rounds.iter().all(|round| round.requests.len() <= 8));
        let cursor = Cursor::default().after(rounds.last().unwrap().page.next.clone());
        assert_eq!((cursor.mark, cursor.sweep), (Some(now()), None));
    }
}

#[tokio::test]
async fn what_changes_while_a_first_sweep_reads_is_met_by_the_next() {
    let stage = stage(450, JiraSwitches::default()).await;
    let mut sweep = stage.begin();
    let mut kept = Vec::new();
    for _ in 0..3 {
        let page = stage.round(sweep).await.page;
        sweep = page.next.clone();
        kept.push(page);
    }
    stage.service.set_now(now() + TimeDelta::minutes(5));
    for nth in [3, 200, 449] {
        assert!(stage.service.update_case(nth, now() + TimeDelta::minutes(1)));
    }
    stage.service.delete_case(1);
    stage.service.add_case(now() + TimeDelta::minutes(2));
    let rest = stage.sweep(sweep).await;
    let cursor = Cursor::default().after(rest.last().unwrap().page.next.clone());
    let second = stage.sweep(jira().begin(&stage.stream, &cursor, now() + TimeDelta::minutes(5))).await;
    let read = told(kept.iter().chain(pages(&rest)).chain(pages(&second)));
    let lost: Vec<_> = truth(&stage).into_iter().filter(|fact| !read.contains(fact)).collect();
    assert_eq!(lost, []);
}

#[tokio::test]
async fn a_first_sweep_that_waited_too_long_reads_only_the_parts_that_were_not_done() {
    let stage = stage(2_500, JiraSwitches::default()).await;
    let mut sweep = stage.begin();
    let mut kept = Vec::new();
    while !sweep.windows.iter().any(|it| it.is_done()) {
        let page = stage.round(sweep).await.page;
        sweep = page.next.clone();
        kept.push(page);
    }
    let done = sweep.windows.iter().filter(|it| it.is_done()).count();
    let later = now() + TimeDelta::days(8);
    stage.service.set_now(later);
    let cursor = Cursor::default().after(sweep.clone());
    let over = jira().begin(&stage.stream, &cursor, later);
    assert!(done < over.windows.len());
    assert_eq!(over.began, later);
    assert_eq!(over.windows.iter().filter(|it| it.is_done()).count(), done);
    assert_eq!(over.upto, sweep.upto, "what changed since the first beginning is met by the next sweep");
    let rest = stage.sweep(over).await;
    assert_eq!(told(kept.iter().chain(pages(&rest))), truth(&stage));
}
