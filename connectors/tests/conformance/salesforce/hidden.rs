//! What an org does not track and what a user may not see.

use super::{cases, change, cursor_after, one_list, refusal, rows, salesforce, switched, untracked};
use crate::stage::{Round, now, pages, told, truth};
use chrono::TimeDelta;
use serde_json::json;
use std::collections::BTreeMap;
use twinflow_connectors::{Activity, Cursor, Refusal, Sweep};
use twinflow_fixtures::salesforce::SalesforceSwitches;
use twinflow_fixtures::{What, Who};

fn skipped(rounds: &[Round]) -> BTreeMap<String, u64> {
    rounds.last().unwrap().page.next.skipped.clone()
}

#[tokio::test]
async fn what_the_org_does_not_track_is_told_by_the_states_of_its_cases() {
    let table = [(false, true), (true, false), (false, false)];
    for (tracks_status, tracks_owner) in table {
        for page_at_most in [None, Some(11)] {
            let switches = SalesforceSwitches {
                tracks_status,
                tracks_owner,
                page_at_most,
                ..SalesforceSwitches::default()
            };
            let stage = switched(60, switches).await;
            let first = stage.sweep(stage.begin()).await;
            assert_eq!(told(pages(&first)), truth(&stage), "{switches:?}");
            assert_eq!(skipped(&first), BTreeMap::new());
            let later = now() + TimeDelta::hours(5);
            let happens = later - TimeDelta::hours(1);
            stage.service.set_now(later);
            for what in [What::Assign(2), What::Assign(3), What::Move(twinflow_fixtures::Stage::Blocked)] {
                assert!(stage.service.add_event(3, happens, Who::Person(2), what));
            }
            let second = stage.sweep(salesforce().begin(&cases(), &cursor_after(&first), later)).await;
            assert_eq!(told(pages(&first).chain(pages(&second))), truth(&stage), "{switches:?}");
            let again: Vec<_> = pages(&second)
                .flat_map(|page| &page.events)
                .filter(|event| event.activity != Activity::Created)
                .collect();
            let overlap = cursor_after(&first).mark.unwrap() - TimeDelta::minutes(10);
            assert!(again.iter().any(|event| event.at == happens));
            assert!(again.iter().all(|event| event.at >= overlap), "not the whole history of the case");
        }
    }
}

/// An org that once tracked Status still has the rows.
#[test]
fn what_the_states_tell_is_not_told_by_the_history_as_well() {
    let (ana, ben) = (json!("005Ax0000000001IAA"), json!("005Ax0000000002IAA"));
    let changes = [change("Status", json!("New"), json!("Closed")), change("ownerEscalated", ana, ben)];
    let rows = [rows("history", &json!(changes))];
    let told = |carried: &[&str]| -> Vec<Activity> {
        let carried = carried.iter().map(|it| (*it).to_owned()).collect();
        let sweep = Sweep { carried, ..one_list("history") };
        let page = salesforce().read(&cases(), &sweep, &rows).unwrap();
        page.events.iter().map(|event| event.activity).collect()
    };
    assert_eq!(told(&[]), [Activity::StatusChanged, Activity::Assigned, Activity::Escalated]);
    assert_eq!(told(&["Status"]), [Activity::Assigned, Activity::Escalated]);
    assert_eq!(told(&["Status", "OwnerId"]), [Activity::Escalated]);
}

#[tokio::test]
async fn history_that_nothing_tells_makes_a_scan_partial_and_says_what_to_do() {
    let stage = switched(30, SalesforceSwitches { states: false, ..untracked() }).await;
    let rounds = stage.sweep(stage.begin()).await;
    assert_eq!(told(pages(&rounds)), truth(&stage));
    let why: Vec<_> = skipped(&rounds).into_iter().collect();
    assert_eq!(why.len(), 2);
    assert!(why.iter().all(|(why, times)| *times == 1 && why.contains("Set History Tracking")));
    assert!(why[0].0.contains("OwnerId") && why[1].0.contains("Status"));
}

#[tokio::test]
async fn what_the_users_permissions_hide_is_done_without_and_said() {
    let all = SalesforceSwitches::default();
    let table = [
        (SalesforceSwitches { field_definitions: false, ..all }, "tracks the history"),
        (SalesforceSwitches { history: false, ..all }, "history of cases is hidden"),
        (SalesforceSwitches { priority: false, ..all }, "Priority is hidden"),
    ];
    for (switches, said) in table {
        let stage = switched(60, switches).await;
        let first = stage.sweep(stage.begin()).await;
        assert_eq!(told(pages(&first)), truth(&stage), "{said}");
        let why: Vec<_> = skipped(&first).into_iter().collect();
        assert!(why.len() == 1 && why[0].0.contains(said) && why[0].1 == 1, "{why:?}");
        let priorities = pages(&first).flat_map(|page| &page.cases).filter(|case| case.priority.is_some());
        assert_eq!(priorities.count() > 0, switches.priority);
        let later = salesforce().begin(&cases(), &cursor_after(&first), now() + TimeDelta::hours(1));
        assert_eq!(skipped(&stage.sweep(later).await), skipped(&first));
    }
}

#[tokio::test]
async fn cases_that_are_hidden_altogether_are_forbidden() {
    let stage = switched(5, SalesforceSwitches::default()).await;
    let rounds = stage.sweep(stage.begin()).await;
    stage.service.hide("cases");
    for (cursor, question) in [(Cursor::default(), "oldest"), (cursor_after(&rounds), "cases_changed")] {
        let sweep = salesforce().begin(&cases(), &cursor, now());
        let requests = salesforce().ask(&cases(), &sweep).unwrap();
        let request = requests.iter().find(|it| it.operation().name == question).unwrap();
        assert_eq!(refusal(&stage.send(request).await), Some(Refusal::Forbidden));
    }
}
