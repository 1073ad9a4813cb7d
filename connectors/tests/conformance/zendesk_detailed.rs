//! What is special to Zendesk by its changes: prose beside everything that is read, values of any type, pages by time.

use crate::stage::{Raw, Stage, now, pages, story, told, truth};
use crate::text::kept;
use crate::zendesk::detailed;
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use twinflow_connectors::{Activity, Cursor, Event, Page, Place, ReadError, Stream, Sweep};
use twinflow_fixtures::{Zendesk, ZendeskSwitches, canary};

const SECOND: i64 = 1_772_445_600;

fn tickets() -> Stream {
    detailed().stream("tickets").unwrap()
}

async fn stage(cases: usize, switches: ZendeskSwitches) -> Stage {
    let world = Zendesk::new(&story(cases)).detailed().with_switches(switches);
    Stage::with("zendesk_detailed", world, "tickets").await
}

/// A sweep that asks for ticket events alone.
fn at() -> Sweep {
    let mut sweep = detailed().begin(&tickets(), &Cursor::default(), now());
    sweep.windows.retain(|window| window.operation == "ticket_events");
    sweep.pending.clear();
    sweep
}

fn read(at: &Sweep, answer: &Value) -> Result<Page, ReadError> {
    read_text(at, &answer.to_string())
}

fn read_text(at: &Sweep, answer: &str) -> Result<Page, ReadError> {
    let raw = Raw::json(200, answer).to("zendesk_detailed", "ticket_events");
    detailed().read(&tickets(), at, &[raw.answer()])
}

/// What a save of a ticket with these parts comes to.
fn update(updater: Value, parts: Value) -> Page {
    let event =
        json!({"id": 900, "ticket_id": 7, "timestamp": SECOND, "updater_id": updater, "child_events": parts});
    read(&at(), &json!({"ticket_events": [event], "end_of_stream": true})).unwrap()
}

fn changed(field: &str, from: Value, to: Value) -> Vec<Event> {
    update(json!(5), json!([{"id": 901, "event_type": "Change", field: to, "previous_value": from}])).events
}

fn shown(events: &[Event]) -> Vec<(&str, Option<&str>, Option<&str>)> {
    events
        .iter()
        .map(|it| {
            (it.activity.word(), it.from.as_ref().map(|id| id.as_str()), it.to.as_ref().map(|id| id.as_str()))
        })
        .collect()
}

#[tokio::test]
async fn prose_comes_with_ticket_events_and_stays_there() {
    let stage = stage(210, ZendeskSwitches::default()).await;
    let rounds = stage.sweep(stage.begin()).await;
    let met: BTreeSet<_> =
        rounds.iter().flat_map(|round| &round.raws).flat_map(|raw| canary::found_in(raw.text())).collect();
    let kinds = [
        "-subject",
        "previous-subject",
        "custom-field",
        "previous-field",
        "client",
        "notes",
        "details",
        "signature",
        "email",
        "phone",
        "photo",
        "group-description",
        "policy-title",
    ];
    for kind in kinds {
        assert!(met.iter().any(|canary| canary.contains(kind)), "no {kind} came along");
    }
    // What only comes when it is asked for.
    assert!(met.iter().all(|canary| !canary.contains("comment") && !canary.contains("customer")), "{met:?}");
    for page in pages(&rounds) {
        assert_eq!(canary::found_in(&kept(page)), [""; 0]);
    }
}

