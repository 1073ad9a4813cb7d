//! The statements of schedules, which both engines accept. Compiled twice, as `shared.rs` is; `super` is the engine.

use super::{Engine, TenantTx};
use crate::store::{FAR, Firing, Outcome, Planned, Result, Schedules, State};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

/// What stands beside a scan whose connection rests.
const RESTS: &str = "its connection is paused; `twinflow connections resume` lets it go on";

#[async_trait]
impl Schedules for Engine {
    async fn planned(&self) -> Result<Vec<Planned>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query_as(
            "SELECT connection_id, spec, zone, jitter_s, next_at, paused_at FROM schedules
             WHERE tenant_id = $1 ORDER BY connection_id",
        );
        Ok(rows.bind(tx.tenant).fetch_all(tx.rows()).await?)
    }

    async fn plan(&self, planned: &Planned) -> Result<bool> {
        let mut tx = self.write().await?;
        let set = sqlx::query(
            "UPDATE schedules SET spec = $3, zone = $4, jitter_s = $5, next_at = $6
             WHERE tenant_id = $1 AND connection_id = $2",
        )
        .bind(tx.tenant)
        .bind(planned.connection_id)
        .bind(&planned.spec)
        .bind(&planned.zone)
        .bind(planned.jitter_s)
        .bind(planned.next_at)
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(set.rows_affected() == 1)
    }

    async fn rest(&self, connection: Uuid) -> Result<bool> {
        let mut tx = self.write().await?;
        let rested = sqlx::query(
            "UPDATE schedules SET paused_at = $3
             WHERE tenant_id = $1 AND connection_id = $2 AND paused_at IS NULL",
        )
        .bind(tx.tenant)
        .bind(connection)
        .bind(tx.now)
        .execute(tx.rows())
        .await?;
        // Its worker, if it has one, is fenced out; what it kept stays.
        sqlx::query(
            "UPDATE scans SET state = 'waiting', epoch = epoch + 1, owner = NULL, lease_until = NULL, due_at = $3,
                 reasons = $4
             WHERE tenant_id = $1 AND connection_id = $2 AND state IN ('queued', 'running', 'waiting')",
        )
        .bind(tx.tenant)
        .bind(connection)
        .bind(FAR)
        .bind(Json([RESTS]))
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(rested.rows_affected() == 1)
    }

    async fn wake(&self, connection: Uuid) -> Result<bool> {
        let mut tx = self.write().await?;
        let woken = sqlx::query(
            "UPDATE schedules SET paused_at = NULL, next_at = $3
             WHERE tenant_id = $1 AND connection_id = $2 AND paused_at IS NOT NULL",
        )
        .bind(tx.tenant)
        .bind(connection)
        .bind(tx.now)
        .execute(tx.rows())
        .await?;
        sqlx::query(
            "UPDATE scans SET due_at = CASE WHEN until > $3 THEN until ELSE $3 END, reasons = $4
             WHERE tenant_id = $1 AND connection_id = $2 AND state = 'waiting' AND due_at = $5",
        )
        .bind(tx.tenant)
        .bind(connection)
        .bind(tx.now)
        .bind(Json([""; 0]))
        .bind(FAR)
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(woken.rows_affected() == 1)
    }

    async fn due(&self, limit: i64) -> Result<(Vec<Planned>, DateTime<Utc>)> {
        let mut tx = self.read().await?;
        let rows = sqlx::query_as(
            "SELECT connection_id, spec, zone, jitter_s, next_at, paused_at FROM schedules
             WHERE tenant_id = $1 AND paused_at IS NULL AND next_at <= $2 ORDER BY next_at LIMIT $3",
        );
        let now = tx.now;
        Ok((rows.bind(tx.tenant).bind(now).bind(limit).fetch_all(tx.rows()).await?, now))
    }

    async fn fire(&self, firings: &[Firing]) -> Result<u64> {
        let mut tx = self.write().await?;
        let fired = tx.fire(firings).await?;
        tx.commit().await?;
        Ok(fired)
    }
}

impl TenantTx {
    /// A new connection is scanned at once; one that comes back keeps its schedule.
    pub(super) async fn plan_first(&mut self, connection: Uuid) -> Result<()> {
        sqlx::query(
            "INSERT INTO schedules (tenant_id, connection_id, next_at) VALUES ($1, $2, $3)
             ON CONFLICT (tenant_id, connection_id) DO UPDATE SET next_at = excluded.next_at, paused_at = NULL",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(self.now)
        .execute(self.rows())
        .await?;
        Ok(())
    }

    /// A tool that asked for a pause is not asked by schedule before that is over.
    pub(super) async fn rest_until(&mut self, connection: Uuid, outcome: &Outcome) -> Result<()> {
        let Some(until) = outcome.until.filter(|_| outcome.state == State::Deferred) else { return Ok(()) };
        sqlx::query(
            "UPDATE schedules SET next_at = $3 WHERE tenant_id = $1 AND connection_id = $2 AND next_at < $3",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(until)
        .execute(self.rows())
        .await?;
        Ok(())
    }
}
