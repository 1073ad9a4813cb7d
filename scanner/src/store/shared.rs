//! Every statement that both engines accept. This file is compiled twice, once inside `sqlite` and once inside
//! `postgres`; `super` is the engine.

use super::{Engine, TenantTx};
use crate::failpoint::failpoint;
use crate::store::{
    Asked, Claim, Connection, FAR, FollowedStream, Kept, KnownCase, Ledger, LoggedEvent, Names, Purged,
    Result, Store, StoreError, Tally, Wanted, event_id, withdrawn_id,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use twinflow_connectors::{Activity, Cursor, Event, Kind, Stage, Stream, Withdrawn};
use uuid::Uuid;

/// An event with its connection's name and its case's key; ends before WHERE.
macro_rules! events {
    () => {
        "SELECT e.id, n.name AS connection_name, e.case_id, c.key, e.activity, e.resource, e.at, e.turn, e.from_id, e.to_id
         FROM events e
         JOIN connections n ON n.tenant_id = e.tenant_id AND n.id = e.connection_id
         LEFT JOIN cases c ON c.tenant_id = e.tenant_id AND c.connection_id = e.connection_id AND c.id = e.case_id"
    };
}

#[async_trait]
impl Store for Engine {
    async fn engine(&self) -> Result<String> {
        self.describe().await
    }

    async fn add_connection(&self, connection: &Connection, sealed: &[u8], streams: &[Stream]) -> Result<()> {
        let mut tx = self.write().await?;
        if !tx.revive(connection, streams).await? {
            tx.insert_connection(connection).await?;
        }
        tx.insert_credential(connection.id, sealed).await?;
        for stream in streams {
            tx.insert_stream(connection.id, &stream.name).await?;
        }
        tx.plan_first(connection.id).await?;
        tx.commit().await
    }

    async fn connections(&self) -> Result<Vec<Connection>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query_as(
            "SELECT id, name, tool, base_url, account_id, account_name, created_at, pseudonymise, paused,
                 disconnected_at FROM connections
             WHERE tenant_id = $1 ORDER BY created_at, id",
        );
        Ok(rows.bind(tx.tenant).fetch_all(tx.rows()).await?)
    }

    async fn connection(&self, name: &str) -> Result<Connection> {
        let mut tx = self.read().await?;
        let row = sqlx::query_as(
            "SELECT id, name, tool, base_url, account_id, account_name, created_at, pseudonymise, paused,
                 disconnected_at FROM connections
             WHERE tenant_id = $1 AND name = $2",
        );
        let row = row.bind(tx.tenant).bind(name).fetch_optional(tx.rows()).await?;
        row.ok_or_else(|| StoreError::NoSuchConnection(name.to_owned()))
    }

    async fn connection_of(&self, id: Uuid) -> Result<Option<Connection>> {
        let mut tx = self.read().await?;
        let row = sqlx::query_as(
            "SELECT id, name, tool, base_url, account_id, account_name, created_at, pseudonymise, paused,
                 disconnected_at FROM connections
             WHERE tenant_id = $1 AND id = $2",
        );
        Ok(row.bind(tx.tenant).bind(id).fetch_optional(tx.rows()).await?)
    }

    async fn sealed_credential(&self, connection: &Connection) -> Result<Vec<u8>> {
        let mut tx = self.read().await?;
        let row =
            sqlx::query_scalar("SELECT sealed FROM credentials WHERE tenant_id = $1 AND connection_id = $2");
        let row = row.bind(tx.tenant).bind(connection.id).fetch_optional(tx.rows()).await?;
        row.ok_or_else(|| StoreError::NoCredential(connection.name.clone()))
    }

    async fn swap_credential(&self, connection: Uuid, old: &[u8], new: &[u8]) -> Result<bool> {
        let mut tx = self.write().await?;
        let swapped = sqlx::query(
            "UPDATE credentials SET sealed = $4, sealed_at = $5
             WHERE tenant_id = $1 AND connection_id = $2 AND sealed = $3",
        )
        .bind(tx.tenant)
        .bind(connection)
        .bind(old)
        .bind(new)
        .bind(tx.now)
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(swapped.rows_affected() == 1)
    }

    async fn pseudonym_key(&self) -> Result<Option<Vec<u8>>> {
        let mut tx = self.read().await?;
        let row: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT pseudonym_key FROM tenants WHERE tenant_id = $1")
                .bind(tx.tenant)
                .fetch_optional(tx.rows())
                .await?;
        Ok(row.flatten())
    }

    async fn swap_pseudonym_key(&self, old: Option<&[u8]>, new: &[u8]) -> Result<bool> {
        let mut tx = self.write().await?;
        sqlx::query("INSERT INTO tenants (tenant_id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(tx.tenant)
            .bind(tx.now)
            .execute(tx.rows())
            .await?;
        let swapped = sqlx::query(
            "UPDATE tenants SET pseudonym_key = $3
             WHERE tenant_id = $1 AND pseudonym_key IS NOT DISTINCT FROM $2",
        )
        .bind(tx.tenant)
        .bind(old)
        .bind(new)
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(swapped.rows_affected() == 1)
    }

    async fn replace_credential(&self, connection: Uuid, sealed: &[u8]) -> Result<bool> {
        let mut tx = self.write().await?;
        let replaced = tx.replace_credential(connection, sealed).await?;
        tx.commit().await?;
        Ok(replaced)
    }

    async fn begin_refresh(
        &self,
        connection: Uuid,
        sealed: &[u8],
        owner: &str,
        lease: Duration,
    ) -> Result<Option<i64>> {
        let mut tx = self.write().await?;
        let begun = tx.begin_refresh(connection, sealed, owner, lease).await?;
        tx.commit().await?;
        Ok(begun)
    }

    async fn keep_refreshed(&self, connection: Uuid, owner: &str, old: &[u8], new: &[u8]) -> Result<bool> {
        let mut tx = self.write().await?;
        let kept = tx.keep_refreshed(connection, owner, old, new).await?;
        tx.commit().await?;
        Ok(kept)
    }

    async fn end_refresh(&self, connection: Uuid, owner: &str) -> Result<()> {
        let mut tx = self.write().await?;
        tx.end_refresh(connection, owner).await?;
        tx.commit().await
    }

    async fn pause(&self, connection: Uuid, owner: &str, sealed: &[u8], why: &str) -> Result<bool> {
        let mut tx = self.write().await?;
        let paused = tx.pause(connection, sealed, why).await?;
        tx.end_refresh(connection, owner).await?;
        tx.commit().await?;
        Ok(paused)
    }

    async fn is_refreshing(&self, connection: Uuid) -> Result<bool> {
        self.read().await?.is_refreshing(connection).await
    }

    async fn fence(&self, connection: Uuid) -> Result<u64> {
        let mut tx = self.write().await?;
        let fenced = tx.fence(connection).await?;
        tx.commit().await?;
        Ok(fenced)
    }

    async fn forget_credential(&self, connection: Uuid) -> Result<()> {
        let mut tx = self.write().await?;
        tx.forget_credential(connection).await?;
        tx.commit().await?;
        self.scrub().await
    }

    async fn purge(&self, connection: Uuid) -> Result<Purged> {
        let mut tx = self.write().await?;
        let purged = tx.purge(connection).await?;
        tx.commit().await?;
        self.scrub().await?;
        Ok(purged)
    }

    async fn sealed_under(&self) -> Result<Vec<([u8; 4], i64)>> {
        let mut tx = self.read().await?;
        let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(
            "SELECT substr(sealed, 3, 4), count(*) FROM
                 (SELECT sealed FROM credentials WHERE tenant_id = $1 UNION ALL
                  SELECT pseudonym_key FROM tenants WHERE tenant_id = $1 AND pseudonym_key IS NOT NULL) AS all_sealed
             GROUP BY 1 ORDER BY 1",
        )
        .bind(tx.tenant)
        .fetch_all(tx.rows())
        .await?;
        Ok(rows.into_iter().filter_map(|(id, count)| Some((id.try_into().ok()?, count))).collect())
    }

    async fn streams(&self, connection: Uuid) -> Result<Vec<FollowedStream>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query_as(
            "SELECT name, cursor, census, census_at,
                 (SELECT count(*) FROM cases WHERE cases.tenant_id = streams.tenant_id
                     AND cases.connection_id = streams.connection_id AND cases.stream = streams.name
                     AND cases.gone_at IS NULL) AS cases
             FROM streams WHERE tenant_id = $1 AND connection_id = $2 ORDER BY name",
        );
        Ok(rows.bind(tx.tenant).bind(connection).fetch_all(tx.rows()).await?)
    }

    async fn keep(&self, claim: &Claim, page: &Kept<'_>) -> Result<u64> {
        let mut tx = self.write().await?;
        // First, so that a worker that has been superseded writes nothing.
        tx.hold(claim).await?;
        let new = tx.insert_events(claim.connection, page.events).await?
            + tx.revise_events(claim.connection, page.revised, page.withdrawn).await?;
        tx.upsert_cases(claim.connection, page.stream, page.cases, page.read_at).await?;
        let restored = tx.restore(claim.connection, page.read_at).await?;
        tx.upsert_names(claim.connection, page.names).await?;
        // A backfill's pages are mostly known; it never reads one of its own again.
        if new + restored > 0 || claim.backfill.is_some() {
            tx.got_further(claim).await?;
        }
        if claim.backfill.is_none() {
            tx.set_cursor(claim.connection, page.stream, page.cursor).await?;
        }
        let tally = Tally {
            pages: 1,
            cases: page.cases.len() as u64,
            events_read: (page.events.len() + page.revised.len()) as u64,
            events_new: new,
            waited: page.waited,
            ledger: Ledger::of(page),
            skipped: page.skipped.clone(),
            doing: Some(page.doing.clone()),
            cursor: claim.backfill.map(|_| page.cursor.clone()),
        };
        tx.count(claim.scan, page.stream, &tally.noticing(Activity::Restored, restored)).await?;
        failpoint!("storing");
        tx.commit().await?;
        Ok(new + restored)
    }

    async fn spend(&self, claim: &Claim, stream: &str, asked: &Asked, waited: Duration) -> Result<()> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        let ledger = Ledger { asked: asked.clone(), ..Ledger::default() };
        tx.count(claim.scan, stream, &Tally { waited, ledger, ..Tally::default() }).await?;
        tx.commit().await
    }

    async fn skipped(&self, scan: Uuid, stream: &str) -> Result<BTreeMap<String, u64>> {
        let mut tx = self.read().await?;
        let row: Option<Json<_>> = sqlx::query_scalar(
            "SELECT skipped FROM scan_streams WHERE tenant_id = $1 AND scan_id = $2 AND stream = $3",
        )
        .bind(tx.tenant)
        .bind(scan)
        .bind(stream)
        .fetch_optional(tx.rows())
        .await?;
        Ok(row.map(|Json(skipped)| skipped).unwrap_or_default())
    }

    async fn close(&self) {
        self.end().await;
    }

    async fn events(&self, wanted: &Wanted) -> Result<Vec<LoggedEvent>> {
        let mut tx = self.read().await?;
        match &wanted.case {
            Some(case) => tx.events_of_case(case, wanted).await,
            None => tx.events_by_time(wanted).await,
        }
    }

    async fn cases_with_events(
        &self,
        connection: Uuid,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(KnownCase, Vec<LoggedEvent>)>> {
        let mut tx = self.read().await?;
        let cases: Vec<KnownCase> = sqlx::query_as(
            "SELECT id, key, created_at, status, gone_at FROM cases
             WHERE tenant_id = $1 AND connection_id = $2 AND id > $3 ORDER BY id LIMIT $4",
        )
        .bind(tx.tenant)
        .bind(connection)
        .bind(after)
        .bind(limit)
        .fetch_all(tx.rows())
        .await?;
        let Some(last) = cases.last() else { return Ok(vec![]) };
        let mut events = tx.events_between(connection, after, &last.id).await?;
        Ok(cases
            .into_iter()
            .map(|case| {
                let its_own = events.remove(&case.id).unwrap_or_default();
                (case, its_own)
            })
            .collect())
    }

    async fn names(&self, connection: Uuid) -> Result<Names> {
        let mut tx = self.read().await?;
        let rows: Vec<(String, String, String, Option<String>)> = sqlx::query_as(
            "SELECT kind, id, name, stage FROM names WHERE tenant_id = $1 AND connection_id = $2",
        )
        .bind(tx.tenant)
        .bind(connection)
        .fetch_all(tx.rows())
        .await?;
        let known = |(kind, id, name, stage): (String, String, String, Option<String>)| {
            let stage = stage.as_deref().and_then(Stage::from_word);
            Some(((Kind::from_word(&kind)?, id), (name, stage)))
        };
        Ok(Names(rows.into_iter().filter_map(known).collect()))
    }
}

