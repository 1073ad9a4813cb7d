//! The server engine: many tenants, kept apart by row-level security.

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

use super::{Firing, Result, StoreError};
use chrono::{DateTime, Utc};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions, Connection as _, Transaction};
use std::str::FromStr;
use std::time::Duration;
use twinflow_connectors::{Case, Event, Named, Opaque};
use uuid::Uuid;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// As whom rows are read and written, whoever logs in: of one tenant, or what is to be done for all.
const TENANT: &str = "tf_app";
pub(super) const DISPATCH: &str = "tf_dispatch";

pub(super) struct Engine {
    tenant: Uuid,
    pool: PgPool,
}

/// Runs as the role that owns the schema, which serves nothing else.
pub(super) async fn migrate(url: &str) -> Result<()> {
    let mut owner = options(url)?.connect().await?;
    MIGRATIONS.run(&mut owner).await?;
    Ok(owner.close().await?)
}

fn options(url: &str) -> Result<PgConnectOptions> {
    // sqlx would take any scheme for its own.
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(StoreError::Database("the database URL does not begin with postgres://".into()));
    }
    let options = PgConnectOptions::from_str(url)?;
    Ok(options
        .disable_statement_logging()
        // A forgotten transaction, a runaway statement or a held lock ends by itself.
        .options([
            // Soon: a process that was stopped in its middle holds the scan that another one is to take over.
            ("idle_in_transaction_session_timeout", "10s"),
            ("statement_timeout", "60s"),
            ("lock_timeout", "10s"),
        ]))
}

/// Every connection takes on the role from its start and never changes it: policies of the one do not hold for the other.
pub(super) async fn pool(url: &str, role: &'static str, connections: u32) -> Result<PgPool> {
    let options = options(url)?.options([("role", role)]);
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        // A server that is starting, or full, is waited for.
        .acquire_timeout(Duration::from_secs(10));
    let pool = pool.connect_with(options).await.map_err(|error| {
        match error.as_database_error().and_then(|error| error.code()).as_deref() {
            // insufficient_privilege: who logs in may not take on the role.
            Some("42501") => StoreError::NotAMember(role),
            // invalid_parameter_value: there is no such role yet.
            Some("22023") => StoreError::NotMigrated,
            _ => error.into(),
        }
    })?;
    // Between us and the server there may be a pooler that keeps such options to itself.
    let taken_on: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&pool).await?;
    if taken_on == role { Ok(pool) } else { Err(StoreError::NotTakenOn(role)) }
}

impl Engine {
    pub(super) async fn open(url: &str, tenant: Uuid, connections: u32) -> Result<Self> {
        let engine = Self { tenant, pool: pool(url, TENANT, connections).await? };
        engine.has_no_power_over_tenants().await?;
        engine.is_migrated().await?;
        Ok(engine)
    }

