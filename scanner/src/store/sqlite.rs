//! The embedded engine: one file, one writer, readers beside it.

#[path = "grants.rs"]
#[expect(clippy::duplicate_mod, reason = "the same statements, compiled once for each engine")]
mod grants;
#[path = "shared.rs"]
#[expect(clippy::duplicate_mod, reason = "the same statements, compiled once for each engine")]
mod shared;

#[path = "shared_census.rs"]
#[expect(clippy::duplicate_mod, reason = "the same statements, compiled once for each engine")]
mod shared_census;

#[path = "shared_scans.rs"]
#[expect(clippy::duplicate_mod, reason = "the same statements, compiled once for each engine")]
mod shared_scans;

#[path = "shared_schedules.rs"]
#[expect(clippy::duplicate_mod, reason = "the same statements, compiled once for each engine")]
mod shared_schedules;

#[path = "shared_tickets.rs"]
#[expect(clippy::duplicate_mod, reason = "the same statements, compiled once for each engine")]
mod shared_tickets;

use super::{Dispatch, Due, Firing, Result, Standing, State, StoreError};
use crate::clock::Clock;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, QueryBuilder, Transaction};
use std::path::Path;
use std::time::{Duration, Instant};
use twinflow_connectors::{Case, Event, Named, Opaque};
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Stands in the file's header: `TwFl`. The first migration writes it.
const APPLICATION: i64 = 0x5477_466C;

/// How long to wait for another program that writes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows a multi-row INSERT carries. Row by row, each statement costs a hop to SQLite's thread.
const BATCH: usize = 500;

pub(super) struct Engine {
    tenant: Uuid,
    clock: Clock,
    /// SQLite has one writer; a pool of one makes others wait in line instead of failing as busy.
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Engine {
    pub(super) async fn open(file: &Path, tenant: Uuid, clock: Clock) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        // The change to WAL is the one lock that SQLite does not wait for, so that is done here.
        let patience = Instant::now() + PATIENCE;
        loop {
            match Self::open_with(options.clone(), tenant, clock.clone()).await {
                Ok(engine) => return Ok(engine),
                Err(Trouble::NotOurs) => return Err(StoreError::Damaged(file.to_owned())),
                Err(Trouble::Other(StoreError::Busy(_))) if Instant::now() < patience => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(Trouble::Other(error)) => return Err(error),
            }
        }
    }

    async fn open_with(plain: SqliteConnectOptions, tenant: Uuid, clock: Clock) -> Opened<Self> {
        is_ours(&plain).await?;
        let options = plain
            .journal_mode(SqliteJournalMode::Wal)
            // FULL keeps the last page through a power cut as well; a page is one commit, so it costs little.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Pages of the log are written back every 32 MB instead of every 4: most are written again soon.
            .pragma("wal_autocheckpoint", "8000");
        // KiB: enough for the pages of the index that keeping an event touches, while the log is not huge.
        let writing = options
            .clone()
            .pragma("cache_size", "-24576")
            // What is deleted is overwritten, not only marked as free (https://sqlite.org/pragma.html#pragma_secure_delete).
            .pragma("secure_delete", "ON");
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(writing).await?;
        migrate(&writer).await?;
        let readers = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        Ok(Self { tenant, clock, writer, readers })
    }