#[test]
fn a_former_value_of_any_type_is_kept_only_as_a_known_word_or_an_id() {
    let prose = "Rename the secret project before Monday";
    let odd = [
        json!(prose),
        json!(null),
        json!(true),
        json!(-1),
        json!(7.5),
        json!([prose]),
        json!({"a": {"b": prose}}),
        json!(""),
        json!("secret-word"),
        json!("OPEN"),
        json!([[[]]]),
        json!("x".repeat(100_000)),
        json!("1".repeat(21)),
    ];
    for from in odd {
        for (field, to) in
            [("status", json!("solved")), ("assignee_id", json!(8)), ("priority", json!("high"))]
        {
            let events = changed(field, from.clone(), to);
            assert_eq!((events.len(), events[0].from.as_ref()), (1, None), "{field} from {from}");
        }
    }
    // A word of one field is none of another's.
    assert_eq!(
        shown(&changed("priority", json!("open"), json!("high"))),
        [("priority_changed", None, Some("high"))]
    );
    assert_eq!(
        shown(&changed("status", json!("new"), json!("open"))),
        [("status_changed", Some("new"), Some("open"))]
    );
    // A former subject may look like a status, or like somebody's id.
    for subject in [json!("open"), json!("12345"), json!(12345), json!("urgent")] {
        assert_eq!(changed("subject", subject.clone(), json!("solved")), []);
        assert_eq!(changed("360001234567", subject, json!("solved")), []);
    }
}

#[test]
fn the_order_of_keys_in_a_change_means_nothing() {
    let texts = [
        r#"{"id":901,"previous_value":"open","event_type":"Change","status":"solved"}"#,
        r#"{"status":"solved","event_type":"Change","id":901,"previous_value":"open"}"#,
    ];
    for text in texts {
        let page = update(json!(5), json!([serde_json::from_str::<Value>(text).unwrap()]));
        assert_eq!(shown(&page.events), [("status_changed", Some("open"), Some("solved"))]);
    }
    let text = |change: &str| {
        format!(
            r#"{{"ticket_events":[{{"child_events":[{change}],"timestamp":{SECOND},"id":900,"ticket_id":7}}],"end_of_stream":true}}"#
        )
    };
    let read = |change: &str| read_text(&at(), &text(change)).unwrap();
    assert_eq!(kept(&read(texts[0])), kept(&read(texts[1])));
}

#[test]
fn changes_are_told_in_the_words_of_the_log() {
    let five = json!(5);
    let table = [
        (changed("assignee_id", json!(null), json!(8)), vec![("assigned", None, Some("8"))]),
        (changed("assignee_id", json!("4"), json!("8")), vec![("assigned", Some("4"), Some("8"))]),
        (changed("assignee_id", json!(8), json!(null)), vec![("unassigned", Some("8"), None)]),
        (changed("assignee_id", json!(8), json!("")), vec![("unassigned", Some("8"), None)]),
        (changed("group_id", json!(1), json!(2)), vec![("moved", Some("1"), Some("2"))]),
        (changed("priority", json!("low"), json!(null)), vec![("priority_changed", Some("low"), None)]),
        (changed("type", json!(null), json!("incident")), vec![("type_changed", None, Some("incident"))]),
        (
            changed("status", json!("open"), json!("deleted")),
            vec![("deleted", Some("open"), Some("deleted"))],
        ),
        (
            changed("status", json!("deleted"), json!("open")),
            vec![("restored", Some("deleted"), Some("open"))],
        ),
    ];
    for (events, expected) in table {
        assert_eq!(shown(&events), expected);
        assert_eq!(events[0].resource.as_ref().map(|it| it.as_str()), Some("5"));
        assert_eq!(events[0].at, DateTime::from_timestamp(SECOND, 0).unwrap());
    }
    let tags = json!([{"id": 901, "event_type": "Change", "added_tags": ["vip", "no tag"], "removed_tags": ["slow", "old"]}]);
    let tagged = [
        ("labelled", None, Some("vip")),
        ("unlabelled", Some("slow"), None),
        ("unlabelled", Some("old"), None),
    ];
    let events = update(five.clone(), tags).events;
    assert_eq!(shown(&events), tagged);
    assert_eq!(events.iter().map(|it| it.turn).collect::<Vec<_>>(), [0, 1, 2]);
    assert_ne!(events[1].source, events[2].source);
    let create = json!([{"id": 901, "event_type": "Create", "subject": "CANARY", "status": "new", "assignee_id": 8,
        "priority": "high", "type": null, "group_id": null, "previous_value": "CANARY"}]);
    let created =
        [("created", None, None), ("assigned", None, Some("8")), ("priority_changed", None, Some("high"))];
    assert_eq!(shown(&update(five.clone(), create).events), created);
    for other in ["Comment", "Notification", "of tomorrow"] {
        let part = json!([{"id": 901, "event_type": other, "status": "solved", "type": "Comment", "body": "CANARY"}]);
        assert_eq!(update(five.clone(), part).events, [], "{other}");
    }
}

