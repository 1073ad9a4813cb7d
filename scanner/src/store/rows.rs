//! What the store takes and gives: plain data, the same for both engines. `rows/scan.rs` holds what scans are made of.

mod scan;

pub use scan::*;

use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use twinflow_connectors::{Cursor, Kind, Stage, Sweep};
use uuid::Uuid;

/// Later than every time a connector believes; what is due then waits for a person.
pub(crate) const FAR: DateTime<Utc> = match DateTime::from_timestamp(7_258_118_400, 0) {
    Some(year_2200) => year_2200,
    None => DateTime::UNIX_EPOCH,
};

/// One tool of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Connection {
    pub id: Uuid,
    /// Unique within the tenant; what people type.
    pub name: String,
    pub tool: String,
    pub base_url: String,
    pub account_id: String,
    pub account_name: String,
    pub created_at: DateTime<Utc>,
    pub pseudonymise: Whom,
    /// It waits for a person: what to do, in a sentence.
    pub paused: Option<String>,
    /// It is over; what it read stays.
    pub disconnected_at: Option<DateTime<Utc>>,
}

/// Of whom only pseudonyms are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, sqlx::Type, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Whom {
    /// People's ids and names are kept as the tool has them
    #[default]
    Nobody,
    /// Of those whose address is not in the domain of the connection's account
    Outsiders,
    /// Of all people
    Everybody,
}

impl Whom {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Outsiders => "outsiders",
            Self::Everybody => "everybody",
        }
    }

    /// What holds for a tool unless a person says otherwise: mail names people who never heard of this.
    pub fn by_default(tool: &str) -> Self {
        if tool == "gmail" { Self::Outsiders } else { Self::Nobody }
    }
}

/// How much was deleted with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Purged {
    pub events: u64,
    pub cases: u64,
    pub names: u64,
    pub scans: u64,
    pub streams: u64,
}

/// A stream of a connection, and how far it has been read.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct FollowedStream {
    pub name: String,
    #[sqlx(json)]
    pub cursor: Cursor,
    /// Cases known from it that are not gone.
    pub cases: i64,
    /// The census under way, if the last one was cut short.
    #[sqlx(json(nullable))]
    pub census: Option<Sweep>,
    /// When the last census that was whole began; before the first one, since when it is waited for.
    pub census_at: Option<DateTime<Utc>>,
}

/// A row of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct LoggedEvent {
    pub id: Uuid,
    #[sqlx(rename = "connection_name")]
    pub connection: String,
    #[sqlx(rename = "case_id")]
    pub case: String,
    /// What people call the case, where a page said so.
    pub key: Option<String>,
    pub activity: String,
    pub resource: Option<String>,
    pub at: DateTime<Utc>,
    /// Among those of the same moment.
    pub turn: i32,
    #[sqlx(rename = "from_id")]
    pub from: Option<String>,
    #[sqlx(rename = "to_id")]
    pub to: Option<String>,
}

/// A case as it stood when it was last read.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct KnownCase {
    pub id: String,
    pub key: String,
    pub created_at: DateTime<Utc>,
    pub status: Option<String>,
    /// Since when the tool no longer shows it: it was deleted, moved away or hidden.
    pub gone_at: Option<DateTime<Utc>>,
}

/// The dictionary of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub BTreeMap<(Kind, String), (String, Option<Stage>)>);

impl Names {
    /// What people call it; the id itself where no name is known.
    pub fn name<'a>(&'a self, kind: Kind, id: &'a str) -> &'a str {
        self.0.get(&(kind, id.to_owned())).map_or(id, |(name, _)| name)
    }

    pub fn stage(&self, status: &str) -> Option<Stage> {
        self.0.get(&(Kind::Status, status.to_owned())).and_then(|(_, stage)| *stage)
    }
}

/// Which events to show.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub connection: Option<Uuid>,
    /// A case's id or key.
    pub case: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// Only what comes after this one, in the order of `at`, `turn` and `id`.
    pub after: Option<(DateTime<Utc>, i32, Uuid)>,
    pub limit: i64,
}