    /// Row-level security does not hold for superusers, BYPASSRLS, or whoever may change the tables or the functions
    /// that policies call; nor for who may become one of them: by membership, or, where CREATEROLE allows that
    /// (until Postgres 16), by making itself a member.
    async fn has_no_power_over_tenants(&self) -> Result<()> {
        let powers: (bool, bool, bool, bool, bool) = sqlx::query_as(
            "SELECT coalesce(bool_or(rolsuper), false), coalesce(bool_or(rolbypassrls), false),
                 EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = 'public' AND pg_has_role(session_user, c.relowner, 'MEMBER')),
                 EXISTS (SELECT FROM pg_namespace n LEFT JOIN pg_proc f ON f.pronamespace = n.oid
                     WHERE n.nspname = 'app'
                         AND (pg_has_role(session_user, n.nspowner, 'MEMBER')
                             OR pg_has_role(session_user, f.proowner, 'MEMBER'))),
                 coalesce(bool_or(rolcreaterole), false)
             FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')",
        )
        .fetch_one(&self.pool)
        .await?;
        match powers {
            (true, ..) => Err(StoreError::TooMuchPower("it is a superuser")),
            (_, true, ..) => Err(StoreError::TooMuchPower("it has BYPASSRLS")),
            (_, _, true, ..) => Err(StoreError::TooMuchPower("it owns tables")),
            (_, _, _, true, _) => Err(StoreError::TooMuchPower("it owns the schema app or a function in it")),
            (.., true) => Err(StoreError::TooMuchPower("it has CREATEROLE")),
            _ => Ok(()),
        }
    }

    /// The same database as another tenant.
    pub(super) fn of(&self, tenant: Uuid) -> Self {
        Self { tenant, pool: self.pool.clone() }
    }

    /// A schema that is newer does, if it says so: programs are replaced one by one after it was migrated.
    async fn works_with(&self, found: i64) -> Result<()> {
        let oldest: Option<i64> =
            sqlx::query_scalar("SELECT max(oldest) FROM works_with").fetch_one(&self.pool).await?;
        let known = super::newest_migration();
        if oldest.is_some_and(|oldest| oldest <= known) {
            Ok(())
        } else {
            Err(StoreError::Newer { found, known })
        }
    }

    async fn is_migrated(&self) -> Result<()> {
        let there: bool = sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
            .fetch_one(&self.pool)
            .await?;
        if !there {
            return Err(StoreError::NotMigrated);
        }
        let applied: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(&self.pool)
                .await?;
        for (version, checksum) in &applied {
            match MIGRATIONS.iter().find(|known| known.version == *version) {
                None => self.works_with(*version).await?,
                Some(known) if *known.checksum != **checksum => {
                    return Err(StoreError::ChangedMigration(*version));
                }
                Some(_) => {}
            }
        }
        if applied.len() < MIGRATIONS.iter().count() { Err(StoreError::NotMigrated) } else { Ok(()) }
    }

    async fn describe(&self) -> Result<String> {
        let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&self.pool).await?;
        Ok(format!("Postgres {version}"))
    }

    /// The server's own vacuum sees to what was deleted.
    #[expect(clippy::unused_async, reason = "the other engine has something to wait for")]
    async fn scrub(&self) -> Result<()> {
        Ok(())
    }

    async fn end(&self) {
        self.pool.close().await;
    }

    async fn read(&self) -> Result<TenantTx> {
        self.write().await
    }

    async fn write(&self) -> Result<TenantTx> {
        let mut tx = self.pool.begin().await?;
        // Local to the transaction, which is why nothing but a transaction can see rows. The time is the
        // database's, so that workers whose clocks differ agree on leases.
        let (_, now): (String, DateTime<Utc>) =
            sqlx::query_as("SELECT set_config('app.tenant_id', $1, true), clock_timestamp()")
                .bind(self.tenant.to_string())
                .fetch_one(&mut *tx)
                .await?;
        Ok(TenantTx { tx, tenant: self.tenant, now })
    }
}

/// A transaction that sees one tenant's rows: the only way in.
struct TenantTx {
    tx: Transaction<'static, Postgres>,
    tenant: Uuid,
    now: DateTime<Utc>,
}

fn text(ids: impl Iterator<Item = Option<Opaque>>) -> Vec<Option<String>> {
    ids.map(|id| id.map(|id| id.as_str().to_owned())).collect()
}

impl TenantTx {
    fn rows(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// How many of them were new.
    async fn insert_events(&mut self, connection: Uuid, events: &[Event]) -> Result<u64> {
        let inserted = sqlx::query(
            "INSERT INTO events (tenant_id, connection_id, id, case_id, activity, resource, at, turn, from_id,
                 to_id)
             SELECT $1, $2, * FROM UNNEST($3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                 $8::integer[], $9::text[], $10::text[])
             ON CONFLICT DO NOTHING",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(events.iter().map(|it| super::event_id(connection, it)).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.case.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.activity.word()).collect::<Vec<_>>())
        .bind(text(events.iter().map(|it| it.resource.clone())))
        .bind(events.iter().map(|it| it.at).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.turn).collect::<Vec<_>>())
        .bind(text(events.iter().map(|it| it.from.clone())))
        .bind(text(events.iter().map(|it| it.to.clone())))
        .execute(self.rows())
        .await?;
        Ok(inserted.rows_affected())
    }

    /// How many of them there were.
    async fn delete_events(&mut self, ids: &[Uuid]) -> Result<u64> {
        let deleted = sqlx::query("DELETE FROM events WHERE tenant_id = $1 AND id = ANY($2)");
        Ok(deleted.bind(self.tenant).bind(ids).execute(self.rows()).await?.rows_affected())
    }

