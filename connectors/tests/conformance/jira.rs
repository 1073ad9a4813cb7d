//! What is special to Jira: three shapes of a time, histories that repeat or bring siblings, a clock of its own.

use crate::stage::{Raw, Round, Stage, now, pages, story, told, truth};
use chrono::{DateTime, TimeDelta, TimeZone, Timelike, Utc};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use twinflow_connectors::{
    Activity, Connector, Cursor, Event, Page, Pending, Place, ReadError, Refusal, Stream, Sweep, Wait, find,
};
use twinflow_fixtures::jira::{CreatedAs, JiraSwitches};
use twinflow_fixtures::{Fault, Jira, RetryAfter};

fn jira() -> &'static dyn Connector {
    find("jira").unwrap()
}

async fn stage(cases: usize, switches: JiraSwitches) -> Stage {
    Stage::jira(Jira::new(&story(cases), "SHOP").with_switches(switches), "SHOP").await
}

fn shop() -> Stream {
    jira().stream("SHOP").unwrap()
}

fn refusal(raw: &Raw) -> Option<Refusal> {
    jira().refusal(&raw.answer())
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
    assert_eq!(minutes(&over.windows[0].since), 4 * 24 * 60 + 1 + 15);
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
    let stage = stage(1_500, JiraSwitches::default()).await;
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

#[tokio::test]
async fn too_many_requests_are_told_with_whatever_wait_they_say() {
    let stage = stage(2, JiraSwitches::default()).await;
    let date = now() + TimeDelta::minutes(3);
    // Jira's own reset is to the minute, and the next full hour.
    let hour = Wait::Until(now().with_minute(0).unwrap() + TimeDelta::hours(1));
    let waits = [
        (None, hour),
        (Some(RetryAfter::Secs(0)), Wait::For(Duration::ZERO)),
        (Some(RetryAfter::Secs(1_847)), Wait::For(Duration::from_secs(1_847))),
        (Some(RetryAfter::Date(date)), Wait::Until(date)),
    ];
    for (retry_after, wait) in waits {
        let faults = [
            Fault::JiraQuota { retry_after },
            Fault::JiraBurst { retry_after },
            Fault::TooManyRequests { retry_after },
        ];
        for fault in faults {
            stage.service.faults().next(fault.clone());
            assert_eq!(stage.refusal().await, Some(Refusal::SlowDown(wait)), "{fault:?}");
        }
    }
    let reset = |text: &str| refusal(&Raw::json(429, "{}").with("x-ratelimit-reset", text));
    let until = |at: DateTime<Utc>| Some(Refusal::SlowDown(Wait::Until(at)));
    let moment = Utc.with_ymd_and_hms(2026, 3, 26, 16, 0, 0).unwrap();
    assert_eq!(reset("2026-03-26T16:00Z"), until(moment));
    assert_eq!(reset("2026-03-26T16:00:00Z"), until(moment));
    for nonsense in ["", "soon", "9999999999", "0000-00-00T00:00Z"] {
        assert_eq!(reset(nonsense), Some(Refusal::SlowDown(Wait::Unsaid)), "{nonsense}");
    }
    assert_eq!(
        refusal(&Raw { status: 429, headers: vec![], body: vec![], operation: None }),
        Some(Refusal::SlowDown(Wait::Unsaid))
    );
}

#[tokio::test]
async fn an_unknown_project_is_gone_and_any_other_wrong_question_is_rejected() {
    let stage = stage(2, JiraSwitches::default()).await;
    let mut stale = stage.begin();
    stale.windows[0].page = Place::After("nonsense".to_owned());
    assert_eq!(stage.refusal_at(&stale).await, Some(Refusal::Rejected));
    stage.service.hide("SHOP");
    assert_eq!(stage.refusal().await, Some(Refusal::Gone));
    let odd = [
        json!({"errorMessages": ["Error in the JQL Query: expecting a value."]}),
        json!({"errorMessages": null}),
        json!({"errorMessages": [7]}),
        json!({"errorMessages": "no"}),
        json!([]),
        json!("The value 'X' does not exist for the field 'project'."),
    ];
    for body in odd {
        assert_eq!(
            refusal(&Raw::json(400, &body.to_string()).to("jira", "search_project")),
            Some(Refusal::Rejected),
            "{body}"
        );
    }
}

#[tokio::test]
async fn every_other_no_is_told_from_the_rest() {
    let stage = stage(2, JiraSwitches::default()).await;
    let table = [
        (Fault::Status(401), Refusal::Unauthorised),
        (Fault::Status(403), Refusal::Forbidden),
        (Fault::Status(404), Refusal::Gone),
        (Fault::Status(400), Refusal::Rejected),
        (Fault::Status(410), Refusal::Rejected),
        (Fault::Status(422), Refusal::Rejected),
        (Fault::RedirectTo("https://elsewhere.example".to_owned()), Refusal::Rejected),
        (Fault::ServerError(502), Refusal::TooMuch),
        (Fault::ServerError(504), Refusal::TooMuch),
        (Fault::ServerError(500), Refusal::Trouble(500)),
        (Fault::ServerError(503), Refusal::Trouble(503)),
    ];
    for (fault, refusal) in table {
        stage.service.faults().next(fault.clone());
        assert_eq!(stage.refusal().await, Some(refusal), "{fault:?}");
    }
    stage.service.revoke();
    assert_eq!(stage.refusal().await, Some(Refusal::Unauthorised));
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
