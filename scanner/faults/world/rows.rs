//! How scans and schedules stand; and the hands of the clock, turned so that nobody has to wait.

use super::World;
use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The newest scan of a connection.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Newest {
    pub(crate) connection_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) state: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) epoch: i64,
}

impl Newest {
    /// Whether it goes on by itself.
    pub(crate) fn is_active(&self) -> bool {
        ["queued", "running", "waiting"].contains(&self.state.as_str())
    }
}

impl World {
    /// Makes those due that have rested since they were scanned before that.
    pub(crate) async fn make_old_due(&self, since: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "UPDATE schedules s SET next_at = clock_timestamp() WHERE next_at > clock_timestamp() AND NOT EXISTS
                 (SELECT FROM scans WHERE tenant_id = s.tenant_id AND connection_id = s.connection_id
                     AND (created_at >= $1 OR state IN ('queued', 'running', 'waiting')))",
        )
        .bind(since)
        .execute(&self.database.superuser)
        .await?;
        Ok(())
    }

    pub(crate) async fn now(&self) -> Result<DateTime<Utc>> {
        Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.database.superuser).await?)
    }

    /// Makes every schedule due; what scans are opened from now on are younger than what this returns.
    pub(crate) async fn make_due(&self) -> Result<DateTime<Utc>> {
        let now = self.now().await?;
        sqlx::query("UPDATE schedules SET next_at = clock_timestamp()")
            .execute(&self.database.superuser)
            .await?;
        Ok(now)
    }

    pub(crate) async fn newest(&self) -> Result<BTreeMap<Uuid, Newest>> {
        let rows: Vec<Newest> = sqlx::query_as(
            "SELECT DISTINCT ON (connection_id) connection_id, id, state, created_at, epoch FROM scans
             WHERE rank < 2 ORDER BY connection_id, created_at DESC",
        )
        .fetch_all(&self.database.superuser)
        .await?;
        Ok(rows.into_iter().map(|row| (row.connection_id, row)).collect())
    }

    pub(crate) async fn state_of(&self, connection: Uuid) -> Result<String> {
        Ok(self.newest().await?.remove(&connection).map(|it| it.state).unwrap_or_default())
    }

    /// Whoever waits for a time waits no longer.
    pub(crate) async fn hurry(&self) -> Result<()> {
        sqlx::query("UPDATE scans SET due_at = clock_timestamp() WHERE state IN ('queued', 'waiting') AND due_at > clock_timestamp()")
            .execute(&self.database.superuser)
            .await?;
        Ok(())
    }

    /// Connections that have no scan which ended and is younger.
    pub(crate) async fn unfinished(&self, since: DateTime<Utc>) -> Result<Vec<String>> {
        let newest = self.newest().await?;
        let open = self.connections.iter().filter_map(|connection| {
            let name = &connection.name;
            match newest.get(&connection.id) {
                None => Some(format!("{name} was never scanned")),
                Some(it) if it.is_active() => Some(format!("{name} is {} (epoch {})", it.state, it.epoch)),
                Some(it) if it.created_at < since => Some(format!("{name} was not scanned again")),
                Some(_) => None,
            }
        });
        Ok(open.collect())
    }

    /// Connections whose newest scan ended in another way than it should.
    pub(crate) async fn not_complete(&self) -> Result<Vec<String>> {
        let newest = self.newest().await?;
        let ended = self.connections.iter().filter_map(|connection| {
            let state = &newest.get(&connection.id).filter(|it| !it.is_active())?.state;
            (state != "complete").then(|| format!("{} is {state}", connection.name))
        });
        Ok(ended.collect())
    }

    /// What may keep somebody from being scanned.
    pub(crate) async fn standing(&self) -> Result<Vec<String>> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT c.name || ': ' || concat_ws(', ', 'paused: ' || c.paused, 'due ' || s.next_at - clock_timestamp(),
                 'scan of rank ' || a.rank || ' ' || a.state || ', due ' || (a.due_at - clock_timestamp()))
             FROM connections c LEFT JOIN schedules s ON s.connection_id = c.id
             LEFT JOIN scans a ON a.connection_id = c.id AND a.state IN ('queued', 'running', 'waiting', 'quarantined')
             WHERE c.paused IS NOT NULL OR a.id IS NOT NULL",
        )
        .fetch_all(&self.database.superuser)
        .await?;
        Ok(rows)
    }

    /// How many rows of a tenant a table has.
    pub(crate) async fn rows_of(&self, tenant: Uuid, table: &str) -> Result<i64> {
        let count = match table {
            "events" => "SELECT count(*) FROM events WHERE tenant_id = $1",
            "cases" => "SELECT count(*) FROM cases WHERE tenant_id = $1",
            "credentials" => "SELECT count(*) FROM credentials WHERE tenant_id = $1",
            other => bail!("{other} is not counted"),
        };
        Ok(sqlx::query_scalar(count).bind(tenant).fetch_one(&self.database.superuser).await?)
    }
}
