//! What is special to GitHub: long timelines beside pages, and a "no" that comes with status 200.

use crate::stage::{Raw, Stage, now, pages, story, told, truth};
use crate::text::kept;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::{Value, json};
use std::time::Duration;
use twinflow_connectors::{Activity, Connector, Cursor, Page, Place, ReadError, Refusal, Stream, Wait, find};
use twinflow_fixtures::github::CLASSIC_TOKEN;
use twinflow_fixtures::{Fault, GitHub, RetryAfter, What, Who};

fn github() -> &'static dyn Connector {
    find("github").unwrap()
}

async fn stage(cases: usize) -> Stage {
    Stage::github(GitHub::new(&story(cases), "acme/shop")).await
}

fn refusal(raw: &Raw) -> Option<Refusal> {
    github().refusal(&raw.answer())
}

fn errors(errors: Value) -> Raw {
    Raw::json(200, &json!({"data": null, "errors": errors}).to_string()).to("github", "issues")
}

/// Makes the histories of some cases longer than two pages, long ago, so that the order of changes stays.
fn lengthen(stage: &Stage, cases: impl Iterator<Item = usize>) {
    let long_ago = Utc.with_ymd_and_hms(2024, 1, 1, 0, 0, 0).unwrap();
    for nth in cases {
        for step in 0..160 {
            let what = if step % 2 == 0 { What::Lock } else { What::Unlock };
            assert!(stage.service.add_event(nth, long_ago + TimeDelta::minutes(step), Who::Robot, what));
        }
    }
}

#[tokio::test]
async fn long_timelines_are_drained_beside_the_following_pages() {
    let stage = stage(120).await;
    lengthen(&stage, 10..12);
    let rounds = stage.sweep(stage.begin_later()).await;
    let operations: Vec<_> = rounds.iter().map(|round| round.operations()).collect();
    assert_eq!(operations[0], ["issues"]);
    assert!(operations[1..].iter().any(|round| round[0] == "issues" && round.contains(&"timeline")));
    assert_eq!(told(pages(&rounds)), truth(&stage));
}

#[tokio::test]
async fn no_more_than_eight_questions_are_asked_side_by_side() {
    let stage = stage(60).await;
    lengthen(&stage, 0..30);
    let rounds = stage.sweep(stage.begin_later()).await;
    let most = rounds.iter().map(|round| round.requests.len()).max();
    assert!(most.is_some_and(|most| (7..=8).contains(&most)), "{most:?}");
    let left = rounds.iter().map(|round| round.page.next.pending.len()).max();
    assert!(left <= Some(50), "what is left to drain does not pile up over pages");
    assert!(rounds.iter().all(|round| round.page.next.is_done() || !round.requests.is_empty()));
    assert_eq!(told(pages(&rounds)), truth(&stage));
}

#[tokio::test]
async fn an_issue_that_vanishes_before_its_history_is_drained_is_skipped_with_a_reason() {
    let stage = stage(10).await;
    let first = stage.round(stage.begin_later()).await;
    assert_eq!(first.page.next.pending.len(), 1, "the fourth case is the long one");
    let gone = stage.service.delete_case(3).unwrap();
    assert_eq!(first.page.next.pending[0].cases, [gone]);
    let second = stage.round(first.page.next.clone()).await;
    let skipped: Vec<_> = second.page.next.skipped.keys().collect();
    assert_eq!(skipped, ["an issue vanished before its whole history was read"]);
    assert!(second.page.next.is_done() && second.page.events.is_empty());
}

#[tokio::test]
async fn an_issue_that_changes_while_pages_are_read_is_met_again_at_the_end() {
    let stage = stage(120).await;
    let first = stage.round(stage.begin_later()).await;
    let moved = first.page.cases[0].id.to_string();
    let nth = stage.service.cases().iter().position(|id| *id == Some(moved.clone())).unwrap();
    assert!(stage.service.update_case(nth, now() + TimeDelta::seconds(30)));
    let rest = stage.sweep(first.page.next.clone()).await;
    let again = pages(&rest).flat_map(|page| &page.cases).filter(|case| case.id.as_str() == moved).count();
    assert_eq!(again, 1);
    assert_eq!(told(pages(&rest).chain([&first.page])), truth(&stage));
}

#[tokio::test]
async fn a_first_sweep_reads_from_both_ends_until_they_meet() {
    for cases in [1, 99, 100, 101, 199, 200, 201, 450] {
        let stage = stage(cases).await;
        let rounds = stage.sweep(stage.begin()).await;
        assert_eq!(told(pages(&rounds)), truth(&stage), "{cases} cases");
        let lists = rounds.iter().flat_map(|it| it.operations()).filter(|it| *it == "issues_by_age").count();
        assert!(lists <= 2 * cases.div_ceil(200) + 2, "{cases} cases took {lists} pages");
        let cursor = Cursor::default().after(rounds.last().unwrap().page.next.clone());
        assert_eq!((cursor.mark, cursor.sweep), (Some(now()), None));
    }
}

