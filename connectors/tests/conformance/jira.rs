//! What is special to Jira: three shapes of a time, histories that repeat or bring siblings, a clock of its own.

#[path = "jira/refusals.rs"]
mod refusals;
#[path = "jira/sweeps.rs"]
mod sweeps;

use crate::stage::{Raw, Round, Stage, now, pages, story, told, truth};
use chrono::{TimeDelta, Timelike};
use serde_json::{Value, json};
use std::collections::HashSet;
use twinflow_connectors::{
    Activity, Connector, Cursor, Event, Page, Pending, Place, ReadError, Stream, Sweep, find,
};
use twinflow_fixtures::Jira;
use twinflow_fixtures::jira::{CreatedAs, JiraSwitches};

fn jira() -> &'static dyn Connector {
    find("jira").unwrap()
}

async fn stage(cases: usize, switches: JiraSwitches) -> Stage {
    Stage::jira(Jira::new(&story(cases), "SHOP").with_switches(switches), "SHOP").await
}

fn shop() -> Stream {
    jira().stream("SHOP").unwrap()
}

/// A sweep at whose end only this is left to ask.
fn left(operation: &str, cases: &[&str], page: Option<&str>) -> Sweep {
    let long_ago = Cursor { mark: Some(now() - TimeDelta::days(900)), ..Cursor::default() };
    let mut sweep = jira().begin(&shop(), &long_ago, now());
    let cases = cases.iter().map(|id| (*id).to_owned()).collect();
    sweep.windows[0].page = Place::End;
    sweep.pending = vec![Pending { operation: operation.to_owned(), cases, page: page.map(str::to_owned) }];
    sweep
}

fn read(at: &Sweep, answer: &Value) -> Result<Page, ReadError> {
    let asked = at.pending.first().map_or(&at.windows[0].operation, |left| &left.operation);
    jira().read(&shop(), at, &[Raw::json(200, &answer.to_string()).to("jira", asked).answer()])
}

/// The events of one history with these items.
fn history(items: Value) -> Vec<Event> {
    changelogs(
        json!({"id": "900", "author": {"accountId": "5f0e"}, "created": 1_611_544_167_985_i64, "items": items}),
    )
}

fn changelogs(history: Value) -> Vec<Event> {
    let answer = json!({"issueChangeLogs": [{"issueId": "10001", "changeHistories": [history]}]});
    read(&left("changelogs", &["10001"], None), &answer).unwrap().events
}

fn item(field: &str, from: Value, to: Value) -> Value {
    json!({"field": field, "fieldId": field, "from": from, "fromString": "CANARY a", "to": to, "toString": "CANARY b"})
}

#[tokio::test]
async fn all_three_shapes_of_a_time_are_understood_wherever_the_user_lives() {
    for created_as in [CreatedAs::Millis, CreatedAs::Seconds, CreatedAs::Text] {
        for user_offset_minutes in [0, 480, -210] {
            let switches = JiraSwitches { created_as, user_offset_minutes, ..JiraSwitches::default() };
            let stage = stage(40, switches).await;
            let rounds = stage.sweep(stage.begin()).await;
            let mut truth = truth(&stage);
            if created_as == CreatedAs::Seconds {
                // Only the time of creation comes from elsewhere and keeps its fraction.
                for fact in truth.iter_mut().filter(|fact| fact.1 != "created") {
                    fact.3 = fact.3.with_nanosecond(0).unwrap();
                }
                truth.sort();
            }
            assert_eq!(told(pages(&rounds)), truth, "{created_as:?} {user_offset_minutes}");
        }
    }
}

