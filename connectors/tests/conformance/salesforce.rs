//! What is special to Salesforce: lists without its cursors, two rows for one change of owner, history that an org
//! may not track or may hide, picklist values that are words.

#[path = "salesforce/hidden.rs"]
mod hidden;
#[path = "salesforce/refusals.rs"]
mod refusals;
#[path = "salesforce/rows.rs"]
mod rows;

use crate::stage::{Raw, Round, Stage, now, pages, story, told, truth};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use twinflow_connectors::{
    Activity, Answer, Connector, Cursor, Event, Kind, Page, Pending, Place, ReadError, Refusal, Stream,
    Sweep, find,
};
use twinflow_fixtures::salesforce::SalesforceSwitches;
use twinflow_fixtures::{Salesforce, What, Who};

fn salesforce() -> &'static dyn Connector {
    find("salesforce").unwrap()
}

fn cases() -> Stream {
    salesforce().stream("cases").unwrap()
}

async fn staged(world: Salesforce) -> Stage {
    Stage::with("salesforce", world, "cases").await
}

async fn switched(count: usize, switches: SalesforceSwitches) -> Stage {
    staged(Salesforce::new(&story(count)).with_switches(switches)).await
}

/// As in an org that tracks neither Status nor the owner.
fn untracked() -> SalesforceSwitches {
    SalesforceSwitches { tracks_status: false, tracks_owner: false, ..SalesforceSwitches::default() }
}

fn cursor_after(rounds: &[Round]) -> Cursor {
    Cursor::default().after(rounds.last().unwrap().page.next.clone())
}

/// A sweep that has one list left to read.
fn one_list(operation: &str) -> Sweep {
    let cursor = Cursor { mark: Some(now()), ..Cursor::default() };
    let mut sweep = salesforce().begin(&cases(), &cursor, now());
    sweep.pending.clear();
    sweep.windows.truncate(1);
    sweep.windows[0].operation = operation.to_owned();
    sweep
}

/// An answer to one of the queries.
fn answer(operation: &str, body: &Value) -> Answer {
    Raw::json(200, &body.to_string()).to("salesforce", operation).answer()
}

fn rows(operation: &str, records: &Value) -> Answer {
    answer(operation, &json!({"totalSize": 1, "done": true, "records": records}))
}

fn read(operation: &str, records: Value) -> Result<Page, ReadError> {
    salesforce().read(&cases(), &one_list(operation), &[rows(operation, &records)])
}

fn change(field: &str, from: Value, to: Value) -> Value {
    json!({"attributes": {"type": "CaseHistory"}, "Id": "017Ax0000000001AAA", "CaseId": "500Ax0000000001AAA",
        "Field": field, "OldValue": from, "NewValue": to, "CreatedById": "005Ax0000000001AAA",
        "CreatedDate": "2026-03-01T10:00:00.000+0000"})
}

fn refusal(raw: &Raw) -> Option<Refusal> {
    salesforce().refusal(&raw.answer())
}

#[tokio::test]
async fn pages_smaller_than_asked_for_are_read_to_the_end_without_salesforces_cursor() {
    let switches = SalesforceSwitches {
        page_at_most: Some(7),
        truth_as_text: true,
        short_ids: true,
        ..SalesforceSwitches::default()
    };
    let stage = switched(60, switches).await;
    let rounds = stage.sweep(stage.begin()).await;
    assert!(rounds.len() > 9);
    assert_eq!(told(pages(&rounds)), truth(&stage));
    let paths: HashSet<String> = stage.service.ledger().into_iter().map(|asked| asked.path).collect();
    assert_eq!(
        paths,
        ["/services/data/v61.0/query", "/services/data/v61.0/queryAll"].map(str::to_owned).into()
    );
}

#[tokio::test]
async fn a_scan_cut_after_every_page_goes_on_weeks_later() {
    let stage = switched(40, SalesforceSwitches { page_at_most: Some(50), ..untracked() }).await;
    let (mut cursor, mut kept, mut time) = (Cursor::default(), Vec::new(), now());
    while kept.is_empty() || cursor.sweep.is_some() {
        let page = stage.round(salesforce().begin(&cases(), &cursor, time)).await.page;
        let text = serde_json::to_string(&cursor.after(page.next.clone())).unwrap();
        assert!(text.len() < 4_000, "the cursor does not grow");
        cursor = serde_json::from_str(&text).unwrap();
        kept.push(page);
        time += TimeDelta::days(20);
    }
    assert!(kept.len() > 5);
    assert_eq!(told(&kept), truth(&stage));
    let newest = kept.iter().flat_map(|page| &page.cases).map(|case| case.updated_at).max();
    assert_eq!(cursor.mark, newest);
}

