//! Jira's ways to say no.

use super::{jira, stage};
use crate::stage::{Raw, now};
use chrono::{DateTime, TimeDelta, TimeZone, Timelike, Utc};
use serde_json::json;
use std::time::Duration;
use twinflow_connectors::{Place, Refusal, Wait};
use twinflow_fixtures::jira::JiraSwitches;
use twinflow_fixtures::{Fault, RetryAfter};

fn refusal(raw: &Raw) -> Option<Refusal> {
    jira().refusal(&raw.answer())
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