    async fn describe(&self) -> Result<String> {
        let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&self.readers).await?;
        Ok(format!("SQLite {version}"))
    }

    /// Brings what was deleted out of the files: the log still holds the pages as they were.
    async fn scrub(&self) -> Result<()> {
        let row: (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await?;
        if row.0 != 0 {
            tracing::warn!("another program reads the database; the log of it shrinks when that is done");
        }
        Ok(())
    }

    async fn end(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn read(&self) -> Result<TenantTx> {
        Ok(TenantTx { tx: self.readers.begin().await?, tenant: self.tenant, now: self.clock.now() })
    }

    async fn write(&self) -> Result<TenantTx> {
        // A plain BEGIN takes the write lock only at the first write, too late to wait for it.
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(TenantTx { tx, tenant: self.tenant, now: self.clock.now() })
    }
}

/// One tenant, so that there is nobody to be fair to.
#[async_trait]
impl Dispatch for Engine {
    async fn tenants_due(&self, limit: i64) -> Result<Vec<Uuid>> {
        let due = sqlx::query_scalar(
            "SELECT DISTINCT tenant_id FROM schedules WHERE paused_at IS NULL AND next_at <= $1 LIMIT $2",
        );
        Ok(due.bind(self.clock.now()).bind(limit).fetch_all(&self.readers).await?)
    }

    async fn tenants_waiting(&self, after: Uuid, limit: i64) -> Result<Vec<Uuid>> {
        let waiting = sqlx::query_scalar(
            "SELECT DISTINCT tenant_id FROM scans
             WHERE tenant_id > $1 AND state IN ('queued', 'waiting') AND due_at <= $2 ORDER BY tenant_id LIMIT $3",
        );
        Ok(waiting.bind(after).bind(self.clock.now()).bind(limit).fetch_all(&self.readers).await?)
    }

    async fn scans_due(&self, tenants: &[Uuid], each: i64) -> Result<Vec<Due>> {
        if !tenants.contains(&self.tenant) {
            return Ok(vec![]);
        }
        let due = sqlx::query_as(
            "SELECT tenant_id, id, epoch FROM scans
             WHERE tenant_id = $1 AND state IN ('queued', 'waiting') AND due_at <= $2 ORDER BY rank, due_at
             LIMIT max(0, $3 - (SELECT count(*) FROM scans WHERE state = 'running' AND lease_until >= $2))",
        );
        let due = due.bind(self.tenant).bind(self.clock.now()).bind(each);
        Ok(due.fetch_all(&self.readers).await?)
    }

    async fn lapsed(&self, limit: i64) -> Result<Vec<Due>> {
        let lapsed = sqlx::query_as(
            "SELECT tenant_id, id, epoch FROM scans WHERE state = 'running' AND lease_until < $1 LIMIT $2",
        );
        Ok(lapsed.bind(self.clock.now()).bind(limit).fetch_all(&self.readers).await?)
    }

    async fn tenant_of(&self, scan: Uuid) -> Result<Option<Uuid>> {
        let whose = sqlx::query_scalar(
            "SELECT tenant_id FROM scans WHERE tenant_id = $1 AND id = $2
                 AND state IN ('queued', 'running', 'waiting', 'quarantined')",
        );
        Ok(whose.bind(self.tenant).bind(scan).fetch_optional(&self.readers).await?)
    }

    async fn standing(&self) -> Result<Standing> {
        let now = self.clock.now();
        let rows: Vec<(State, i64, Option<DateTime<Utc>>)> = sqlx::query_as(
            "SELECT state, count(*), min(CASE WHEN state IN ('queued', 'waiting') AND due_at <= $1 THEN due_at END)
             FROM scans WHERE state IN ('queued', 'running', 'waiting', 'quarantined') GROUP BY state",
        )
        .bind(now)
        .fetch_all(&self.readers)
        .await?;
        Ok(Standing::of(rows, now))
    }

    async fn lead(&self, job: &str, owner: &str, lease: Duration) -> Result<bool> {
        let now = self.clock.now();
        let led = sqlx::query(
            "INSERT INTO leaders (job, owner, until) VALUES ($1, $2, $3)
             ON CONFLICT (job) DO UPDATE SET owner = excluded.owner, until = excluded.until
                 WHERE leaders.owner = excluded.owner OR leaders.until < $4",
        );
        let led = led.bind(job).bind(owner).bind(now + lease).bind(now).execute(&self.writer).await?;
        Ok(led.rows_affected() == 1)
    }

    async fn depose(&self) -> Result<()> {
        sqlx::query("DELETE FROM leaders").execute(&self.writer).await?;
        Ok(())
    }

    async fn resign(&self, job: &str, owner: &str) -> Result<()> {
        let resigned = sqlx::query("DELETE FROM leaders WHERE job = $1 AND owner = $2");
        resigned.bind(job).bind(owner).execute(&self.writer).await?;
        Ok(())
    }
}

type Opened<T> = std::result::Result<T, Trouble>;

enum Trouble {
    NotOurs,
    Other(StoreError),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()?.parse().ok());
        // SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_NOTADB; what stands above the low byte says more precisely why.
        match code.map(|code: i32| code & 0xFF) {
            Some(11 | 14 | 26) => Self::NotOurs,
            _ => Self::Other(error.into()),
        }
    }
}

