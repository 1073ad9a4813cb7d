//! A connector is a pure value: it says what to ask next and what the answers mean.

use crate::answer::Answer;
use crate::contract::{Contract, Operation, Request};
use crate::error::{Allowance, BadStream, ReadError, Refusal, Undeclared};
use crate::event::{Case, Event, Name, Named, Opaque, Withdrawn};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub trait Connector: Sync {
    /// Everything this connector may ask, and everything it keeps.
    fn contract(&self) -> &'static Contract;

    /// The stream a person named, in its one spelling.
    fn stream(&self, name: &str) -> Result<Stream, BadStream>;

    /// The question that shows whose credential this is. Asked once, when connecting.
    fn probe(&self) -> Result<Request, Undeclared>;

    /// The answer to [`Connector::probe`].
    fn account(&self, answer: &Answer) -> Result<Account, ReadError>;

    /// The question that lists the sites a fresh grant opens, for tools where it may open several. Asked once, when
    /// connecting: of the tool's origin, since no base URL is known yet.
    fn sites(&self) -> Result<Option<Request>, Undeclared> {
        Ok(None)
    }

    /// The answer to [`Connector::sites`].
    fn read_sites(&self, _: &Answer) -> Result<Vec<Site>, ReadError> {
        Ok(vec![])
    }

    /// Where a scan goes on from here: a new sweep after a finished one; the sweep under way; or one in its place,
    /// if that has waited too long.
    fn begin(&self, stream: &Stream, at: &Cursor, now: DateTime<Utc>) -> Sweep;

    /// A sweep that brings the ids of all the stream's cases, as [`Page::present`], and nothing else: what is no longer
    /// among them was deleted, moved away or hidden. None where the tool tells of deletions itself.
    fn census(&self, _: &Stream, _now: DateTime<Utc>) -> Option<Sweep> {
        None
    }

    /// What to ask next: at least one request; several may be sent side by side.
    fn ask(&self, stream: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared>;

    /// What the answers to [`Connector::ask`], in the same order, mean.
    fn read(&self, stream: &Stream, at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError>;

    /// Recognises a "no" in the tool's own dialect.
    fn refusal(&self, answer: &Answer) -> Option<Refusal>;

    /// What is left of the tool's limit, where an answer says so.
    fn allowance(&self, _: &Answer) -> Option<Allowance> {
        None
    }
}

/// One thing to follow: the issues of one repository, of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub name: String,
}

/// Whose credential it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: Opaque,
    pub name: Name,
    /// What the credential may do beyond what the contract asks for; a careful person refuses it.
    pub beyond: Vec<String>,
}

/// One of the places a grant opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub name: Name,
    /// What people know it by: `https://acme.atlassian.net`.
    pub url: String,
    /// What follows the tool's origin in the base URL.
    pub path: String,
    /// What the grant may do there.
    pub scopes: Vec<String>,
}

/// How far a stream has been read. Kept as JSON, and plain enough to be shown to a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Everything that changed up to here has been read.
    pub mark: Option<DateTime<Utc>>,
    /// The same in a tool's own count, for tools that do not go by time.
    #[serde(default)]
    pub bookmark: Option<String>,
    /// The sweep under way, if the last one was cut short.
    pub sweep: Option<Sweep>,
}

/// One pass over what changed since the mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    pub began: DateTime<Utc>,
    /// The lists that are read side by side. Most sweeps have one, oldest change first; a first one may have many.
    pub windows: Vec<Window>,
    /// Up to here every change has been read; the mark once the sweep is done.
    pub reached: Option<DateTime<Utc>>,
    /// The mark once the sweep is done, where the order of reading does not tell it.
    #[serde(default)]
    pub upto: Option<DateTime<Utc>>,
    /// The cursor's bookmark once the sweep is done.
    #[serde(default)]
    pub bookmark: Option<String>,
    /// What belongs to pages already read and has still to be asked for.
    pub pending: Vec<Pending>,
    /// Cases seen so far.
    pub cases: u64,
    /// How many times the page size was halved because the tool took too long.
    pub halved: u8,
    /// What could not be read, in a sentence each, and how often. A scan that goes on with this sweep is partial.
    #[serde(default)]
    pub skipped: BTreeMap<String, u64>,
    /// What the next page is needed for to be understood; ids and words of the connector's own.
    #[serde(default)]
    pub carried: Vec<String>,
}

/// A list that is read page by page, between two bounds that stay the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The operation that asks for it.
    pub operation: String,
    /// The lower bound, in the tool's own notation.
    pub since: String,
    /// The upper bound, where there is one.
    #[serde(default)]
    pub until: Option<String>,
    pub page: Place,
}

/// Equal parts of the time between two moments, the last one open at its end: a first sweep reads them side by side.
pub(crate) fn slices(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    parts: u32,
) -> impl Iterator<Item = (DateTime<Utc>, Option<DateTime<Utc>>)> {
    let part = (to - from).max(TimeDelta::zero()) / i32::try_from(parts.max(1)).unwrap_or(i32::MAX);
    let bound = move |nth: u32| from + part * i32::try_from(nth).unwrap_or(i32::MAX);
    (0..parts).map(move |nth| (bound(nth), (nth + 1 < parts).then(|| bound(nth + 1))))
}

/// Which page of the list comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    First,
    After(String),
    /// The list is read to its end.
    End,
}