impl TenantTx {
    /// Replaces what is known of happenings that are told anew; how many had not been known.
    async fn revise_events(
        &mut self,
        connection: Uuid,
        revised: &[Event],
        withdrawn: &[Withdrawn],
    ) -> Result<u64> {
        if revised.is_empty() && withdrawn.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = revised.iter().map(|it| event_id(connection, it)).collect();
        let known = self.delete_events(&ids).await?;
        let ids: Vec<_> = withdrawn.iter().map(|it| withdrawn_id(connection, it)).collect();
        self.delete_events(&ids).await?;
        Ok(self.insert_events(connection, revised).await?.saturating_sub(known))
    }

    async fn insert_connection(&mut self, connection: &Connection) -> Result<()> {
        sqlx::query("INSERT INTO tenants (tenant_id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(self.tenant)
            .bind(self.now)
            .execute(self.rows())
            .await?;
        let inserted = sqlx::query(
            "INSERT INTO connections (tenant_id, id, name, tool, base_url, account_id, account_name, created_at,
                 pseudonymise)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(self.tenant)
        .bind(connection.id)
        .bind(&connection.name)
        .bind(&connection.tool)
        .bind(&connection.base_url)
        .bind(&connection.account_id)
        .bind(&connection.account_name)
        .bind(connection.created_at)
        .bind(connection.pseudonymise.word())
        .execute(self.rows())
        .await?;
        match inserted.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::NameTaken(connection.name.clone())),
        }
    }

    async fn insert_credential(&mut self, connection: Uuid, sealed: &[u8]) -> Result<()> {
        sqlx::query(
            "INSERT INTO credentials (tenant_id, connection_id, sealed, sealed_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(sealed)
        .bind(self.now)
        .execute(self.rows())
        .await?;
        Ok(())
    }

    async fn insert_stream(&mut self, connection: Uuid, name: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO streams (tenant_id, connection_id, name, cursor) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(name)
        .bind(Json(Cursor::default()))
        .execute(self.rows())
        .await?;
        Ok(())
    }

    async fn set_cursor(&mut self, connection: Uuid, stream: &str, cursor: &Cursor) -> Result<()> {
        let set = sqlx::query(
            "UPDATE streams SET cursor = $4 WHERE tenant_id = $1 AND connection_id = $2 AND name = $3",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(stream)
        .bind(Json(cursor))
        .execute(self.rows())
        .await?;
        // Without a cursor the page would be read again for ever.
        match set.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::Database("the stream is not followed".into())),
        }
    }

    /// Whoever counts holds the scan, so nobody else adds to the ledger between reading and writing it.
    pub(super) async fn count(&mut self, scan: Uuid, stream: &str, tally: &Tally) -> Result<()> {
        let before: Option<Json<Ledger>> = sqlx::query_scalar(
            "SELECT ledger FROM scan_streams WHERE tenant_id = $1 AND scan_id = $2 AND stream = $3",
        )
        .bind(self.tenant)
        .bind(scan)
        .bind(stream)
        .fetch_optional(self.rows())
        .await?;
        let mut ledger = before.map(|Json(ledger)| ledger).unwrap_or_default();
        ledger.add(&tally.ledger);
        sqlx::query(
            "INSERT INTO scan_streams
                 (tenant_id, scan_id, stream, pages, requests, cases, events_read, events_new, waited_ms,
                 skipped, ledger, doing, cursor)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13, $14)
             ON CONFLICT (tenant_id, scan_id, stream) DO UPDATE SET
                 pages = scan_streams.pages + excluded.pages,
                 requests = scan_streams.requests + excluded.requests,
                 cases = scan_streams.cases + excluded.cases,
                 events_read = scan_streams.events_read + excluded.events_read,
                 events_new = scan_streams.events_new + excluded.events_new,
                 waited_ms = scan_streams.waited_ms + excluded.waited_ms,
                 ledger = excluded.ledger,
                 doing = coalesce(excluded.doing, scan_streams.doing),
                 cursor = coalesce(excluded.cursor, scan_streams.cursor),
                 skipped = CASE WHEN $11 THEN excluded.skipped ELSE scan_streams.skipped END",
        )
        .bind(self.tenant)
        .bind(scan)
        .bind(stream)
        .bind(tally.pages as i64)
        .bind(tally.ledger.requests() as i64)
        .bind(tally.cases as i64)
        .bind(tally.events_read as i64)
        .bind(tally.events_new as i64)
        .bind(tally.waited.as_millis() as i64)
        .bind(Json(&tally.skipped))
        .bind(!tally.skipped.is_empty())
        .bind(Json(&ledger))
        .bind(tally.doing.as_ref().map(Json))
        .bind(tally.cursor.as_ref().map(Json))
        .execute(self.rows())
        .await?;
        Ok(())
    }

    async fn events_by_time(&mut self, wanted: &Wanted) -> Result<Vec<LoggedEvent>> {
        let (after, turn, last) = wanted.after.unwrap_or(FIRST);
        let rows = sqlx::query_as(concat!(
            events!(),
            " WHERE e.tenant_id = $1 AND ($2 IS NULL OR e.connection_id = $2)
                AND e.at >= $3 AND e.at < $4 AND (e.at, e.turn, e.id) > ($5, $6, $7)
              ORDER BY e.at, e.turn, e.id LIMIT $8"
        ));
        let rows = rows
            .bind(self.tenant)
            .bind(wanted.connection)
            .bind(wanted.since.unwrap_or(DateTime::UNIX_EPOCH))
            .bind(wanted.until.unwrap_or(FAR))
            .bind(after)
            .bind(turn)
            .bind(last)
            .bind(wanted.limit);
        Ok(rows.fetch_all(self.rows()).await?)
    }

    async fn events_of_case(&mut self, case: &str, wanted: &Wanted) -> Result<Vec<LoggedEvent>> {
        let known: Option<i64> =
            sqlx::query_scalar("SELECT count(*) FROM cases WHERE tenant_id = $1 AND (key = $2 OR id = $2)")
                .bind(self.tenant)
                .bind(case)
                .fetch_optional(self.rows())
                .await?;
        if known.unwrap_or(0) == 0 {
            return Err(StoreError::NoSuchCase(case.to_owned()));
        }
        let (after, turn, last) = wanted.after.unwrap_or(FIRST);
        let rows = sqlx::query_as(concat!(
            events!(),
            " WHERE e.tenant_id = $1 AND ($2 IS NULL OR e.connection_id = $2)
                AND e.at >= $3 AND e.at < $4 AND (e.at, e.turn, e.id) > ($5, $6, $7) AND (c.key = $9 OR c.id = $9)
              ORDER BY e.at, e.turn, e.id LIMIT $8"
        ));
        let rows = rows
            .bind(self.tenant)
            .bind(wanted.connection)
            .bind(wanted.since.unwrap_or(DateTime::UNIX_EPOCH))
            .bind(wanted.until.unwrap_or(FAR))
            .bind(after)
            .bind(turn)
            .bind(last)
            .bind(wanted.limit)
            .bind(case);
        Ok(rows.fetch_all(self.rows()).await?)
    }

    async fn events_between(
        &mut self,
        connection: Uuid,
        after: &str,
        last: &str,
    ) -> Result<HashMap<String, Vec<LoggedEvent>>> {
        let rows: Vec<LoggedEvent> = sqlx::query_as(
            "SELECT id, '' AS connection_name, case_id, NULL AS key, activity, resource, at, turn, from_id, to_id
             FROM events WHERE tenant_id = $1 AND connection_id = $2 AND case_id > $3 AND case_id <= $4
             ORDER BY case_id, at, turn, id",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(after)
        .bind(last)
        .fetch_all(self.rows())
        .await?;
        let mut by_case: HashMap<_, Vec<_>> = HashMap::new();
        for event in rows {
            by_case.entry(event.case.clone()).or_default().push(event);
        }
        Ok(by_case)
    }
}

/// Sooner than every event: nothing is before 1970.
const FIRST: (DateTime<Utc>, i32, Uuid) = (DateTime::UNIX_EPOCH, i32::MIN, Uuid::nil());
