//! What no queue can beat: the same ids through a bare Redis list, and through a bare table with `SKIP LOCKED`.

use super::work::SLOTS;
use crate::part::{ready, tell};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection, PgPool};
use std::time::{Duration, Instant};
use uuid::Uuid;

const LIST: &str = "bare";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct List {
    pub(crate) redis: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) database: String,
    /// Rows after which this process has taken enough, and seconds.
    pub(crate) most: usize,
    pub(crate) patience: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Popped {
    pub(crate) many: usize,
    /// From the beginning to the last one.
    pub(crate) seconds: f64,
}

pub(crate) async fn fill_list(url: &str, many: usize) -> Result<()> {
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let ids: Vec<_> = (0..many).map(|_| Uuid::new_v4().to_string()).collect();
    for ids in ids.chunks(1_000) {
        redis::cmd("LPUSH").arg(LIST).arg(ids).exec_async(&mut redis).await?;
    }
    Ok(())
}

pub(crate) async fn fill_table(pool: &PgPool, many: usize) -> Result<()> {
    for statement in [
        "DROP TABLE IF EXISTS bare",
        "CREATE TABLE bare (id uuid PRIMARY KEY, state text NOT NULL, due_at timestamptz NOT NULL)",
        "CREATE INDEX bare_due ON bare (due_at) WHERE state = 'queued'",
    ] {
        sqlx::query(statement).execute(pool).await?;
    }
    sqlx::query(
        "INSERT INTO bare SELECT gen_random_uuid(), 'queued', now() - make_interval(secs => nth)
         FROM generate_series(1, $1) AS nth",
    )
    .bind(i32::try_from(many)?)
    .execute(pool)
    .await?;
    sqlx::query("VACUUM ANALYZE bare").execute(pool).await?;
    Ok(())
}

pub(crate) async fn pop_list(list: &List) -> Result<()> {
    let mut consumers = vec![];
    for _ in 0..SLOTS {
        consumers.push(redis::Client::open(list.redis.as_str())?.get_multiplexed_async_connection().await?);
    }
    ready()?;
    let began = Instant::now();
    let consume = consumers.into_iter().map(async |mut redis| -> Result<Popped> {
        let mut popped = Popped::default();
        loop {
            // Waits for a tenth of a second.
            let mut ask = redis::cmd("BRPOP");
            let id: Option<(String, String)> = ask.arg(LIST).arg(0.1).query_async(&mut redis).await?;
            if id.is_none() {
                return Ok(popped);
            }
            popped = Popped { many: popped.many + 1, seconds: began.elapsed().as_secs_f64() };
        }
    });
    tell(&sum(futures::future::try_join_all(consume).await?))
}

pub(crate) async fn pop_table(table: &Table) -> Result<()> {
    let mut consumers = vec![];
    for _ in 0..SLOTS {
        consumers.push(PgConnection::connect(&table.database).await?);
    }
    let most = table.most / SLOTS as usize;
    ready()?;
    let began = Instant::now();
    let consume = consumers.into_iter().map(async |mut rows| -> Result<Popped> {
        let mut popped = Popped::default();
        while popped.many < most && began.elapsed() < Duration::from_secs(table.patience) {
            if !pop_row(&mut rows).await? {
                break;
            }
            popped = Popped { many: popped.many + 1, seconds: began.elapsed().as_secs_f64() };
        }
        Ok(popped)
    });
    tell(&sum(futures::future::try_join_all(consume).await?))
}

async fn pop_row(rows: &mut PgConnection) -> Result<bool> {
    let mut tx = rows.begin().await?;
    let id: Option<Uuid> = sqlx::query_scalar(
        "SELECT id FROM bare WHERE state = 'queued' ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .fetch_optional(&mut *tx)
    .await?;
    sqlx::query("UPDATE bare SET state = 'complete' WHERE id = $1").bind(id).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(id.is_some())
}

pub(crate) fn sum(all: Vec<Popped>) -> Popped {
    let seconds = all.iter().map(|it| it.seconds).fold(0.0, f64::max);
    Popped { many: all.iter().map(|it| it.many).sum(), seconds }
}
