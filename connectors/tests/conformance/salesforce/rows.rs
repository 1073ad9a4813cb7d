//! What single rows mean: two for one change of owner, values that may be anything, values with spaces.

use super::{answer, cases, change, one_list, read, salesforce, switched};
use crate::stage::pages;
use crate::text::kept;
use serde_json::{Value, json};
use std::collections::HashSet;
use twinflow_connectors::{Activity, Event, Kind, ReadError};
use twinflow_fixtures::salesforce::SalesforceSwitches;

fn events(field: &str, from: Value, to: Value) -> Vec<Event> {
    read("history", json!([change(field, from, to)])).unwrap().events
}

fn shown(event: &Event) -> (Activity, Option<&str>, Option<&str>) {
    (event.activity, event.from.as_ref().map(|it| it.as_str()), event.to.as_ref().map(|it| it.as_str()))
}

#[test]
fn of_an_owners_two_rows_the_one_with_names_is_dropped() {
    let (ana, queue) = ("005Ax0000000001AAA", "00GAx0000000001AAA");
    for field in ["Owner", "ownerAssignment", "ownerAccepted"] {
        assert_eq!(events(field, json!("Support Triage"), json!("Ana (dev)")), []);
        // As long as an id, and a name all the same.
        assert_eq!(events(field, json!("Support"), json!("AnaDeveloperBot")), []);
        let told = events(field, json!(queue), json!("005Ax0000000001"));
        assert_eq!(
            told.iter().map(shown).collect::<Vec<_>>(),
            [(Activity::Assigned, Some(queue), Some("005Ax0000000001IAA"))]
        );
    }
    let escalated = events("ownerEscalated", json!(ana), json!(queue));
    let expected = [(Activity::Assigned, Some(ana), Some(queue)), (Activity::Escalated, None, None)];
    assert_eq!(escalated.iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(events("ownerEscalated", json!("Ana (dev)"), json!("Tier 2")), []);
    let nobody = events("Owner", json!(ana), Value::Null);
    assert_eq!(nobody.iter().map(shown).collect::<Vec<_>>(), [(Activity::Unassigned, Some(ana), None)]);
}

#[test]
fn a_history_value_may_be_anything_and_only_what_belongs_to_its_field_is_kept() {
    let odd =
        [json!(null), json!(true), json!(7), json!(-7.5), json!(["a"]), json!({"a": {"b": 1}}), json!("")];
    for value in &odd {
        let told = events("Status", json!("New"), value.clone());
        assert_eq!(
            told.iter().map(shown).collect::<Vec<_>>(),
            [(Activity::StatusChanged, Some("New"), None)]
        );
        assert_eq!(events("Owner", value.clone(), value.clone()), []);
    }
    let escalated = |value: Value| events("IsEscalated", Value::Null, value).len();
    assert_eq!((escalated(json!(true)), escalated(json!("true"))), (1, 1));
    assert_eq!((escalated(json!(false)), escalated(json!("false")), escalated(json!(null))), (0, 0, 0));
    for field in ["Subject", "Description", "Notes__c", "created", "status"] {
        assert_eq!(events(field, json!("New"), json!("Closed")), [], "{field}");
    }
    for field in ["Origin", "Reason"] {
        let told = events(field, json!("Web"), json!("Phone"));
        assert_eq!(told.iter().map(shown).collect::<Vec<_>>(), [(Activity::Edited, None, None)]);
    }
    let long = "a sentence that somebody once put where a status belongs".repeat(3);
    assert_eq!(events("Status", json!("New"), json!(long))[0].to, None);
}

#[test]
fn a_value_with_spaces_is_one_id_wherever_it_stands() {
    let changed = events("Status", json!("In Progress"), json!("Closed - Won't Do"));
    let status = ("In%20Progress", "Closed%20-%20Won't%20Do");
    assert_eq!(shown(&changed[0]), (Activity::StatusChanged, Some(status.0), Some(status.1)));
    let case = json!({"Id": "500Ax0000000001AAA", "CaseNumber": "A 00001", "Status": "In Progress",
        "Priority": "Very High", "OwnerId": "00GAx0000000001AAA", "CreatedById": "005Ax0000000001AAA",
        "CreatedDate": "2026-03-01T10:00:00.000+0000", "SystemModstamp": "2026-03-01T10:00:00.000+0000",
        "IsDeleted": false, "MasterRecordId": null});
    let page = read("cases_changed", json!([case])).unwrap();
    let case = &page.cases[0];
    assert_eq!((case.key.as_str(), case.status.as_ref().unwrap().as_str()), ("A%2000001", status.0));
    let priority = &page.names[0];
    assert_eq!(
        (priority.kind, priority.id.as_str(), priority.name.as_str()),
        (Kind::Priority, "Very%20High", "Very High")
    );
}

#[test]
fn a_page_that_says_there_is_more_and_brings_nothing_is_refused() {
    let answer = answer("history", &json!({"totalSize": 9, "done": false, "records": []}));
    let read = salesforce().read(&cases(), &one_list("history"), &[answer]);
    assert!(matches!(read, Err(ReadError::Missing(_))));
}

#[tokio::test]
async fn names_of_owners_come_along_and_none_of_them_is_kept() {
    let stage = switched(60, SalesforceSwitches::default()).await;
    let rounds = stage.sweep(stage.begin()).await;
    let came: HashSet<_> = rounds
        .iter()
        .flat_map(|round| &round.raws)
        .flat_map(|raw| twinflow_fixtures::canary::found_in(raw.text()))
        .collect();
    assert!(came.len() == 1 && came.iter().all(|it| it.contains("owner-name")), "{came:?}");
    assert!(pages(&rounds).all(|page| !kept(page).contains("CANARY")));
}