/// A question left over from a page: which operation, about which cases, from which page on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub operation: String,
    pub cases: Vec<String>,
    pub page: Option<String>,
}

/// What one round of answers came to.
#[derive(Clone, Debug)]
pub struct Page {
    pub cases: Vec<Case>,
    pub events: Vec<Event>,
    /// Events that the tool may have told otherwise before: they replace what is known of the same happening.
    pub revised: Vec<Event>,
    /// Happenings that the tool no longer tells of, though it did before.
    pub withdrawn: Vec<Withdrawn>,
    pub names: Vec<Named>,
    /// Ids of cases that are there, of a census.
    pub present: Vec<Opaque>,
    /// How many cases the stream has, where the tool says so. It may be wrong: only estimates are made of it.
    pub total: Option<u64>,
    /// Where the sweep goes on.
    pub next: Sweep,
}

impl Page {
    pub(crate) fn new(next: Sweep) -> Self {
        let (cases, events, revised, withdrawn) = (vec![], vec![], vec![], vec![]);
        Self { cases, events, revised, withdrawn, names: vec![], present: vec![], total: None, next }
    }
}

impl Window {
    pub fn new(operation: &Operation, since: impl Into<String>, until: Option<String>) -> Self {
        Self { operation: operation.name.to_owned(), since: since.into(), until, page: Place::First }
    }

    /// The token of the page to ask for; nothing on the first.
    pub fn after(&self) -> Option<&str> {
        match &self.page {
            Place::After(token) => Some(token),
            Place::First | Place::End => None,
        }
    }

    pub fn is_done(&self) -> bool {
        self.page == Place::End
    }
}

impl Sweep {
    pub fn new(began: DateTime<Utc>, windows: Vec<Window>, pending: Vec<Pending>) -> Self {
        Self {
            began,
            windows,
            reached: None,
            upto: None,
            bookmark: None,
            pending,
            cases: 0,
            halved: 0,
            skipped: BTreeMap::new(),
            carried: vec![],
        }
    }

    /// This fresh sweep in place of one that cannot go on: what that one had reached and left over is kept. Its
    /// questions are asked from their first page, since their page tokens may have died with it; of windows that
    /// are parts of one time those that were done stay done.
    pub fn in_place_of(mut self, cut: &Sweep) -> Self {
        let in_parts = cut.windows.iter().any(|it| it.until.is_some());
        if in_parts && self.upto.is_some() && cut.upto.is_some() {
            self.windows.clone_from(&cut.windows);
            self.windows.iter_mut().filter(|it| !it.is_done()).for_each(|it| it.page = Place::First);
            self.upto = cut.upto;
            self.carried.clone_from(&cut.carried);
        }
        let left = cut.pending.iter().filter(|left| !left.cases.is_empty());
        self.pending.extend(left.map(|left| Pending { page: None, ..left.clone() }));
        let (reached, cases) = (self.reached.max(cut.reached), self.cases + cut.cases);
        let bookmark = self.bookmark.or_else(|| cut.bookmark.clone());
        Self { reached, cases, bookmark, skipped: cut.skipped.clone(), ..self }
    }

    /// Asks for half as much from now on: of the list, and of what is left over.
    pub fn halve(&mut self) {
        self.halved += 1;
        let halves = |left: &Pending| {
            let (first, second) = left.cases.split_at(left.cases.len() / 2);
            if first.is_empty() {
                return vec![left.clone()];
            }
            [first, second].map(|cases| Pending { cases: cases.to_vec(), page: None, ..left.clone() }).into()
        };
        self.pending = self.pending.iter().flat_map(halves).collect();
    }

    pub fn is_done(&self) -> bool {
        self.windows.iter().all(Window::is_done) && self.pending.is_empty()
    }

    /// How much a page should bring that brings `whole` unless it was halved; never nothing.
    pub(crate) fn size(&self, whole: u64) -> u64 {
        whole.checked_shr(self.halved.into()).unwrap_or(0).max(1)
    }

    /// Where the nth window goes on.
    pub(crate) fn turn(&mut self, nth: usize, place: Place) {
        if let Some(window) = self.windows.get_mut(nth) {
            window.page = place;
        }
    }

    /// Notes something that could not be read.
    pub(crate) fn skip(&mut self, why: &str) {
        *self.skipped.entry(why.to_owned()).or_default() += 1;
    }

    /// Notes that the cases of a page have been seen, of a list that is in the order of their last change.
    pub(crate) fn saw(&mut self, cases: &[Case]) {
        self.cases += cases.len() as u64;
        self.reached = self.reached.max(cases.iter().map(|case| case.updated_at).max());
    }
}

impl Cursor {
    /// The cursor once `sweep` has got this far. A mark never moves back.
    pub fn after(&self, sweep: Sweep) -> Self {
        if sweep.is_done() {
            // A time in the future is a mistake of somebody's; a mark there would never be passed again.
            let reached = sweep.reached.max(sweep.upto).map(|reached| reached.min(sweep.began));
            let bookmark = sweep.bookmark.or_else(|| self.bookmark.clone());
            Self { mark: self.mark.max(reached), bookmark, sweep: None }
        } else {
            Self { mark: self.mark, bookmark: self.bookmark.clone(), sweep: Some(sweep) }
        }
    }
}
