//! What is special to Linear: histories that are rewritten while they are young, ids whose names stand elsewhere, lists
//! that come newest first.

use crate::stage::{Raw, Round, Stage, now, pages, story, told, truth};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;
use twinflow_connectors::{
    Activity, Allowance, Connector, Cursor, Kind, Operation, Page, Place, ReadError, Refusal, SignIn, Stream,
    Sweep, Wait, find,
};
use twinflow_fixtures::{Fault, Linear, Reason, RetryAfter, Stage as At, What, Who};

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

/// Several scans of one stream, and all that they brought.
struct Log {
    stage: Stage,
    cursor: Cursor,
    rounds: Vec<Round>,
}

impl Log {
    async fn of(stage: Stage) -> Self {
        let mut log = Self { stage, cursor: Cursor::default(), rounds: vec![] };
        log.scan(now()).await;
        log
    }

    /// The pages of this scan alone.
    async fn scan(&mut self, at: DateTime<Utc>) -> usize {
        let before = self.rounds.len();
        self.stage.service.set_now(at);
        let sweep = linear().begin(&self.stage.stream, &self.cursor, at);
        self.rounds.extend(self.stage.sweep(sweep).await);
        self.cursor = self.cursor.after(self.rounds.last().unwrap().page.next.clone());
        before
    }

    fn happens(&self, at: DateTime<Utc>, who: Who, what: What) {
        assert!(self.stage.service.add_event(0, at, who, what));
    }

    fn told(&self) -> Vec<crate::stage::Happening> {
        told(pages(&self.rounds))
    }

    /// What is told of the first case from `now` on: activity, from, to.
    fn news(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let case = self.stage.service.cases()[0].clone().unwrap();
        let news = self.told().into_iter().filter(|it| it.0 == case && it.3 >= now());
        news.map(|it| (it.1, it.4, it.5)).collect()
    }
}

/// The ids of the statuses, by name.
fn status(rounds: &[Round], name: &str, team: &str) -> String {
    let teams = pages(rounds)
        .flat_map(|page| &page.names)
        .find(|it| it.kind == Kind::Group && it.name.as_str() == team);
    assert!(teams.is_some(), "the team has a name");
    let mut all: Vec<_> = pages(rounds)
        .flat_map(|page| &page.names)
        .filter(|it| it.kind == Kind::Status && it.name.as_str() == name)
        .map(|it| it.id.to_string())
        .collect();
    all.sort();
    all.dedup();
    all.pop().unwrap()
}

