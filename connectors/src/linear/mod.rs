//! Linear issues, by GraphQL: ids alone, and the names from four dictionaries.
//!
//! One stream is one team, or the workspace. `contract.rs` says what is asked, `read.rs` what it means. Issues bring
//! the first 20 entries of their histories; what is longer is drained beside the following pages.
//!
//! *Histories are rewritten.* Entries of one actor are grouped for some minutes (`facets.rs`). An entry that may have
//! told something else before therefore goes out as revised, with what it tells no longer as withdrawn; and a sweep
//! begins so far behind the mark that an entry still open when it was read is met again.
//!
//! *Order.* Lists come newest first. In the order of their last update an issue that changes while pages are read
//! would jump out of the pages still to come, so they are asked for in the order of their creation, and the mark
//! moves when the whole sweep is done. A first sweep parts the time since the workspace was made into windows.
//!
//! *Census.* The history tells what goes to the trash, and nothing of what leaves it for good, or the team: now and then
//! the ids of all issues that are left are asked for.
//!
//! <https://linear.app/developers/graphql>, <https://linear.app/developers/pagination>,
//! <https://linear.app/developers/rate-limiting>

mod contract;
mod facets;
mod read;
mod refusal;
mod wire;

use crate::answer::Answer;
use crate::connector::{Account, Connector, Cursor, Page, Pending, Stream, Sweep, Window};
use crate::contract::{Contract, Operation, Request, Value};
use crate::error::{Allowance, BadStream, ReadError, Refusal, Undeclared};
use crate::event::{Kind, Name};
use crate::graphql::data;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use contract::{
    CENSUS_TEAM, CENSUS_WORKSPACE, CONTRACT, DICTIONARIES, HISTORY, ISSUES_TEAM, ISSUES_WORKSPACE, STREAM,
    TEAM, THE_WORKSPACE, VIEWER, WORKSPACE,
};
use read::Reader;

pub(crate) struct Linear;

/// Issues a page brings before anything is halved. With their histories they cost some 6,500 of the 10,000 points that
/// one question may.
const PAGE: u64 = 50;
/// The same of bare ids: as many as Linear shows.
const CENSUS_PAGE: u64 = 250;
/// Questions left over that are asked side by side, and windows of a first sweep.
const SIDE_BY_SIDE: usize = 8;
const WINDOWS: u32 = 8;
/// How far behind the mark a sweep starts. Longer than Linear goes on rewriting an entry (some ten minutes), so that
/// one which was still open is met again; and what is shown late, and clocks that differ.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);
/// No clock is further off.
const A_DAY: TimeDelta = TimeDelta::days(1);

enum Step<'a> {
    Issues(usize, &'a Window),
    Census(usize, &'a Window),
    Bounds(&'static Operation),
    Dictionary(&'a Pending, &'static Operation, Kind),
    History(&'a Pending),
}

/// What `ask` asks and `read` reads, in the same order.
fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    // What is left over first where that is much: it would pile up faster than it is drained.
    let room = at.pending.len() <= SIDE_BY_SIDE;
    let open = at.windows.iter().enumerate().filter(move |(_, it)| room && !it.is_done());
    open.map(|(nth, window)| list_step(nth, window)).chain(at.pending.iter().take(SIDE_BY_SIDE).map(left))
}

fn list_step(nth: usize, window: &Window) -> Step<'_> {
    let counts = [&CENSUS_TEAM, &CENSUS_WORKSPACE].iter().any(|it| it.name == window.operation);
    if counts { Step::Census(nth, window) } else { Step::Issues(nth, window) }
}

fn left(left: &Pending) -> Step<'_> {
    if let Some(operation) = [&TEAM, &WORKSPACE].into_iter().find(|it| it.name == left.operation) {
        return Step::Bounds(operation);
    }
    let dictionary = DICTIONARIES.iter().find(|(it, _)| it.name == left.operation);
    dictionary.map_or(Step::History(left), |(operation, kind)| Step::Dictionary(left, operation, *kind))
}

impl Connector for Linear {
    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn stream(&self, name: &str) -> Result<Stream, BadStream> {
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        if name == THE_WORKSPACE || ((1..=20).contains(&name.len()) && name.chars().all(fits)) {
            return Ok(Stream { name: name.to_owned() });
        }
        Err(BadStream { given: name.to_owned(), expected: STREAM })
    }

    fn probe(&self) -> Result<Request, Undeclared> {
        VIEWER.request(&[])
    }

    fn account(&self, answer: &Answer) -> Result<Account, ReadError> {
        let viewer = data::<wire::ViewerData>(answer)?.viewer;
        let name = viewer.display_name.unwrap_or_else(|| Name::new(viewer.id.as_str()));
        Ok(Account { id: viewer.id, name, beyond: vec![] })
    }

