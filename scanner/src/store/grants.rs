//! The statements of keeping a connection alive and of ending it, for both engines; `super` is the engine.

use super::TenantTx;
use crate::store::{Connection, Purged, Result, State};
use sqlx::types::Json;
use std::time::Duration;
use twinflow_connectors::Stream;
use uuid::Uuid;

/// What stands beside a scan that was cut off by the end of its connection.
const DISCONNECTED: &str = "the connection was disconnected";

impl TenantTx {
    /// Brings a disconnected connection back under its name; false when there is none of this id.
    pub(super) async fn revive(&mut self, connection: &Connection, streams: &[Stream]) -> Result<bool> {
        let revived = sqlx::query(
            "UPDATE connections SET base_url = $4, account_name = $5, disconnected_at = NULL, paused = NULL
             WHERE tenant_id = $1 AND id = $2 AND name = $3 AND disconnected_at IS NOT NULL",
        )
        .bind(self.tenant)
        .bind(connection.id)
        .bind(&connection.name)
        .bind(&connection.base_url)
        .bind(&connection.account_name)
        .execute(self.rows())
        .await?;
        if revived.rows_affected() == 0 {
            return Ok(false);
        }
        self.forget_credential(connection.id).await?;
        let followed: Vec<String> =
            sqlx::query_scalar("SELECT name FROM streams WHERE tenant_id = $1 AND connection_id = $2")
                .bind(self.tenant)
                .bind(connection.id)
                .fetch_all(self.rows())
                .await?;
        for name in followed.iter().filter(|name| !streams.iter().any(|stream| stream.name == **name)) {
            sqlx::query("DELETE FROM streams WHERE tenant_id = $1 AND connection_id = $2 AND name = $3")
                .bind(self.tenant)
                .bind(connection.id)
                .bind(name)
                .execute(self.rows())
                .await?;
        }
        Ok(true)
    }

