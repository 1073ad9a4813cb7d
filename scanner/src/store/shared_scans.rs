//! The statements of a scan's life, which both engines accept. Compiled twice, as `shared.rs` is; `super` is the engine.

use super::{Engine, TenantTx};
use crate::store::{
    Backfill, Claim, Claiming, Doing, ErrorClass, Outcome, Result, Scan, ScannedStream, Scans, State,
    StoreError, Tally, WantedScans,
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::types::Json;
use twinflow_connectors::Cursor;
use uuid::Uuid;

/// What stands beside a scan that a person stopped.
const CANCELLED: &str = "a person cancelled it";

/// What stands beside a scan that ended its worker once too often.
const QUARANTINED: &str = "it ended its worker again and again without getting any further; the workers' log says \
    where; then `twinflow scans retry` lets it try again, `twinflow scans purge` gives it up";

/// A scan with its connection's names and the sums over its streams, newest first; `$which` chooses among the tenant's.
macro_rules! scans {
    ($which:literal) => {
        concat!(
            "SELECT s.id, s.connection_id, c.name AS connection, c.tool, s.state, s.rank, s.created_at, s.due_at,
             s.started_at, s.finished_at, s.until, s.attempts, s.crashes, s.tries, s.owner, s.error, s.since, s.upto, s.reasons,
             CAST(coalesce(sum(t.pages), 0) AS bigint) AS pages,
             CAST(coalesce(sum(t.requests), 0) AS bigint) AS requests,
             CAST(coalesce(sum(t.cases), 0) AS bigint) AS cases,
             CAST(coalesce(sum(t.events_read), 0) AS bigint) AS events_read,
             CAST(coalesce(sum(t.events_new), 0) AS bigint) AS events_new,
             CAST(coalesce(sum(t.waited_ms), 0) AS bigint) AS waited_ms
         FROM (SELECT * FROM scans WHERE tenant_id = $1",
            $which,
            ") s JOIN connections c ON c.tenant_id = s.tenant_id AND c.id = s.connection_id
         LEFT JOIN scan_streams t ON t.tenant_id = s.tenant_id AND t.scan_id = s.id
         GROUP BY s.tenant_id, s.id, s.connection_id, c.name, c.tool, s.state, s.rank, s.created_at, s.due_at,
             s.started_at, s.finished_at, s.until, s.attempts, s.crashes, s.tries, s.owner, s.error, s.since, s.upto,
             s.reasons
         ORDER BY s.created_at DESC, s.id"
        )
    };
}

#[async_trait]
impl Scans for Engine {
    async fn open_scan(&self, connection: Uuid, fresh: Uuid) -> Result<Uuid> {
        let mut tx = self.write().await?;
        // One statement: between two, the active scan could end. What its schedule opened is now also a person's.
        let active = sqlx::query_scalar(
            "INSERT INTO scans (tenant_id, id, connection_id, state, created_at, due_at)
             VALUES ($1, $2, $3, 'queued', $4, $4)
             ON CONFLICT (tenant_id, connection_id)
                 WHERE state IN ('queued', 'running', 'waiting', 'quarantined') AND rank < 2
                 DO UPDATE SET rank = 0
             RETURNING id",
        );
        let active = active.bind(tx.tenant).bind(fresh).bind(connection).bind(tx.now);
        let id = active.fetch_one(tx.rows()).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn open_backfill(&self, connection: Uuid, fresh: Uuid, window: Backfill) -> Result<Uuid> {
        let mut tx = self.write().await?;
        let active = sqlx::query_scalar(
            "INSERT INTO scans (tenant_id, id, connection_id, state, created_at, due_at, rank, since, upto)
             VALUES ($1, $2, $3, 'queued', $4, $4, 2, $5, $6)
             ON CONFLICT (tenant_id, connection_id)
                 WHERE state IN ('queued', 'running', 'waiting', 'quarantined') AND rank = 2
                 DO UPDATE SET rank = 2
             RETURNING id",
        );
        let active = active.bind(tx.tenant).bind(fresh).bind(connection).bind(tx.now);
        let id = active.bind(window.since).bind(window.upto).fetch_one(tx.rows()).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn claim(&self, scan: Uuid, claiming: &Claiming<'_>) -> Result<Option<Claim>> {
        let mut tx = self.write().await?;
        if tx.quarantine(scan, claiming).await? {
            tx.commit().await?;
            noticed_quarantine(self.tenant, scan);
            return Ok(None);
        }
        let claim = tx.claim(scan, claiming).await?;
        tx.commit().await?;
        Ok(claim)
    }

    async fn now(&self) -> Result<DateTime<Utc>> {
        Ok(self.read().await?.now)
    }

    async fn renew(&self, claim: &Claim) -> Result<()> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        tx.commit().await
    }

    async fn note(&self, claim: &Claim, stream: &str, doing: &Doing) -> Result<()> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        let tally = Tally { doing: Some(doing.clone()), ..Tally::default() };
        tx.count(claim.scan, stream, &tally).await?;
        tx.commit().await
    }

    async fn backfilled(&self, scan: Uuid, stream: &str) -> Result<Option<Cursor>> {
        let mut tx = self.read().await?;
        let row: Option<Option<Json<Cursor>>> = sqlx::query_scalar(
            "SELECT cursor FROM scan_streams WHERE tenant_id = $1 AND scan_id = $2 AND stream = $3",
        )
        .bind(tx.tenant)
        .bind(scan)
        .bind(stream)
        .fetch_optional(tx.rows())
        .await?;
        Ok(row.flatten().map(|Json(cursor)| cursor))
    }

    async fn settle(&self, claim: &Claim, outcome: &Outcome) -> Result<()> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        tx.settle(claim, outcome).await?;
        tx.commit().await
    }

    async fn crashed(&self, claim: &Claim, pause: TimeDelta, limit: Option<i64>) -> Result<State> {
        let mut tx = self.write().await?;
        tx.hold(claim).await?;
        let crashes: i64 = sqlx::query_scalar(
            "UPDATE scans SET crashes = crashes + 1 WHERE tenant_id = $1 AND id = $2 RETURNING crashes",
        )
        .bind(tx.tenant)
        .bind(claim.scan)
        .fetch_one(tx.rows())
        .await?;
        let given_up = limit.is_some_and(|limit| crashes >= limit);
        let (state, reason) = match given_up {
            true => (State::Quarantined, QUARANTINED),
            false => (State::Waiting, "it failed in a way that is a fault of this program"),
        };
        let outcome = Outcome {
            state,
            reasons: vec![reason.to_owned()],
            until: (!given_up).then_some(tx.now + pause),
            error: Some(ErrorClass::Crash),
        };
        tx.settle(claim, &outcome).await?;
        tx.commit().await?;
        if given_up {
            noticed_quarantine(self.tenant, claim.scan);
        }
        Ok(state)
    }

    async fn give_back(&self, owner: &str) -> Result<u64> {
        let mut tx = self.write().await?;
        let given_back = sqlx::query(
            "UPDATE scans SET state = 'queued', epoch = epoch + 1, owner = NULL, lease_until = NULL
             WHERE tenant_id = $1 AND owner = $2 AND state = 'running'",
        );
        let given_back = given_back.bind(tx.tenant).bind(owner).execute(tx.rows()).await?;
        tx.commit().await?;
        Ok(given_back.rows_affected())
    }

    async fn expire_leases(&self) -> Result<u64> {
        let mut tx = self.write().await?;
        let expired =
            sqlx::query("UPDATE scans SET lease_until = $2 WHERE tenant_id = $1 AND state = 'running'");
        let expired = expired.bind(tx.tenant).bind(DateTime::UNIX_EPOCH).execute(tx.rows()).await?;
        tx.commit().await?;
        Ok(expired.rows_affected())
    }

    async fn cancel(&self, scan: Uuid) -> Result<bool> {
        let mut tx = self.write().await?;
        let ended = tx.end_scan(scan, State::Cancelled, CANCELLED).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn release(&self, scan: Uuid) -> Result<bool> {
        let mut tx = self.write().await?;
        let released = sqlx::query(
            "UPDATE scans SET state = 'queued', epoch = epoch + 1, due_at = $3, rank = CASE rank WHEN 2 THEN 2 ELSE 0 END,
                 crashes = 0, tries = 0, error = NULL, until = NULL, reasons = $4
             WHERE tenant_id = $1 AND id = $2 AND state IN ('waiting', 'quarantined')",
        )
        .bind(tx.tenant)
        .bind(scan)
        .bind(tx.now)
        .bind(Json([""; 0]))
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(released.rows_affected() == 1)
    }

    async fn purge_scan(&self, scan: Uuid) -> Result<bool> {
        let mut tx = self.write().await?;
        let purged = sqlx::query(
            "UPDATE scans SET state = 'failed', epoch = epoch + 1, finished_at = $3
             WHERE tenant_id = $1 AND id = $2 AND state = 'quarantined'",
        )
        .bind(tx.tenant)
        .bind(scan)
        .bind(tx.now)
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(purged.rows_affected() == 1)
    }

    async fn scans(&self, wanted: &WantedScans) -> Result<Vec<Scan>> {
        let mut tx = self.read().await?;
        // A list in a text: neither engine takes the other's way of binding one.
        let states = wanted.states.iter().map(|state| format!(",{},", state.word())).collect::<String>();
        let rows = sqlx::query_as(scans!(
            " AND ($2 IS NULL OR connection_id = $2) AND ($3 = '' OR $3 LIKE '%,' || state || ',%')
              AND ($4 IS NULL OR error = $4) AND ($5 IS NULL OR created_at >= $5)
              AND ($6 IS NULL OR created_at < $6 OR (created_at = $6 AND id > $7))
              AND ($8 IS NULL OR (id >= $8 AND id <= $9))
              ORDER BY created_at DESC, id LIMIT $10"
        ));
        let ((before, last), (low, high)) = (wanted.after.unzip(), wanted.ids.unzip());
        let rows = rows.bind(tx.tenant).bind(wanted.connection).bind(states);
        let rows = rows.bind(wanted.error.map(ErrorClass::word)).bind(wanted.since).bind(before).bind(last);
        Ok(rows.bind(low).bind(high).bind(wanted.limit).fetch_all(tx.rows()).await?)
    }

    async fn scan(&self, scan: Uuid) -> Result<Option<Scan>> {
        let mut tx = self.read().await?;
        let row = sqlx::query_as(scans!(" AND id = $2"));
        Ok(row.bind(tx.tenant).bind(scan).fetch_optional(tx.rows()).await?)
    }

    async fn scanned(&self, scan: Uuid) -> Result<Vec<ScannedStream>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query_as(
            "SELECT stream, pages, requests, cases, events_read, events_new, waited_ms, skipped, ledger, doing
             FROM scan_streams WHERE tenant_id = $1 AND scan_id = $2 ORDER BY stream",
        );
        Ok(rows.bind(tx.tenant).bind(scan).fetch_all(tx.rows()).await?)
    }

    async fn last_scan(&self, connection: Uuid) -> Result<Option<Scan>> {
        let mut tx = self.read().await?;
        let row = sqlx::query_as(scans!(
            " AND connection_id = $2 AND rank < 2 ORDER BY created_at DESC, id LIMIT 1"
        ));
        Ok(row.bind(tx.tenant).bind(connection).fetch_optional(tx.rows()).await?)
    }
}

fn noticed_quarantine(tenant: Uuid, scan: Uuid) {
    crate::metrics::quarantined();
    tracing::error!(%scan, %tenant, "quarantined");
}

fn held_or_fenced(held: u64) -> Result<()> {
    if held == 1 {
        return Ok(());
    }
    crate::metrics::fenced();
    Err(StoreError::Fenced)
}

impl TenantTx {
    /// The fence: goes on only while the claim's epoch is the scan's, and extends the lease.
    pub(super) async fn hold(&mut self, claim: &Claim) -> Result<()> {
        let held = sqlx::query(
            "UPDATE scans SET lease_until = $4
             WHERE tenant_id = $1 AND id = $2 AND epoch = $3 AND state = 'running'",
        )
        .bind(self.tenant)
        .bind(claim.scan)
        .bind(claim.epoch)
        .bind(self.now + claim.lease)
        .execute(self.rows())
        .await?;
        held_or_fenced(held.rows_affected())
    }

    /// Forgets what went wrong before, for a scan that has got further: what it keeps was not known.
    pub(super) async fn got_further(&mut self, claim: &Claim) -> Result<()> {
        sqlx::query(
            "UPDATE scans SET crashes = 0, tries = 0
             WHERE tenant_id = $1 AND id = $2 AND (crashes > 0 OR tries > 0)",
        )
        .bind(self.tenant)
        .bind(claim.scan)
        .execute(self.rows())
        .await?;
        Ok(())
    }

    async fn claim(&mut self, scan: Uuid, claiming: &Claiming<'_>) -> Result<Option<Claim>> {
        type Row = (Uuid, i64, i64, i64, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
        self.one_after_the_other().await?;
        let row: Option<Row> = sqlx::query_as(
            "UPDATE scans SET epoch = epoch + 1, owner = $3, lease_until = $4, attempts = attempts + 1,
                 crashes = crashes + CASE state WHEN 'running' THEN 1 ELSE 0 END,
                 started_at = coalesce(started_at, $5), until = NULL, state = 'running'
             WHERE tenant_id = $1 AND id = $2
                 AND (state IN ('queued', 'waiting') AND ($7 OR due_at <= $5)
                     OR state = 'running' AND ($6 OR lease_until < $5))
                 AND ($8 IS NULL OR $8 > (SELECT count(*) FROM scans others WHERE others.tenant_id = $1
                     AND others.state = 'running' AND others.lease_until >= $5 AND others.id <> $2))
             RETURNING connection_id, epoch, tries, crashes, since, upto",
        )
        .bind(self.tenant)
        .bind(scan)
        .bind(claiming.owner)
        .bind(self.now + claiming.lease)
        .bind(self.now)
        .bind(claiming.takeover)
        .bind(claiming.anyway)
        .bind(claiming.per_tenant)
        .fetch_optional(self.rows())
        .await?;
        Ok(row.map(|(connection, epoch, tries, crashes, since, upto)| Claim {
            scan,
            connection,
            epoch,
            lease: claiming.lease,
            tries,
            crashes,
            backfill: since.map(|since| Backfill { since, upto }),
        }))
    }

    /// Instead of claiming a scan that would end its worker once too often; whether it was one.
    async fn quarantine(&mut self, scan: Uuid, claiming: &Claiming<'_>) -> Result<bool> {
        let Some(limit) = claiming.crashes else { return Ok(false) };
        let quarantined = sqlx::query(
            "UPDATE scans SET state = 'quarantined', epoch = epoch + 1, crashes = crashes + 1, owner = NULL,
                 lease_until = NULL, error = 'crash', reasons = $3
             WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND ($4 OR lease_until < $5) AND crashes + 1 >= $6",
        )
        .bind(self.tenant)
        .bind(scan)
        .bind(Json([QUARANTINED]))
        .bind(claiming.takeover)
        .bind(self.now)
        .bind(limit)
        .execute(self.rows())
        .await?;
        Ok(quarantined.rows_affected() == 1)
    }

    async fn settle(&mut self, claim: &Claim, outcome: &Outcome) -> Result<()> {
        let finished = outcome.state.is_over().then_some(self.now);
        let due = outcome.until.filter(|_| outcome.state == State::Waiting);
        // What passes by itself is no failed try; nor is the end of one that will not be tried again.
        let failed = outcome.state == State::Waiting && outcome.error != Some(ErrorClass::Quota);
        sqlx::query(
            "UPDATE scans SET state = $3, reasons = $4, until = $5, finished_at = $6, error = $7,
                 due_at = coalesce($8, due_at), tries = tries + $9, owner = NULL, lease_until = NULL
             WHERE tenant_id = $1 AND id = $2",
        )
        .bind(self.tenant)
        .bind(claim.scan)
        .bind(outcome.state.word())
        .bind(Json(&outcome.reasons))
        .bind(outcome.until)
        .bind(finished)
        .bind(outcome.error.map(ErrorClass::word))
        .bind(due)
        .bind(i64::from(failed))
        .execute(self.rows())
        .await?;
        self.rest_until(claim.connection, outcome).await
    }

    /// Ends a scan that is not over; its worker, if it has one, is fenced out. Whether there was anything to end.
    async fn end_scan(&mut self, scan: Uuid, state: State, why: &str) -> Result<bool> {
        let ended = sqlx::query(
            "UPDATE scans SET state = $3, epoch = epoch + 1, reasons = $4, finished_at = $5, owner = NULL,
                 lease_until = NULL, until = NULL
             WHERE tenant_id = $1 AND id = $2 AND state IN ('queued', 'running', 'waiting', 'quarantined')",
        )
        .bind(self.tenant)
        .bind(scan)
        .bind(state.word())
        .bind(Json([why]))
        .bind(self.now)
        .execute(self.rows())
        .await?;
        Ok(ended.rows_affected() == 1)
    }
}