impl From<MigrateError> for Trouble {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Other(other.into()),
        }
    }
}

/// Another program's database is not to be written to, not even to set its journal mode.
async fn is_ours(plain: &SqliteConnectOptions) -> Opened<()> {
    let mut probe = plain.connect().await?;
    let (tables, application): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM sqlite_schema), application_id FROM pragma_application_id",
    )
    .fetch_one(&mut probe)
    .await?;
    probe.close().await?;
    if tables == 0 || application == APPLICATION { Ok(()) } else { Err(Trouble::NotOurs) }
}

/// All in one transaction: of two programs that make the same database, one waits for the other.
async fn migrate(writer: &SqlitePool) -> Opened<()> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    // What `run` calls; `run` itself does not know that a transaction may be sent to another thread.
    MIGRATIONS.run_direct(None, &mut *tx, false).await?;
    Ok(tx.commit().await?)
}

/// A transaction as the one tenant.
struct TenantTx {
    tx: Transaction<'static, Sqlite>,
    tenant: Uuid,
    now: DateTime<Utc>,
}

impl TenantTx {
    fn rows(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// How many of them were new.
    async fn insert_events(&mut self, connection: Uuid, events: &[Event]) -> Result<u64> {
        let mut new = 0;
        for batch in events.chunks(BATCH) {
            let mut insert = QueryBuilder::new(
                "INSERT INTO events (tenant_id, id, connection_id, case_id, activity, resource, at, turn, from_id,
                     to_id) ",
            );
            insert.push_values(batch, |mut row, event| {
                row.push_bind(self.tenant)
                    .push_bind(super::event_id(connection, event))
                    .push_bind(connection)
                    .push_bind(event.case.as_str())
                    .push_bind(event.activity.word())
                    .push_bind(event.resource.as_ref().map(|id| id.as_str()))
                    .push_bind(event.at)
                    .push_bind(event.turn)
                    .push_bind(event.from.as_ref().map(|id| id.as_str()))
                    .push_bind(event.to.as_ref().map(|id| id.as_str()));
            });
            insert.push(" ON CONFLICT DO NOTHING");
            new +=
                insert.build().persistent(batch.len() == BATCH).execute(self.rows()).await?.rows_affected();
        }
        Ok(new)
    }

    /// How many of them there were.
    async fn delete_events(&mut self, ids: &[Uuid]) -> Result<u64> {
        let mut gone = 0;
        for batch in ids.chunks(BATCH) {
            let mut delete = QueryBuilder::new("DELETE FROM events WHERE tenant_id = ");
            delete.push_bind(self.tenant).push(" AND id IN ");
            delete.push_tuples(batch, |mut row, id| {
                row.push_bind(*id);
            });
            gone += delete.build().persistent(false).execute(self.rows()).await?.rows_affected();
        }
        Ok(gone)
    }