    pub(super) async fn replace_credential(&mut self, connection: Uuid, sealed: &[u8]) -> Result<bool> {
        let replaced = sqlx::query(
            "UPDATE credentials SET sealed = $3, sealed_at = $4, refresh_owner = NULL, refresh_until = NULL,
                 refresh_begun = 0
             WHERE tenant_id = $1 AND connection_id = $2",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(sealed)
        .bind(self.now)
        .execute(self.rows())
        .await?;
        // Who waited for this is due at once.
        sqlx::query(
            "UPDATE schedules SET next_at = $3 WHERE tenant_id = $1 AND connection_id = $2 AND EXISTS
                 (SELECT 1 FROM connections WHERE tenant_id = $1 AND id = $2 AND paused IS NOT NULL)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(self.now)
        .execute(self.rows())
        .await?;
        sqlx::query("UPDATE connections SET paused = NULL WHERE tenant_id = $1 AND id = $2")
            .bind(self.tenant)
            .bind(connection)
            .execute(self.rows())
            .await?;
        Ok(replaced.rows_affected() == 1)
    }

    pub(super) async fn begin_refresh(
        &mut self,
        connection: Uuid,
        sealed: &[u8],
        owner: &str,
        lease: Duration,
    ) -> Result<Option<i64>> {
        let begun = sqlx::query_scalar(
            "UPDATE credentials SET refresh_owner = $4, refresh_until = $5, refresh_begun = refresh_begun + 1
             WHERE tenant_id = $1 AND connection_id = $2 AND sealed = $3
                 AND (refresh_until IS NULL OR refresh_until < $6)
                 AND EXISTS (SELECT 1 FROM connections c WHERE c.tenant_id = $1 AND c.id = $2
                     AND c.disconnected_at IS NULL AND c.paused IS NULL)
             RETURNING refresh_begun",
        );
        let begun = begun.bind(self.tenant).bind(connection).bind(sealed).bind(owner);
        let begun = begun.bind(self.now + lease).bind(self.now);
        Ok(begun.fetch_optional(self.rows()).await?)
    }

    pub(super) async fn keep_refreshed(
        &mut self,
        connection: Uuid,
        owner: &str,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool> {
        // Whoever holds the lease may; so may who lost it, while nobody has come to an end before.
        let kept = sqlx::query(
            "UPDATE credentials SET sealed = $5, sealed_at = $6, refresh_owner = NULL, refresh_until = NULL,
                 refresh_begun = 0
             WHERE tenant_id = $1 AND connection_id = $2 AND (refresh_owner = $3 OR sealed = $4)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(owner)
        .bind(old)
        .bind(new)
        .bind(self.now)
        .execute(self.rows())
        .await?;
        Ok(kept.rows_affected() == 1)
    }

    pub(super) async fn end_refresh(&mut self, connection: Uuid, owner: &str) -> Result<()> {
        sqlx::query(
            "UPDATE credentials SET refresh_owner = NULL, refresh_until = NULL, refresh_begun = 0
             WHERE tenant_id = $1 AND connection_id = $2 AND refresh_owner = $3",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(owner)
        .execute(self.rows())
        .await?;
        Ok(())
    }

    pub(super) async fn pause(&mut self, connection: Uuid, sealed: &[u8], why: &str) -> Result<bool> {
        let paused = sqlx::query(
            "UPDATE connections SET paused = $4
             WHERE tenant_id = $1 AND id = $2
                 AND EXISTS (SELECT 1 FROM credentials WHERE credentials.tenant_id = $1
                     AND credentials.connection_id = $2 AND credentials.sealed = $3)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(sealed)
        .bind(why)
        .execute(self.rows())
        .await?;
        Ok(paused.rows_affected() == 1)
    }

    pub(super) async fn is_refreshing(&mut self, connection: Uuid) -> Result<bool> {
        let under_way: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM credentials
             WHERE tenant_id = $1 AND connection_id = $2 AND refresh_until >= $3",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(self.now)
        .fetch_one(self.rows())
        .await?;
        Ok(under_way > 0)
    }

    /// A higher epoch than any worker's: whatever it brings now is refused.
    pub(super) async fn fence(&mut self, connection: Uuid) -> Result<u64> {
        let fenced = sqlx::query(
            "UPDATE scans SET epoch = epoch + 1, state = $3, reasons = $4, finished_at = $5, owner = NULL,
                 lease_until = NULL
             WHERE tenant_id = $1 AND connection_id = $2 AND state IN ('queued', 'running', 'waiting', 'quarantined')",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(State::Failed.word())
        .bind(Json([DISCONNECTED]))
        .bind(self.now)
        .execute(self.rows())
        .await?;
        sqlx::query("UPDATE schedules SET next_at = NULL WHERE tenant_id = $1 AND connection_id = $2")
            .bind(self.tenant)
            .bind(connection)
            .execute(self.rows())
            .await?;
        sqlx::query(
            "UPDATE connections SET disconnected_at = coalesce(disconnected_at, $3), paused = NULL
             WHERE tenant_id = $1 AND id = $2",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(self.now)
        .execute(self.rows())
        .await?;
        Ok(fenced.rows_affected())
    }

    pub(super) async fn forget_credential(&mut self, connection: Uuid) -> Result<()> {
        sqlx::query("DELETE FROM credentials WHERE tenant_id = $1 AND connection_id = $2")
            .bind(self.tenant)
            .bind(connection)
            .execute(self.rows())
            .await?;
        Ok(())
    }

    /// What refers to a connection goes first, so that each is counted.
    pub(super) async fn purge(&mut self, connection: Uuid) -> Result<Purged> {
        let purged = Purged {
            events: self
                .delete("DELETE FROM events WHERE tenant_id = $1 AND connection_id = $2", connection)
                .await?,
            cases: self
                .delete("DELETE FROM cases WHERE tenant_id = $1 AND connection_id = $2", connection)
                .await?,
            names: self
                .delete("DELETE FROM names WHERE tenant_id = $1 AND connection_id = $2", connection)
                .await?,
            scans: self
                .delete("DELETE FROM scans WHERE tenant_id = $1 AND connection_id = $2", connection)
                .await?,
            streams: self
                .delete("DELETE FROM streams WHERE tenant_id = $1 AND connection_id = $2", connection)
                .await?,
        };
        self.delete("DELETE FROM connections WHERE tenant_id = $1 AND id = $2", connection).await?;
        Ok(purged)
    }

    async fn delete(&mut self, sql: &'static str, connection: Uuid) -> Result<u64> {
        Ok(sqlx::query(sql).bind(self.tenant).bind(connection).execute(self.rows()).await?.rows_affected())
    }
}
