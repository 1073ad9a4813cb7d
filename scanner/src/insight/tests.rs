//! Made-up logs, and the figures worked out from them by hand.

use super::*;
use crate::store::{Connection, KnownCase, LoggedEvent, Names};
use chrono::TimeDelta;
use proptest::prelude::*;
use twinflow_connectors::Activity;
use uuid::Uuid;

pub(super) const HOUR: u64 = 3_600;

pub(crate) fn connection() -> Connection {
    let word = |text: &str| text.to_owned();
    Connection {
        id: Uuid::nil(),
        name: word("shop"),
        tool: word("jira"),
        base_url: word(""),
        account_id: word(""),
        account_name: word(""),
        created_at: hour(0),
        pseudonymise: Default::default(),
        paused: None,
        disconnected_at: None,
    }
}

pub(super) fn names() -> Names {
    let status = |id: &str, name: &str, stage| ((Kind::Status, id.to_owned()), (name.to_owned(), stage));
    Names(BTreeMap::from([
        status("todo", "To do", Some(Stage::ToDo)),
        status("work", "In progress", Some(Stage::InProgress)),
        status("review", "In review", Some(Stage::InProgress)),
        status("done", "Done", Some(Stage::Done)),
        status("declined", "Declined", Some(Stage::Done)),
        status("odd", "Odd", None),
    ]))
}

pub(super) fn hour(n: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::hours(n)
}

pub(super) fn hours(n: u64) -> Duration {
    Duration::from_secs(n * HOUR)
}

/// Created at hour 0.
pub(super) fn case(status: &str) -> KnownCase {
    let text = "1".to_owned();
    KnownCase {
        id: text.clone(),
        key: text,
        created_at: hour(0),
        status: Some(status.to_owned()),
        gone_at: None,
    }
}

/// `from>to` at an hour; either may be left out.
pub(super) fn event(activity: Activity, at: i64, change: &str) -> LoggedEvent {
    let (from, to) = change.split_once('>').unwrap();
    let side = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
    LoggedEvent {
        id: Uuid::nil(),
        connection: "shop".to_owned(),
        case: "1".to_owned(),
        key: None,
        activity: activity.word().to_owned(),
        resource: None,
        at: hour(at),
        turn: 0,
        from: side(from),
        to: side(to),
    }
}

pub(super) fn moved(at: i64, change: &str) -> LoggedEvent {
    event(Activity::StatusChanged, at, change)
}

pub(super) fn assigned(at: i64, change: &str) -> LoggedEvent {
    event(Activity::Assigned, at, change)
}

pub(super) fn unassigned(at: i64, change: &str) -> LoggedEvent {
    event(Activity::Unassigned, at, change)
}

pub(super) fn report(cases: &[(KnownCase, Vec<LoggedEvent>)], now: i64) -> ToolReport {
    let (connection, names) = (connection(), names());
    let mut insight = Insight::new(&connection, &names);
    for (case, events) in cases {
        insight.case(case, events);
    }
    insight.report(hour(now))
}

pub(super) fn one(status: &str, events: Vec<LoggedEvent>) -> ToolReport {
    report(&[(case(status), events)], 100)
}

pub(super) fn total(report: &ToolReport, status: &str) -> Option<Duration> {
    report.statuses.iter().find(|it| it.status == status).map(|it| it.total)
}

/// Three cases, all created at hour 0, looked at in hour 100; hours:
///
/// | case | to do | in progress | in review | done at     |
/// | a    | 10    | 20          | 30        | 60          |
/// | b    | 4     | 6, then 10  | –         | 10, then 40 |  done 10–30, reopened, in progress 30–40
/// | c    | 20    | –           | 80 so far | open        |
pub(super) fn three() -> Vec<(KnownCase, Vec<LoggedEvent>)> {
    let a = vec![
        moved(10, "todo>work"),
        assigned(10, ">ann"),
        moved(30, "work>review"),
        assigned(30, "ann>bob"),
        moved(60, "review>done"),
    ];
    let b = vec![
        moved(4, "todo>work"),
        assigned(4, ">ann"),
        moved(10, "work>done"),
        moved(30, "done>work"),
        moved(40, "work>done"),
    ];
    vec![(case("done"), a), (case("done"), b), (case("review"), vec![moved(20, "todo>review")])]
}

#[test]
fn a_case_that_is_gone_is_neither_open_nor_waiting_and_one_that_was_done_stays_done() {
    let gone = |(mut case, events): (KnownCase, Vec<LoggedEvent>)| {
        case.gone_at = Some(hour(90));
        (case, events)
    };
    let report = report(&three().into_iter().map(gone).collect::<Vec<_>>(), 100);
    assert_eq!(report.cases, CaseCount { open: 0, done: 2, gone: 1 });
    assert_eq!(report.hand_overs.n, 3);
    assert!(report.statuses.iter().all(|it| it.running_cases == 0 && it.running.is_zero()));
    assert_eq!(total(&report, "todo"), Some(hours(34)), "what it was before it was gone is told");
    assert!(print::render(&[report]).contains("3 cases · 0 open, 2 done, 1 no longer shown"));
}

