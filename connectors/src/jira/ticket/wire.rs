//! The fields that are read around a ticket, and nothing else. Of a refusal these are the ids of the fields it is
//! about: the messages beside them may quote what was typed.

use crate::event::{Name, Opaque};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kinds {
    pub(super) issue_types: Vec<Kind>,
    #[serde(default)]
    pub(super) start_at: u64,
    #[serde(default)]
    pub(super) total: u64,
}

#[derive(Deserialize)]
pub(super) struct Kind {
    pub(super) id: Opaque,
    pub(super) name: Name,
    #[serde(default)]
    pub(super) subtask: bool,
}

/// The schema knows the list by two names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields {
    #[serde(default)]
    pub(super) fields: Vec<Field>,
    #[serde(default)]
    pub(super) results: Vec<Field>,
    #[serde(default)]
    pub(super) start_at: u64,
    #[serde(default)]
    pub(super) total: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Field {
    pub(super) field_id: Opaque,
    pub(super) name: Name,
    pub(super) required: bool,
    #[serde(default)]
    pub(super) has_default_value: bool,
}

#[derive(Deserialize)]
pub(super) struct Issue {
    pub(super) id: Opaque,
    pub(super) key: Opaque,
}

#[derive(Deserialize)]
pub(super) struct Marked {
    pub(super) issues: Vec<Issue>,
}

#[derive(Default, Deserialize)]
pub(super) struct Complaint {
    #[serde(default)]
    pub(super) errors: FieldIds,
}

/// The keys of a map, as far as they are ids of fields.
#[derive(Default)]
pub(super) struct FieldIds(pub(super) Vec<Opaque>);

impl<'de> Deserialize<'de> for FieldIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = FieldIds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldIds, A::Error> {
                let mut ids = vec![];
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
                    ids.extend(Opaque::new(key).filter(|it| it.as_str().chars().all(plain)));
                }
                Ok(FieldIds(ids))
            }
        }
        deserializer.deserialize_map(Look)
    }
}
