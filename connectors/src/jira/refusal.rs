//! Jira's ways to say no.

use super::wire::Complaint;
use crate::answer::Answer;
use crate::error::{Refusal, Wait};
use crate::event::Timestamp;
use chrono::{NaiveDateTime, Utc};

pub(super) fn of(answer: &Answer) -> Option<Refusal> {
    match answer.status() {
        200 => None,
        401 => Some(Refusal::Unauthorised),
        403 => Some(Refusal::Forbidden),
        404 => Some(Refusal::Gone),
        400 if names_no_project(answer) => Some(Refusal::Gone),
        429 => Some(Refusal::SlowDown(wait(answer))),
        502 | 504 => Some(Refusal::TooMuch),
        status @ 500.. => Some(Refusal::Trouble(status)),
        _ => Some(Refusal::Rejected),
    }
}

fn names_no_project(answer: &Answer) -> bool {
    answer.json::<Complaint>().is_ok_and(|complaint| complaint.error_messages.iter().any(|m| m.0))
}

/// `Retry-After`, else the quota's reset, which Jira writes without seconds (`2026-03-26T16:00Z`).
fn wait(answer: &Answer) -> Wait {
    let reset = || {
        let text = answer.header("x-ratelimit-reset")?;
        let moment = Timestamp::parse(text).map(|moment| moment.0);
        moment.or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").ok().map(|t| t.and_utc()))
    };
    let until = |moment: chrono::DateTime<Utc>| Wait::Until(moment);
    answer.retry_after().or_else(|| reset().map(until)).unwrap_or(Wait::Unsaid)
}
