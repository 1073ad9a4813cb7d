//! GitHub's ways to say no. Some come with status 200.

use super::wire::{Complaint, Problem};
use crate::answer::Answer;
use crate::error::{Allowance, ReadError, Refusal, Wait};
use chrono::{TimeZone, Utc};

pub(super) fn of(answer: &Answer) -> Option<Refusal> {
    match answer.status() {
        200 => in_a_good_answer(answer),
        401 => Some(Refusal::Unauthorised),
        403 | 429 if is_limit(answer) => Some(Refusal::SlowDown(wait(answer))),
        403 => Some(Refusal::Forbidden),
        404 | 410 | 451 => Some(Refusal::Gone),
        429 => Some(Refusal::SlowDown(wait(answer))),
        // GitHub gives a query 10 seconds and then answers with a gateway's error.
        502 | 504 => Some(Refusal::TooMuch),
        status @ 500.. => Some(Refusal::Trouble(status)),
        _ => Some(Refusal::Rejected),
    }
}

fn in_a_good_answer(answer: &Answer) -> Option<Refusal> {
    if !answer.mentions("\"errors\"") {
        return None;
    }
    match answer.json::<Complaint>() {
        Ok(complaint) => complaint.errors.iter().flatten().find_map(|problem| problem_of(problem, answer)),
        // Errors of no known shape are errors all the same: what stands beside them is not the whole.
        Err(ReadError::Shape { .. } | ReadError::Malformed { .. }) => Some(Refusal::Trouble(answer.status())),
        // An answer that is no JSON is the reader's to complain about.
        Err(_) => None,
    }
}

fn problem_of(problem: &Problem, answer: &Answer) -> Option<Refusal> {
    let kind = problem.kind.as_ref().map_or("", |kind| kind.as_str());
    let message = problem.message.unwrap_or_default();
    let starts = problem.path.iter().flatten().next();
    let deep = problem.path.as_ref().is_some_and(|path| path.len() > 2);
    match kind {
        "RATE_LIMITED" => Some(Refusal::SlowDown(wait(answer))),
        _ if message.rate => Some(Refusal::SlowDown(wait(answer))),
        // One issue that vanished is not the stream's end: the reader meets a null node.
        "NOT_FOUND" if starts.is_some_and(|step| step.is("node")) => None,
        // So is what is missing deep inside a page.
        "NOT_FOUND" | "FORBIDDEN" if deep => Some(Refusal::Trouble(answer.status())),
        "NOT_FOUND" => Some(Refusal::Gone),
        "FORBIDDEN" | "INSUFFICIENT_SCOPES" => Some(Refusal::Forbidden),
        "RESOURCE_LIMITS_EXCEEDED" | "MAX_NODE_LIMIT_EXCEEDED" => Some(Refusal::TooMuch),
        _ if message.resources => Some(Refusal::TooMuch),
        _ if message.trouble => Some(Refusal::Trouble(answer.status())),
        // With no type at all the query itself was refused.
        "" | "INVALID_CURSOR_ARGUMENTS" => Some(Refusal::Rejected),
        // A part of the answer is missing: never take it for the whole.
        _ => Some(Refusal::Trouble(answer.status())),
    }
}

fn is_limit(answer: &Answer) -> bool {
    answer.retry_after().is_some()
        || answer.header("x-ratelimit-remaining") == Some("0")
        || answer.json::<Complaint>().is_ok_and(|complaint| complaint.message.is_some_and(|it| it.rate))
}

/// The points of the hour that are left.
pub(super) fn allowance(answer: &Answer) -> Option<Allowance> {
    let number = |name| answer.header(name)?.parse().ok();
    let seconds = answer.header("x-ratelimit-reset")?.parse().ok()?;
    Some(Allowance {
        limit: number("x-ratelimit-limit")?,
        remaining: number("x-ratelimit-remaining")?,
        resets: Utc.timestamp_opt(seconds, 0).single().map_or(Wait::Unsaid, Wait::Until),
    })
}

/// `retry-after`, else the reset of an exhausted quota, else unsaid.
fn wait(answer: &Answer) -> Wait {
    let reset = || {
        let exhausted = answer.header("x-ratelimit-remaining") == Some("0");
        let seconds = answer.header("x-ratelimit-reset").filter(|_| exhausted)?.parse().ok()?;
        Utc.timestamp_opt(seconds, 0).single().map(Wait::Until)
    };
    answer.retry_after().or_else(reset).unwrap_or(Wait::Unsaid)
}
