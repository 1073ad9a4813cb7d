//! What the store takes and gives: plain data, the same for both engines.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use twinflow_connectors::{Activity, Case, Cursor, Event, Kind, Named, Stage, Sweep, Withdrawn};
use uuid::Uuid;

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

/// How a scan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    Queued,
    Running,
    /// Everything there was has been read.
    Complete,
    /// Something could not be read; the reasons say what.
    Partial,
    /// The tool asked for a pause that is too long to sit out; it goes on after `until`.
    Deferred,
    /// A stream that had cases now shows none. Nobody deletes all work; a permission is likelier gone.
    SuspiciousEmpty,
    /// Nothing more can be read until a person acts.
    Failed,
}

impl State {
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Running,
        Self::Complete,
        Self::Partial,
        Self::Deferred,
        Self::SuspiciousEmpty,
        Self::Failed,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Deferred => "deferred",
            Self::SuspiciousEmpty => "suspicious_empty",
            Self::Failed => "failed",
        }
    }
}

/// One run over a connection's streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Scan {
    pub id: Uuid,
    pub connection_id: Uuid,
    pub connection: String,
    pub tool: String,
    pub state: State,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Deferred until.
    pub until: Option<DateTime<Utc>>,
    /// How often a worker took it up.
    pub attempts: i64,
    /// What happened and what to do, a sentence each.
    #[sqlx(json)]
    pub reasons: Vec<String>,
    /// Sums over its streams.
    pub pages: i64,
    pub requests: i64,
    pub cases: i64,
    pub events_read: i64,
    pub events_new: i64,
    pub waited_ms: i64,
}

/// A worker's right to write for a scan. It ends when another worker's epoch is higher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub scan: Uuid,
    pub connection: Uuid,
    pub epoch: i64,
    /// How long the claim holds after each page or renewal.
    pub lease: Duration,
}

/// A page on its way into the event log, with where its stream stands afterwards.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    pub stream: &'a str,
    pub cursor: &'a Cursor,
    /// When the tool had shown it.
    pub read_at: DateTime<Utc>,
    pub cases: &'a [Case],
    pub events: &'a [Event],
    pub revised: &'a [Event],
    pub withdrawn: &'a [Withdrawn],
    pub names: &'a [Named],
    pub asked: &'a Asked,
    pub waited: Duration,
    /// What the sweep could not read so far, and how often.
    pub skipped: &'a BTreeMap<String, u64>,
}

/// What was asked, by operation.
pub type Asked = BTreeMap<String, Amount>;

/// How often an operation was asked, and how much came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub requests: u64,
    /// Of the answers' bodies, unpacked.
    pub bytes: u64,
}

/// What a scan asked of a stream and kept of the answers; counts add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    #[serde(default)]
    pub asked: Asked,
    /// By what was kept, like `event status_changed` or `case.assignee`.
    #[serde(default)]
    pub kept: BTreeMap<String, u64>,
}

impl Ledger {
    /// What a page adds to it.
    pub(crate) fn of(page: &Kept<'_>) -> Self {
        let mut kept = BTreeMap::new();
        let mut count = |what: String, present: bool| *kept.entry(what).or_default() += u64::from(present);
        for event in page.events.iter().chain(page.revised) {
            count(format!("event {}", event.activity.word()), true);
            count("event.resource".to_owned(), event.resource.is_some());
            count("event.from".to_owned(), event.from.is_some());
            count("event.to".to_owned(), event.to.is_some());
        }
        for case in page.cases {
            count("case".to_owned(), true);
            count("case.status".to_owned(), case.status.is_some());
            count("case.assignee".to_owned(), case.assignee.is_some());
            count("case.priority".to_owned(), case.priority.is_some());
        }
        page.names.iter().for_each(|named| count(format!("name of a {}", named.kind.word()), true));
        kept.retain(|_, times| *times > 0);
        Self { asked: page.asked.clone(), kept }
    }

    pub(crate) fn add(&mut self, more: &Self) {
        for (operation, amount) in &more.asked {
            let sum = self.asked.entry(operation.clone()).or_default();
            sum.requests += amount.requests;
            sum.bytes += amount.bytes;
        }
        for (what, times) in &more.kept {
            *self.kept.entry(what.clone()).or_default() += times;
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.asked.values().map(|amount| amount.requests).sum()
    }
}

/// One stream's part in a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct ScannedStream {
    pub stream: String,
    pub pages: i64,
    pub requests: i64,
    pub cases: i64,
    pub events_read: i64,
    pub events_new: i64,
    pub waited_ms: i64,
    #[sqlx(json)]
    pub skipped: BTreeMap<String, u64>,
    #[sqlx(json)]
    pub ledger: Ledger,
}

/// What a scan did in a stream; counts add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub pages: u64,
    pub cases: u64,
    pub events_read: u64,
    pub events_new: u64,
    pub waited: Duration,
    pub ledger: Ledger,
    /// Replaces what was noted before, unless there is nothing to note.
    pub skipped: BTreeMap<String, u64>,
}

impl Tally {
    /// With so many events that no page brought, but what it did or did not show.
    pub(crate) fn noticing(mut self, activity: Activity, events: u64) -> Self {
        self.events_read += events;
        self.events_new += events;
        if events > 0 {
            *self.ledger.kept.entry(format!("event {}", activity.word())).or_default() += events;
        }
        self
    }
}

/// How a scan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub state: State,
    pub reasons: Vec<String>,
    pub until: Option<DateTime<Utc>>,
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
