//! What a small tenant's scan waits for while a huge tenant has everything due, beside the same without that.
//!
//! Scans take their time here: they read a pretend tool that is slow to answer, so that slots are taken.

use crate::crowd::Crowd;
use crate::machine::quantile;
use crate::measure::member;
use crate::part::{Part, Played, tenant};
use crate::servers::Servers;
use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use std::time::Duration;
use twinflow::clock::Clock;
use twinflow_connectors::Cursor;
use twinflow_fixtures::{Service, ServiceOptions, Story, StoryOptions, stands};
use uuid::Uuid;

const WORKERS: usize = 2;
/// Small tenants' scans, and the time between two of them.
const PROBES: usize = 50;
const EVERY: Duration = Duration::from_millis(200);
const LATENCY: Duration = Duration::from_millis(150);
/// After the last.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before the first: everybody has come to work by then.
const HEAD_START: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
pub(crate) struct Fairness {
    pub(crate) alone: Delay,
    pub(crate) beside_backlog: Delay,
    /// The huge tenant's scans when the first probe was made, and when the last had begun.
    pub(crate) backlog: (i64, i64),
}

/// From when a small tenant's schedule was due until its scan began.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Delay {
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
}

pub(crate) async fn measure(servers: &Servers, crowd: &Crowd) -> Result<Fairness> {
    let story = Story::new(StoryOptions { seed: 1, cases: 1, now: Clock::system().now() });
    let stand = stands(&story).into_iter().find(|it| it.tool == "jira").context("no such tool")?;
    let tool = Service::start(stand.world, ServiceOptions::default()).await?;
    tool.latency(LATENCY);
    follow(servers, &format!("{}{}", tool.url(), stand.path), &stand.streams).await?;
    let (alone, _) = delays(servers, crowd, &tool.url(), 0).await?;
    let huge = i64::try_from(crowd.connections.len() / 10)?;
    let (beside_backlog, backlog) = delays(servers, crowd, &tool.url(), huge).await?;
    Ok(Fairness { alone, beside_backlog, backlog })
}

/// Lets every connection follow something.
async fn follow(servers: &Servers, url: &str, streams: &[String]) -> Result<()> {
    sqlx::query("UPDATE connections SET base_url = $1").bind(url).execute(&servers.pool).await?;
    sqlx::query(
        "INSERT INTO streams (tenant_id, connection_id, name, cursor)
         SELECT tenant_id, id, s, $2 FROM connections, UNNEST($1::text[]) AS s",
    )
    .bind(streams)
    .bind(Json(Cursor::default()))
    .execute(&servers.pool)
    .await?;
    servers.tidy().await
}

async fn delays(servers: &Servers, crowd: &Crowd, url: &str, backlog: i64) -> Result<(Delay, (i64, i64))> {
    crowd.nothing_to_do(servers).await?;
    sqlx::query(
        "INSERT INTO scans (tenant_id, id, connection_id, state, created_at, due_at, rank)
         SELECT tenant_id, gen_random_uuid(), id, 'queued', now(), now(), 1 FROM connections
         WHERE tenant_id = $1 LIMIT $2",
    )
    .bind(tenant(0))
    .bind(backlog)
    .execute(&servers.pool)
    .await?;
    let mut crew = vec![Played::start(&Part::Schedule(member(servers, "scheduler", None)))?];
    for nth in 0..WORKERS {
        let member = member(servers, &format!("worker-{nth}"), Some(url.to_owned()));
        crew.push(Played::start(&Part::Work(member))?);
    }
    crew.iter_mut().try_for_each(Played::go)?;
    tokio::time::sleep(HEAD_START).await;
    let before = waiting(servers).await?;
    let mut probes = vec![];
    for (tenant, connection) in crowd.of_small_tenants(PROBES) {
        probes.push((connection, make_due(servers, tenant, connection).await?));
        tokio::time::sleep(EVERY).await;
    }
    let mut delays = vec![];
    for (connection, due) in probes {
        let began = tokio::time::timeout(PATIENCE, began(servers, connection)).await;
        let began = began.context("a small tenant's scan never began")??;
        delays.push((began - due).as_seconds_f64() * 1000.0);
    }
    let after = waiting(servers).await?;
    Ok((Delay { p50_ms: quantile(&delays, 0.5), p95_ms: quantile(&delays, 0.95) }, (before, after)))
}

async fn make_due(servers: &Servers, tenant: Uuid, connection: Uuid) -> Result<DateTime<Utc>> {
    let due = sqlx::query_scalar(
        "UPDATE schedules SET next_at = clock_timestamp() WHERE tenant_id = $1 AND connection_id = $2
         RETURNING next_at",
    );
    Ok(due.bind(tenant).bind(connection).fetch_one(&servers.pool).await?)
}

async fn began(servers: &Servers, connection: Uuid) -> Result<DateTime<Utc>> {
    loop {
        let began: Option<DateTime<Utc>> = sqlx::query_scalar(
            "SELECT started_at FROM scans WHERE connection_id = $1 AND started_at IS NOT NULL",
        )
        .bind(connection)
        .fetch_optional(&servers.pool)
        .await?;
        match began {
            Some(began) => return Ok(began),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Of the huge tenant.
async fn waiting(servers: &Servers) -> Result<i64> {
    let waiting = sqlx::query_scalar("SELECT count(*) FROM scans WHERE tenant_id = $1 AND state = 'queued'");
    Ok(waiting.bind(tenant(0)).fetch_one(&servers.pool).await?)
}
