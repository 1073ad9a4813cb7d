//! What is special to Zendesk by its clocks: statuses worked out from groups of metric events, pages that cut groups in
//! two, exports that hold back the last minute, and a contract that cannot ask for text.

use crate::stage::{Raw, Stage, now, pages, story, told, truth};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use twinflow_connectors::{Connector, Cursor, Page, Place, ReadError, Stream, Sweep, find};
use twinflow_fixtures::{What, Who, Zendesk, ZendeskSwitches, canary};

pub(crate) fn zendesk() -> &'static dyn Connector {
    find("zendesk").unwrap()
}

pub(crate) fn detailed() -> &'static dyn Connector {
    find("zendesk_detailed").unwrap()
}

fn tickets() -> Stream {
    zendesk().stream("tickets").unwrap()
}

pub(crate) async fn stage(cases: usize, switches: ZendeskSwitches) -> Stage {
    Stage::with("zendesk", Zendesk::new(&story(cases)).with_switches(switches), "tickets").await
}

fn begin() -> Sweep {
    zendesk().begin(&tickets(), &Cursor::default(), now())
}

fn read(at: &Sweep, answer: &Value) -> Result<Page, ReadError> {
    let raw = Raw::json(200, &answer.to_string()).to("zendesk", "ticket_metric_events");
    zendesk().read(&tickets(), at, &[raw.answer()])
}

fn tick(id: u64, ticket: u64, clock: &str, what: &str, time: &str) -> Value {
    json!({"id": id, "ticket_id": ticket, "metric": clock, "instance_id": 1, "type": what, "time": time})
}

fn page(ticks: &[Value], after: Option<&str>) -> Value {
    let meta = json!({"has_more": after.is_some(), "after_cursor": after});
    json!({"ticket_metric_events": ticks, "meta": meta, "links": {"next": "https://elsewhere.example/"}})
}

/// Clocks, and what happened to them.
type Ticks = &'static [(&'static str, &'static str)];

/// Activity and status of what these ticks of one second come to.
fn meaning(ticks: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    let all: Vec<Value> = (1..)
        .zip(ticks)
        .map(|(id, (clock, what))| tick(id, 7, clock, what, "2026-03-02T10:00:00Z"))
        .collect();
    let page = read(&begin(), &page(&all, None)).unwrap();
    let word = |event: &twinflow_connectors::Event| {
        (event.activity.word().to_owned(), event.to.as_ref().map(ToString::to_string))
    };
    page.events.iter().map(word).collect()
}

#[test]
fn the_clocks_of_one_second_tell_what_a_ticket_became() {
    const AWT: &str = "agent_work_time";
    const RWT: &str = "requester_wait_time";
    let table: [(Ticks, Option<&str>); 12] = [
        (&[(AWT, "pause"), (RWT, "pause")], Some("pending")),
        (&[(RWT, "pause")], Some("pending")),
        (&[(AWT, "pause")], Some("hold")),
        (&[(RWT, "activate")], Some("hold")),
        (&[(AWT, "activate")], Some("open")),
        (&[(RWT, "activate"), (AWT, "activate")], Some("open")),
        (&[(AWT, "fulfill"), (RWT, "fulfill")], Some("solved")),
        (&[(RWT, "fulfill")], Some("solved")),
        (&[(AWT, "pause"), (RWT, "pause"), (AWT, "fulfill"), (RWT, "fulfill")], Some("solved")),
        (&[(AWT, "apply_sla"), (RWT, "update_status"), (AWT, "measure"), (RWT, "of_tomorrow")], None),
        (&[("of_tomorrow", "pause"), ("periodic_update_time", "activate")], None),
        (&[], None),
    ];
    for (ticks, status) in table {
        let expected: Vec<_> =
            status.map(|it| ("status_changed".to_owned(), Some(it.to_owned()))).into_iter().collect();
        assert_eq!(meaning(ticks), expected, "{ticks:?}");
    }
    let plain = |word: &str| (word.to_owned(), None);
    let born = ("reply_time", "activate");
    assert_eq!(meaning(&[born, (AWT, "activate"), (RWT, "activate")]), [plain("created")]);
    let pending = ("status_changed".to_owned(), Some("pending".to_owned()));
    assert_eq!(meaning(&[(AWT, "pause"), (RWT, "pause"), born]), [plain("created"), pending]);
    assert_eq!(meaning(&[("reply_time", "fulfill"), (AWT, "breach")]), [plain("replied"), plain("breached")]);
}

