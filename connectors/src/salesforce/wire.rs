//! The fields of Salesforce's answers that are read, and nothing else. A history row holds its values as the tool
//! wrote them, names of people included; what is decoded of them is a short picklist value or a truth value, and
//! `history.rs` keeps of that only what the row's field may hold.

use super::id::{Picked, Sid};
use crate::event::{Name, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What every query comes to.
#[derive(Deserialize)]
pub(super) struct Rows<T> {
    /// Whether these are all that the query's LIMIT lets through.
    pub(super) done: bool,
    pub(super) records: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Case {
    pub(super) id: Sid,
    pub(super) case_number: Picked,
    pub(super) status: Picked,
    #[serde(default)]
    pub(super) priority: Picked,
    pub(super) owner_id: Option<Sid>,
    pub(super) created_by_id: Option<Sid>,
    pub(super) created_date: Timestamp,
    pub(super) system_modstamp: Timestamp,
    pub(super) is_deleted: bool,
    /// Of a case that was merged into another.
    pub(super) master_record_id: Option<Sid>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Created {
    pub(super) created_date: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Change {
    pub(super) id: Sid,
    pub(super) case_id: Sid,
    pub(super) field: Field,
    #[serde(default)]
    pub(super) old_value: Value,
    #[serde(default)]
    pub(super) new_value: Value,
    pub(super) created_by_id: Option<Sid>,
    pub(super) created_date: Timestamp,
}

/// The fields that are asked for; others come to `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Field {
    Status,
    Owner,
    #[serde(rename = "ownerAccepted")]
    OwnerAccepted,
    #[serde(rename = "ownerAssignment")]
    OwnerAssignment,
    #[serde(rename = "ownerEscalated")]
    OwnerEscalated,
    IsEscalated,
    Priority,
    Type,
    Origin,
    Reason,
    #[serde(other)]
    Other,
}

/// How a case stood once its status or owner had changed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) id: Sid,
    pub(super) case_id: Sid,
    pub(super) status: Picked,
    pub(super) owner_id: Option<Sid>,
    pub(super) last_modified_by_id: Option<Sid>,
    pub(super) last_modified_date: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Status {
    pub(super) api_name: Picked,
    pub(super) master_label: Option<Name>,
    pub(super) is_closed: bool,
    pub(super) is_default: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct User {
    pub(super) id: Sid,
    pub(super) name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Queue {
    pub(super) id: Sid,
    pub(super) developer_name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FieldDefinition {
    pub(super) qualified_api_name: Column,
    pub(super) is_field_history_tracked: bool,
}

/// The columns of a case without whose history there is no timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Column {
    Status,
    OwnerId,
    #[serde(other)]
    Other,
}

impl Column {
    pub(super) const FOLLOWED: [Self; 2] = [Self::Status, Self::OwnerId];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Status => "Status",
            Self::OwnerId => "OwnerId",
            Self::Other => "",
        }
    }
}

/// What an API version has to offer; of all its addresses the one that says whose token it is.
#[derive(Deserialize)]
pub(super) struct Resources {
    pub(super) identity: Identity,
}

/// The ends of `https://…/id/{organisation}/{user}`.
pub(super) struct Identity {
    pub(super) organisation: Sid,
    pub(super) user: Sid,
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url = String::deserialize(deserializer)?;
        let mut ends = url.rsplit('/').map(Sid::new);
        match (ends.next().flatten(), ends.next().flatten()) {
            (Some(user), Some(organisation)) => Ok(Self { organisation, user }),
            _ => Err(serde::de::Error::custom("not an identity")),
        }
    }
}

/// A history row's value. The API types it as anything: text, truth values, numbers, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    Nothing,
    True,
    Text(Picked),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(Picked::new(text)))
            }
            fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
                Ok(if yes { Value::True } else { Value::Nothing })
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Nothing)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Nothing)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
                Ok(Value::Nothing)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Nothing)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Nothing)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Nothing)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

/// One of the list that a refusal is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Complaint {
    pub(super) error_code: Code,
    #[serde(default)]
    pub(super) message: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Code {
    RequestLimitExceeded,
    QueryTimeout,
    InvalidField,
    InvalidType,
    #[serde(other)]
    Other,
}

/// Which limit a message speaks of; the message itself is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Limit {
    /// Requests that run at the same time.
    Concurrent,
    /// All others: the requests of 24 hours.
    #[default]
    Total,
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl Visitor<'_> for Look {
            type Value = Limit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }
            fn visit_str<E>(self, text: &str) -> Result<Limit, E> {
                Ok(if text.contains("Concurrent") { Limit::Concurrent } else { Limit::Total })
            }
        }
        deserializer.deserialize_str(Look)
    }
}
