//! The fields of Linear's answers that are read, and nothing else: a key that stands in no struct here is
//! skipped without being decoded.

use crate::event::{Name, Opaque, Timestamp};
pub(super) use crate::graphql::{Connection, Reply};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};
use std::fmt;

#[derive(Deserialize)]
pub(super) struct IssuesData {
    pub(super) issues: Connection<Issue>,
}

/// A page of a census.
#[derive(Deserialize)]
pub(super) struct CensusData {
    pub(super) issues: Connection<Ref>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Issue {
    pub(super) id: Opaque,
    pub(super) identifier: Opaque,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) priority: f64,
    pub(super) state: Ref,
    pub(super) assignee: Option<Ref>,
    pub(super) creator: Option<Ref>,
    pub(super) bot_actor: Option<Bot>,
    pub(super) history: Connection<Entry>,
}

#[derive(Deserialize)]
pub(super) struct Ref {
    pub(super) id: Opaque,
}

/// An integration or automation; some have no id.
#[derive(Deserialize)]
pub(super) struct Bot {
    pub(super) id: Option<Opaque>,
    pub(super) name: Option<Name>,
}

/// An entry of an issue's history: whatever one actor changed within some minutes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) id: Opaque,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) actor_id: Option<Opaque>,
    pub(super) bot_actor: Option<Bot>,
    pub(super) from_state_id: Option<Opaque>,
    pub(super) to_state_id: Option<Opaque>,
    pub(super) from_assignee_id: Option<Opaque>,
    pub(super) to_assignee_id: Option<Opaque>,
    pub(super) from_priority: Option<f64>,
    pub(super) to_priority: Option<f64>,
    /// Of estimates and due dates it is read whether there was one, not which.
    pub(super) from_estimate: Option<IgnoredAny>,
    pub(super) to_estimate: Option<IgnoredAny>,
    pub(super) from_due_date: Option<IgnoredAny>,
    pub(super) to_due_date: Option<IgnoredAny>,
    pub(super) from_team_id: Option<Opaque>,
    pub(super) to_team_id: Option<Opaque>,
    pub(super) from_project_id: Option<Opaque>,
    pub(super) to_project_id: Option<Opaque>,
    pub(super) from_cycle_id: Option<Opaque>,
    pub(super) to_cycle_id: Option<Opaque>,
    pub(super) from_parent_id: Option<Opaque>,
    pub(super) to_parent_id: Option<Opaque>,
    pub(super) added_label_ids: Option<Vec<Opaque>>,
    pub(super) removed_label_ids: Option<Vec<Opaque>>,
    pub(super) archived: Option<bool>,
    pub(super) trashed: Option<bool>,
    pub(super) updated_description: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct HistoryData {
    /// Null where the issue is gone.
    pub(super) issue: Option<IssueHistory>,
}

#[derive(Deserialize)]
pub(super) struct IssueHistory {
    pub(super) id: Opaque,
    pub(super) history: Connection<Entry>,
}

/// A page of any of the four dictionaries: they are asked for under one name.
#[derive(Deserialize)]
pub(super) struct Dictionary {
    pub(super) words: Connection<Word>,
}

#[derive(Deserialize)]
pub(super) struct Word {
    pub(super) id: Opaque,
    pub(super) name: Name,
    /// States only.
    #[serde(rename = "type")]
    pub(super) kind: Option<Opaque>,
}

#[derive(Deserialize)]
pub(super) struct WorkspaceData {
    pub(super) organization: Organization,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Organization {
    pub(super) created_at: Timestamp,
}

#[derive(Deserialize)]
pub(super) struct TeamData {
    pub(super) organization: Organization,
    pub(super) teams: Teams,
}

/// The teams of one key: one, or none.
#[derive(Deserialize)]
pub(super) struct Teams {
    pub(super) nodes: Vec<Ref>,
}

#[derive(Deserialize)]
pub(super) struct ViewerData {
    pub(super) viewer: Viewer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Viewer {
    pub(super) id: Opaque,
    pub(super) display_name: Option<Name>,
}

/// Every error Linear can answer with. Of a message only three bits are kept.
#[derive(Deserialize)]
pub(super) struct Complaint {
    pub(super) errors: Option<Vec<Problem>>,
}

#[derive(Deserialize)]
pub(super) struct Problem {
    pub(super) extensions: Option<Extensions>,
    pub(super) message: Option<Speaks>,
}

/// Which of the two says more differs from one error to the next.
#[derive(Deserialize)]
pub(super) struct Extensions {
    pub(super) code: Option<Fault>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Fault>,
}

/// What Linear calls an error, in the words of `code` and in those of `type`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Fault {
    #[serde(rename = "RATELIMITED", alias = "ratelimited")]
    RateLimited,
    #[serde(rename = "AUTHENTICATION_ERROR", alias = "authentication error")]
    Unauthorised,
    #[serde(
        rename = "FORBIDDEN",
        alias = "forbidden",
        alias = "FEATURE_NOT_ACCESSIBLE",
        alias = "feature not accessible"
    )]
    Forbidden,
    #[serde(
        rename = "GRAPHQL_VALIDATION_FAILED",
        alias = "GRAPHQL_PARSE_FAILED",
        alias = "BAD_USER_INPUT",
        alias = "INPUT_ERROR",
        alias = "INVALID_INPUT",
        alias = "graphql error",
        alias = "invalid input",
        alias = "user error"
    )]
    Question,
    #[serde(other)]
    Other,
}

/// Whether a message speaks of a rate limit, of something that does not exist, of a question too complex; the
/// message itself is not kept.
#[derive(Clone, Copy, Default)]
pub(super) struct Speaks {
    pub(super) rate: bool,
    pub(super) missing: bool,
    pub(super) complexity: bool,
}

impl<'de> Deserialize<'de> for Speaks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl Visitor<'_> for Look {
            type Value = Speaks;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }
            fn visit_str<E>(self, text: &str) -> Result<Speaks, E> {
                let text = text.to_lowercase();
                Ok(Speaks {
                    rate: text.contains("rate limit") || text.contains("ratelimit"),
                    missing: text.contains("entity not found"),
                    complexity: text.contains("too complex"),
                })
            }
        }
        deserializer.deserialize_str(Look)
    }
}
