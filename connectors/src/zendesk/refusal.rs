//! Zendesk's ways to say no. Its words come as JSON, as a web page (a suspended account) or as plain text (a rate
//! limit); the status tells them apart, so none is looked into.

use crate::answer::Answer;
use crate::error::{Allowance, Refusal, Wait};
use std::time::Duration;

/// <https://developer.zendesk.com/api-reference/introduction/requests/#response-format>
pub(super) fn of(answer: &Answer) -> Option<Refusal> {
    match answer.status() {
        200 => None,
        401 => Some(Refusal::Unauthorised),
        403 => Some(Refusal::Forbidden),
        404 => Some(Refusal::Gone),
        429 => Some(Refusal::SlowDown(answer.retry_after().unwrap_or_else(|| reset(answer)))),
        502 | 504 => Some(Refusal::TooMuch),
        // A database that is busy says when to come again; maintenance does not.
        status @ 500.. => Some(answer.retry_after().map_or(Refusal::Trouble(status), Refusal::SlowDown)),
        _ => Some(Refusal::Rejected),
    }
}

/// The account's limit, which all of its apps share, or that of the endpoint; in older and newer spelling.
///
/// <https://developer.zendesk.com/api-reference/introduction/rate-limits/>
pub(super) fn allowance(answer: &Answer) -> Option<Allowance> {
    let number = |name: &str| answer.header(name)?.trim().parse::<u64>().ok();
    let limit = number("x-rate-limit").or_else(|| number("ratelimit-limit"))?;
    let remaining = number("x-rate-limit-remaining").or_else(|| number("ratelimit-remaining"))?;
    Some(Allowance { limit, remaining, resets: reset(answer) })
}

/// Seconds until the limit starts anew.
fn reset(answer: &Answer) -> Wait {
    let seconds = answer.header("ratelimit-reset").and_then(|text| text.trim().parse().ok());
    seconds.map_or(Wait::Unsaid, |seconds| Wait::For(Duration::from_secs(seconds)))
}
