//! One measurement after the other, for so many connections and then for more.

use crate::crowd::Crowd;
use crate::machine::{Machine, quantile};
use crate::part::{Part, Played};
use crate::parts::bare::{self, Popped};
use crate::parts::tick::{Ticked, Ticks};
use crate::parts::work::{Crew, SLOTS};
use crate::servers::Servers;
use crate::{Args, fairness, plot, table};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fs;
use std::time::{Duration, Instant};

/// Ticks of which the usual and the slow one are told.
pub(crate) const TICKS: usize = 40;

/// All that was measured with so many connections.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) connections: usize,
    /// When its measurements began.
    pub(crate) machine: Machine,
    pub(crate) fire: Fire,
    pub(crate) ring: Tick,
    pub(crate) idle: Tick,
    pub(crate) drains: Vec<Drain>,
    pub(crate) fairness: fairness::Fairness,
}

/// Opening a scan for every connection.
#[derive(Debug, Serialize)]
pub(crate) struct Fire {
    pub(crate) per_second: f64,
    pub(crate) tick: Tick,
}

/// How long a scheduler's tick takes, and what its process holds afterwards.
#[derive(Debug, Serialize)]
pub(crate) struct Tick {
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) rung: usize,
    pub(crate) resident_kib: u64,
}

/// So many worker processes, and as many consumers of the bare ones.
#[derive(Debug, Serialize)]
pub(crate) struct Drain {
    pub(crate) workers: usize,
    pub(crate) ours: Rate,
    pub(crate) bare_redis: Rate,
    pub(crate) bare_postgres: Rate,
    pub(crate) worker_kib: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rate {
    pub(crate) many: usize,
    pub(crate) per_second: f64,
}

impl Rate {
    fn of(many: usize, seconds: f64) -> Self {
        Self { many, per_second: many as f64 / seconds }
    }
}

pub(crate) async fn all(args: &Args) -> Result<()> {
    let mut all = vec![];
    let mut postgres = String::new();
    for &connections in &args.connections {
        let servers = Servers::start().await?;
        postgres = servers.version().await?;
        all.push(one(args, &servers, connections).await?);
        // What has been measured is kept, however the next one ends.
        if let Some(file) = &args.json {
            fs::write(file, serde_json::to_vec_pretty(&all)?)?;
        }
    }
    table::print(&all, &postgres);
    if let Some(file) = &args.plot {
        fs::write(file, plot::svg(&all))?;
    }
    Ok(())
}

async fn one(args: &Args, servers: &Servers, connections: usize) -> Result<Measured> {
    let machine = Machine::now()?;
    remark(connections, &format!("filling the database ({machine})"));
    let crowd = Crowd::gather(servers, connections).await?;
    remark(connections, "ticks with nothing due");
    let idle = ticks(servers, true, Some(TICKS))?;
    remark(connections, "opening scans");
    crowd.all_due_by_schedule(servers).await?;
    let began = Instant::now();
    let fired = ticks(servers, false, None)?;
    let seconds = fired.milliseconds.iter().sum::<f64>() / 1000.0;
    // Some are due a second time by then: their turn in a quarter of an hour is soon.
    ensure!(fired.fired >= connections as u64, "only {} scans were opened", fired.fired);
    remark(connections, &format!("opened in {:.1?}; ticks with all due", began.elapsed()));
    crowd.all_queued(servers).await?;
    let ring = ticks(servers, true, Some(TICKS))?;
    let mut drains = vec![];
    for &workers in &args.workers {
        drains.push(drain(args, servers, &crowd, workers).await?);
    }
    remark(connections, "fairness");
    let fairness = fairness::measure(servers, &crowd).await?;
    Ok(Measured {
        connections,
        machine,
        fire: Fire { per_second: fired.fired as f64 / seconds, tick: tick(&fired) },
        ring: tick(&ring),
        idle: tick(&idle),
        drains,
        fairness,
    })
}

fn tick(ticked: &Ticked) -> Tick {
    let Ticked { milliseconds, rung, resident_kib, .. } = ticked;
    let (p50_ms, p95_ms) = (quantile(milliseconds, 0.5), quantile(milliseconds, 0.95));
    Tick { p50_ms, p95_ms, rung: *rung, resident_kib: *resident_kib }
}

fn ticks(servers: &Servers, with_bells: bool, many: Option<usize>) -> Result<Ticked> {
    let redis = with_bells.then(|| servers.redis.url());
    let mut played = Played::start(&Part::Tick(Ticks { database: servers.url.clone(), redis, many }))?;
    played.go()?;
    played.told()
}

async fn drain(args: &Args, servers: &Servers, crowd: &Crowd, workers: usize) -> Result<Drain> {
    let connections = crowd.connections.len();
    crowd.all_queued(servers).await?;
    remark(connections, &format!("{workers} workers"));
    let mut crew = vec![Played::start(&Part::Schedule(member(servers, "scheduler", None)))?];
    for nth in 0..workers {
        crew.push(Played::start(&Part::Work(member(servers, &format!("worker-{nth}"), None)))?);
    }
    crew.iter_mut().try_for_each(Played::go)?;
    let ours = settled(servers, args.sample.min(connections), Duration::from_secs(args.patience)).await?;
    let worker_kib = crew.last().map_or(Ok(0), Played::resident)?;
    drop(crew);
    remark(connections, &format!("{:.0} scans/s; the bare ones, as many consumers", ours.per_second));
    bare::fill_list(&servers.redis.url(), connections).await?;
    let list = bare::List { redis: servers.redis.url() };
    let bare_redis = popped(workers, &Part::PopList(list))?;
    bare::fill_table(&servers.pool, connections).await?;
    let (database, most) = (servers.superuser_url(), args.sample.min(connections) / workers);
    let table = bare::Table { database, most, patience: args.patience };
    let bare_postgres = popped(workers, &Part::PopTable(table))?;
    Ok(Drain { workers, ours, bare_redis, bare_postgres, worker_kib })
}

pub(crate) fn member(servers: &Servers, owner: &str, allowed: Option<String>) -> Crew {
    Crew { database: servers.url.clone(), redis: servers.redis.url(), allowed, owner: owner.to_owned() }
}

/// Waits until so many scans are over, or for so long; from the first claim to the last end.
async fn settled(servers: &Servers, many: usize, patience: Duration) -> Result<Rate> {
    let began = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let (over, seconds): (i64, f64) = sqlx::query_as(
            "SELECT count(*), coalesce(extract(epoch FROM max(finished_at) - min(started_at)), 0)::float8
             FROM scans WHERE finished_at IS NOT NULL",
        )
        .fetch_one(&servers.pool)
        .await?;
        let over = usize::try_from(over)?;
        if over >= many || began.elapsed() > patience {
            return Ok(Rate::of(over, seconds));
        }
    }
}

fn popped(workers: usize, part: &Part) -> Result<Rate> {
    let mut all: Vec<_> = (0..workers).map(|_| Played::start(part)).collect::<Result<_>>()?;
    all.iter_mut().try_for_each(Played::go)?;
    let Popped { many, seconds } = bare::sum(all.iter_mut().map(Played::told).collect::<Result<_>>()?);
    Ok(Rate::of(many, seconds))
}

pub(crate) const fn slots(workers: usize) -> usize {
    workers * SLOTS as usize
}

fn remark(connections: usize, doing: &str) {
    eprintln!("{connections} connections: {doing}");
}