    /// A case read again replaces what was known, unless that was newer; it began when the earliest says.
    async fn upsert_cases(
        &mut self,
        connection: Uuid,
        stream: &str,
        cases: &[Case],
        seen: DateTime<Utc>,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO cases (tenant_id, connection_id, stream, id, key, created_at, updated_at, status, assignee,
                 priority, seen_at)
             SELECT DISTINCT ON (id) $1, $2, $3, id, key, min(created_at) OVER (PARTITION BY id), updated_at, status, assignee, priority, $11
             FROM UNNEST($4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[], $9::text[],
                 $10::text[]) WITH ORDINALITY
                 AS c (id, key, created_at, updated_at, status, assignee, priority, place)
             ORDER BY id, updated_at DESC, place DESC
             ON CONFLICT (tenant_id, connection_id, id) DO UPDATE SET
                created_at = least(excluded.created_at, cases.created_at),
                updated_at = greatest(excluded.updated_at, cases.updated_at),
                stream = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.stream ELSE cases.stream END,
                key = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.key ELSE cases.key END,
                status = CASE WHEN excluded.updated_at >= cases.updated_at THEN coalesce(excluded.status, cases.status) ELSE cases.status END,
                assignee = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.assignee ELSE cases.assignee END,
                priority = CASE WHEN excluded.updated_at >= cases.updated_at THEN excluded.priority ELSE cases.priority END,
                seen_at = greatest(excluded.seen_at, cases.seen_at)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(stream)
        .bind(cases.iter().map(|it| it.id.as_str()).collect::<Vec<_>>())
        .bind(cases.iter().map(|it| it.key.as_str()).collect::<Vec<_>>())
        .bind(cases.iter().map(|it| it.created_at).collect::<Vec<_>>())
        .bind(cases.iter().map(|it| it.updated_at).collect::<Vec<_>>())
        .bind(text(cases.iter().map(|it| it.status.clone())))
        .bind(text(cases.iter().map(|it| it.assignee.clone())))
        .bind(text(cases.iter().map(|it| it.priority.clone())))
        .bind(seen)
        .execute(self.rows())
        .await?;
        Ok(())
    }

    /// Notes when cases were shown.
    async fn see(&mut self, connection: Uuid, cases: &[Opaque], at: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "UPDATE cases SET seen_at = $3 WHERE tenant_id = $1 AND connection_id = $2 AND id = ANY($4::text[])",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(at)
        .bind(cases.iter().map(|id| id.as_str()).collect::<Vec<_>>())
        .execute(self.rows())
        .await?;
        Ok(())
    }

    /// Claims of a tenant: each is to see what those before it came to.
    async fn one_after_the_other(&mut self) -> Result<()> {
        let locked = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('claim ' || $1, 0))");
        locked.bind(self.tenant.to_string()).execute(self.rows()).await?;
        Ok(())
    }

    async fn fire(&mut self, firings: &[Firing]) -> Result<u64> {
        let fired: i64 = sqlx::query_scalar(
            "WITH moved AS (
                 UPDATE schedules s SET next_at = f.next_at
                 FROM UNNEST($2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])
                     AS f (connection_id, scan_id, due_at, next_at)
                 WHERE s.tenant_id = $1 AND s.connection_id = f.connection_id AND s.next_at = f.due_at
                     AND s.paused_at IS NULL
                 RETURNING s.connection_id, f.scan_id),
             opened AS (
                 INSERT INTO scans (tenant_id, id, connection_id, state, created_at, due_at, rank)
                 SELECT c.tenant_id, m.scan_id, c.id, 'queued', $6, $6, 1
                 FROM moved m JOIN connections c ON c.tenant_id = $1 AND c.id = m.connection_id
                 WHERE c.paused IS NULL AND c.disconnected_at IS NULL
                 ON CONFLICT DO NOTHING)
             SELECT count(*) FROM moved",
        )
        .bind(self.tenant)
        .bind(firings.iter().map(|it| it.connection).collect::<Vec<_>>())
        .bind(firings.iter().map(|it| it.scan).collect::<Vec<_>>())
        .bind(firings.iter().map(|it| it.due_at).collect::<Vec<_>>())
        .bind(firings.iter().map(|it| it.next_at).collect::<Vec<_>>())
        .bind(self.now)
        .fetch_one(self.rows())
        .await?;
        Ok(fired.unsigned_abs())
    }

    /// What is named twice keeps the last name, and the last stage that was known.
    async fn upsert_names(&mut self, connection: Uuid, names: &[Named]) -> Result<()> {
        sqlx::query(
            "INSERT INTO names (tenant_id, connection_id, kind, id, name, stage)
             SELECT $1, $2, kind, id, (array_agg(name ORDER BY place DESC))[1],
                 (array_agg(stage ORDER BY place DESC) FILTER (WHERE stage IS NOT NULL))[1]
             FROM UNNEST($3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
                 AS n (kind, id, name, stage, place)
             GROUP BY kind, id
             ON CONFLICT (tenant_id, connection_id, kind, id) DO UPDATE SET name = excluded.name,
                 stage = coalesce(excluded.stage, names.stage)",
        )
        .bind(self.tenant)
        .bind(connection)
        .bind(names.iter().map(|it| it.kind.word()).collect::<Vec<_>>())
        .bind(names.iter().map(|it| it.id.as_str()).collect::<Vec<_>>())
        .bind(names.iter().map(|it| it.name.as_str()).collect::<Vec<_>>())
        .bind(names.iter().map(|it| it.stage.map(|stage| stage.word())).collect::<Vec<_>>())
        .execute(self.rows())
        .await?;
        Ok(())
    }
}
