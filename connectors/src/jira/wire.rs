//! The fields of Jira's answers that are read, and nothing else. Of a change-log item these are the field's id
//! and the ids before and after: `fromString` and `toString` may hold descriptions, commit titles and links,
//! and stand in no struct here.

use crate::event::{Name, Opaque, Timestamp, Token};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use std::fmt;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    pub(super) issues: Vec<Issue>,
    pub(super) next_page_token: Option<Token>,
    #[serde(default)]
    pub(super) is_last: bool,
}

/// The same of a census.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counted {
    pub(super) issues: Vec<Present>,
    pub(super) next_page_token: Option<Token>,
    #[serde(default)]
    pub(super) is_last: bool,
}

/// An issue that is there.
#[derive(Deserialize)]
pub(super) struct Present {
    pub(super) id: Opaque,
}

#[derive(Deserialize)]
pub(super) struct Issue {
    pub(super) id: Opaque,
    pub(super) key: Opaque,
    pub(super) fields: Fields,
}

#[derive(Deserialize)]
pub(super) struct Fields {
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) creator: Option<Person>,
    pub(super) status: Option<Status>,
    pub(super) assignee: Option<Person>,
    pub(super) priority: Option<Priority>,
}

/// A site that a grant opens.
#[derive(Deserialize)]
pub(super) struct Resource {
    pub(super) id: Opaque,
    pub(super) name: Name,
    pub(super) url: Opaque,
    pub(super) scopes: Vec<Opaque>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Person {
    #[serde(default)]
    pub(super) account_id: Id,
    pub(super) display_name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) id: Opaque,
    pub(super) name: Name,
    pub(super) status_category: Option<Category>,
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub(super) key: Opaque,
}

#[derive(Deserialize)]
pub(super) struct Priority {
    pub(super) id: Opaque,
    pub(super) name: Name,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changelogs {
    pub(super) issue_change_logs: Vec<Changelog>,
    pub(super) next_page_token: Option<Token>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changelog {
    pub(super) issue_id: Opaque,
    pub(super) change_histories: Vec<History>,
}

#[derive(Deserialize)]
pub(super) struct History {
    pub(super) id: Opaque,
    pub(super) author: Option<Person>,
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    /// Links, commits and workflow items have none.
    pub(super) field_id: Option<Field>,
    #[serde(default)]
    pub(super) from: Id,
    #[serde(default)]
    pub(super) to: Id,
}

/// The fields that are followed. Which of its siblings Jira also sends is not documented; they come to `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Field {
    Status,
    Assignee,
    Priority,
    Labels,
    Resolution,
    IssueType,
    Project,
    #[serde(other)]
    Other,
}

/// An id, or nothing: absent, null, empty, and anything that is not an id (a description's value, a list).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Id(pub(super) Option<Opaque>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id")
            }
            fn visit_str<E>(self, text: &str) -> Result<Id, E> {
                Ok(Id(Opaque::new(text)))
            }
            fn visit_unit<E>(self) -> Result<Id, E> {
                Ok(Id(None))
            }
        }
        deserializer.deserialize_any(Look)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Complaint {
    #[serde(default)]
    pub(super) error_messages: Vec<SpeaksOfProject>,
}

/// Whether a message says that a project does not exist; the message itself is not kept.
pub(super) struct SpeaksOfProject(pub(super) bool);

impl<'de> Deserialize<'de> for SpeaksOfProject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl Visitor<'_> for Look {
            type Value = SpeaksOfProject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }
            fn visit_str<E>(self, text: &str) -> Result<SpeaksOfProject, E> {
                Ok(SpeaksOfProject(text.contains("does not exist for the field 'project'")))
            }
        }
        deserializer.deserialize_str(Look)
    }
}