#[tokio::test]
async fn a_first_sweep_learns_how_many_issues_there_are_and_no_other_asks() {
    let stage = stage(250).await;
    let first = stage.sweep(stage.begin()).await;
    let lists = first.iter().filter(|round| round.operations().contains(&"issues_by_age"));
    assert!(lists.clone().count() > 1 && lists.into_iter().all(|round| round.page.total == Some(250)));
    for from in [stage.begin_later(), github().census(&stage.stream, now()).unwrap()] {
        let rounds = stage.sweep(from).await;
        assert!(pages(&rounds).all(|page| page.total.is_none()));
        let raws = rounds.iter().flat_map(|round| &round.raws);
        assert_eq!(raws.filter(|raw| raw.text().contains("totalCount")).count(), 0);
    }
}

#[tokio::test]
async fn a_count_that_is_missing_changes_nothing_of_what_is_read() {
    let stage = stage(120).await;
    let round = stage.round(stage.begin()).await;
    let honest: Value = serde_json::from_str(round.raws[0].text()).unwrap();
    let read = |count: Option<Value>| {
        let mut answer = honest.clone();
        let issues = answer["data"]["repository"]["issues"].as_object_mut().unwrap();
        issues.remove("totalCount").unwrap();
        issues.extend(count.map(|count| ("totalCount".to_owned(), count)));
        let answer = round.raws[0].answer_with(answer.to_string().into_bytes());
        let page = github().read(&stage.stream, &round.at, &[answer]).ok()?;
        let total = page.total;
        assert_eq!(kept(&Page { total: round.page.total, ..page }), kept(&round.page));
        Some(total)
    };
    assert_eq!(read(Some(json!(0))), Some(Some(0)));
    assert_eq!(read(Some(json!(i32::MAX))), Some(Some(2_147_483_647)));
    assert_eq!((read(None), read(Some(json!(null)))), (Some(None), Some(None)));
    // What is no count is no answer of GitHub's, as everywhere.
    for count in [json!(u64::MAX), json!(-1), json!(1.5), json!(true), json!("120"), json!([120])] {
        assert_eq!(read(Some(count.clone())), None, "{count}");
    }
}

#[tokio::test]
async fn what_changes_while_a_first_sweep_reads_is_met_by_the_next() {
    let stage = stage(450).await;
    let first = stage.round(stage.begin()).await;
    let second = stage.round(first.page.next.clone()).await;
    stage.service.set_now(now() + TimeDelta::minutes(5));
    for nth in [3, 200, 449] {
        assert!(stage.service.update_case(nth, now() + TimeDelta::minutes(1)));
    }
    stage.service.delete_case(0);
    stage.service.delete_case(210);
    stage.service.add_case(now() + TimeDelta::minutes(2));
    let rest = stage.sweep(second.page.next.clone()).await;
    let cursor = Cursor::default().after(rest.last().unwrap().page.next.clone());
    let next = github().begin(&stage.stream, &cursor, now() + TimeDelta::minutes(5));
    let later = stage.sweep(next).await;
    let read = told([&first.page, &second.page].into_iter().chain(pages(&rest)).chain(pages(&later)));
    let lost: Vec<_> = truth(&stage).into_iter().filter(|fact| !read.contains(fact)).collect();
    assert_eq!(lost, []);
}

fn shop() -> Stream {
    github().stream("acme/shop").unwrap()
}

#[test]
fn a_sweep_starts_two_minutes_behind_the_mark_and_at_the_oldest_issue_without_one() {
    let mark = Some("2026-03-04T10:00:30Z".parse::<DateTime<Utc>>().unwrap());
    assert_eq!(
        github().begin(&shop(), &Cursor { mark, ..Cursor::default() }, now()).windows[0].since,
        "2026-03-04T09:58:30Z"
    );
    let first = github().begin(&shop(), &Cursor::default(), now());
    assert_eq!((first.windows.len(), first.windows[0].since.as_str()), (1, "ASC"));
}

#[test]
fn a_cut_sweep_goes_on_however_long_it_waited() {
    let mut cut = github().begin(&shop(), &Cursor::default(), now());
    cut.windows[0].page = Place::After("Y3Vyc29y".to_owned());
    let cursor = Cursor { sweep: Some(cut.clone()), ..Cursor::default() };
    assert_eq!(github().begin(&shop(), &cursor, now() + TimeDelta::days(90)), cut);
}

