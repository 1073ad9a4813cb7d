//! The statements of a census, which both engines accept. Compiled twice, as `shared.rs` is; `super` is the engine.

use super::{Engine, TenantTx};
use crate::store::census::noticed;
use crate::store::{Census, CensusEnd, CensusPage, Claim, Ledger, Result, Tally};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use twinflow_connectors::{Activity, Opaque, Sweep};
use uuid::Uuid;

#[async_trait]
impl Census for Engine {
    async fn await_census(&self, claim: &Claim, stream: &str, since: DateTime<Utc>) -> Result<()> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        sqlx::query(
            "UPDATE streams SET census_at = $4
             WHERE tenant_id = $1 AND connection_id = $2 AND name = $3 AND census_at IS NULL",
        )
        .bind(tx.tenant)
        .bind(claim.connection)
        .bind(stream)
        .bind(since)
        .execute(tx.rows())
        .await?;
        tx.commit().await
    }

    async fn keep_census(&self, claim: &Claim, page: &CensusPage<'_>) -> Result<()> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        tx.see(claim.connection, page.present, page.census.began).await?;
        let restored = tx.restore(claim.connection, page.census.began).await?;
        sqlx::query(
            "UPDATE streams SET census = $4 WHERE tenant_id = $1 AND connection_id = $2 AND name = $3",
        )
        .bind(tx.tenant)
        .bind(claim.connection)
        .bind(page.stream)
        .bind(Json(page.census))
        .execute(tx.rows())
        .await?;
        let ledger = Ledger { asked: page.asked.clone(), ..Ledger::default() };
        let tally = Tally { pages: 1, waited: page.waited, ledger, ..Tally::default() };
        tx.count(claim.scan, page.stream, &tally.noticing(Activity::Restored, restored)).await?;
        tx.commit().await
    }

    async fn end_census(&self, claim: &Claim, stream: &str, began: DateTime<Utc>) -> Result<CensusEnd> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        let end = tx.missing(claim.connection, stream, began).await?;
        // One that shows too little is no census: the next scan takes another.
        let taken = match end {
            CensusEnd::Gone(_) => {
                let noticed = tx.bury(claim.connection, stream, began).await?;
                tx.count(claim.scan, stream, &Tally::default().noticing(Activity::Deleted, noticed)).await?;
                Some(began)
            }
            CensusEnd::NoneShown | CensusEnd::MostMissing { .. } => None,
        };
        sqlx::query(
            "UPDATE streams SET census = $4, census_at = coalesce($5, census_at)
             WHERE tenant_id = $1 AND connection_id = $2 AND name = $3",
        )
        .bind(tx.tenant)
        .bind(claim.connection)
        .bind(stream)
        .bind(None::<Json<Sweep>>)
        .bind(taken)
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(end)
    }
}

impl TenantTx {
    /// What a census comes to, of those cases of a stream that are not gone already.
    async fn missing(&mut self, connection: Uuid, stream: &str, began: DateTime<Utc>) -> Result<CensusEnd> {
        let (known, missing): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(CASE WHEN seen_at >= $4 THEN NULL ELSE 1 END) FROM cases
             WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND gone_at IS NULL",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(stream)
        .bind(began)
        .fetch_one(self.rows())
        .await?;
        Ok(CensusEnd::of(missing.unsigned_abs(), known.unsigned_abs()))
    }

    /// Marks what was not seen since then as gone, and says so in the log, unless the tool did already: what it moved
    /// to its trash and then emptied is deleted once. How many events are new.
    async fn bury(&mut self, connection: Uuid, stream: &str, began: DateTime<Utc>) -> Result<u64> {
        let gone: Vec<(String, Option<String>)> = sqlx::query_as(
            "SELECT id, (SELECT e.activity FROM events e
                 WHERE e.tenant_id = c.tenant_id AND e.connection_id = c.connection_id AND e.case_id = c.id
                     AND e.activity IN ('deleted', 'restored') ORDER BY e.at DESC, e.turn DESC LIMIT 1)
             FROM cases c
             WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND gone_at IS NULL
                 AND (seen_at IS NULL OR seen_at < $4)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(stream)
        .bind(began)
        .fetch_all(self.rows())
        .await?;
        sqlx::query(
            "UPDATE cases SET gone_at = $4
             WHERE tenant_id = $1 AND connection_id = $2 AND stream = $3 AND gone_at IS NULL
                 AND (seen_at IS NULL OR seen_at < $4)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(stream)
        .bind(began)
        .execute(self.rows())
        .await?;
        let untold = gone.into_iter().filter(|(_, told)| told.as_deref() != Some(Activity::Deleted.word()));
        let events: Vec<_> = untold
            .filter_map(|(id, _)| Some(noticed(Opaque::new(id)?, Activity::Deleted, began, began)))
            .collect();
        self.insert_events(connection, &events).await
    }

    /// Cases that were gone and have been seen again are back; how many events say so anew.
    pub(super) async fn restore(&mut self, connection: Uuid, at: DateTime<Utc>) -> Result<u64> {
        let back: Vec<(String, DateTime<Utc>)> = sqlx::query_as(
            "SELECT id, gone_at FROM cases
             WHERE tenant_id = $1 AND connection_id = $2 AND gone_at IS NOT NULL AND seen_at >= gone_at",
        )
        .bind(self.tenant)
        .bind(connection)
        .fetch_all(self.rows())
        .await?;
        if back.is_empty() {
            return Ok(0);
        }
        sqlx::query(
            "UPDATE cases SET gone_at = NULL
             WHERE tenant_id = $1 AND connection_id = $2 AND gone_at IS NOT NULL AND seen_at >= gone_at",
        )
        .bind(self.tenant)
        .bind(connection)
        .execute(self.rows())
        .await?;
        let events: Vec<_> = back
            .into_iter()
            .filter_map(|(id, gone)| Some(noticed(Opaque::new(id)?, Activity::Restored, gone, at)))
            .collect();
        self.insert_events(connection, &events).await
    }
}
