//! The life of a scan: opened, claimed, held, settled; stopped, set going again and looked at by people.

use super::{Backfill, Claim, Claiming, Doing, ErrorClass, Outcome, Result, Scan, ScannedStream, State};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use twinflow_connectors::Cursor;
use uuid::Uuid;

/// A part of [`Store`](super::Store). Every method is one transaction.
#[async_trait]
pub trait Scans {
    /// The connection's active scan; if it has none, a new one in the queue with the id handed in. A person asks.
    async fn open_scan(&self, connection: Uuid, fresh: Uuid) -> Result<Uuid>;
    /// The connection's backfill under way; if it has none, a new one in the queue with the id handed in.
    async fn open_backfill(&self, connection: Uuid, fresh: Uuid, window: Backfill) -> Result<Uuid>;
    /// Takes a scan that is due, or whose worker's lease has run out.
    async fn claim(&self, scan: Uuid, claiming: &Claiming<'_>) -> Result<Option<Claim>>;
    /// What time it is for leases and for what is due.
    async fn now(&self) -> Result<DateTime<Utc>>;
    /// Holds a claim through a long wait.
    async fn renew(&self, claim: &Claim) -> Result<()>;
    /// Notes what a stream's scan does.
    async fn note(&self, claim: &Claim, stream: &str, doing: &Doing) -> Result<()>;
    /// Where a backfill goes on in a stream, if it began there.
    async fn backfilled(&self, scan: Uuid, stream: &str) -> Result<Option<Cursor>>;
    /// Ends a claim. [`State::Queued`] goes back to the queue, [`State::Waiting`] is due again at `until`.
    async fn settle(&self, claim: &Claim, outcome: &Outcome) -> Result<()>;
    /// Ends a claim whose scan went wrong in a way that would end a worker; it is due again after a pause, or quarantined
    /// once that has happened `limit` times without a page kept between. How it stands now.
    async fn crashed(&self, claim: &Claim, pause: TimeDelta, limit: Option<i64>) -> Result<State>;
    /// Gives back to the queue whatever this worker has claimed. How many.
    async fn give_back(&self, owner: &str) -> Result<u64>;
    /// Lets every lease run out: whoever claimed before is known to be dead.
    async fn expire_leases(&self) -> Result<u64>;
    /// Ends a scan that is not over, whoever runs it; whether there was anything to end.
    async fn cancel(&self, scan: Uuid) -> Result<bool>;
    /// Makes a scan that waits or is quarantined due at once, and forgets its crashes; whether it did.
    async fn release(&self, scan: Uuid) -> Result<bool>;
    /// Ends a quarantined scan as failed: the connection's next one begins anew; whether it did.
    async fn purge_scan(&self, scan: Uuid) -> Result<bool>;
    /// Newest first.
    async fn scans(&self, wanted: &WantedScans) -> Result<Vec<Scan>>;
    async fn scan(&self, scan: Uuid) -> Result<Option<Scan>>;
    /// What a scan did in each stream.
    async fn scanned(&self, scan: Uuid) -> Result<Vec<ScannedStream>>;
    /// The newest of a connection that reads what is new.
    async fn last_scan(&self, connection: Uuid) -> Result<Option<Scan>>;
}

/// Which scans to show.
#[derive(Clone, Debug, Default)]
pub struct WantedScans {
    pub connection: Option<Uuid>,
    /// From this id to that one.
    pub ids: Option<(Uuid, Uuid)>,
    /// Any of these; all, where there are none.
    pub states: Vec<State>,
    pub error: Option<ErrorClass>,
    pub since: Option<DateTime<Utc>>,
    /// Only what comes after this one, in the order they are shown.
    pub after: Option<(DateTime<Utc>, Uuid)>,
    pub limit: i64,
}

impl WantedScans {
    pub fn newest(limit: i64) -> Self {
        Self { limit, ..Self::default() }
    }
}
