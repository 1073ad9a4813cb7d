//! Linear's ways to say no, and to tell how much it will still answer.

use super::{linear, minutes, shop, stage, with};
use crate::stage::{Raw, Stage, now, story};
use chrono::DateTime;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use twinflow_connectors::{Allowance, Cursor, ReadError, Refusal, Wait};
use twinflow_fixtures::{Fault, Linear, RetryAfter};

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

fn errors(status: u16, errors: Value) -> Raw {
    Raw::json(status, &json!({"data": null, "errors": errors}).to_string()).to("linear", "issues_team")
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
