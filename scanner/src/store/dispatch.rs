//! What is to be done, for all tenants at once. Nothing here changes a tenant's rows or shows what is in them: a scan's
//! id, how it stands and when it is due, no more. On Postgres the role `tf_dispatch` is held to that.

use super::{Result, State};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// Every method is one statement.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Tenants that have schedules due.
    async fn tenants_due(&self, limit: i64) -> Result<Vec<Uuid>>;
    /// Tenants after this one, in the order of their ids, that have scans due.
    async fn tenants_waiting(&self, after: Uuid, limit: i64) -> Result<Vec<Uuid>>;
    /// Of each of these tenants the scans that could be taken up first, no more than lets it run `each` at a time. Who
    /// runs fewer goes first; of those that run as many, who was named first.
    async fn scans_due(&self, tenants: &[Uuid], each: i64) -> Result<Vec<Due>>;
    /// Scans whose worker let its lease run out.
    async fn lapsed(&self, limit: i64) -> Result<Vec<Due>>;
    /// Whose scan this is, if it is not over.
    async fn tenant_of(&self, scan: Uuid) -> Result<Option<Uuid>>;
    async fn standing(&self) -> Result<Standing>;
    /// Takes or keeps the lead in a job that one process does; whether this one has it.
    async fn lead(&self, job: &str, owner: &str, lease: Duration) -> Result<bool>;
    /// Ends every lead: whoever had one is known to be dead.
    async fn depose(&self) -> Result<()>;
    /// Leaves the lead to others.
    async fn resign(&self, job: &str, owner: &str) -> Result<()>;
}

/// A scan that could be taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Due {
    pub tenant_id: Uuid,
    pub id: Uuid,
    /// It rises with every claim: who rang for an older one may ring again.
    pub epoch: i64,
}

/// How the scans that are not over stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub by_state: BTreeMap<State, u64>,
    /// Since when the one that is due for longest is.
    pub oldest_due: Option<DateTime<Utc>>,
    /// By the database's clock.
    pub now: DateTime<Utc>,
}

impl Standing {
    pub(super) fn of(rows: Vec<(State, i64, Option<DateTime<Utc>>)>, now: DateTime<Utc>) -> Self {
        let oldest_due = rows.iter().filter_map(|(.., oldest)| *oldest).min();
        let by_state = rows.into_iter().map(|(state, count, _)| (state, count.unsigned_abs())).collect();
        Self { by_state, oldest_due, now }
    }
}