#[tokio::test]
async fn a_first_scan_reads_parts_of_the_time_side_by_side_and_a_later_one_what_changed() {
    let stage = switched(60, SalesforceSwitches::default()).await;
    let rounds = stage.sweep(stage.begin()).await;
    assert_eq!(rounds[0].operations(), ["users", "queues", "fields", "statuses", "oldest"]);
    let expected = ["cases_created", "cases_created", "cases_created", "history", "history", "history"];
    assert_eq!(rounds[1].operations(), expected);
    assert!(rounds[1].raws.iter().all(|raw| raw.text().contains("CreatedDate")), "no part is empty");
    let later = salesforce().begin(&cases(), &cursor_after(&rounds), now() + TimeDelta::hours(1));
    let operations: Vec<_> = stage.round(later).await.operations();
    assert_eq!(operations, ["users", "queues", "cases_changed", "history", "fields", "statuses"]);
}

#[tokio::test]
async fn what_happens_while_it_is_read_is_found_by_this_sweep_or_the_next() {
    let stage =
        switched(60, SalesforceSwitches { page_at_most: Some(40), ..SalesforceSwitches::default() }).await;
    let (mut at, mut read) = (stage.begin(), Vec::new());
    for turn in 1.. {
        let page = stage.round(at).await.page;
        at = page.next.clone();
        read.push(page);
        if at.is_done() {
            break;
        }
        let time = now() + TimeDelta::minutes(turn);
        stage.service.set_now(time);
        let nth = usize::try_from(turn).unwrap() * 5 % 60;
        stage.service.add_case(time);
        assert!(stage.service.update_case(nth, time));
        assert!(stage.service.add_event(nth, time, Who::Person(1), What::Transfer));
    }
    assert!(read.len() > 5);
    let cursor = Cursor::default().after(at);
    let later = stage.sweep(salesforce().begin(&cases(), &cursor, now() + TimeDelta::days(1))).await;
    assert_eq!(told(read.iter().chain(pages(&later))), truth(&stage));
}

#[tokio::test]
async fn a_case_deleted_for_good_between_two_pages_stops_nothing() {
    let stage =
        switched(60, SalesforceSwitches { page_at_most: Some(5), ..SalesforceSwitches::default() }).await;
    let (mut at, mut read, mut deleted) = (stage.begin(), Vec::new(), HashSet::new());
    while !at.is_done() {
        let page = stage.round(at).await.page;
        at = page.next.clone();
        read.push(page);
        deleted.extend(stage.service.delete_case(read.len() * 3));
    }
    assert!(!deleted.is_empty());
    let found = told(&read).into_iter().filter(|happening| !deleted.contains(&happening.0));
    assert_eq!(found.collect::<Vec<_>>(), truth(&stage));
}

#[tokio::test]
async fn cases_changed_at_one_moment_are_all_read_whatever_fits_on_a_page() {
    let stage =
        switched(40, SalesforceSwitches { page_at_most: Some(7), ..SalesforceSwitches::default() }).await;
    let first = stage.sweep(stage.begin()).await;
    let later = now() + TimeDelta::hours(1);
    stage.service.set_now(later);
    for nth in 0..30 {
        assert!(stage.service.update_case(nth, later));
    }
    let second = stage.sweep(salesforce().begin(&cases(), &cursor_after(&first), later)).await;
    let met: HashSet<_> = pages(&second).flat_map(|page| &page.cases).map(|case| case.id.clone()).collect();
    assert!((30..35).contains(&met.len()), "those, and what the overlap meets again");
    assert_eq!(told(pages(&first).chain(pages(&second))), truth(&stage));
}

#[tokio::test]
async fn a_sweep_of_a_quiet_org_meets_the_last_case_again_and_leaves_the_mark_alone() {
    let stage = switched(40, SalesforceSwitches::default()).await;
    let cursor = cursor_after(&stage.sweep(stage.begin()).await);
    let later = now() + TimeDelta::days(3);
    let rounds = stage.sweep(salesforce().begin(&cases(), &cursor, later)).await;
    assert!((1..5).contains(&rounds.last().unwrap().page.next.cases));
    assert_eq!(cursor.after(rounds.last().unwrap().page.next.clone()).mark, cursor.mark);
}

/// A case read early may change before a later one is read.
#[tokio::test]
async fn a_mark_never_passes_the_time_at_which_a_sweep_began() {
    let stage =
        switched(40, SalesforceSwitches { page_at_most: Some(10), ..SalesforceSwitches::default() }).await;
    let first = stage.round(stage.begin()).await.page.next;
    let later = now() + TimeDelta::hours(1);
    stage.service.set_now(later);
    assert!(stage.service.update_case(39, later));
    let rounds = stage.sweep(first).await;
    assert!(pages(&rounds).flat_map(|page| &page.cases).any(|case| case.updated_at == later));
    assert_eq!(cursor_after(&rounds).mark, Some(now()));
}

#[tokio::test]
async fn a_case_in_the_recycle_bin_is_seen_to_be_deleted_and_a_merged_one_where_it_went() {
    let at = now() - TimeDelta::hours(2);
    let world = Salesforce::new(&story(10)).with_deleted(2, at, None).with_deleted(4, at, Some(1));
    let stage = staged(world).await;
    let rounds = stage.sweep(stage.begin()).await;
    assert_eq!(told(pages(&rounds)), truth(&stage));
    let deleted: Vec<Event> = pages(&rounds)
        .flat_map(|page| page.events.clone())
        .filter(|event| event.activity == Activity::Deleted)
        .collect();
    let ids = stage.service.cases();
    let to: Vec<_> =
        deleted.iter().map(|event| (event.at, event.to.as_ref().map(ToString::to_string))).collect();
    assert_eq!(to, [(at, None), (at, ids[1].clone())]);
    let second = stage.sweep(salesforce().begin(&cases(), &Cursor::default(), now())).await;
    assert!(
        pages(&second).flat_map(|page| &page.events).any(|event| *event == deleted[0]),
        "the same, again"
    );
}

