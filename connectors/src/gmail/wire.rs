//! The fields of Gmail's answers that are read, and nothing else. Of a header these are which of three it is, and
//! an address where its value is one; of an error, the word for its reason.

use super::address;
use crate::event::{Name, Opaque, Token};
use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Profile {
    #[serde(default)]
    pub(super) email_address: Address,
    pub(super) history_id: HistoryId,
}

#[derive(Deserialize)]
pub(super) struct Labels {
    #[serde(default)]
    pub(super) labels: Vec<Label>,
}

#[derive(Deserialize)]
pub(super) struct Label {
    pub(super) id: Opaque,
    pub(super) name: Name,
}

/// An empty list is left out of an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    #[serde(default)]
    pub(super) messages: Vec<Id>,
    pub(super) next_page_token: Option<Token>,
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub(super) id: Opaque,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    pub(super) id: Opaque,
    pub(super) thread_id: Opaque,
    #[serde(default)]
    pub(super) label_ids: Vec<Opaque>,
    pub(super) internal_date: Millis,
    #[serde(default)]
    pub(super) payload: Payload,
}

/// Left out when none of the headers asked for is there.
#[derive(Default, Deserialize)]
pub(super) struct Payload {
    #[serde(default)]
    pub(super) headers: Vec<Header>,
}

#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) name: Field,
    #[serde(default)]
    pub(super) value: Address,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct History {
    #[serde(default)]
    pub(super) history: Vec<Record>,
    pub(super) next_page_token: Option<Token>,
    pub(super) history_id: HistoryId,
}

/// Things that changed at once.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) id: HistoryId,
    #[serde(default)]
    pub(super) messages_added: Vec<Changed>,
    #[serde(default)]
    pub(super) messages_deleted: Vec<Changed>,
    #[serde(default)]
    pub(super) labels_added: Vec<Changed>,
    #[serde(default)]
    pub(super) labels_removed: Vec<Changed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    pub(super) message: Stub,
    /// The labels that it got or lost, if that is what happened.
    #[serde(default)]
    pub(super) label_ids: Vec<Opaque>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stub {
    pub(super) id: Opaque,
    pub(super) thread_id: Opaque,
    #[serde(default)]
    pub(super) label_ids: Vec<Opaque>,
}

#[derive(Deserialize)]
pub(super) struct Complaint {
    pub(super) error: Problem,
}

#[derive(Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) errors: Vec<Reason>,
}

#[derive(Deserialize)]
pub(super) struct Reason {
    pub(super) reason: Opaque,
}

/// What a text comes to, or nothing: most of what a header says is not for us.
fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    read: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Look<T>(&'static str, fn(&str) -> Option<T>);
    impl<T> Visitor<'_> for Look<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).ok_or_else(|| E::custom(self.0))
        }
    }
    deserializer.deserialize_str(Look(expected, read))
}

/// An address if the value is one and nothing else; the name beside it is not kept.
#[derive(Default)]
pub(super) struct Address(pub(super) Option<Opaque>);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a header's value", |value| Some(Self(address::of(value))))
    }
}

/// The headers that are asked for. Their names are the sender's to spell: `FROM`, `in-reply-to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    From,
    /// `In-Reply-To` or `References`.
    Parent,
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a header's name", |name| {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            Some(if is("From") {
                Self::From
            } else if is("In-Reply-To") || is("References") {
                Self::Parent
            } else {
                Self::Other
            })
        })
    }
}

/// A point in a mailbox's history: numbers that grow, with gaps, written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HistoryId(pub(super) u64);

impl<'de> Deserialize<'de> for HistoryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a history id", |id| id.parse().ok().map(Self))
    }
}

/// Milliseconds since 1970, written as text. Like [`crate::event::Timestamp`], no year is believed that nobody
/// works in.
pub(super) struct Millis(pub(super) DateTime<Utc>);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a time", |count| {
            let count = count.parse::<u64>().ok().and_then(|count| i64::try_from(count).ok())?;
            DateTime::from_timestamp_millis(count).filter(|moment| moment.year() < 2200).map(Self)
        })
    }
}
