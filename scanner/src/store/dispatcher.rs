//! What is to be done for all tenants of a server, seen as the role `tf_dispatch`.

use super::postgres::{DISPATCH, pool};
use super::{Dispatch, Due, Result, Standing, State};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// What is to be done, for all tenants.
pub(super) struct Dispatcher {
    pool: PgPool,
}

impl Dispatcher {
    pub(super) async fn open(url: &str) -> Result<Self> {
        Ok(Self { pool: pool(url, DISPATCH, 3).await? })
    }
}

/// The time is the statement's: by `clock_timestamp()`, which changes while it runs, no index can be searched.
#[async_trait]
impl Dispatch for Dispatcher {
    async fn tenants_due(&self, limit: i64) -> Result<Vec<Uuid>> {
        let due = sqlx::query_scalar(
            "SELECT tenant_id FROM schedules WHERE paused_at IS NULL AND next_at <= statement_timestamp()
             GROUP BY tenant_id ORDER BY min(next_at) LIMIT $1",
        );
        Ok(due.bind(limit).fetch_all(&self.pool).await?)
    }

    async fn tenants_waiting(&self, after: Uuid, limit: i64) -> Result<Vec<Uuid>> {
        // Steps from tenant to tenant along the index: what it costs depends on how many are asked for, not on how
        // much waits.
        let waiting = sqlx::query_scalar(
            "WITH RECURSIVE next (tenant_id, nth) AS (
                 (SELECT tenant_id, 1 FROM scans
                  WHERE tenant_id > $1 AND state IN ('queued', 'waiting') AND due_at <= statement_timestamp()
                  ORDER BY tenant_id LIMIT 1)
                 UNION ALL
                 SELECT (SELECT s.tenant_id FROM scans s
                         WHERE s.tenant_id > next.tenant_id AND s.state IN ('queued', 'waiting')
                             AND s.due_at <= statement_timestamp()
                         ORDER BY s.tenant_id LIMIT 1), nth + 1
                 FROM next WHERE next.tenant_id IS NOT NULL AND nth < $2)
             SELECT tenant_id FROM next WHERE tenant_id IS NOT NULL ORDER BY tenant_id",
        );
        Ok(waiting.bind(after).bind(limit).fetch_all(&self.pool).await?)
    }

    async fn scans_due(&self, tenants: &[Uuid], each: i64) -> Result<Vec<Due>> {
        let due = sqlx::query_as(
            "SELECT due.tenant_id, due.id, due.epoch
             FROM UNNEST($1::uuid[]) WITH ORDINALITY AS t (tenant_id, nth),
             LATERAL (SELECT count(*) AS busy FROM scans r WHERE r.tenant_id = t.tenant_id
                 AND r.state = 'running' AND r.lease_until >= statement_timestamp()) runs,
             LATERAL (SELECT s.tenant_id, s.id, s.epoch,
                     runs.busy + row_number() OVER (ORDER BY s.rank, s.due_at) AS place FROM (
                 SELECT q.tenant_id, q.id, q.epoch, q.rank, q.due_at FROM scans q
                 WHERE q.tenant_id = t.tenant_id AND q.state IN ('queued', 'waiting')
                     AND q.due_at <= statement_timestamp()
                 ORDER BY q.rank, q.due_at LIMIT greatest(0, $2 - runs.busy)) s) due
             ORDER BY due.place, t.nth",
        );
        Ok(due.bind(tenants).bind(each).fetch_all(&self.pool).await?)
    }

    async fn lapsed(&self, limit: i64) -> Result<Vec<Due>> {
        let lapsed = sqlx::query_as(
            "SELECT tenant_id, id, epoch FROM scans WHERE state = 'running' AND lease_until < statement_timestamp()
             ORDER BY lease_until LIMIT $1",
        );
        Ok(lapsed.bind(limit).fetch_all(&self.pool).await?)
    }

    async fn tenant_of(&self, scan: Uuid) -> Result<Option<Uuid>> {
        let whose = sqlx::query_scalar(
            "SELECT tenant_id FROM scans
             WHERE id = $1 AND state IN ('queued', 'running', 'waiting', 'quarantined')",
        );
        Ok(whose.bind(scan).fetch_optional(&self.pool).await?)
    }

    async fn standing(&self) -> Result<Standing> {
        let rows: Vec<(State, i64, Option<DateTime<Utc>>)> = sqlx::query_as(
            "SELECT state, count(*),
                 min(due_at) FILTER (WHERE state IN ('queued', 'waiting') AND due_at <= clock_timestamp())
             FROM scans WHERE state IN ('queued', 'running', 'waiting', 'quarantined') GROUP BY state",
        )
        .fetch_all(&self.pool)
        .await?;
        let now = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.pool).await?;
        Ok(Standing::of(rows, now))
    }

    async fn lead(&self, job: &str, owner: &str, lease: Duration) -> Result<bool> {
        let led = sqlx::query(
            "INSERT INTO leaders (job, owner, until)
             VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
             ON CONFLICT (job) DO UPDATE SET owner = excluded.owner, until = excluded.until
                 WHERE leaders.owner = excluded.owner OR leaders.until < clock_timestamp()",
        );
        let led = led.bind(job).bind(owner).bind(lease.as_secs_f64()).execute(&self.pool).await?;
        Ok(led.rows_affected() == 1)
    }

    async fn depose(&self) -> Result<()> {
        sqlx::query("DELETE FROM leaders").execute(&self.pool).await?;
        Ok(())
    }

    async fn resign(&self, job: &str, owner: &str) -> Result<()> {
        let resigned = sqlx::query("DELETE FROM leaders WHERE job = $1 AND owner = $2");
        resigned.bind(job).bind(owner).execute(&self.pool).await?;
        Ok(())
    }
}