#[test]
fn three_cases_worked_out_by_hand_give_these_figures() {
    let report = report(&three(), 100);
    assert_eq!(report.cases, CaseCount { open: 1, done: 2, gone: 0 });
    // Cycle times 40 and 60: the median lies between, 85 % of the way from one to the other is 57.
    assert_eq!(report.cycle_time, Spread { n: 2, median: Some(hours(50)), p85: Some(hours(57)) });
    // Review 30 + 80, in progress 20 + 6 + 10, to do 10 + 4 + 20, done 20: 200 in all.
    let totals: Vec<_> = report.statuses.iter().map(|it| (it.name.as_str(), it.total, it.share)).collect();
    assert_eq!(
        totals,
        [
            ("In review", hours(110), Some(0.55)),
            ("In progress", hours(36), Some(0.18)),
            ("To do", hours(34), Some(0.17)),
            ("Done", hours(20), Some(0.1)),
        ]
    );
    let medians: Vec<_> = report.statuses.iter().map(|it| (it.visits, it.median)).collect();
    assert_eq!(
        medians,
        [(1, Some(hours(30))), (3, Some(hours(10))), (3, Some(hours(10))), (1, Some(hours(20)))]
    );
    let slowest = report.slowest_step.unwrap();
    assert_eq!((slowest.status.as_str(), slowest.running_cases, slowest.running), ("review", 1, hours(80)));
    let hands = report.hand_overs;
    assert_eq!((hands.n, hands.total, hands.cases_with_any), (3, 1, 1));
    assert_eq!(report.reopens, Reopens { n: 2, reopened: 1, rate: Some(0.5) });
    assert_eq!(report.first_assignment, FirstAssignment { n: 2, median: Some(hours(7)) });
    assert_eq!(report.events.n, 13 - 2);
    assert_eq!(report.events.by_activity.get("assigned"), Some(&3));
    assert_eq!(report.notes, Vec::<String>::new());
}

#[test]
fn without_cases_there_are_no_figures_and_no_division_by_zero() {
    let report = report(&[], 100);
    assert_eq!(report.cycle_time, Spread { n: 0, median: None, p85: None });
    assert_eq!((report.hand_overs.mean, report.reopens.rate, report.slowest_step), (None, None, None));
    assert!(report.statuses.is_empty());
}

#[test]
fn a_script_finds_seconds_under_stable_keys() {
    let json = serde_json::to_value(report(&three(), 100)).unwrap();
    assert_eq!(
        json["cycle_time"],
        serde_json::json!({"n": 2, "median_seconds": 180_000, "p85_seconds": 205_200})
    );
    assert_eq!(json["slowest_step"]["total_seconds"], 110 * HOUR);
    assert_eq!(json["first_assignment"]["median_seconds"], 7 * HOUR);
    assert_eq!(json["as_of"], "1970-01-05T04:00:00Z");
    let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "as_of cases connection cycle_time events first_assignment hand_overs notes reopens \
                    slowest_step statuses tool";
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(sorted.join(" "), expected);
}

#[test]
fn percentiles_are_those_of_a_spreadsheet() {
    // PERCENTILE.INC of 1, 2, 3, 4, 10: 0.85 · 4 = 3.4, so 4 + 0.4 · 6.
    let sorted = [1, 2, 3, 4, 10].map(Duration::from_secs);
    assert_eq!(percentile(&sorted, 85), Some(Duration::from_millis(6_400)));
    assert_eq!(percentile(&sorted, 50), Some(Duration::from_secs(3)));
    assert_eq!(percentile(&sorted, 100), Some(Duration::from_secs(10)));
    assert_eq!(percentile(&sorted[..1], 85), Some(Duration::from_secs(1)));
    assert_eq!(percentile(&[], 50), None);
}

fn any_event() -> impl Strategy<Value = LoggedEvent> {
    let side =
        || prop_oneof![Just(""), Just("todo"), Just("work"), Just("done"), Just("declined"), Just("odd")];
    let activity =
        prop_oneof![Just(Activity::StatusChanged), Just(Activity::Assigned), Just(Activity::Unassigned)];
    (activity, -20..200i64, side(), side())
        .prop_map(|(what, at, from, to)| event(what, at, &format!("{from}>{to}")))
}

fn any_case() -> impl Strategy<Value = (KnownCase, Vec<LoggedEvent>)> {
    let status = prop_oneof![Just("todo"), Just("done"), Just("declined"), Just("odd"), Just("gone")];
    (status, prop::collection::vec(any_event(), 0..12)).prop_map(|(status, events)| (case(status), events))
}

proptest! {
    #[test]
    fn whatever_the_log_says_the_shares_are_a_whole_and_the_print_fits(
        cases in prop::collection::vec(any_case(), 0..6),
        now in -20..300i64,
        long in "\\PC{0,128}",
    ) {
        let mut report = report(&cases, now);
        prop_assert_eq!(report.cases.open + report.cases.done, cases.len());
        let shares: Vec<_> = report.statuses.iter().filter_map(|it| it.share).collect();
        let sum: f64 = shares.iter().sum();
        prop_assert!(shares.is_empty() || (sum - 1.0).abs() < 1e-9, "{sum}");
        prop_assert!(report.reopens.reopened <= report.reopens.n);
        prop_assert!(report.cycle_time.median <= report.cycle_time.p85);
        if let Some(first) = report.statuses.first_mut() {
            first.name = long;
        }
        print::render(&[report]);
    }

    #[test]
    fn the_times_in_the_statuses_of_a_done_case_add_up_to_its_cycle_time((case, events) in any_case()) {
        let names = names();
        let story = story::Story::read(&case, &events, &names);
        if let Some(cycle) = story.cycle {
            prop_assert_eq!(super::sum(story.visits.iter().map(|(_, took)| *took)), cycle);
        }
    }
}
