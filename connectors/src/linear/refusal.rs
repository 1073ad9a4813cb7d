//! Linear's ways to say no. Most come as an error beside the data, with status 200 or 400.
//!
//! <https://linear.app/developers/graphql> (errors), <https://linear.app/developers/rate-limiting>

use super::contract::{HISTORY, TEAM};
use super::wire::{Complaint, Fault, Problem, Reply, TeamData};
use crate::answer::Answer;
use crate::error::{Allowance, ReadError, Refusal, Wait};
use crate::event::Timestamp;

/// The limits that an answer may tell of, by what stands before `-limit`, `-remaining` and `-reset`.
const LIMITS: [&str; 3] = ["x-ratelimit-requests", "x-ratelimit-complexity", "x-ratelimit-endpoint-requests"];

pub(super) fn of(answer: &Answer) -> Option<Refusal> {
    match answer.status() {
        200 if names_no_team(answer) => Some(Refusal::Gone),
        200 => errors(answer),
        400 if answer.mentions("\"errors\"") => errors(answer),
        401 => Some(Refusal::Unauthorised),
        403 => Some(Refusal::Forbidden),
        404 | 410 => Some(Refusal::Gone),
        429 => Some(Refusal::SlowDown(wait(answer))),
        502 | 504 => Some(Refusal::TooMuch),
        status @ 500.. => Some(Refusal::Trouble(status)),
        _ => Some(Refusal::Rejected),
    }
}

/// A list of issues filtered by a team that does not exist is empty and no error, so the team is asked for.
fn names_no_team(answer: &Answer) -> bool {
    let data = || answer.json::<Reply<TeamData>>().ok()?.data;
    answer.answers(&TEAM) && data().is_some_and(|data| data.teams.nodes.is_empty())
}

fn errors(answer: &Answer) -> Option<Refusal> {
    if !answer.mentions("\"errors\"") {
        return None;
    }
    match answer.json::<Complaint>() {
        Ok(complaint) => complaint.errors.iter().flatten().find_map(|problem| no(problem, answer)),
        // Errors of no known shape are errors all the same: what stands beside them is not the whole.
        Err(ReadError::Shape { .. } | ReadError::Malformed { .. }) => Some(Refusal::Trouble(answer.status())),
        // An answer that is no JSON is the reader's to complain about.
        Err(_) if answer.status() == 200 => None,
        Err(_) => Some(Refusal::Rejected),
    }
}

fn no(problem: &Problem, answer: &Answer) -> Option<Refusal> {
    let said = problem.extensions.as_ref().map_or([None, None], |it| [it.code, it.kind]);
    let fault = said.into_iter().flatten().find(|fault| *fault != Fault::Other);
    let message = problem.message.unwrap_or_default();
    match fault {
        Some(Fault::RateLimited) => Some(Refusal::SlowDown(wait(answer))),
        Some(Fault::Unauthorised) => Some(Refusal::Unauthorised),
        Some(Fault::Forbidden) => Some(Refusal::Forbidden),
        _ if message.rate => Some(Refusal::SlowDown(wait(answer))),
        _ if message.complexity => Some(Refusal::TooMuch),
        // One issue that vanished is not the stream's end: the reader meets no data.
        _ if message.missing && answer.answers(&HISTORY) => None,
        Some(Fault::Question) => Some(Refusal::Rejected),
        // A part of the answer is missing: never take it for the whole.
        _ => Some(Refusal::Trouble(answer.status())),
    }
}

/// `Retry-After`, else when the limit starts anew that has least left.
fn wait(answer: &Answer) -> Wait {
    answer.retry_after().or_else(|| Some(allowance(answer)?.resets)).unwrap_or(Wait::Unsaid)
}

/// The limit of which the smallest part is left: of requests, of points, or of requests to one endpoint.
pub(super) fn allowance(answer: &Answer) -> Option<Allowance> {
    let limits = LIMITS.iter().filter_map(|limit| {
        let number = |of: &str| answer.header(&format!("{limit}-{of}"))?.parse::<u64>().ok();
        // Milliseconds since 1970.
        let resets = i64::try_from(number("reset")?).ok().and_then(Timestamp::from_count);
        let resets = resets.map_or(Wait::Unsaid, |moment| Wait::Until(moment.0));
        Some(Allowance { limit: number("limit")?, remaining: number("remaining")?, resets })
    });
    limits.min_by_key(|it| u128::from(it.remaining) * 1_000_000 / u128::from(it.limit.max(1)))
}