#[test]
fn a_group_cut_by_the_end_of_a_page_means_what_it_means_whole() {
    let second = "2026-03-02T10:00:00Z";
    let ticks: Vec<Value> = [
        (1, 7, "requester_wait_time", "activate"),
        (2, 8, "agent_work_time", "pause"),
        (3, 7, "agent_work_time", "activate"),
        (4, 8, "requester_wait_time", "pause"),
    ]
    .map(|(id, ticket, clock, what)| tick(id, ticket, clock, what, second))
    .into();
    let whole = format!("{:?}", read(&begin(), &page(&ticks, None)).unwrap().events);
    for cut in 0..=ticks.len() {
        let first = read(&begin(), &page(&ticks[..cut], Some("cursor"))).unwrap();
        assert_eq!(first.events, [], "nothing of the last second is told yet");
        let text = serde_json::to_string(&first.next).unwrap();
        let second = read(&serde_json::from_str(&text).unwrap(), &page(&ticks[cut..], None)).unwrap();
        assert_eq!(format!("{:?}", second.events), whole, "cut after {cut}");
        assert!(second.next.carried.is_empty() && second.next.is_done());
    }
}

#[test]
fn what_is_carried_to_the_next_page_is_bounded_and_nonsense_in_it_is_passed_over() {
    let ticks: Vec<Value> =
        (0..3_000).map(|nth| tick(nth, nth, "agent_work_time", "activate", "2026-03-02T10:00:00Z")).collect();
    let page_of = read(&begin(), &page(&ticks, Some("cursor"))).unwrap();
    assert_eq!((page_of.next.carried.len(), page_of.events.len()), (1_000, 2_000));
    let mut tampered = begin();
    tampered.carried =
        ["", ":", "7:soon:1", "7:-1:1", "7:1772445600:999", "a b:1772445600:1"].map(str::to_owned).into();
    let read = read(&tampered, &page(&[], None)).unwrap();
    assert_eq!((read.events.len(), read.next.carried.len()), (0, 0));
}

#[tokio::test]
async fn what_an_event_is_known_by_does_not_depend_on_where_pages_end() {
    let stage = stage(8, ZendeskSwitches::default()).await;
    let mut before = None;
    for halved in [0, 1, 3, 7] {
        let mut sweep = stage.begin();
        sweep.halved = halved;
        let rounds = stage.sweep(sweep).await;
        let events: BTreeSet<String> =
            pages(&rounds).flat_map(|page| &page.events).map(|event| format!("{event:?}")).collect();
        assert_eq!(before.get_or_insert_with(|| events.clone()), &events, "halved {halved} times");
    }
}

#[tokio::test]
async fn a_case_ends_with_the_status_its_ticket_has() {
    let stage = stage(210, ZendeskSwitches::default()).await;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for page in pages(&stage.sweep(stage.begin()).await) {
        for case in &page.cases {
            known.extend(case.status.as_ref().map(|status| (case.id.to_string(), status.to_string())));
        }
    }
    let mut true_ones: BTreeMap<String, (DateTime<Utc>, String)> = BTreeMap::new();
    for (case, activity, _, at, _, to) in truth(&stage) {
        let status = match activity.as_str() {
            "created" => "open".to_owned(),
            "status_changed" => to.unwrap(),
            _ => continue,
        };
        let newest = true_ones.entry(case).or_insert((at, status.clone()));
        if at >= newest.0 {
            *newest = (at, status);
        }
    }
    assert_eq!(known, true_ones.into_iter().map(|(case, (_, status))| (case, status)).collect());
}

#[tokio::test]
async fn no_answer_to_the_strict_connector_holds_a_word_of_a_ticket() {
    let stage = stage(120, ZendeskSwitches::default()).await;
    let mut raws = vec![stage.probe().await];
    raws.extend(stage.sweep(stage.begin()).await.into_iter().flat_map(|round| round.raws));
    let met: BTreeSet<_> = raws.iter().flat_map(|raw| canary::found_in(raw.text())).collect();
    let of_tickets = ["subject", "ticket-text", "comment", "field", "rating", "client", "customer"];
    assert!(met.iter().all(|canary| of_tickets.iter().all(|part| !canary.contains(part))), "{met:?}");
    assert!(met.iter().any(|canary| canary.contains("policy-title")), "configuration comes along");
}

#[test]
fn the_strict_contract_has_no_operation_that_tells_of_changes() {
    let strict = zendesk().contract();
    let paths: Vec<&str> = strict.operations.iter().map(|operation| operation.path).collect();
    assert_eq!(paths, ["/api/v2/incremental/ticket_metric_events", "/api/v2/users/me.json"]);
    let sweep = detailed().begin(&tickets(), &Cursor::default(), now());
    for request in detailed().ask(&tickets(), &sweep).unwrap() {
        assert!(!strict.allows(&request), "{}", request.path());
    }
    // Nor does a cursor of the other make it ask.
    assert!(zendesk().ask(&tickets(), &sweep).is_err());
}

#[test]
fn exports_are_asked_from_before_the_mark_and_never_too_recently() {
    let since = |mark: Option<DateTime<Utc>>, now: DateTime<Utc>| {
        let sweep = zendesk().begin(&tickets(), &Cursor { mark, ..Cursor::default() }, now);
        sweep.windows[0].since.parse::<i64>().unwrap()
    };
    assert_eq!(since(None, now()), 0);
    let mark = now() - TimeDelta::hours(2);
    assert_eq!(since(Some(mark), now()), (mark - TimeDelta::minutes(5)).timestamp());
    // A clock that was set back.
    let earlier = now() - TimeDelta::hours(3);
    assert_eq!(since(Some(now()), earlier), (earlier - TimeDelta::minutes(2)).timestamp());
    assert_eq!(since(Some(DateTime::UNIX_EPOCH), now()), 0);
}

