//! Salesforce's ways to say no, and what it says of its limits.

use super::{refusal, salesforce, switched};
use crate::stage::{Raw, now};
use chrono::TimeDelta;
use serde_json::json;
use std::time::Duration;
use twinflow_connectors::{Allowance, Refusal, Wait};
use twinflow_fixtures::salesforce::SalesforceSwitches;
use twinflow_fixtures::{Fault, RetryAfter};

/// A no to a question that nothing can be done without.
fn no(status: u16, body: &str) -> Raw {
    Raw::json(status, body).to("salesforce", "oldest")
}

#[tokio::test]
async fn the_two_limits_are_told_apart_by_a_message_that_is_not_kept() {
    let stage = switched(2, SalesforceSwitches::default()).await;
    let date = now() + TimeDelta::minutes(3);
    let hour = Wait::For(Duration::from_secs(3_600));
    let table = [
        (Fault::JiraQuota { retry_after: None }, hour),
        (Fault::TooManyRequests { retry_after: None }, Wait::Unsaid),
        (
            Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(17)) },
            Wait::For(Duration::from_secs(17)),
        ),
        (Fault::JiraQuota { retry_after: Some(RetryAfter::Date(date)) }, Wait::Until(date)),
    ];
    for (fault, wait) in table {
        stage.service.faults().next(fault.clone());
        assert_eq!(stage.refusal().await, Some(Refusal::SlowDown(wait)), "{fault:?}");
    }
    let odd = json!([{"errorCode": "REQUEST_LIMIT_EXCEEDED"}]);
    assert_eq!(refusal(&no(403, &odd.to_string())), Some(Refusal::SlowDown(hour)));
}

#[tokio::test]
async fn every_other_no_is_told_from_the_rest() {
    let stage = switched(2, SalesforceSwitches::default()).await;
    let table = [
        (Fault::Status(401), Refusal::Unauthorised),
        (Fault::Status(403), Refusal::Forbidden),
        (Fault::Status(404), Refusal::Gone),
        (Fault::Status(400), Refusal::Rejected),
        (Fault::GitHubResourceLimits, Refusal::TooMuch),
        (Fault::ServerError(504), Refusal::TooMuch),
        (Fault::ServerError(500), Refusal::Trouble(500)),
        (Fault::ServerError(503), Refusal::Trouble(503)),
        (Fault::RedirectTo("https://elsewhere.example".to_owned()), Refusal::Rejected),
    ];
    for (fault, refusal) in table {
        stage.service.faults().next(fault.clone());
        assert_eq!(stage.refusal().await, Some(refusal), "{fault:?}");
    }
    let code = |status, code: &str| {
        refusal(&no(status, &json!([{"message": "SELECT …", "errorCode": code}]).to_string()))
    };
    assert_eq!(code(400, "MALFORMED_QUERY"), Some(Refusal::Rejected));
    assert_eq!(code(400, "INVALID_FIELD"), Some(Refusal::Forbidden), "of nothing that can be done without");
    assert_eq!(code(500, "QUERY_TIMEOUT"), Some(Refusal::TooMuch));
    for body in ["{}", "[]", "[7]", "null", "[{\"errorCode\":7}]"] {
        assert_eq!(refusal(&no(400, body)), Some(Refusal::Rejected), "{body}");
    }
    stage.service.revoke();
    assert_eq!(stage.refusal().await, Some(Refusal::Unauthorised));
}

#[test]
fn what_is_left_of_the_shared_limit_is_read_from_the_header() {
    let left =
        |text: &str| salesforce().allowance(&Raw::json(200, "{}").with("sforce-limit-info", text).answer());
    let some = Some(Allowance { limit: 5_000, remaining: 4_982, resets: Wait::Unsaid });
    assert_eq!(left("api-usage=18/5000"), some);
    assert_eq!(left("per-app-api-usage=17/250(appName=sample-app); api-usage=18/5000"), some);
    assert_eq!(left("api-usage=6000/5000").map(|it| it.remaining), Some(0));
    for nonsense in ["", "api-usage=", "api-usage=18", "api-usage=x/y", "18/5000"] {
        assert_eq!(left(nonsense), None, "{nonsense}");
    }
}
