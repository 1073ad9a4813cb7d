//! Salesforce cases, by SOQL: every query names its columns, so what is not named does not come.
//!
//! There is one stream, `cases`. `CaseHistory` says who changed what. Its rows are asked for by a list of fields: values
//! of other fields, prose among them, stay where they are. Where an org does not track the history of Status or of
//! the owner, `CaseHistory2` tells the states its cases went through.
//!
//! A first sweep reads cases and history in parts of the time since the oldest case, side by side; a later one what
//! changed since the mark. Each list goes on behind the last record that was read (`place.rs`), so a sweep that
//! waited for weeks goes on as well. The mark is the newest change that was seen, and never after the sweep began: so
//! a later sweep meets at least one case again, and one that meets none is worth a question.
//!
//! Start with `contract.rs` for what is asked; `read.rs` and `history.rs` say what it means.
//!
//! <https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_queryall.htm>,
//! <https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_casehistory.htm>

mod contract;
mod history;
mod id;
mod place;
mod read;
mod refusal;
mod wire;

use crate::answer::Answer;
use crate::connector::{Account, Connector, Cursor, Page, Pending, Stream, Sweep, Window};
use crate::contract::{Contract, Operation, Request, Value};
use crate::error::{Allowance, BadStream, ReadError, Refusal, Undeclared, Wait};
use crate::event::Name;
use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    CASES_CHANGED, CASES_CREATED, CONTRACT, FIELDS, HISTORY, LISTS, OLDEST, OPTIONAL, QUEUES, RESOURCES,
    STATUSES, USERS,
};
use place::Place;
use read::Reader;

pub(crate) struct Salesforce;

/// Records a page brings before anything is halved; an answer holds no more, and each counts against a limit that
/// everybody in the org shares.
const PAGE: u64 = 2_000;
/// Parts a first sweep is read in, of cases and of their history.
const PARTS: u32 = 3;
/// Long transactions show what they did only at their end; clocks differ.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);
const CASES: &str = "cases";
const FROM_THE_FIRST: &str = "1970-01-01T00:00:00.000Z";

enum Step<'a> {
    List(usize, &'a Window),
    Left(&'a Pending),
}

/// What `ask` asks and `read` reads, in the same order.
fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    let open = at.windows.iter().enumerate().filter(|(_, it)| !it.is_done());
    open.map(|(nth, window)| Step::List(nth, window)).chain(at.pending.iter().map(Step::Left))
}

impl Connector for Salesforce {
    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn stream(&self, name: &str) -> Result<Stream, BadStream> {
        if name == CASES {
            return Ok(Stream { name: name.to_owned() });
        }
        Err(BadStream { given: name.to_owned(), expected: "`cases`, the one stream there is" })
    }

    fn probe(&self) -> Result<Request, Undeclared> {
        RESOURCES.request(&[])
    }

    fn account(&self, answer: &Answer) -> Result<Account, ReadError> {
        let wire::Identity { organisation, user } = answer.json::<wire::Resources>()?.identity;
        let name = Name::new(&format!("user {} of org {}", user.as_str(), organisation.as_str()));
        Ok(Account { id: user.opaque(), name, beyond: vec![] })
    }

    fn begin(&self, _: &Stream, at: &Cursor, now: DateTime<Utc>) -> Sweep {
        if let Some(cut) = &at.sweep {
            return cut.clone();
        }
        let since = at.mark.map(|mark| place::moment(mark - OVERLAP));
        let mut lists = vec![&USERS, &QUEUES];
        let mut pending = vec![&FIELDS, &STATUSES];
        match since {
            Some(_) => lists.extend([&CASES_CHANGED, &HISTORY]),
            None => pending.push(&OLDEST),
        }
        let since = since.unwrap_or_else(|| FROM_THE_FIRST.to_owned());
        let windows = lists.into_iter().map(|list| Window::new(list, &since, None)).collect();
        let left = |operation: &Operation| Pending {
            operation: operation.name.to_owned(),
            cases: vec![],
            page: Some(since.clone()),
        };
        let pending = pending.into_iter().map(left).collect();
        Sweep::new(now, windows, pending)
    }

    fn ask(&self, _: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared> {
        plan(at)
            .map(|step| match step {
                Step::List(_, window) => list(window, at.size(PAGE)),
                Step::Left(left) => {
                    let known =
                        [&FIELDS, &OLDEST, &STATUSES].into_iter().find(|it| it.name == left.operation);
                    known.ok_or_else(|| undeclared(&left.operation, "no such question"))?.request(&[])
                }
            })
            .collect()
    }

    fn read(&self, _: &Stream, at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError> {
        let steps: Vec<_> = plan(at).collect();
        if steps.len() != answers.len() {
            return Err(ReadError::Count(answers.len(), steps.len()));
        }
        let mut next = at.clone();
        next.pending.clear();
        let mut reader = Reader::new(next);
        let steps = || steps.iter().zip(answers);
        // Which history is tracked has to be known before any of it is read.
        for (step, answer) in steps() {
            if let Step::Left(left) = step {
                reader.left(left, answer)?;
            }
        }
        for (step, answer) in steps() {
            if let Step::List(nth, window) = step {
                reader.window(*nth, window, answer)?;
            }
        }
        Ok(reader.finish())
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal::of(answer)
    }

    /// `Sforce-Limit-Info: api-usage=18/5000`, of the last 24 hours and of everybody in the org.
    fn allowance(&self, answer: &Answer) -> Option<Allowance> {
        let usage = answer
            .header("sforce-limit-info")?
            .split(';')
            .find_map(|it| it.trim().strip_prefix("api-usage="))?;
        let (used, limit) = usage.split_once('/')?;
        let (used, limit): (u64, u64) = (used.parse().ok()?, limit.parse().ok()?);
        Some(Allowance { limit, remaining: limit.saturating_sub(used), resets: Wait::Unsaid })
    }
}

fn list(window: &Window, size: u64) -> Result<Request, Undeclared> {
    let operation = LISTS.iter().find(|it| it.name == window.operation);
    let operation = operation.ok_or_else(|| undeclared(&window.operation, "no such list"))?;
    let place = Place::of(window).ok_or_else(|| undeclared("page", "no place of ours"))?;
    operation.request(&[
        ("since", Value::Text(&place.since)),
        ("until", Value::Text(&place.until)),
        ("at", Value::Text(&place.at)),
        ("after", Value::Text(&place.after)),
        ("case", Value::Text(&place.case)),
        ("size", Value::Number(size)),
    ])
}

fn undeclared(parameter: &str, problem: &'static str) -> Undeclared {
    Undeclared { operation: CONTRACT.tool, parameter: parameter.to_owned(), problem }
}