#[tokio::test]
async fn what_is_too_young_to_be_shown_is_met_by_the_next_sweep() {
    let stage = stage(30, ZendeskSwitches::default()).await;
    let young = now() - TimeDelta::seconds(20);
    assert!(stage.service.add_event(5, young, Who::Person(1), What::Move(twinflow_fixtures::Stage::Blocked)));
    let first = stage.sweep(stage.begin()).await;
    assert_eq!(told(pages(&first)), truth(&stage));
    assert!(truth(&stage).iter().all(|fact| fact.3 < young));
    let cursor = Cursor::default().after(first.last().unwrap().page.next.clone());
    assert_eq!(cursor.mark, Some(now() - TimeDelta::minutes(1)));
    let later = now() + TimeDelta::minutes(3);
    stage.service.set_now(later);
    let second = stage.sweep(zendesk().begin(&stage.stream, &cursor, later)).await;
    assert!(truth(&stage).iter().any(|fact| fact.3.timestamp() == young.timestamp()));
    assert_eq!(told(pages(&first).chain(pages(&second))), truth(&stage));
}

#[tokio::test]
async fn tickets_that_come_go_and_change_while_pages_are_read_are_told_as_they_are() {
    for connector in [zendesk(), detailed()] {
        let stage = Stage::of(connector, 120).await;
        let (mut cursor, mut time, mut kept) = (Cursor::default(), now(), Vec::new());
        let mut sweeps = 0;
        let mut deleted = Vec::new();
        while sweeps < 3 {
            let mut sweep = connector.begin(&stage.stream, &cursor, time);
            if cursor.sweep.is_none() {
                sweep.halved = 3;
            }
            let page = stage.round(sweep).await.page;
            cursor = cursor.after(page.next.clone());
            kept.push(page);
            sweeps += usize::from(cursor.sweep.is_none());
            if kept.len() % 5 == 0 && sweeps < 2 {
                let nth = kept.len();
                time += TimeDelta::minutes(7);
                stage.service.set_now(time);
                let stage_of = if nth % 2 == 0 {
                    twinflow_fixtures::Stage::Blocked
                } else {
                    twinflow_fixtures::Stage::InReview
                };
                assert!(stage.service.add_event(nth % 40, time, Who::Person(2), What::Move(stage_of)));
                stage.service.add_case(time);
                deleted.extend(stage.service.delete_case(40 + nth));
            }
            if cursor.sweep.is_none() {
                time += TimeDelta::minutes(10);
                stage.service.set_now(time);
            }
        }
        assert!(deleted.len() > 3);
        let mut told = told(&kept);
        told.retain(|happening| !deleted.contains(&happening.0));
        assert_eq!(told, truth(&stage), "{}", connector.contract().tool);
    }
}

#[tokio::test]
async fn a_sweep_cut_for_more_than_a_day_starts_over_from_what_it_reached() {
    let stage = stage(60, ZendeskSwitches::default()).await;
    let mut sweep = stage.begin();
    sweep.halved = 2;
    let (mut cursor, mut kept, mut time) =
        (Cursor { sweep: Some(sweep), ..Cursor::default() }, Vec::new(), now());
    let mut starts = BTreeSet::new();
    while cursor.sweep.is_some() {
        time += if kept.len() % 4 == 3 { TimeDelta::hours(25) } else { TimeDelta::seconds(1) };
        let sweep = zendesk().begin(&stage.stream, &cursor, time);
        starts.insert(sweep.windows[0].since.clone());
        let page = stage.round(sweep).await.page;
        cursor = cursor.after(page.next.clone());
        kept.push(page);
        assert!(kept.len() < 300, "the sweep never ends");
    }
    assert!(starts.len() > 2 && starts.contains("0"), "{starts:?}");
    assert_eq!(told(&kept), truth(&stage));
}

#[test]
fn a_page_that_has_more_and_no_cursor_is_refused() {
    let meta = |meta: Value| read(&begin(), &json!({"ticket_metric_events": [], "meta": meta}));
    assert!(matches!(meta(json!({"has_more": true, "after_cursor": null})), Err(ReadError::Missing(_))));
    assert!(matches!(meta(json!({"has_more": true, "after_cursor": ""})), Err(ReadError::Missing(_))));
    assert!(meta(json!({"has_more": true, "after_cursor": "two words"})).is_err());
    assert_eq!(
        meta(json!({"has_more": true, "after_cursor": "x"})).unwrap().next.windows[0].page,
        Place::After("x".to_owned())
    );
    assert!(meta(json!({"has_more": false, "after_cursor": "x"})).unwrap().next.is_done());
    // As the same export answers when it is paged by time.
    assert!(read(&begin(), &json!({"ticket_metric_events": [], "end_time": 1, "count": 0})).is_err());
}