#[tokio::test]
async fn statuses_have_a_stage_and_queues_are_groups() {
    let stage = switched(5, SalesforceSwitches::default()).await;
    let rounds = stage.sweep(stage.begin()).await;
    let names: Vec<_> = pages(&rounds).flat_map(|page| &page.names).collect();
    let stages: BTreeMap<&str, &str> =
        names.iter().filter_map(|named| Some((named.name.as_str(), named.stage?.word()))).collect();
    assert_eq!((stages["New"], stages["On Hold"], stages["Closed"]), ("to_do", "in_progress", "done"));
    let groups: Vec<_> =
        names.iter().filter(|it| it.kind == Kind::Group).map(|it| it.name.as_str()).collect();
    assert_eq!(groups, ["Support_Triage", "Tier_2"]);
}

#[test]
fn a_place_in_a_list_is_a_time_and_an_id_and_nothing_else() {
    let good = "2026-03-01T10:00:00.000Z|500Ax0000000001AAA";
    let asked = |token: &str| {
        let mut sweep = one_list("cases_changed");
        sweep.windows[0].page = Place::After(token.to_owned());
        salesforce().ask(&cases(), &sweep).map(|requests| requests[0].query()[0].1.clone())
    };
    let question = asked(good).unwrap();
    assert!(question.contains(
        "SystemModstamp >= 2026-03-01T10:00:00.000Z AND (SystemModstamp > 2026-03-01T10:00:00.000Z OR Id > '500Ax0000000001AAA')"
    ));
    let hostile = [
        "",
        "|",
        "500Ax0000000001AAA",
        "2026-03-01T10:00:00.000Z",
        "2026-03-01T10:00:00.000Z|",
        "2026-03-01T10:00:00.000Z|500Ax0000000001AAA'",
        "2026-03-01T10:00:00.000Z OR Id > ''|500Ax0000000001AAA",
        "2026-03-01T10:00:00.000Z|' OR Subject LIKE '%",
        "/services/data/v61.0/query/01gAx000000CURSORQAA-2000",
        &format!("{good}|500Ax0000000001AAA|||more"),
    ];
    for token in hostile {
        assert!(asked(token).is_err(), "{token}");
    }
    for bound in ["since", "until"] {
        let mut sweep = serde_json::to_value(one_list("history")).unwrap();
        sweep["windows"][0][bound] = json!("yesterday");
        let sweep: Sweep = serde_json::from_value(sweep).unwrap();
        assert!(salesforce().ask(&cases(), &sweep).is_err(), "{bound}");
    }
}

/// The whole of what is asked of anything, but for values.
#[test]
fn no_question_names_a_field_that_holds_content() {
    let forbidden = [
        "Subject",
        "Description",
        "Comments",
        "Supplied",
        "Contact",
        "Email",
        "Phone",
        "FIELDS",
        "Body",
        "Feed",
        "__c",
        "*",
        "Title",
        "sobjects",
    ];
    for operation in salesforce().contract().operations {
        let text = format!("{} {:?}", operation.path, operation.query);
        for word in forbidden {
            assert!(!text.contains(word), "{} of {}", word, operation.name);
        }
    }
}

#[test]
fn an_account_is_the_user_and_the_org_of_the_identity() {
    let account = |identity: Value| {
        salesforce().account(&answer("resources", &json!({"query": "/x", "identity": identity})))
    };
    let known =
        account(json!("https://login.salesforce.com/id/00DRO0000008aXd2AI/005RO000000HfnkYAC")).unwrap();
    assert_eq!((known.id.as_str(), known.beyond.len()), ("005RO000000HfnkYAC", 0));
    assert!(known.name.as_str().contains("00DRO0000008aXd2AI"));
    for wrong in [json!(null), json!(7), json!(""), json!("https://login.salesforce.com/id/x/y")] {
        assert!(account(wrong).is_err());
    }
}

#[test]
fn a_sweep_overlaps_the_mark_and_goes_on_however_long_it_waited() {
    let mark: DateTime<Utc> = now();
    let sweep = salesforce().begin(
        &cases(),
        &Cursor { mark: Some(mark), ..Cursor::default() },
        mark + TimeDelta::hours(1),
    );
    assert!(sweep.windows.iter().all(|window| window.since == "2026-03-04T14:50:00.000Z"));
    let cut =
        Sweep { pending: vec![Pending { operation: "oldest".into(), cases: vec![], page: None }], ..sweep };
    let cursor = Cursor { mark: Some(mark), sweep: Some(cut.clone()), ..Cursor::default() };
    assert_eq!(salesforce().begin(&cases(), &cursor, mark + TimeDelta::days(90)), cut);
}
