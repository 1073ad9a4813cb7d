//! Jira's ways to say no.

use super::wire::Complaint;
use crate::answer::Answer;
use crate::error::{Allowance, Refusal, Wait};
use crate::event::Timestamp;
use chrono::NaiveDateTime;

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

/// The points of the hour that are left, where Jira tells.
pub(super) fn allowance(answer: &Answer) -> Option<Allowance> {
    let number = |name| answer.header(name)?.parse().ok();
    Some(Allowance {
        limit: number("x-ratelimit-limit")?,
        remaining: number("x-ratelimit-remaining")?,
        resets: reset(answer).unwrap_or(Wait::Unsaid),
    })
}

fn wait(answer: &Answer) -> Wait {
    answer.retry_after().or_else(|| reset(answer)).unwrap_or(Wait::Unsaid)
}

/// When the quota starts anew, which Jira writes without seconds (`2026-03-26T16:00Z`).
fn reset(answer: &Answer) -> Option<Wait> {
    let text = answer.header("x-ratelimit-reset")?;
    let whole = Timestamp::parse(text).map(|moment| moment.0);
    let minute = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").ok().map(|it| it.and_utc());
    whole.or_else(minute).map(Wait::Until)
}
