//! What is special to Linear: what is asked and in which order, ids whose names stand elsewhere. Histories, which are
//! rewritten while they are young, and refusals have files of their own.

#[path = "linear/histories.rs"]
mod histories;
#[path = "linear/refusals.rs"]
mod refusals;

use crate::stage::{Round, Stage, now, pages, story, told, truth};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use twinflow_connectors::{Body, Connector, Cursor, Kind, Place, ReadError, SignIn, Stream, Sweep, find};
use twinflow_fixtures::{Linear, Story, StoryOptions, What, Who};

const ANA: Who = Who::Person(0);
const BEN: Who = Who::Person(1);

fn linear() -> &'static dyn Connector {
    find("linear").unwrap()
}

fn shop() -> Stream {
    linear().stream("SHOP").unwrap()
}

async fn stage(cases: usize) -> Stage {
    with(Linear::new(&story(cases), "SHOP")).await
}

async fn with(world: Linear) -> Stage {
    Stage::with("linear", world, "SHOP").await
}

fn minutes(count: i64) -> DateTime<Utc> {
    now() + TimeDelta::minutes(count)
}

#[tokio::test]
async fn long_histories_are_drained_beside_pages_and_not_more_than_eight_at_once() {
    let stage = stage(60).await;
    let long_ago = now() - TimeDelta::days(300);
    for nth in 0..30 {
        for step in 0..90 {
            let what = if step % 2 == 0 { What::Lock } else { What::Unlock };
            assert!(stage.service.add_event(nth, long_ago + TimeDelta::hours(step), Who::Robot, what));
        }
    }
    let rounds = stage.sweep(stage.begin()).await;
    let histories = |round: &Round| round.operations().iter().filter(|it| **it == "history").count();
    assert!(rounds.iter().any(|round| histories(round) == 8));
    assert!(rounds.iter().all(|round| histories(round) <= 8 && round.requests.len() <= 16));
    assert_eq!(told(pages(&rounds)), truth(&stage));
}

#[tokio::test]
async fn an_issue_that_vanishes_before_its_history_is_drained_is_skipped_with_a_reason() {
    let stage = stage(10).await;
    let mut at = stage.begin();
    while !at.pending.iter().any(|left| left.operation == "history") {
        at = stage.round(at).await.page.next;
    }
    assert_eq!(
        at.pending[0].cases,
        [stage.service.delete_case(3).unwrap()],
        "the fourth case is the long one"
    );
    let last = stage.sweep(at).await.pop().unwrap();
    let skipped: Vec<_> = last.page.next.skipped.keys().map(String::as_str).collect();
    assert_eq!(skipped, ["an issue vanished before its whole history was read"]);
}

#[tokio::test]
async fn a_deleted_issue_takes_no_other_with_it() {
    let stage = stage(130).await;
    let mut sweep = stage.begin();
    sweep.halved = 4;
    let mut rounds = vec![stage.round(sweep).await];
    rounds.push(stage.round(rounds[0].page.next.clone()).await);
    let read: HashSet<_> =
        pages(&rounds).flat_map(|page| &page.cases).map(|case| case.id.to_string()).collect();
    let cases = stage.service.cases().into_iter().enumerate();
    let unread = cases.filter(|(_, id)| !read.contains(id.as_ref().unwrap())).map(|(nth, _)| nth);
    for nth in unread.step_by(3).collect::<Vec<_>>() {
        stage.service.delete_case(nth).unwrap();
    }
    rounds.extend(stage.sweep(rounds[1].page.next.clone()).await);
    assert_eq!(told(pages(&rounds)), truth(&stage));
}