#[tokio::test]
async fn a_change_told_from_a_to_b_is_from_a_to_c_after_the_next_scan() {
    let stage = stage(3).await;
    assert!(stage.service.add_event(0, now() - TimeDelta::hours(1), BEN, What::Move(At::ToDo)));
    assert!(stage.service.add_event(0, now(), ANA, What::Move(At::InProgress)));
    let mut log = Log::of(stage).await;
    let id = |name: &str| Some(status(&log.rounds, name, "SHOP"));
    let (todo, doing, done) = (id("Todo"), id("In Progress"), id("Done"));
    assert_eq!(log.news(), [("status_changed".to_owned(), todo.clone(), doing)]);
    log.happens(minutes(7), ANA, What::Move(At::Done(Reason::Completed)));
    log.scan(minutes(8)).await;
    assert_eq!(log.news(), [("status_changed".to_owned(), todo, done)]);
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn what_came_back_to_where_it_was_is_told_no_longer() {
    let stage = stage(3).await;
    for what in [What::Move(At::ToDo), What::Unassign, What::Unlabel(1), What::Unlabel(2), What::Unlabel(3)] {
        assert!(stage.service.add_event(0, now() - TimeDelta::hours(1), BEN, what));
    }
    for what in [What::Move(At::Blocked), What::Assign(2), What::Label(1), What::Label(2), What::Lock] {
        assert!(stage.service.add_event(0, now(), ANA, what));
    }
    let mut log = Log::of(stage).await;
    let told: Vec<_> = log.news().into_iter().map(|it| it.0).collect();
    assert_eq!(told, ["archived", "assigned", "labelled", "labelled", "status_changed"]);
    log.happens(minutes(2), ANA, What::Label(3));
    for what in [What::Move(At::ToDo), What::Unassign, What::Unlabel(1), What::Unlabel(2)] {
        log.happens(minutes(4), ANA, what);
    }
    log.scan(minutes(5)).await;
    let told: Vec<_> = log.news().into_iter().map(|it| it.0).collect();
    assert_eq!(told, ["archived", "labelled"]);
    assert_eq!(log.told(), truth(&log.stage));
    log.happens(minutes(6), ANA, What::Unlock);
    log.happens(minutes(6), ANA, What::Unlabel(3));
    log.scan(minutes(20)).await;
    assert_eq!(log.news(), []);
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn a_person_who_lost_a_case_within_minutes_is_told_as_such_and_the_gain_is_not() {
    let stage = stage(3).await;
    assert!(stage.service.add_event(0, now() - TimeDelta::hours(1), BEN, What::Assign(3)));
    assert!(stage.service.add_event(0, now(), ANA, What::Assign(2)));
    let mut log = Log::of(stage).await;
    assert_eq!(log.news()[0].0, "assigned");
    log.happens(minutes(3), ANA, What::Unassign);
    log.scan(minutes(4)).await;
    let news = log.news();
    assert_eq!(news.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["unassigned"]);
    assert!(news[0].1.is_some() && news[0].2.is_none());
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn however_often_scans_fall_into_the_minutes_in_which_an_entry_is_open_the_log_is_right() {
    let mut log = Log::of(stage(4).await).await;
    let stages = [At::ToDo, At::InProgress, At::InReview, At::Blocked, At::InProgress, At::ToDo];
    for minute in 1..60 {
        let at = minutes(minute);
        let who = if minute % 13 < 9 { ANA } else { BEN };
        let nth = usize::try_from(minute).unwrap();
        log.happens(at, who, What::Move(stages[nth % stages.len()]));
        log.happens(at, who, if nth % 3 == 0 { What::Unlabel(1) } else { What::Label(1) });
        if minute % 4 == 0 {
            log.scan(at).await;
        }
        if minute % 20 == 0 {
            assert_eq!(log.told(), truth(&log.stage), "minute {minute}");
        }
    }
    log.scan(minutes(75)).await;
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn what_can_still_be_rewritten_goes_out_as_revised_and_the_rest_as_it_is() {
    let stage = stage(6).await;
    let long_ago = now() - TimeDelta::days(9);
    assert!(stage.service.add_event(0, long_ago, ANA, What::Lock));
    assert!(stage.service.add_event(1, now() - TimeDelta::minutes(5), ANA, What::Lock));
    let rounds = stage.sweep(stage.begin()).await;
    let archived = |events: &dyn Fn(&Page) -> Vec<DateTime<Utc>>| -> Vec<_> {
        pages(&rounds).flat_map(events).collect()
    };
    let of = |events: &[twinflow_connectors::Event]| -> Vec<DateTime<Utc>> {
        events.iter().filter(|it| it.activity == Activity::Archived).map(|it| it.at).collect()
    };
    assert!(archived(&|page| of(&page.events)).contains(&long_ago));
    assert_eq!(archived(&|page| of(&page.revised)), [now() - TimeDelta::minutes(5)]);
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
async fn whatever_happens_while_pages_are_read_is_known_after_the_next_scan() {
    let mut log = Log { stage: stage(130).await, cursor: Cursor::default(), rounds: vec![] };
    let service = &log.stage.service;
    let mut at = linear().begin(&log.stage.stream, &log.cursor, now());
    at.halved = 3;
    let mut added = HashSet::new();
    for nth in 0_i64.. {
        let round = log.stage.round(at).await;
        at = round.page.next.clone();
        log.rounds.push(round);
        if at.is_done() {
            break;
        }
        let moment = now() + TimeDelta::seconds(nth);
        added.insert(service.add_case(moment));
        let case = usize::try_from(nth * 37 % 130).unwrap();
        assert!(service.update_case(case, moment));
        assert!(service.add_event(129 - case, moment, Who::Robot, What::Label(2)));
    }
    assert!(added.len() > 3);
    log.cursor = log.cursor.after(at);
    assert_eq!(log.cursor.mark, Some(now()));
    log.scan(minutes(10)).await;
    assert_eq!(log.told(), truth(&log.stage));
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
async fn a_page_whose_last_issue_was_deleted_is_asked_for_in_vain() {
    let stage = stage(130).await;
    let mut sweep = stage.begin();
    sweep.halved = 4;
    let bounds = stage.round(sweep).await.page.next;
    let at = stage.round(bounds).await.page.next;
    let last = at.windows.iter().find_map(|it| it.after()).unwrap().to_owned();
    let nth = stage.service.cases().iter().position(|id| id.as_deref() == Some(last.as_str())).unwrap();
    stage.service.delete_case(nth).unwrap();
    let requests = linear().ask(&stage.stream, &at).unwrap();
    let mut refusals = HashSet::new();
    for request in &requests {
        let refusal = linear().refusal(&stage.send(request).await.answer());
        refusals.insert(format!("{refusal:?}"));
    }
    assert!(refusals.contains("Some(Rejected)"), "{refusals:?}");
}

#[tokio::test]
async fn issues_in_the_archive_and_in_the_trash_are_read_too() {
    let mut world = Linear::new(&story(5), "SHOP");
    world.trash(0, now() - TimeDelta::hours(5), ANA, true);
    world.trash(1, now() - TimeDelta::hours(5), ANA, true);
    world.trash(1, now() - TimeDelta::hours(2), ANA, false);
    let stage = with(world).await;
    assert!(stage.service.add_event(2, now() - TimeDelta::hours(3), ANA, What::Lock));
    let rounds = stage.sweep(stage.begin()).await;
    assert_eq!(told(pages(&rounds)), truth(&stage));
    let words: Vec<_> = told(pages(&rounds)).into_iter().map(|it| it.1).collect();
    let count = |word: &str| words.iter().filter(|it| *it == word).count();
    assert_eq!((count("deleted"), count("restored")), (2, 1));
    assert!(count("archived") >= 1);
}

#[tokio::test]
async fn the_workspace_is_all_teams_and_a_team_is_itself_alone() {
    let other =
        twinflow_fixtures::Story::new(twinflow_fixtures::StoryOptions { seed: 3, cases: 20, now: now() });
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
async fn a_team_that_is_hidden_or_never_was_is_gone_though_its_list_is_merely_empty() {
    let stage = stage(5).await;
    assert_eq!(stage.refusal().await, None);
    stage.service.hide("SHOP");
    assert_eq!(stage.refusal().await, Some(Refusal::Gone));
    let stranger = Stage::with("linear", Linear::new(&story(2), "SHOP"), "NOSUCH").await;
    assert_eq!(stranger.refusal().await, Some(Refusal::Gone));
    let mark = Cursor { mark: Some(now()), ..Cursor::default() };
    let asked = linear().ask(&shop(), &linear().begin(&shop(), &mark, minutes(60))).unwrap();
    assert!(asked.iter().any(|it| it.operation().name == "team"), "later scans look, too");
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
async fn estimates_and_due_dates_are_told_without_their_values() {
    let stage = stage(5).await;
    for (nth, what) in [What::Sprint, What::Milestone, What::Link].into_iter().enumerate() {
        assert!(stage.service.add_event(nth + 1, now() - TimeDelta::hours(2), ANA, what));
    }
    let rounds = stage.sweep(stage.begin()).await;
    let events = told(pages(&rounds));
    let of = |word: &str| events.iter().filter(|it| it.1 == word).cloned().collect::<Vec<_>>();
    for bare in ["estimate_changed", "due_date_changed"] {
        assert!(!of(bare).is_empty() && of(bare).iter().all(|it| it.4.is_none() && it.5.is_none()), "{bare}");
    }
    for moved in ["planned", "moved", "parent_changed"] {
        assert!(of(moved).iter().any(|it| it.5.is_some()), "{moved}");
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
    answer["data"]["users"]["pageInfo"] = json!({"hasNextPage": true, "endCursor": "u-250"});
    let mut answers = first.answers();
    answers[nth] = first.raws[nth].answer_with(answer.to_string().into_bytes());
    let page = linear().read(&stage.stream, &first.at, &answers).unwrap();
    let left: Vec<_> =
        page.next.pending.iter().map(|it| (it.operation.as_str(), it.page.as_deref())).collect();
    assert_eq!(left, [("users", Some("u-250"))]);
    assert_eq!(variables(&page.next, "users"), json!({"after": "u-250"}));
    answer["data"]["users"]["pageInfo"]["endCursor"] = Value::Null;
    answers[nth] = first.raws[nth].answer_with(answer.to_string().into_bytes());
    let read = linear().read(&stage.stream, &first.at, &answers);
    assert_eq!(read.err(), Some(ReadError::Missing("pageInfo.endCursor")));
}

fn errors(status: u16, errors: Value) -> Raw {
    Raw::json(status, &json!({"data": null, "errors": errors}).to_string())
}

fn refusal(raw: &Raw) -> Option<Refusal> {
    linear().refusal(&raw.answer())
}

#[tokio::test]
async fn a_rate_limit_is_known_by_whatever_status_it_comes_with() {
    let stage = stage(2).await;
    let date = minutes(3);
    let waits = [
        (Some(RetryAfter::Secs(60)), Wait::For(Duration::from_secs(60))),
        (Some(RetryAfter::Date(date)), Wait::Until(date)),
    ];
    for (retry_after, wait) in waits {
        for fault in [
            Fault::TooManyRequests { retry_after },
            Fault::GitHubSecondaryLimit { status: 200, retry_after },
            Fault::GitHubSecondaryLimit { status: 400, retry_after },
        ] {
            stage.service.faults().next(fault.clone());
            assert_eq!(stage.refusal().await, Some(Refusal::SlowDown(wait)), "{fault:?}");
        }
    }
    for status in [200, 400] {
        for extensions in [json!({"code": "RATELIMITED"}), json!({"type": "ratelimited"})] {
            let raw = errors(status, json!([{"message": "No.", "extensions": extensions}]));
            assert_eq!(refusal(&raw), Some(Refusal::SlowDown(Wait::Unsaid)), "{status} {extensions}");
        }
    }
}

#[tokio::test]
async fn a_limit_used_up_tells_in_milliseconds_when_it_starts_anew() {
    let stage = stage(2).await;
    stage.service.faults().next(Fault::GitHubPrimaryLimit { resets_in: Duration::from_secs(1_800) });
    assert_eq!(stage.refusal().await, Some(Refusal::SlowDown(Wait::Until(minutes(30)))));
    for world in [
        Linear::new(&story(2), "SHOP").with_requests(1),
        // What is left does not pay for the question, though it is not nothing.
        Linear::new(&story(2), "SHOP").with_complexity(3),
    ] {
        let stage = with(world).await;
        stage.refusal().await;
        assert_eq!(stage.refusal().await, Some(Refusal::SlowDown(Wait::Until(minutes(60)))));
    }
}

#[test]
fn the_scarcest_limit_is_the_one_that_counts() {
    let raw = Raw::json(200, "{}");
    assert_eq!(linear().allowance(&raw.answer()), None);
    let raw = raw
        .with("x-ratelimit-requests-limit", "5000")
        .with("x-ratelimit-requests-remaining", "4000")
        .with("x-ratelimit-requests-reset", "1772640000000")
        .with("x-ratelimit-complexity-limit", "2000000")
        .with("x-ratelimit-complexity-remaining", "20000")
        .with("x-ratelimit-complexity-reset", "1772643600000");
    let until = DateTime::from_timestamp(1_772_643_600, 0).unwrap();
    let scarce = Allowance { limit: 2_000_000, remaining: 20_000, resets: Wait::Until(until) };
    assert_eq!(linear().allowance(&raw.answer()), Some(scarce));
}

#[tokio::test]
async fn every_other_no_is_told_from_the_rest() {
    let stage = stage(2).await;
    let table = [
        (Fault::Status(401), Refusal::Unauthorised),
        (Fault::Status(403), Refusal::Forbidden),
        (Fault::Status(404), Refusal::Gone),
        (Fault::Status(400), Refusal::Rejected),
        (Fault::Status(422), Refusal::Rejected),
        (Fault::RedirectTo("https://elsewhere.example".to_owned()), Refusal::Rejected),
        (Fault::GitHubResourceLimits, Refusal::Trouble(200)),
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
fn an_error_beside_data_is_a_no_by_its_code_or_its_type() {
    let table = [
        ("AUTHENTICATION_ERROR", "authentication error", Refusal::Unauthorised),
        ("FORBIDDEN", "forbidden", Refusal::Forbidden),
        ("FEATURE_NOT_ACCESSIBLE", "feature not accessible", Refusal::Forbidden),
        ("INPUT_ERROR", "invalid input", Refusal::Rejected),
        ("GRAPHQL_VALIDATION_FAILED", "graphql error", Refusal::Rejected),
    ];
    for status in [200, 400] {
        for (code, kind, expected) in &table {
            for extensions in
                [json!({"code": code}), json!({"type": kind}), json!({"code": "NEW", "type": kind})]
            {
                let raw = errors(status, json!([{"message": "It is so.", "extensions": extensions}]));
                assert_eq!(refusal(&raw).as_ref(), Some(expected), "{status} {extensions}");
            }
        }
        let unknown = json!([{"message": "Oops.", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]);
        assert_eq!(refusal(&errors(status, unknown)), Some(Refusal::Trouble(status)));
        let complex = json!([{"message": "Query too complex", "extensions": {"code": "INPUT_ERROR"}}]);
        assert_eq!(refusal(&errors(status, complex)), Some(Refusal::TooMuch));
    }
}

/// A partial answer read as a whole one would lose events for ever: the mark moves on.
#[test]
fn errors_of_no_known_shape_are_still_errors() {
    let shapes = [
        json!([{}]),
        json!([{"extensions": null, "message": null, "path": null}]),
        json!([{"extensions": {"code": {"a": 1}}, "message": 7, "path": "query"}]),
        json!([{"extensions": {"type": "two words"}, "message": ["x"]}]),
        json!(["FORBIDDEN"]),
        json!([null]),
        json!("no"),
        json!({"type": "FORBIDDEN"}),
    ];
    for shape in shapes {
        assert!(refusal(&errors(200, shape.clone())).is_some(), "{shape}");
    }
    for none in [json!(null), json!([])] {
        assert_eq!(refusal(&errors(200, none.clone())), None, "{none}");
    }
}

#[tokio::test]
async fn one_vanished_issue_is_no_refusal_but_an_answer_without_data_or_reason_is_no_history() {
    let stage = stage(10).await;
    let mut at = stage.begin();
    at.windows.clear();
    let left = json!([{"operation": "history", "cases": ["gone"], "page": null}]);
    at.pending = serde_json::from_value(left).unwrap();
    let request = linear().ask(&stage.stream, &at).unwrap().remove(0);
    let raw = stage.send(&request).await;
    assert_eq!(linear().refusal(&raw.answer()), None);
    let page = linear().read(&stage.stream, &at, &[raw.answer()]).unwrap();
    assert_eq!(page.next.skipped.len(), 1);
    let silent = raw.answer_with(b"{\"data\":null}".to_vec());
    assert_eq!(linear().read(&stage.stream, &at, &[silent]).err(), Some(ReadError::Missing("data")));
}

#[tokio::test]
async fn a_label_called_errors_is_no_refusal() {
    let stage = stage(2).await;
    let round = stage.round(stage.begin()).await;
    let nth = round.operations().iter().position(|it| *it == "labels").unwrap();
    let text = round.raws[nth].text().replacen("\"name\":\"", "\"name\":\"errors\",\"x\":\"", 1);
    assert!(text.contains("\"errors\""));
    assert_eq!(linear().refusal(&round.raws[nth].answer_with(text.into_bytes())), None);
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
    let documents = contract.operations.iter().map(|it: &&Operation| match &it.body {
        twinflow_connectors::Body::GraphQl { document, .. } => *document,
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
