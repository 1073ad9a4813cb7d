//! A Postgres and a Redis of our own.

use crate::postgres::{self, TestDatabase};
use crate::redis::TestRedis;
use anyhow::Result;
use sqlx::PgPool;
use twinflow::store;

pub(crate) struct Servers {
    database: TestDatabase,
    /// As superuser: sees all tenants.
    pub(crate) pool: PgPool,
    /// As a worker logs in.
    pub(crate) url: String,
    pub(crate) redis: TestRedis,
}

/// Tests do not care for power cuts, those who wait for a commit do; and plans depend on what was analysed.
const AS_IN_PRODUCTION: [&str; 5] = [
    "ALTER SYSTEM SET fsync = on",
    "ALTER SYSTEM SET full_page_writes = on",
    "ALTER SYSTEM SET synchronous_commit = on",
    "ALTER SYSTEM SET autovacuum = on",
    "SELECT pg_reload_conf()",
];

impl Servers {
    /// With a migrated database that nobody has used yet.
    pub(crate) async fn start() -> Result<Self> {
        let database = postgres::database().await;
        store::migrate_server(&database.owner_url()).await?;
        let url = database.login_url("tf_app, tf_dispatch").await;
        let pool = PgPool::connect(&database.superuser_url()).await?;
        for setting in AS_IN_PRODUCTION {
            sqlx::query(setting).execute(&pool).await?;
        }
        Ok(Self { database, pool, url, redis: TestRedis::start().await })
    }

    pub(crate) fn superuser_url(&self) -> String {
        self.database.superuser_url()
    }

    pub(crate) async fn version(&self) -> Result<String> {
        Ok(sqlx::query_scalar("SHOW server_version").fetch_one(&self.pool).await?)
    }

    /// What autovacuum would come to do: without it, the first measurement would have other plans than the last.
    pub(crate) async fn tidy(&self) -> Result<()> {
        sqlx::query("VACUUM ANALYZE").execute(&self.pool).await?;
        sqlx::query("CHECKPOINT").execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn no_bells(&self) {
        let _: String = self.redis.ask(&["FLUSHALL"]).await;
    }
}