#[tokio::test]
async fn the_workspace_is_all_teams_and_a_team_is_itself_alone() {
    let other = Story::new(StoryOptions { seed: 3, cases: 20, now: now() });
    let world = Linear::new(&story(20), "SHOP").with_team(&other, "OPS");
    let stage = Stage::with("linear", world, "workspace").await;
    let rounds = stage.sweep(stage.begin()).await;
    let mut all: Vec<_> = stage
        .service
        .facts()
        .into_iter()
        .map(|it| (it.case, it.activity, it.resource, it.at, it.from, it.to))
        .collect();
    all.sort();
    assert_eq!(told(pages(&rounds)), all);
    assert!(rounds.iter().flat_map(Round::operations).all(|it| it != "team" && it != "issues_team"));
    let keys: BTreeSet<_> = pages(&rounds)
        .flat_map(|page| &page.cases)
        .map(|case| case.key.as_str().split_once('-').unwrap().0.to_owned())
        .collect();
    assert_eq!(keys, ["OPS".to_owned(), "SHOP".to_owned()].into());
    let mark = Cursor { mark: Some(now()), ..Cursor::default() };
    let later = linear().begin(&stage.stream, &mark, minutes(60));
    let operations: Vec<_> =
        linear().ask(&stage.stream, &later).unwrap().iter().map(|it| it.operation().name).collect();
    assert_eq!(operations, ["issues_workspace", "states", "labels", "users", "teams"]);
}

#[tokio::test]
async fn a_first_sweep_parts_the_time_without_a_gap_and_finds_what_is_older_than_the_workspace() {
    let stage = stage(40).await;
    let old = stage.service.add_case(now() - TimeDelta::days(3_000));
    let first = stage.round(stage.begin()).await;
    let windows = &first.page.next.windows;
    assert_eq!(windows.len(), 8);
    assert_eq!(windows[0].since, "1970-01-01T00:00:00.000Z");
    assert!(windows.windows(2).all(|pair| pair[0].until.as_ref() == Some(&pair[1].since)));
    assert_eq!(windows[7].until.as_deref(), Some("2026-03-05T15:00:00.000Z"));
    let rounds = stage.sweep(first.page.next.clone()).await;
    assert!(rounds[0].operations().iter().filter(|it| **it == "issues_team").count() == 8);
    assert!(pages(&rounds).flat_map(|page| &page.cases).any(|case| case.id.as_str() == old));
    assert_eq!(told(pages(&rounds)), truth(&stage));
}

fn variables(sweep: &Sweep, operation: &str) -> Value {
    let requests = linear().ask(&shop(), sweep).unwrap();
    let request = requests.iter().find(|it| it.operation().name == operation).unwrap();
    serde_json::from_str::<Value>(request.body().unwrap()).unwrap()["variables"].clone()
}

#[test]
fn a_later_sweep_begins_fifteen_minutes_behind_the_mark() {
    let cursor = Cursor { mark: Some(now()), ..Cursor::default() };
    let sweep = linear().begin(&shop(), &cursor, minutes(60));
    let expected = json!({
        "team": "SHOP",
        "first": 50,
        "after": null,
        "from": "1970-01-01T00:00:00.000Z",
        "to": "2026-03-05T16:00:00.000Z",
        "since": "2026-03-04T14:45:00.000Z",
    });
    assert_eq!(variables(&sweep, "issues_team"), expected);
    assert_eq!((sweep.upto, sweep.reached), (Some(minutes(60)), None));
}

#[tokio::test]
async fn a_sweep_that_is_cut_tells_nothing_of_how_far_it_got() {
    let stage = stage(130).await;
    for round in stage.sweep(stage.begin()).await {
        assert_eq!(round.page.next.reached, None, "it would be the bound of a sweep that starts over");
    }
}

#[tokio::test]
async fn no_question_comes_near_the_complexity_that_linear_refuses() {
    let stage = stage(60).await;
    for round in stage.sweep(stage.begin()).await {
        for raw in &round.raws {
            let answer = raw.answer();
            let complexity: u64 = answer.header("x-complexity").unwrap().parse().unwrap();
            assert!(complexity < 7_000, "{:?} costs {complexity}", raw.operation.map(|it| it.name));
        }
    }
}

