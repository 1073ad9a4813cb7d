//! When connections are scanned, as it is kept. What a schedule means is in `scan/schedule.rs`.

use super::Result;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// A part of [`Store`](super::Store). Every method is one transaction.
#[async_trait]
pub trait Schedules {
    /// When each connection is scanned; none of those that are over.
    async fn planned(&self) -> Result<Vec<Planned>>;
    /// Puts another schedule in place, due next at `next_at`; whether the connection is there.
    async fn plan(&self, planned: &Planned) -> Result<bool>;
    /// Lets a connection rest: no more scans by schedule, and the one under way waits. Whether it did not rest already.
    async fn rest(&self, connection: Uuid) -> Result<bool>;
    /// Ends the rest: due at once, or when a pause ends that the tool asked for. Whether it rested.
    async fn wake(&self, connection: Uuid) -> Result<bool>;
    /// Schedules that are due, the longest overdue first; and what time it is. Also those of connections that are over:
    /// what stayed due would be found again and again, before what is younger.
    async fn due(&self, limit: i64) -> Result<(Vec<Planned>, DateTime<Utc>)>;
    /// Opens a scan for each, unless there is one under way or its connection is over, and moves its schedule on, unless somebody else did;
    /// all or nothing. How many moved on.
    async fn fire(&self, firings: &[Firing]) -> Result<u64>;
}

/// A connection's schedule, and when it is due next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Planned {
    pub connection_id: Uuid,
    pub spec: String,
    pub zone: String,
    pub jitter_s: Option<i64>,
    pub next_at: Option<DateTime<Utc>>,
    pub paused_at: Option<DateTime<Utc>>,
}

/// A schedule that is due, on its way to its next time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    pub connection: Uuid,
    /// The id of the scan, if it is a new one.
    pub scan: Uuid,
    /// When it was due; somebody else fired it if it is not any more.
    pub due_at: DateTime<Utc>,
    pub next_at: Option<DateTime<Utc>>,
}