#[tokio::test]
async fn an_issue_closed_as_a_duplicate_or_not_planned_says_so() {
    let stage = stage(400).await;
    let rounds = stage.sweep(stage.begin()).await;
    let closings = pages(&rounds).flat_map(|page| &page.events).filter(|event| {
        event.activity == Activity::StatusChanged
            && event.from.as_ref().is_some_and(|from| from.as_str() == "open")
    });
    let mut ways: Vec<_> = closings.filter_map(|event| event.to.as_ref().map(|to| to.as_str())).collect();
    ways.sort_unstable();
    ways.dedup();
    assert_eq!(ways, ["completed", "duplicate", "not_planned"]);
}

#[tokio::test]
async fn an_item_of_a_kind_that_was_not_asked_for_is_skipped_with_a_reason() {
    let stage = stage(2).await;
    let round = stage.round(stage.begin_later()).await;
    let text = round.raws[0].text().replacen("\"LabeledEvent\"", "\"RenamedTitleEvent\"", 1);
    let answer = round.raws[0].answer_with(text.into_bytes());
    let page = github().read(&stage.stream, &round.at, &[answer]).unwrap();
    assert_eq!(page.events.len() + 1, round.page.events.len());
    assert_eq!(page.next.skipped.len(), 1);
}

#[tokio::test]
async fn a_page_that_promises_more_without_a_cursor_is_refused() {
    let stage = stage(60).await;
    let round = stage.round(stage.begin_later()).await;
    let mut answer: Value = serde_json::from_str(round.raws[0].text()).unwrap();
    answer["data"]["repository"]["issues"]["pageInfo"]["endCursor"] = Value::Null;
    let answer = round.raws[0].answer_with(answer.to_string().into_bytes());
    let read = github().read(&stage.stream, &round.at, &[answer]);
    assert_eq!(read.err(), Some(ReadError::Missing("pageInfo.endCursor")));
}

#[tokio::test]
async fn a_classic_token_shows_what_it_may_do_beyond() {
    let stage = stage(2).await;
    let fine = github().account(&stage.probe().await.answer()).unwrap();
    assert_eq!(fine.beyond, [""; 0]);
    let classic = stage.probe().await.with("x-oauth-scopes", "repo, workflow");
    assert_eq!(github().account(&classic.answer()).unwrap().beyond, ["repo", "workflow"]);
    assert!(CLASSIC_TOKEN.starts_with("ghp_"));
}

#[tokio::test]
async fn the_hourly_points_used_up_come_with_status_200_and_tell_the_hour() {
    let stage = stage(2).await;
    stage.service.faults().next(Fault::GitHubPrimaryLimit { resets_in: Duration::from_secs(1_800) });
    let until = Wait::Until(now() + TimeDelta::minutes(30));
    assert_eq!(stage.refusal().await, Some(Refusal::SlowDown(until)));
    let points = Stage::github(GitHub::new(&story(2), "acme/shop").with_points(1)).await;
    assert_eq!(points.refusal().await, None);
    assert_eq!(points.refusal().await, Some(Refusal::SlowDown(Wait::Until(now() + TimeDelta::hours(1)))));
}

#[tokio::test]
async fn a_secondary_limit_is_known_by_whatever_status_and_header_it_comes_with() {
    let stage = stage(2).await;
    let date = now() + TimeDelta::minutes(3);
    let waits = [
        (None, Wait::Unsaid),
        (Some(RetryAfter::Secs(60)), Wait::For(Duration::from_secs(60))),
        (Some(RetryAfter::Date(date)), Wait::Until(date)),
    ];
    for status in [200, 403, 429] {
        for (retry_after, wait) in waits {
            stage.service.faults().next(Fault::GitHubSecondaryLimit { status, retry_after });
            assert_eq!(stage.refusal().await, Some(Refusal::SlowDown(wait)), "{status} {retry_after:?}");
        }
    }
    let said = "You have triggered an abuse detection mechanism.";
    let old = Raw::json(403, &json!({"message": said}).to_string()).to("github", "issues");
    assert_eq!(refusal(&old), Some(Refusal::SlowDown(Wait::Unsaid)));
    let untyped = errors(json!([{"message": "You have exceeded a secondary rate limit."}]));
    assert_eq!(refusal(&untyped), Some(Refusal::SlowDown(Wait::Unsaid)));
    let exhausted =
        Raw::json(403, "{}").with("x-ratelimit-remaining", "0").with("x-ratelimit-reset", "1772640000");
    let until = Utc.timestamp_opt(1_772_640_000, 0).unwrap();
    assert_eq!(refusal(&exhausted), Some(Refusal::SlowDown(Wait::Until(until))));
}

