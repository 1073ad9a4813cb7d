//! The fields of Zendesk's answers that are read, and nothing else. Of a ticket's change these are words of closed
//! lists, numbers and tags. `previous_value` can hold anything, a former subject too: of it only such a word or
//! number survives, and it is looked at only where the same change names a followed field.

use crate::connector::Place;
use crate::error::ReadError;
use crate::event::{Name, Opaque, Timestamp, Token};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

#[derive(Deserialize)]
pub(super) struct Me {
    pub(super) user: Whose,
}

#[derive(Deserialize)]
pub(super) struct Whose {
    /// Nothing where the credential was not recognised: the answer is then about an anonymous visitor.
    pub(super) id: Option<Id>,
    pub(super) name: Option<Name>,
}

#[derive(Deserialize)]
pub(super) struct Metrics {
    pub(super) ticket_metric_events: Vec<MetricEvent>,
    pub(super) meta: Meta,
}

/// The URLs in `links` are not followed; the cursor is all that is taken.
#[derive(Deserialize)]
pub(super) struct Meta {
    pub(super) has_more: bool,
    pub(super) after_cursor: Option<Token>,
}

impl Meta {
    pub(super) fn place(self) -> Result<Place, ReadError> {
        match self.after_cursor.and_then(Token::text) {
            _ if !self.has_more => Ok(Place::End),
            Some(cursor) => Ok(Place::After(cursor)),
            None => Err(ReadError::Missing("after_cursor, though has_more")),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct MetricEvent {
    pub(super) id: Id,
    pub(super) ticket_id: Id,
    pub(super) metric: Metric,
    pub(super) instance_id: Option<u64>,
    #[serde(rename = "type")]
    pub(super) what: Tick,
    pub(super) time: Timestamp,
    /// A breach that was taken back: its target moved, or the ticket left the policy.
    #[serde(default)]
    pub(super) deleted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Metric {
    AgentWorkTime,
    RequesterWaitTime,
    ReplyTime,
    #[serde(other)]
    Other,
}

/// What happened to a clock.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tick {
    Activate,
    Pause,
    Fulfill,
    Breach,
    /// Targets set and time counted; names of policies come with them.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
pub(super) struct Updates {
    pub(super) ticket_events: Vec<Update>,
    /// Seconds since 1970.
    pub(super) end_time: Option<Timestamp>,
    pub(super) end_of_stream: Option<bool>,
}

/// What one save of a ticket changed.
#[derive(Deserialize)]
pub(super) struct Update {
    pub(super) id: Id,
    pub(super) ticket_id: Id,
    pub(super) timestamp: Timestamp,
    #[serde(default)]
    pub(super) updater_id: Value,
    #[serde(default)]
    pub(super) child_events: Vec<Change>,
}

#[derive(Deserialize)]
pub(super) struct Change {
    pub(super) id: Option<Id>,
    pub(super) event_type: Option<ChangeType>,
    #[serde(default, deserialize_with = "given")]
    pub(super) status: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    pub(super) assignee_id: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    pub(super) group_id: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    pub(super) priority: Option<Value>,
    #[serde(default, deserialize_with = "given", rename = "type")]
    pub(super) kind: Option<Value>,
    #[serde(default)]
    pub(super) previous_value: Value,
    pub(super) added_tags: Option<Vec<Tag>>,
    pub(super) removed_tags: Option<Vec<Tag>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ChangeType {
    Create,
    Change,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
pub(super) struct Agents {
    pub(super) users: Vec<Entry>,
    pub(super) meta: Meta,
}

#[derive(Deserialize)]
pub(super) struct Groups {
    pub(super) groups: Vec<Entry>,
    pub(super) meta: Meta,
}

#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) name: Name,
}

/// Ids are numbers; what else stands in their place is no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) Opaque);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Opaque::new(number.to_string()).map(Self).ok_or_else(|| de::Error::custom("not an id"))
    }
}

/// Every word a followed field can hold.
const WORDS: [&str; 15] = [
    "new", "open", "pending", "hold", "solved", "closed", "deleted", "low", "normal", "high", "urgent",
    "question", "incident", "problem", "task",
];

/// What a field holds or held: an id, a word that is known beforehand, or something that is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    Nothing,
    Id(Opaque),
    Word(&'static str),
    Unknown,
}

impl Value {
    pub(super) fn id(&self) -> Option<Opaque> {
        match self {
            Self::Id(id) => Some(id.clone()),
            _ => None,
        }
    }

    /// The word, if it is one of these.
    pub(super) fn word(&self, among: &[&'static str]) -> Option<&'static str> {
        match self {
            Self::Word(word) if among.contains(word) => Some(word),
            _ => None,
        }
    }

    fn of(text: &str) -> Self {
        let number = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        match WORDS.iter().find(|word| **word == text) {
            Some(word) => Self::Word(word),
            None if text.is_empty() => Self::Nothing,
            None => Opaque::new(text).filter(|_| number).map_or(Self::Unknown, Self::Id),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::of(text))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::of(&number.to_string()))
            }
            /// The system, not a person, is -1.
            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Nothing)
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Nothing)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Unknown)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Unknown)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Unknown)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Unknown)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

/// Tells a field that is null from one that is absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A tag has no spaces; what has some is none.
pub(super) struct Tag(pub(super) Option<Opaque>);

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl Visitor<'_> for Look {
            type Value = Tag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tag")
            }
            fn visit_str<E>(self, text: &str) -> Result<Tag, E> {
                Ok(Tag(Opaque::new(text)))
            }
        }
        deserializer.deserialize_str(Look)
    }
}
