//! What a scan is made of, from being due to its end, and what it leaves behind.

use super::FAR;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use twinflow_connectors::{Activity, Case, Cursor, Event, Named, Withdrawn};
use uuid::Uuid;

/// How a scan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Type, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    Queued,
    Running,
    /// Goes on by itself when it is due: the tool asked for a pause, or what went wrong may pass.
    Waiting,
    /// Everything there was has been read.
    Complete,
    /// Something could not be read; the reasons say what.
    Partial,
    /// The tool asked for a pause that was too long to sit out; another scan may ask after `until`.
    Deferred,
    /// A stream that had cases now shows none. Nobody deletes all work; a permission is likelier gone.
    SuspiciousEmpty,
    /// Nothing more can be read until a person acts.
    Failed,
    /// A person stopped it.
    Cancelled,
    /// It ended its worker too often; its connection rests until a person acts.
    Quarantined,
}

impl State {
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Complete,
        Self::Partial,
        Self::Deferred,
        Self::SuspiciousEmpty,
        Self::Failed,
        Self::Cancelled,
        Self::Quarantined,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Deferred => "deferred",
            Self::SuspiciousEmpty => "suspicious_empty",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether nothing more comes of it by itself or by a person.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Waiting | Self::Quarantined)
    }
}

/// Why a scan is there. The smaller goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[repr(i32)]
pub enum Rank {
    /// A person asked for it.
    #[default]
    Person = 0,
    Schedule = 1,
    /// It reads again what was read.
    Backfill = 2,
}

impl Rank {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Schedule => "schedule",
            Self::Backfill => "backfill",
        }
    }
}

/// The kind of what went wrong. It decides whether trying again by itself makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Type, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ErrorClass {
    /// The credential is no longer accepted
    Credential,
    /// The credential may not read something, or it is gone
    Permission,
    /// This installation does not let it: a host that is not allowed, a key that is missing
    Settings,
    /// It ended its worker
    Crash,
    /// The database failed
    Database,
    /// The tool's answers cannot be understood
    Unreadable,
    /// The tool is in trouble or cannot be reached
    Unavailable,
    /// The tool's limit is used up
    Quota,
    /// Something could not be read; the reasons say what
    Incomplete,
    /// A stream that had cases shows none
    Empty,
}

impl ErrorClass {
    pub const ALL: &'static [Self] = &[
        Self::Credential,
        Self::Permission,
        Self::Settings,
        Self::Crash,
        Self::Database,
        Self::Unreadable,
        Self::Unavailable,
        Self::Quota,
        Self::Incomplete,
        Self::Empty,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Permission => "permission",
            Self::Settings => "settings",
            Self::Crash => "crash",
            Self::Database => "database",
            Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
            Self::Quota => "quota",
            Self::Incomplete => "incomplete",
            Self::Empty => "empty",
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
    pub rank: Rank,
    pub created_at: DateTime<Utc>,
    /// Not taken up before.
    pub due_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Until when the tool asked to be left alone.
    pub until: Option<DateTime<Utc>>,
    /// How often a worker took it up.
    pub attempts: i64,
    /// How often it ended its worker since it last kept a page.
    pub crashes: i64,
    /// How often it failed as a whole for a reason that may pass.
    pub tries: i64,
    /// Who runs it.
    pub owner: Option<String>,
    pub error: Option<ErrorClass>,
    /// What a backfill reads again: what changed from here on.
    pub since: Option<DateTime<Utc>>,
    /// And up to there, if not up to now.
    pub upto: Option<DateTime<Utc>>,
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

impl Scan {
    /// Whether its connection rests, and it waits for a person to wake that.
    pub fn rests(&self) -> bool {
        self.state == State::Waiting && self.due_at >= FAR
    }
}

/// A worker's right to write for a scan. It ends when another worker's epoch is higher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub scan: Uuid,
    pub connection: Uuid,
    pub epoch: i64,
    /// How long the claim holds after each page or renewal.
    pub lease: Duration,
    /// How often it failed as a whole before, for a reason that may pass.
    pub tries: i64,
    /// How often it ended its worker since it last got further.
    pub crashes: i64,
    /// What is read again; otherwise, what is new.
    pub backfill: Option<Backfill>,
}

/// What a backfill reads again: what changed in this stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub since: DateTime<Utc>,
    pub upto: Option<DateTime<Utc>>,
}

/// Who claims a scan, and under which conditions.
#[derive(Clone, Copy, Debug)]
pub struct Claiming<'a> {
    pub owner: &'a str,
    pub lease: Duration,
    /// Whoever claimed before is known to be dead.
    pub takeover: bool,
    /// Before it is due, too.
    pub anyway: bool,
    /// No more of the tenant's scans than this at a time.
    pub per_tenant: Option<i64>,
    /// A scan that ended its worker so often since it last kept a page is quarantined instead.
    pub crashes: Option<i64>,
}

impl<'a> Claiming<'a> {
    pub fn new(owner: &'a str, lease: Duration) -> Self {
        Self { owner, lease, takeover: false, anyway: false, per_tenant: None, crashes: None }
    }

    pub fn taking_over(self) -> Self {
        Self { takeover: true, ..self }
    }
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
    pub doing: &'a Doing,
}

/// What a stream's scan does at this moment, for who looks on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doing {
    /// `reading`, `waiting`, or how it ended.
    pub now: String,
    /// Why it is not simply reading or complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// It waits until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// What is left of the tool's limit, where its answers say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Cases its first sweep has seen, in this scan and those it goes on from; where there is a total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Cases there are to be seen, where the tool says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// About when they will all have been seen, by its pace so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<DateTime<Utc>>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    pub remaining: u64,
    pub limit: u64,
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
    #[sqlx(json(nullable))]
    pub doing: Option<Doing>,
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
    pub doing: Option<Doing>,
    /// Where a backfill goes on.
    pub cursor: Option<Cursor>,
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
    pub error: Option<ErrorClass>,
}