#[tokio::test]
async fn every_other_no_is_told_from_the_rest() {
    let stage = stage(2).await;
    let table = [
        (Fault::Status(401), Refusal::Unauthorised),
        (Fault::Status(403), Refusal::Forbidden),
        (Fault::Status(404), Refusal::Gone),
        (Fault::Status(410), Refusal::Gone),
        (Fault::Status(451), Refusal::Gone),
        (Fault::Status(400), Refusal::Rejected),
        (Fault::Status(422), Refusal::Rejected),
        (Fault::RedirectTo("https://elsewhere.example".to_owned()), Refusal::Rejected),
        (Fault::TooManyRequests { retry_after: None }, Refusal::SlowDown(Wait::Unsaid)),
        (Fault::GitHubResourceLimits, Refusal::TooMuch),
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
fn an_error_beside_data_is_a_no_by_its_type() {
    let table = [
        ("RATE_LIMITED", Refusal::SlowDown(Wait::Unsaid)),
        ("FORBIDDEN", Refusal::Forbidden),
        ("INSUFFICIENT_SCOPES", Refusal::Forbidden),
        ("NOT_FOUND", Refusal::Gone),
        ("RESOURCE_LIMITS_EXCEEDED", Refusal::TooMuch),
        ("MAX_NODE_LIMIT_EXCEEDED", Refusal::TooMuch),
        ("INVALID_CURSOR_ARGUMENTS", Refusal::Rejected),
        ("INTERNAL", Refusal::Trouble(200)),
    ];
    for (kind, expected) in table {
        let raw = errors(json!([{"type": kind, "path": ["repository", "issues"], "message": "It is so."}]));
        assert_eq!(refusal(&raw), Some(expected), "{kind}");
    }
    // One person or label that is hidden is not the repository's end.
    for kind in ["FORBIDDEN", "NOT_FOUND"] {
        let path = json!(["repository", "issues", "nodes", 3, "author"]);
        assert_eq!(refusal(&errors(json!([{"type": kind, "path": path}]))), Some(Refusal::Trouble(200)));
    }
    let passing = "Something went wrong while executing your query on 2026-01-01. Please include `AB12`.";
    assert_eq!(refusal(&errors(json!([{"message": passing}]))), Some(Refusal::Trouble(200)));
    let timeout = "Something went wrong. This may be the result of a timeout, or it could be a GitHub bug.";
    assert_eq!(refusal(&errors(json!([{"message": timeout}]))), Some(Refusal::TooMuch));
    let unknown = "Field 'isuess' doesn't exist on type 'Repository'";
    assert_eq!(refusal(&errors(json!([{"message": unknown}]))), Some(Refusal::Rejected));
}

#[tokio::test]
async fn a_hidden_repository_is_gone_but_one_vanished_node_is_not() {
    let stage = stage(10).await;
    let first = stage.round(stage.begin()).await;
    stage.service.delete_case(3).unwrap();
    assert_eq!(stage.refusal_at(&first.page.next).await, None);
    stage.service.hide("acme/shop");
    assert_eq!(stage.refusal().await, Some(Refusal::Gone));
}

#[tokio::test]
async fn a_cursor_github_does_not_know_is_rejected() {
    let stage = stage(10).await;
    let mut sweep = stage.begin();
    sweep.windows[0].page = Place::After("nonsense".to_owned());
    assert_eq!(stage.refusal_at(&sweep).await, Some(Refusal::Rejected));
}

/// A partial answer read as a whole one would lose events for ever: the mark moves on.
#[test]
fn errors_of_no_known_shape_are_still_errors() {
    let shapes = [
        json!([{}]),
        json!([{"type": null, "message": null, "path": null}]),
        json!([{"type": {"a": 1}, "message": 7, "path": "query"}]),
        json!([{"type": "two words", "message": ["x"], "path": {"a": 1}}]),
        json!(["FORBIDDEN"]),
        json!([null]),
        json!("no"),
        json!({"type": "FORBIDDEN"}),
        json!([{"type": "NOT_FOUND", "path": ["node"]}, {"type": 3}]),
    ];
    for shape in shapes {
        assert!(refusal(&errors(shape.clone())).is_some(), "{shape}");
    }
    for none in [json!(null), json!([])] {
        assert_eq!(refusal(&errors(none.clone())), None, "{none}");
    }
}

#[tokio::test]
async fn a_label_called_errors_is_no_refusal() {
    let stage = stage(2).await;
    let round = stage.round(stage.begin()).await;
    let raw = &round.raws[0];
    let text = raw.text().replacen("\"login\":\"", "\"login\":\"errors\",\"x\":\"", 1);
    assert!(text.contains("\"errors\""));
    assert_eq!(github().refusal(&raw.answer_with(text.into_bytes())), None);
}