/// Change logs in pages of one history each, the last of a page coming again on the next.
#[tokio::test]
async fn a_history_repeated_across_pages_is_the_same_events() {
    let stage = stage(3, JiraSwitches::default()).await;
    let whole = stage.sweep(stage.begin_later()).await;
    let (round, nth) = changelogs_of(&whole);
    let logs: Value = serde_json::from_str(round.raws[nth].text()).unwrap();
    let logs = logs["issueChangeLogs"].as_array().unwrap();
    let histories: Vec<(&Value, &Value)> = logs
        .iter()
        .flat_map(|log| log["changeHistories"].as_array().unwrap().iter().map(|it| (&log["issueId"], it)))
        .collect();
    let (mut at, mut read_pages) = (left("changelogs", &["10001"], None), Vec::new());
    for (nth, pair) in histories.windows(2).enumerate() {
        let mut answer = json!({"issueChangeLogs": pair.iter().map(|(issue, history)| {
            json!({"issueId": issue, "changeHistories": [history]})
        }).collect::<Vec<_>>()});
        if nth + 2 < histories.len() {
            answer["nextPageToken"] = json!(format!("page-{nth}"));
        }
        let page = read(&at, &answer).unwrap();
        at = page.next.clone();
        read_pages.push(page);
    }
    assert!(read_pages.len() > 10 && at.is_done());
    let twice: usize = read_pages.iter().map(|page| page.events.len()).sum();
    let once: Vec<_> = truth(&stage).into_iter().filter(|fact| fact.1 != "created").collect();
    assert!(twice > once.len(), "most histories came twice");
    assert_eq!(told(&read_pages), once);
}

fn changelogs_of(rounds: &[Round]) -> (&Round, usize) {
    let place = |round: &Round| round.operations().iter().position(|it| *it == "changelogs");
    rounds.iter().find_map(|round| Some((round, place(round)?))).unwrap()
}

#[tokio::test]
async fn siblings_of_a_followed_item_change_nothing_whether_they_come_or_not() {
    let with = stage(60, JiraSwitches::default()).await;
    let without = stage(60, JiraSwitches { siblings_kept: false, ..JiraSwitches::default() }).await;
    let (with, without) = (with.sweep(with.begin()).await, without.sweep(without.begin()).await);
    let size =
        |rounds: &[Round]| -> usize { rounds.iter().flat_map(|it| &it.raws).map(|raw| raw.body.len()).sum() };
    assert!(size(&with) > size(&without), "siblings came along");
    let events =
        |rounds: &[Round]| format!("{:?}", pages(rounds).map(|page| &page.events).collect::<Vec<_>>());
    assert_eq!(events(&with), events(&without));
}

#[tokio::test]
async fn a_server_that_sends_smaller_pages_than_asked_for_is_read_to_the_end() {
    let switches =
        JiraSwitches { page_at_most: Some(7), repeats_across_pages: true, ..JiraSwitches::default() };
    let stage = stage(60, switches).await;
    let rounds = stage.sweep(stage.begin_later()).await;
    assert!(rounds.len() >= 9);
    assert_eq!(told(pages(&rounds)), truth(&stage));
}

#[tokio::test]
async fn the_whole_site_is_the_sum_of_its_projects() {
    let world = || Jira::new(&story(30), "SHOP").with_project(&story(20), "HR");
    let mut parts = Vec::new();
    for stream in ["SHOP", "HR"] {
        let stage = Stage::jira(world(), stream).await;
        let rounds = stage.sweep(stage.begin()).await;
        let read = told(pages(&rounds));
        assert_eq!(read, truth(&stage));
        parts.extend(read);
    }
    parts.sort();
    let site = Stage::jira(world(), "site").await;
    assert_eq!(told(pages(&site.sweep(site.begin()).await)), parts);
}

#[test]
fn a_field_changed_twice_in_one_history_makes_two_events_in_their_order() {
    let events = history(json!([
        item("status", json!("1"), json!("3")),
        item("priority", json!("2"), json!("1")),
        item("status", json!("3"), json!("10")),
    ]));
    let statuses: Vec<&Event> = events.iter().filter(|it| it.activity == Activity::StatusChanged).collect();
    let shown: Vec<_> = statuses.iter().map(|it| (it.source.as_str(), it.turn)).collect();
    assert_eq!(shown, [("900:0", 0), ("900:1", 1)]);
    assert_eq!(statuses[0].to, statuses[1].from);
}

#[test]
fn an_assignee_changed_twice_in_one_history_keeps_the_order_too() {
    let events = history(json!([
        item("assignee", json!("ana"), json!("ben")),
        item("assignee", json!("ben"), Value::Null),
        item("assignee", Value::Null, json!("chi")),
    ]));
    let activities: Vec<_> = events.iter().map(|it| it.activity).collect();
    assert_eq!(activities, [Activity::Assigned, Activity::Unassigned, Activity::Assigned]);
    let turns: Vec<_> = events.iter().map(|it| it.turn).collect();
    assert_eq!(turns, [0, 1, 2]);
    let sources: HashSet<_> = events.iter().map(|it| &it.source).collect();
    assert_eq!(sources.len(), 3);
}

