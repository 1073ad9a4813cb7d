//! What may be said, in the log and in traces alike: [`held`] is the one way in.

use super::Holds::{self, Number, Uuid, Word};
use crate::metrics;
use crate::store::{ErrorClass, State, TicketState};
use uuid::Uuid as Id;

/// All that is ever said.
pub(super) const MESSAGES: &[&str] = &[
    "a schedule cannot be read",
    "a ticket stands",
    "another program reads the database; the log of it shrinks when that is done",
    "answered",
    "bells are away",
    "bells are back",
    "claimed",
    "counted",
    "database is away",
    "fenced",
    "fired",
    "gave back",
    "leads",
    "lease ran out",
    "no bells",
    "panicked",
    "paused",
    "quarantined",
    "renewed the access",
    "sending a ticket",
    "settled",
    "shutting down",
    "the way to the bells broke",
];

/// All that takes time and is traced.
pub(crate) const SPANS: &[&str] = &["census", "page", "scan", "stream"];

/// All that either is said of.
pub(super) const FIELDS: &[(&str, Holds)] = &[
    ("scan", Uuid),
    ("tenant", Uuid),
    ("connection", Uuid),
    ("tenant", Uuid),
    ("key", Uuid),
    ("epoch", Number),
    ("state", Word),
    ("tool", Word),
    ("operation", Word),
    ("status", Number),
    ("bytes", Number),
    ("gone", Number),
    ("pages", Number),
    ("cases", Number),
    ("events", Number),
    ("requests", Number),
    ("slots", Number),
    ("crashes", Number),
    ("error", Word),
    ("seconds", Number),
    ("scans", Number),
];

/// How a stream ends beside the states of a scan.
const ENDS: &[&str] = &["interrupted", "taken over"];

/// What a field holds, if it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Number(u64),
    Text(String),
}

impl Holds {
    fn held(self, text: &str) -> Option<Held> {
        let as_it_is = || Held::Text(text.to_owned());
        match self {
            // Not what parsing alone would take: a sign.
            Self::Number if !text.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Self::Number => text.parse().ok().map(Held::Number),
            Self::Uuid => Id::try_parse(text).is_ok().then(as_it_is),
            Self::Word => is_ours(text).then(as_it_is),
        }
    }
}

/// The name of a field that is in the list, and what it holds unless that has to be withheld.
pub(crate) fn held(field: &str, text: &str) -> Option<(&'static str, Option<Held>)> {
    let (name, holds) = FIELDS.iter().find(|(name, _)| *name == field)?;
    Some((name, holds.held(text)))
}

fn is_ours(word: &str) -> bool {
    let asked_around = twinflow_connectors::DESKS.iter().flat_map(|desk| desk.operations());
    State::ALL.iter().any(|state| state.word() == word)
        || TicketState::ALL.iter().any(|state| state.word() == word)
        || ErrorClass::ALL.iter().any(|class| class.word() == word)
        || ENDS.contains(&word)
        || metrics::CLASSES.contains(&word)
        || asked_around.into_iter().any(|operation| operation.name == word)
        || twinflow_connectors::ALL.iter().map(|it| it.contract()).any(|contract| {
            contract.tool == word || contract.operations.iter().any(|operation| operation.name == word)
        })
}