#[tokio::test]
async fn statuses_have_stages_and_priorities_names_of_ours() {
    let stage = stage(20).await;
    let rounds = stage.sweep(stage.begin()).await;
    let named = || pages(&rounds).flat_map(|page| &page.names);
    let stages: BTreeSet<_> = named()
        .filter(|it| it.kind == Kind::Status)
        .map(|it| (it.name.as_str(), it.stage.map(|stage| stage.word())))
        .collect();
    for known in [
        ("Backlog", Some("to_do")),
        ("Todo", Some("to_do")),
        ("In Review", Some("in_progress")),
        ("Done", Some("done")),
        ("Canceled", Some("done")),
        ("Duplicate", Some("done")),
    ] {
        assert!(stages.contains(&known), "{known:?}");
    }
    let priorities: BTreeSet<_> =
        named().filter(|it| it.kind == Kind::Priority).map(|it| (it.id.as_str(), it.name.as_str())).collect();
    let known = [("0", "No priority"), ("1", "Urgent"), ("2", "High"), ("3", "Medium"), ("4", "Low")];
    assert_eq!(priorities, known.into());
    assert!(named().any(|it| it.kind == Kind::Person && it.name.as_str() == "Triage (automation)"));
}

#[tokio::test]
async fn dictionaries_longer_than_a_page_are_read_to_their_end() {
    let stage = stage(3).await;
    let first = stage.round(stage.begin()).await;
    let nth = first.operations().iter().position(|it| *it == "users").unwrap();
    let mut answer: Value = serde_json::from_str(first.raws[nth].text()).unwrap();
    answer["data"]["words"]["pageInfo"] = json!({"hasNextPage": true, "endCursor": "u-250"});
    let mut answers = first.answers();
    answers[nth] = first.raws[nth].answer_with(answer.to_string().into_bytes());
    let page = linear().read(&stage.stream, &first.at, &answers).unwrap();
    let left: Vec<_> =
        page.next.pending.iter().map(|it| (it.operation.as_str(), it.page.as_deref())).collect();
    assert_eq!(left, [("users", Some("u-250"))]);
    assert_eq!(variables(&page.next, "users"), json!({"after": "u-250"}));
    answer["data"]["words"]["pageInfo"]["endCursor"] = Value::Null;
    answers[nth] = first.raws[nth].answer_with(answer.to_string().into_bytes());
    let read = linear().read(&stage.stream, &first.at, &answers);
    assert_eq!(read.err(), Some(ReadError::Missing("pageInfo.endCursor")));
}

#[test]
fn a_stream_is_a_teams_key_or_the_workspace() {
    for name in ["ENG", "E", "R2D2", "workspace"] {
        assert_eq!(linear().stream(name).unwrap().name, name);
    }
    for name in ["eng", "ENG-1", "Workspace", "WORKSPACE OR", "ENGÉ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"] {
        assert!(linear().stream(name).is_err(), "{name}");
    }
}

#[test]
fn one_scope_is_asked_for_and_nothing_can_be_written() {
    let contract = linear().contract();
    assert_eq!(contract.scopes.iter().map(|it| it.name).collect::<Vec<_>>(), ["read"]);
    let documents = contract.operations.iter().map(|it| match &it.body {
        Body::GraphQl { document, .. } => *document,
        _ => "",
    });
    assert!(documents.into_iter().all(|it| it.starts_with("query Twinflow") && !it.contains("mutation")));
    let Some(SignIn::OAuth(oauth)) = contract.sign_ins.first() else { panic!("OAuth is preferred") };
    assert!(oauth.pkce && !oauth.secret && !oauth.json && oauth.separator == ",");
}

#[test]
fn a_sweep_under_way_goes_on_where_it_was() {
    let mut cut = linear().begin(&shop(), &Cursor { mark: Some(now()), ..Cursor::default() }, now());
    cut.windows[0].page = Place::After("66aa1c59".to_owned());
    let cursor = Cursor { sweep: Some(cut.clone()), ..Cursor::default() };
    assert_eq!(linear().begin(&shop(), &cursor, now() + TimeDelta::days(90)), cut);
}