    /// A case read again replaces what was known, unless that was newer; it began when the earliest says.
    async fn upsert_cases(
        &mut self,
        connection: Uuid,
        stream: &str,
        cases: &[Case],
        seen: DateTime<Utc>,
    ) -> Result<()> {
        for batch in cases.chunks(BATCH) {
            let mut insert = QueryBuilder::new(
                "INSERT INTO cases (tenant_id, connection_id, id, stream, key, created_at, updated_at, status,
                     assignee, priority, seen_at) ",
            );
            insert.push_values(batch, |mut row, case| {
                row.push_bind(self.tenant)
                    .push_bind(connection)
                    .push_bind(case.id.as_str())
                    .push_bind(stream)
                    .push_bind(case.key.as_str())
                    .push_bind(case.created_at)
                    .push_bind(case.updated_at)
                    .push_bind(case.status.as_ref().map(|id| id.as_str()))
                    .push_bind(case.assignee.as_ref().map(|id| id.as_str()))
                    .push_bind(case.priority.as_ref().map(|id| id.as_str()))
                    .push_bind(seen);
            });
            insert.push(
                " ON CONFLICT (tenant_id, connection_id, id) DO UPDATE SET
                     created_at = min(excluded.created_at, cases.created_at),
                     updated_at = max(excluded.updated_at, cases.updated_at),
                     stream = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.stream ELSE cases.stream END,
                     key = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.key ELSE cases.key END,
                     status = CASE WHEN excluded.updated_at >= cases.updated_at THEN coalesce(excluded.status, cases.status) ELSE cases.status END,
                     assignee = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.assignee ELSE cases.assignee END,
                     priority = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.priority ELSE cases.priority END,
                     seen_at = max(excluded.seen_at, coalesce(cases.seen_at, excluded.seen_at))",
            );
            insert.build().persistent(false).execute(self.rows()).await?;
        }
        Ok(())
    }

    /// Notes when cases were shown.
    async fn see(&mut self, connection: Uuid, cases: &[Opaque], at: DateTime<Utc>) -> Result<()> {
        for batch in cases.chunks(BATCH) {
            let mut update = QueryBuilder::new("UPDATE cases SET seen_at = ");
            update.push_bind(at).push(" WHERE tenant_id = ").push_bind(self.tenant);
            update.push(" AND connection_id = ").push_bind(connection).push(" AND id IN ");
            update.push_tuples(batch, |mut row, id| {
                row.push_bind(id.as_str());
            });
            update.build().persistent(false).execute(self.rows()).await?;
        }
        Ok(())
    }

    /// There is one writer.
    #[expect(clippy::unused_async, reason = "the other engine has something to wait for")]
    async fn one_after_the_other(&mut self) -> Result<()> {
        Ok(())
    }

    async fn fire(&mut self, firings: &[Firing]) -> Result<u64> {
        let mut fired = 0;
        for firing in firings {
            let moved = sqlx::query(
                "UPDATE schedules SET next_at = $4
                 WHERE tenant_id = $1 AND connection_id = $2 AND next_at = $3 AND paused_at IS NULL",
            );
            let moved = moved.bind(self.tenant).bind(firing.connection).bind(firing.due_at);
            if moved.bind(firing.next_at).execute(self.rows()).await?.rows_affected() == 0 {
                continue;
            }
            fired += 1;
            sqlx::query(
                "INSERT INTO scans (tenant_id, id, connection_id, state, created_at, due_at, rank)
                 SELECT tenant_id, $3, id, 'queued', $4, $4, 1 FROM connections
                 WHERE tenant_id = $1 AND id = $2 AND paused IS NULL AND disconnected_at IS NULL
                 ON CONFLICT DO NOTHING",
            )
            .bind(self.tenant)
            .bind(firing.connection)
            .bind(firing.scan)
            .bind(self.now)
            .execute(self.rows())
            .await?;
        }
        Ok(fired)
    }

    async fn upsert_names(&mut self, connection: Uuid, names: &[Named]) -> Result<()> {
        for batch in names.chunks(BATCH) {
            let mut insert =
                QueryBuilder::new("INSERT INTO names (tenant_id, connection_id, kind, id, name, stage) ");
            insert.push_values(batch, |mut row, named| {
                row.push_bind(self.tenant)
                    .push_bind(connection)
                    .push_bind(named.kind.word())
                    .push_bind(named.id.as_str())
                    .push_bind(named.name.as_str())
                    .push_bind(named.stage.map(|stage| stage.word()));
            });
            insert.push(
                " ON CONFLICT (tenant_id, connection_id, kind, id) DO UPDATE SET name = excluded.name,
                     stage = coalesce(excluded.stage, names.stage)",
            );
            insert.build().persistent(false).execute(self.rows()).await?;
        }
        Ok(())
    }
}
