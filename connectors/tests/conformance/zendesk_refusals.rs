//! Zendesk's ways to say no, and what it says of its limits.

use crate::stage::{Raw, now};
use crate::zendesk::{stage, zendesk};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::time::Duration;
use twinflow_connectors::{Allowance, Place, ReadError, Refusal, Wait};
use twinflow_fixtures::{Fault, RetryAfter, ZendeskSwitches};

#[tokio::test]
async fn the_eleventh_export_of_a_minute_is_refused_with_the_wait_it_takes() {
    let stage = stage(60, ZendeskSwitches { limited: true, ..ZendeskSwitches::default() }).await;
    for _ in 0..10 {
        assert_eq!(stage.refusal().await, None);
    }
    let slow_down = Some(Refusal::SlowDown(Wait::For(Duration::from_secs(60))));
    assert_eq!(stage.refusal().await, slow_down);
    stage.service.set_now(now() + TimeDelta::minutes(1));
    assert_eq!(stage.refusal().await, None);
}

#[tokio::test]
async fn every_no_is_told_from_the_rest_whether_it_is_json_html_or_plain_text() {
    let stage = stage(2, ZendeskSwitches::default()).await;
    let date = now() + TimeDelta::minutes(3);
    let wait = |seconds| Refusal::SlowDown(Wait::For(Duration::from_secs(seconds)));
    let table = [
        (Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(17)) }, wait(17)),
        (
            Fault::TooManyRequests { retry_after: Some(RetryAfter::Date(date)) },
            Refusal::SlowDown(Wait::Until(date)),
        ),
        (Fault::TooManyRequests { retry_after: None }, Refusal::SlowDown(Wait::Unsaid)),
        (Fault::Status(401), Refusal::Unauthorised),
        (Fault::Status(403), Refusal::Forbidden),
        (Fault::Status(404), Refusal::Gone),
        (Fault::Status(400), Refusal::Rejected),
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
    let refusal = |raw: Raw| zendesk().refusal(&raw.answer());
    assert_eq!(refusal(Raw::json(429, "{}").with("ratelimit-reset", "41")), Some(wait(41)));
    assert_eq!(refusal(Raw::json(503, "{}").with("retry-after", "30")), Some(wait(30)));
    let mut stale = stage.begin();
    stale.windows[0].page = Place::After("nonsense".to_owned());
    assert_eq!(stage.refusal_at(&stale).await, Some(Refusal::Rejected));
    stage.service.hide("tickets");
    assert_eq!(stage.refusal().await, Some(Refusal::Forbidden), "the agent is no admin any more");
    stage.service.revoke();
    assert_eq!(stage.refusal().await, Some(Refusal::Unauthorised));
}

#[test]
fn what_is_left_of_the_limit_is_told_in_either_spelling() {
    let allowance = |pairs: &[(&str, &str)]| {
        let raw = pairs.iter().fold(Raw::json(200, "{}"), |raw, (name, value)| raw.with(name, value));
        zendesk().allowance(&raw.answer())
    };
    let resets = Wait::For(Duration::from_secs(12));
    let expected = Some(Allowance { limit: 700, remaining: 699, resets });
    let old = [("x-rate-limit", "700"), ("x-rate-limit-remaining", "699"), ("ratelimit-reset", "12")];
    let new = [("ratelimit-limit", "700"), ("ratelimit-remaining", "699"), ("ratelimit-reset", "12")];
    assert_eq!((allowance(&old), allowance(&new)), (expected, expected));
    assert_eq!(allowance(&old[..2]).map(|it| it.resets), Some(Wait::Unsaid));
    assert_eq!((allowance(&old[..1]), allowance(&[("x-rate-limit", "many")])), (None, None));
}

#[test]
fn whom_zendesk_does_not_know_it_calls_anonymous_and_we_refuse() {
    let account = |user: Value| {
        let raw = Raw::json(200, &json!({"user": user}).to_string());
        zendesk().account(&raw.to("zendesk", "me").answer())
    };
    let nobody = account(json!({"id": null, "name": "Anonymous user", "role": "end-user"}));
    assert!(matches!(nobody, Err(ReadError::Missing(_))));
    assert!(account(json!({"id": "7", "name": "Gil"})).is_err(), "ids are numbers");
    let known = account(json!({"id": 7, "name": "Gil (lead)", "role": "admin"})).unwrap();
    assert_eq!((known.id.as_str(), known.name.as_str()), ("7", "Gil (lead)"));
    assert_eq!(account(json!({"id": 7})).unwrap().name.as_str(), "7");
}
