//! Gmail, one mailbox: `messages.list` says which messages there are, `messages.get` what each of them is,
//! `history.list` what changed since. A case is a thread.
//!
//! A first sweep asks for the profile before it lists anything: the history id it tells becomes the cursor's
//! bookmark, so that what changes while the mailbox is read is told by the next sweep. Then it lists the messages,
//! newest first, and looks each of them up. The look-ups take nearly all of the time (20 units of quota each,
//! 6,000 a minute), so one list is enough and no time windows are made; a page of it is asked for when the
//! look-ups of the one before are nearly done.
//!
//! Later sweeps read the history from the bookmark. Gmail keeps it for a week or so: where it says 404 the sweep
//! goes on as a first one, and says that the label changes in between are unknown.
//!
//! History has no times. A label change is dated to the beginning of the sweep that finds it, and what is read of
//! a thread in such a sweep is how it stands then.
//!
//! Start with [`Gmail::begin`]; `read.rs` says what answers mean, `contract.rs` what is asked.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/sync>

mod address;
mod contract;
mod read;
mod refusal;
mod wire;

use crate::answer::Answer;
use crate::connector::{Account, Connector, Cursor, Page, Pending, Stream, Sweep, Window};
use crate::contract::{Contract, Operation, Request, Value};
use crate::error::{BadStream, ReadError, Refusal, Undeclared};
use crate::event::Name;
use chrono::{DateTime, TimeDelta, Utc};
use contract::{CONTRACT, HISTORY, LABELS, MESSAGE, MESSAGES, PROFILE};

pub(crate) struct Gmail;

/// Messages or history records a page brings before anything is halved: as many as Gmail gives.
const PAGE: u64 = 500;
/// Messages looked up in one round.
const SIDE_BY_SIDE: usize = 40;
/// How long a cut reading of the history goes on: label changes are dated to when it began.
const KEEPS: TimeDelta = TimeDelta::days(1);
const MAILBOX: &str = "mailbox";

enum Step<'a> {
    Profile(usize),
    Messages(usize, &'a Window),
    History(usize, &'a Window),
    Labels,
    Message(&'a Pending),
}

/// What `ask` asks and `read` reads, in the same order.
fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    // Look-ups first where many are left: they would pile up faster than they are drained.
    let room = at.pending.len() <= SIDE_BY_SIDE;
    let open = at.windows.iter().enumerate().filter(move |(_, window)| room && !window.is_done());
    let listed = open.map(|(nth, window)| match window.operation.as_str() {
        it if it == PROFILE.name => Step::Profile(nth),
        it if it == MESSAGES.name => Step::Messages(nth, window),
        _ => Step::History(nth, window),
    });
    let left = at.pending.iter().take(SIDE_BY_SIDE).map(|left| match left.operation.as_str() {
        it if it == LABELS.name => Step::Labels,
        _ => Step::Message(left),
    });
    listed.chain(left)
}

/// A question left over: about a message, or about none.
fn left(operation: &Operation, message: Option<String>) -> Pending {
    Pending { operation: operation.name.to_owned(), cases: message.into_iter().collect(), page: None }
}

impl Connector for Gmail {
    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn stream(&self, name: &str) -> Result<Stream, BadStream> {
        if name == MAILBOX {
            return Ok(Stream { name: name.to_owned() });
        }
        Err(BadStream { given: name.to_owned(), expected: "`mailbox`, the only stream there is" })
    }

    fn probe(&self) -> Result<Request, Undeclared> {
        PROFILE.request(&[])
    }

    fn account(&self, answer: &Answer) -> Result<Account, ReadError> {
        let profile: wire::Profile = answer.json()?;
        let id = profile.email_address.0.ok_or(ReadError::Missing("emailAddress"))?;
        let name = Name::new(id.as_str());
        Ok(Account { id, name, beyond: vec![] })
    }

    fn begin(&self, _: &Stream, at: &Cursor, now: DateTime<Utc>) -> Sweep {
        match &at.sweep {
            Some(cut) if still_good(cut, now) => cut.clone(),
            Some(cut) => sweep_from(at, now).in_place_of(cut),
            None => sweep_from(at, now),
        }
    }

    fn ask(&self, _: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared> {
        let size = Value::Number(at.size(PAGE));
        plan(at)
            .map(|step| match step {
                Step::Profile(_) => PROFILE.request(&[]),
                Step::Messages(_, window) => {
                    MESSAGES.request(&[("size", size), ("page", window.after().into())])
                }
                Step::History(_, window) => HISTORY.request(&[
                    ("since", Value::Text(&window.since)),
                    ("size", size),
                    ("page", window.after().into()),
                ]),
                Step::Labels => LABELS.request(&[]),
                Step::Message(left) => {
                    MESSAGE.request(&[("id", left.cases.first().map(String::as_str).into())])
                }
            })
            .collect()
    }

    fn read(&self, _: &Stream, at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError> {
        read::page(at, answers)
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal::of(answer)
    }
}

/// Whether a sweep can go on. A list of messages always can.
fn still_good(cut: &Sweep, now: DateTime<Utc>) -> bool {
    let history = |window: &Window| window.operation == HISTORY.name && !window.is_done();
    now - cut.began < KEEPS || !cut.windows.iter().any(history)
}

/// Everything since the bookmark, or everything; beside it the dictionary of labels.
fn sweep_from(at: &Cursor, now: DateTime<Utc>) -> Sweep {
    let window = match &at.bookmark {
        Some(bookmark) => Window::new(&HISTORY, bookmark, None),
        None => Window::new(&PROFILE, "", None),
    };
    let sweep = Sweep::new(now, vec![window], vec![left(&LABELS, None)]);
    Sweep { reached: at.mark, upto: Some(now), ..sweep }
}