#[test]
fn sources_do_not_depend_on_which_siblings_come_along() {
    let followed = [item("status", json!("1"), json!("3")), item("status", json!("3"), json!("10"))];
    let alone = history(json!(followed));
    let prose = item("description", Value::Null, json!("{\"type\":\"doc\"}"));
    let nameless = json!({"field": "RemoteIssueLink", "from": null, "to": "10100", "toString": "CANARY"});
    let beside = history(json!([prose, followed[0], nameless, prose, followed[1], nameless]));
    assert_eq!(alone, beside);
}

#[test]
fn what_the_tool_does_not_say_stays_unsaid() {
    let at = 1_611_544_167_985_i64;
    let items = json!([item("status", json!("1"), json!("3"))]);
    let nobody = [
        json!({"id": "900", "created": at, "items": items}),
        json!({"id": "900", "author": null, "created": at, "items": items}),
        json!({"id": "900", "author": {}, "created": at, "items": items}),
        json!({"id": "900", "author": {"accountId": ""}, "created": at, "items": items}),
        json!({"id": "900", "author": {"accountId": null, "displayName": "Former user"}, "created": at, "items": items}),
        json!({"id": "900", "author": {"accountId": "two words"}, "created": at, "items": items}),
    ];
    for history in nobody {
        let events = changelogs(history.clone());
        assert_eq!((events.len(), events[0].resource.as_ref()), (1, None), "{history}");
    }
    assert_eq!(changelogs(json!({"id": "900", "created": at})), []);
    let unassigned = history(json!([item("assignee", json!("ana"), json!(""))]));
    assert_eq!((unassigned[0].activity, unassigned[0].to.as_ref()), (Activity::Unassigned, None));
}

#[test]
fn labels_carry_no_strings() {
    let label = json!({"field": "labels", "fieldId": "labels", "from": null, "fromString": "a", "to": null, "toString": "a CANARY"});
    let odd = json!({"field": "labels", "fieldId": "labels", "from": "a", "to": "secret-name"});
    for event in history(json!([label, odd])) {
        assert_eq!((event.activity, event.from, event.to), (Activity::Labelled, None, None));
    }
}

#[test]
fn an_id_that_is_none_becomes_nothing_and_is_not_kept() {
    let events =
        history(json!([item("status", json!("{\"type\": \"doc\"}"), json!("the whole description"))]));
    assert_eq!((events[0].from.as_ref(), events[0].to.as_ref()), (None, None));
}

#[test]
fn a_page_without_a_token_that_is_not_the_last_is_refused() {
    let mut at = left("statuses", &[], None);
    at.windows[0].page = Place::First;
    at.pending.clear();
    let missing = Some(ReadError::Missing("nextPageToken or isLast"));
    assert_eq!(read(&at, &json!({"issues": [], "isLast": false})).err(), missing);
    assert_eq!(read(&at, &json!({"issues": []})).err(), missing);
    assert_eq!(
        read(&at, &json!({"issues": [], "isLast": true, "nextPageToken": "x"})).unwrap().next.windows[0].page,
        Place::End
    );
    let next = read(&at, &json!({"issues": [], "nextPageToken": "x"})).unwrap().next;
    assert_eq!(next.windows[0].page, Place::After("x".to_owned()));
    assert_eq!(next.pending, [], "no change log of nothing");
}

#[test]
fn an_account_without_an_id_is_refused_and_one_without_a_name_is_called_by_its_id() {
    let account =
        |body: Value| jira().account(&Raw::json(200, &body.to_string()).to("jira", "myself").answer());
    for body in [json!({}), json!({"accountId": ""}), json!({"accountId": null, "displayName": "Ana"})] {
        assert_eq!(account(body).err(), Some(ReadError::Missing("accountId")));
    }
    assert_eq!(account(json!({"accountId": "5f0e"})).unwrap().name.as_str(), "5f0e");
}

#[test]
fn a_projects_key_has_at_least_two_letters() {
    assert!(jira().stream("S").is_err() && jira().stream("SH").is_ok());
}
