//! Gmail's ways to say no. Limits come as 403 and as 429; what tells them apart is the word for the reason.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/handle-errors>

use super::contract::{HISTORY, MESSAGE, MESSAGES};
use super::wire::Complaint;
use crate::answer::Answer;
use crate::error::{Refusal, Wait};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use std::time::Duration;

/// Midnight in California in winter, when a day's limit starts anew; in summer it does an hour before.
const NEW_DAY: NaiveTime = match NaiveTime::from_hms_opt(8, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};
const A_DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn of(answer: &Answer) -> Option<Refusal> {
    let status = answer.status();
    if status == 200 || is_answered_by_absence(answer) {
        return None;
    }
    Some(match (status, reason(answer).as_str()) {
        (401, _) => Refusal::Unauthorised,
        (403 | 429, "dailyLimitExceeded") => Refusal::SlowDown(until_tomorrow(answer)),
        (403, "rateLimitExceeded" | "userRateLimitExceeded" | "quotaExceeded") | (429, _) => {
            Refusal::SlowDown(answer.retry_after().unwrap_or(Wait::Unsaid))
        }
        (403, _) => Refusal::Forbidden,
        // The account has no mailbox (any more).
        (400, "failedPrecondition") | (404 | 410, _) => Refusal::Gone,
        // A single message cannot be asked for by halves.
        (502 | 504, _) if answer.answers(&MESSAGES) || answer.answers(&HISTORY) => Refusal::TooMuch,
        (500.., _) => Refusal::Trouble(status),
        _ => Refusal::Rejected,
    })
}

/// Whether Gmail says itself that what was asked for is not there: a message that was deleted since it was listed,
/// a history it has forgotten. A 404 that does not say so may be anybody's.
pub(super) fn is_answered_by_absence(answer: &Answer) -> bool {
    answer.status() == 404
        && (answer.answers(&MESSAGE) || answer.answers(&HISTORY))
        && reason(answer) == "notFound"
}

fn reason(answer: &Answer) -> String {
    let first = |complaint: Complaint| complaint.error.errors.into_iter().next();
    answer.json().ok().and_then(first).map_or(String::new(), |it| it.reason.to_string())
}

/// Until the next [`NEW_DAY`] by the tool's own clock.
fn until_tomorrow(answer: &Answer) -> Wait {
    let date = answer.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let Some(now) = date.map(|date| date.with_timezone(&Utc)) else { return Wait::For(A_DAY) };
    let today = now.date_naive().and_time(NEW_DAY).and_utc();
    Wait::Until(if now < today { today } else { today + TimeDelta::days(1) })
}