#[test]
fn nobody_is_named_who_is_no_person_and_customers_keep_their_number_alone() {
    let part = json!([{"id": 901, "event_type": "Change", "status": "open", "previous_value": "pending"}]);
    for nobody in [json!(-1), json!(null), json!("system"), json!("two words"), json!({})] {
        assert_eq!(update(nobody.clone(), part.clone()).events[0].resource, None, "{nobody}");
    }
    let page = update(json!(7_300_000_900_000_u64), part);
    assert_eq!(page.events[0].resource.as_ref().map(|id| id.as_str()), Some("7300000900000"));
    assert!(page.names.iter().all(|named| named.id.as_str() != "7300000900000"));
}

#[test]
fn a_word_of_tomorrow_is_counted_and_not_kept() {
    let page = update(json!(5), json!([{"id": 901, "event_type": "Change", "status": "escalated-secret"}]));
    assert_eq!(page.events, []);
    assert_eq!(page.next.skipped.values().sum::<u64>(), 1);
    assert!(!kept(&page).contains("secret"));
}

#[tokio::test]
async fn the_same_is_read_whatever_the_account_is_like() {
    let all = [
        ZendeskSwitches { page: 7, ..ZendeskSwitches::default() },
        ZendeskSwitches { page: 50, ids_as_text: true, ..ZendeskSwitches::default() },
        ZendeskSwitches { says_the_end: false, ..ZendeskSwitches::default() },
    ];
    for switches in all {
        let stage = stage(30, switches).await;
        let rounds = stage.sweep(stage.begin()).await;
        assert_eq!(told(pages(&rounds)), truth(&stage), "{switches:?}");
        assert!(pages(&rounds).all(|page| page.next.skipped.is_empty()));
    }
}

#[test]
fn a_page_by_time_goes_on_with_the_second_it_ended_with() {
    let next = |since: &str, answer: Value| {
        let mut at = at();
        at.windows[0].since = since.to_owned();
        read(&at, &answer).unwrap().next
    };
    let going_on = json!({"ticket_events": [], "end_of_stream": false, "end_time": 1_700_000_500});
    assert_eq!(next("1700000000", going_on.clone()).windows[0].page, Place::After("1700000500".to_owned()));
    // More happened in one second than fits: it cannot be read whole, and the sweep says so and goes on.
    let stuck = next("1700000500", going_on);
    assert_eq!(stuck.windows[0].page, Place::After("1700000501".to_owned()));
    assert_eq!(stuck.skipped.len(), 1);
    let missing = read(&at(), &json!({"ticket_events": [], "end_of_stream": false, "end_time": null}));
    assert_eq!(missing.err(), Some(ReadError::Missing("end_time")));
    assert!(next("0", json!({"ticket_events": []})).is_done(), "fewer than a thousand are the last");
}

#[tokio::test]
async fn more_changes_in_one_second_than_fit_on_a_page_make_a_partial_sweep_that_ends() {
    let stage = stage(20, ZendeskSwitches { page: 2, ..ZendeskSwitches::default() }).await;
    for nth in 0..5 {
        let at = now() - TimeDelta::minutes(30);
        let what = twinflow_fixtures::What::Label(nth);
        assert!(stage.service.add_event(usize::from(nth), at, twinflow_fixtures::Who::Person(1), what));
    }
    let rounds = stage.sweep(stage.begin()).await;
    assert!(rounds.last().unwrap().page.next.skipped.keys().any(|why| why.contains("one second")));
}

