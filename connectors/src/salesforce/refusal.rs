//! Salesforce's ways to say no: a list of `{message, errorCode}` behind a status of its own.
//!
//! "Status Codes and Error Responses" in the REST API Developer Guide.

use super::wire::{Code, Complaint, Limit};
use super::{CASES_CHANGED, CASES_CREATED, HISTORY, OPTIONAL};
use crate::answer::Answer;
use crate::error::{Refusal, Wait};
use std::time::Duration;

/// The limit counts the last 24 hours, so some of it comes back every hour.
const AN_HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn of(answer: &Answer) -> Option<Refusal> {
    let status = answer.status();
    if status == 200 {
        return None;
    }
    let complaint = complaint(answer);
    match (status, complaint.as_ref().map(|it| it.error_code)) {
        (401, _) => Some(Refusal::Unauthorised),
        (_, Some(Code::RequestLimitExceeded)) => {
            let limit = complaint.map(|it| it.message).unwrap_or_default();
            Some(Refusal::SlowDown(answer.retry_after().unwrap_or(wait(limit))))
        }
        (_, Some(Code::QueryTimeout)) | (502 | 504, _) => Some(Refusal::TooMuch),
        (400, Some(Code::InvalidField | Code::InvalidType)) if can_do_without(answer) => None,
        (403, _) | (400, Some(Code::InvalidField | Code::InvalidType)) => Some(Refusal::Forbidden),
        (404, _) => Some(Refusal::Gone),
        (429, _) => Some(Refusal::SlowDown(answer.retry_after().unwrap_or(Wait::Unsaid))),
        (500.., _) => Some(answer.retry_after().map_or(Refusal::Trouble(status), Refusal::SlowDown)),
        _ => Some(Refusal::Rejected),
    }
}

/// Whether an object or a column that was asked for does not exist here, or is hidden from this user.
pub(super) fn is_hidden(answer: &Answer) -> bool {
    answer.status() == 400 && matches!(code(answer), Some(Code::InvalidField | Code::InvalidType))
}

/// Questions whose object or columns an org may lack or hide: the reader goes on without.
fn can_do_without(answer: &Answer) -> bool {
    let a_column = [&CASES_CREATED, &CASES_CHANGED];
    OPTIONAL.iter().any(|operation| answer.answers(operation))
        || answer.answers(&HISTORY)
        || (code(answer) == Some(Code::InvalidField) && a_column.iter().any(|it| answer.answers(it)))
}

fn code(answer: &Answer) -> Option<Code> {
    complaint(answer).map(|it| it.error_code)
}

fn complaint(answer: &Answer) -> Option<Complaint> {
    answer.json::<Vec<Complaint>>().ok()?.into_iter().next()
}

fn wait(limit: Limit) -> Wait {
    match limit {
        Limit::Concurrent => Wait::Unsaid,
        Limit::Total => Wait::For(AN_HOUR),
    }
}