    fn begin(&self, stream: &Stream, at: &Cursor, now: DateTime<Utc>) -> Sweep {
        at.sweep.clone().unwrap_or_else(|| sweep_from(stream, at.mark, now))
    }

    fn census(&self, stream: &Stream, now: DateTime<Utc>) -> Option<Sweep> {
        let census = if stream.name == THE_WORKSPACE { &CENSUS_WORKSPACE } else { &CENSUS_TEAM };
        Some(Sweep::new(now, vec![Window::new(census, text(DateTime::UNIX_EPOCH), None)], vec![]))
    }

    fn ask(&self, stream: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared> {
        plan(at)
            .map(|step| match step {
                Step::Issues(_, window) => issues(stream, at, window),
                Step::Census(_, window) => census(stream, at, window),
                Step::Bounds(operation) if operation.name == TEAM.name => {
                    TEAM.request(&[("team", Value::Text(&stream.name))])
                }
                Step::Bounds(operation) => operation.request(&[]),
                Step::Dictionary(left, operation, _) => {
                    operation.request(&[("after", left.page.as_deref().into())])
                }
                Step::History(left) => HISTORY.request(&[
                    ("id", left.cases.first().map(String::as_str).into()),
                    ("after", left.page.as_deref().into()),
                ]),
            })
            .collect()
    }

    fn read(&self, stream: &Stream, at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError> {
        let steps: Vec<_> = plan(at).collect();
        if steps.len() != answers.len() {
            return Err(ReadError::Count(answers.len(), steps.len()));
        }
        let mut next = at.clone();
        next.pending.drain(..at.pending.len().min(SIDE_BY_SIDE));
        let mut reader = Reader::new(next);
        for (step, answer) in steps.into_iter().zip(answers) {
            match step {
                Step::Issues(nth, _) => reader.issues(answer, nth)?,
                Step::Census(nth, _) => reader.census(answer, nth)?,
                Step::Bounds(operation) => reader.bounds(answer, operation, stream)?,
                Step::Dictionary(left, _, kind) => reader.dictionary(answer, left, kind)?,
                Step::History(left) => reader.history(answer, left)?,
            }
        }
        Ok(reader.finish())
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal::of(answer)
    }

    fn allowance(&self, answer: &Answer) -> Option<Allowance> {
        refusal::allowance(answer)
    }
}

/// Everything that changed since the mark, or since ever; and the dictionaries beside it.
fn sweep_from(stream: &Stream, mark: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Sweep {
    let windows = mark.map(|mark| Window::new(list(stream), text(mark - OVERLAP), None));
    let bounds = match (stream.name.as_str(), mark) {
        (THE_WORKSPACE, None) => Some(&WORKSPACE),
        (THE_WORKSPACE, Some(_)) => None,
        _ => Some(&TEAM),
    };
    let first = bounds.into_iter().chain(DICTIONARIES.iter().map(|(operation, _)| *operation));
    let ask = |it: &Operation| Pending { operation: it.name.to_owned(), cases: vec![], page: None };
    let sweep = Sweep::new(now, windows.into_iter().collect(), first.map(ask).collect());
    Sweep { upto: Some(now), ..sweep }
}

fn list(stream: &Stream) -> &'static Operation {
    if stream.name == THE_WORKSPACE { &ISSUES_WORKSPACE } else { &ISSUES_TEAM }
}

/// A window with two bounds is of issues created between them, one with a single bound of those changed since.
fn issues(stream: &Stream, at: &Sweep, window: &Window) -> Result<Request, Undeclared> {
    let (ever, soon) = (text(DateTime::UNIX_EPOCH), text(at.began + A_DAY));
    let (from, to, since) = match &window.until {
        Some(until) => (&window.since, until, &ever),
        None => (&ever, &soon, &window.since),
    };
    let mut values = vec![
        ("first", Value::Number(at.size(PAGE))),
        ("after", window.after().into()),
        ("from", Value::Text(from)),
        ("to", Value::Text(to)),
        ("since", Value::Text(since)),
    ];
    let operation = list(stream);
    if operation.name == ISSUES_TEAM.name {
        values.push(("team", Value::Text(&stream.name)));
    }
    operation.request(&values)
}

/// A page of ids.
fn census(stream: &Stream, at: &Sweep, window: &Window) -> Result<Request, Undeclared> {
    let (first, after) = (("first", Value::Number(at.size(CENSUS_PAGE))), ("after", window.after().into()));
    if stream.name == THE_WORKSPACE {
        return CENSUS_WORKSPACE.request(&[first, after]);
    }
    CENSUS_TEAM.request(&[("team", Value::Text(&stream.name)), first, after])
}

fn text(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}