#[tokio::test]
async fn a_case_ends_with_the_status_its_ticket_has_though_two_lists_are_read_side_by_side() {
    let stage = stage(120, ZendeskSwitches { page: 20, ..ZendeskSwitches::default() }).await;
    let (mut known, mut last) = (BTreeMap::new(), BTreeMap::new());
    for page in pages(&stage.sweep(stage.begin()).await) {
        for case in &page.cases {
            // As the store does it.
            let at = known.entry(case.id.to_string()).or_insert(case.updated_at);
            if case.updated_at >= *at {
                *at = case.updated_at;
                last.extend(case.status.as_ref().map(|status| (case.id.to_string(), status.to_string())));
            }
        }
    }
    let mut truly = BTreeMap::new();
    let mut facts = stage.service.facts();
    // Of one second, what was left comes before what was come to.
    facts.sort_by_key(|fact| (fact.at, fact.to.as_deref() == Some("solved")));
    for fact in facts {
        match fact.activity.as_str() {
            "created" => truly.insert(fact.case, "new".to_owned()),
            "status_changed" => truly.insert(fact.case, fact.to.unwrap()),
            _ => None,
        };
    }
    assert_eq!(last, truly);
}

#[tokio::test]
async fn the_mark_of_an_unfinished_sweep_is_that_of_the_list_that_is_furthest_behind() {
    let stage = stage(60, ZendeskSwitches { page: 500, ..ZendeskSwitches::default() }).await;
    let round = stage.round(stage.begin()).await;
    let next = &round.page.next;
    assert!(next.windows.iter().all(|window| !window.is_done()), "both go on");
    let of = |activities: &[Activity]| {
        let fitting = round.page.events.iter().filter(|event| activities.contains(&event.activity));
        fitting.map(|event| event.at).max().unwrap()
    };
    // A hundred metric events do not reach as far as five hundred changes.
    let (clocks, changes) = (of(&[Activity::Replied, Activity::Breached]), of(&[Activity::Assigned]));
    assert!(clocks < changes);
    assert!(next.reached.unwrap() < changes && next.reached.unwrap() >= clocks);
}

#[test]
fn a_sweep_that_starts_over_goes_back_to_where_both_lists_were_read() {
    let mut cut = detailed().begin(&tickets(), &Cursor::default(), now());
    cut.windows[1].page = Place::End;
    for (reached, from) in
        [(TimeDelta::hours(3), TimeDelta::zero()), (-TimeDelta::hours(3), -TimeDelta::hours(3))]
    {
        let cut = Sweep { reached: Some(now() + reached), ..cut.clone() };
        let cursor = Cursor { sweep: Some(cut), ..Cursor::default() };
        let over = detailed().begin(&tickets(), &cursor, now() + TimeDelta::days(2));
        assert_eq!(over.reached, Some(now() + from));
        let since = (now() + from - TimeDelta::minutes(5)).timestamp().to_string();
        assert!(over.windows.iter().all(|window| window.since == since && window.page == Place::First));
    }
}

#[tokio::test]
async fn agents_come_in_pages_and_customers_never() {
    let stage = stage(30, ZendeskSwitches::default()).await;
    let mut sweep = stage.begin();
    sweep.halved = 5;
    let rounds = stage.sweep(sweep).await;
    let asked = rounds.iter().flat_map(|round| round.operations()).filter(|it| *it == "agents").count();
    assert_eq!(asked, 3, "nine agents, three a page");
    let people: BTreeSet<_> =
        pages(&rounds).flat_map(|page| &page.names).map(|named| named.name.as_str().to_owned()).collect();
    for name in ["Fay (support)", "Triage (automation)", "Second line", "On-hold", "Urgent"] {
        assert!(people.contains(name), "{name}");
    }
}
