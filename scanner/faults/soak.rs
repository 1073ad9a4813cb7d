//! `just soak`: the ordinary, for long. Something happens at the tools all the time, everything is scanned every minute,
//! and now and then something breaks. In the end nothing does any more, and the log is held against what happened.

use crate::case::Told;
use crate::cases::never_put_aside;
use crate::fleet::{Ranks, Role};
use crate::memory::Memory;
use crate::oracle::Difference;
use crate::scene::Scene;
use crate::servers::End;
use crate::stage::Stage;
use crate::world::{ALL, Plan};
use anyhow::Result;
use clap::Args;
use rand::RngExt as _;
use rustix::process::Signal;
use std::time::{Duration, Instant};
use twinflow_fixtures::{Fault, RetryAfter};

#[derive(Args, Debug)]
pub(crate) struct Length {
    /// Instead of cases: everything at once, for long
    #[arg(long)]
    soak: bool,
    /// How long a soak is
    #[arg(long, value_name = "N", default_value_t = 30)]
    minutes: u64,
    /// Connections in a soak
    #[arg(long, value_name = "N", default_value_t = 200)]
    connections: usize,
}

impl Length {
    pub(crate) fn is_wanted(&self) -> bool {
        self.soak
    }
}

const TENANTS: usize = 4;
/// Between two faults, in milliseconds.
const PAUSE: std::ops::Range<u64> = 3_000..12_000;
const STIRRED_EVERY: Duration = Duration::from_secs(5);
const SAMPLED_EVERY: Duration = Duration::from_secs(10);
/// Until everything has to be whole again.
const PATIENCE: Duration = Duration::from_secs(240);

/// Whether nothing was missed.
pub(crate) async fn run(stage: &mut Stage, length: &Length) -> Result<bool> {
    let plan = Plan { tenants: TENANTS, cases: 40, ..Plan::default() };
    let mut scene = Scene::new(stage, plan, Ranks { schedulers: 2, ..never_put_aside(3) }).await?;
    scene.patience = PATIENCE;
    let services = TENANTS * ALL.len();
    for nth in 0..length.connections {
        scene.world.connect(nth % services).await?;
    }
    every_minute(&scene).await?;
    scene.fleet.start()?;
    scene.fleet.ready().await?;
    println!("{} connections of {TENANTS} tenants", length.connections);
    let end = Instant::now() + Duration::from_secs(60 * length.minutes);
    let mut memory = Memory::default();
    let mut strikes = Strikes::default();
    let (mut stir_at, mut sample_at) = (Instant::now(), Instant::now());
    while Instant::now() < end {
        scene.fleet.tend()?;
        strikes.strike_or_mend(stage, &mut scene).await?;
        if Instant::now() >= stir_at {
            stir_at = Instant::now() + STIRRED_EVERY;
            scene.world.stir(3);
        }
        if Instant::now() >= sample_at {
            sample_at = Instant::now() + SAMPLED_EVERY;
            memory.sample(&scene.fleet);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    strikes.end(stage, &mut scene).await?;
    let quiet = Instant::now();
    scene.world.stir(3);
    let since = scene.world.make_due().await?;
    let mut hurry = async |_: &mut Stage, scene: &mut Scene| scene.world.hurry().await;
    scene.finish(stage, since, &mut hurry).await?;
    memory.sample(&scene.fleet);
    println!("quiet {:.0} s after the last fault; strikes: {strikes}", quiet.elapsed().as_secs_f64());
    println!("{memory}");
    for (state, many) in scans(&scene).await? {
        println!("scans {state}: {many}");
    }
    Ok(said(&scene.close().await?))
}

async fn every_minute(scene: &Scene) -> Result<()> {
    sqlx::query("UPDATE schedules SET spec = 'every 1m', next_at = clock_timestamp()")
        .execute(&scene.world.database.superuser)
        .await?;
    Ok(())
}

async fn scans(scene: &Scene) -> Result<Vec<(String, i64)>> {
    let states = sqlx::query_as("SELECT state, count(*) FROM scans GROUP BY state ORDER BY 2 DESC");
    Ok(states.fetch_all(&scene.world.database.superuser).await?)
}

fn said(told: &Told) -> bool {
    let Difference { lost, twice, foreign, back } = told.difference;
    println!("lost {lost}  twice {twice}  foreign {foreign}  back {back}");
    told.misses.iter().chain(&told.examples).take(30).for_each(|miss| println!("      {miss}"));
    println!("{}", if told.is_good() { "all whole" } else { "MISS" });
    told.is_good()
}

/// What broke so far, and what has to be mended when.
#[derive(Default)]
struct Strikes {
    next: Option<Instant>,
    /// Places of the stopped, and when they go on.
    stopped: Vec<(usize, Instant)>,
    redis_back: Option<Instant>,
    counts: std::collections::BTreeMap<&'static str, usize>,
}

impl Strikes {
    async fn strike_or_mend(&mut self, stage: &mut Stage, scene: &mut Scene) -> Result<()> {
        self.mend(stage, scene, Instant::now()).await?;
        let pause = Duration::from_millis(stage.rng.random_range(PAUSE));
        let next = *self.next.get_or_insert_with(|| Instant::now() + pause);
        if Instant::now() < next {
            return Ok(());
        }
        self.next = Some(Instant::now() + pause);
        let what = self.strike(stage, scene).await?;
        *self.counts.entry(what).or_default() += 1;
        scene.fleet.last_strike = Some(Instant::now());
        Ok(())
    }

    async fn strike(&mut self, stage: &mut Stage, scene: &mut Scene) -> Result<&'static str> {
        let role = if stage.rng.random_bool(0.2) { Role::Scheduler } else { Role::Worker };
        let place = scene.fleet.any(role, &mut stage.rng);
        Ok(match stage.rng.random_range(0..10) {
            // The first of each role is spared, so that somebody's memory can be followed all the way.
            0..3 if !scene.fleet.is_first(place) => {
                scene.fleet.kill(place)?;
                "kill -9"
            }
            0..5 => {
                let longer_than_a_lease = Duration::from_millis(stage.rng.random_range(500..6_000));
                scene.fleet.members[place].running.signal(Signal::STOP)?;
                self.stopped.push((place, Instant::now() + longer_than_a_lease));
                "SIGSTOP"
            }
            5 if stage.redis.is_up() => {
                stage.redis.ask::<()>(&mut redis::cmd("FLUSHALL")).await?;
                "FLUSHALL"
            }
            6 if stage.redis.is_up() => {
                stage.redis.end().await?;
                self.redis_back =
                    Some(Instant::now() + Duration::from_millis(stage.rng.random_range(100..8_000)));
                "Redis killed"
            }
            7 => {
                let how = if stage.rng.random_bool(0.5) { End::Fast } else { End::Immediate };
                stage.postgres.end(how).await?;
                tokio::time::sleep(Duration::from_millis(stage.rng.random_range(0..3_000))).await;
                stage.postgres.go_on().await?;
                "Postgres restarted"
            }
            _ => {
                let tool = &scene.world.tools[stage.rng.random_range(0..scene.world.tools.len())];
                let after = Some(RetryAfter::Secs(1));
                for _ in 0..stage.rng.random_range(1..20) {
                    tool.service.faults().next(match stage.rng.random_bool(0.5) {
                        true => Fault::TooManyRequests { retry_after: after },
                        false => Fault::ServerError(503),
                    });
                }
                "a tool says 429 and 503"
            }
        })
    }

    /// Whatever is due to go on by then.
    async fn mend(&mut self, stage: &mut Stage, scene: &Scene, by: Instant) -> Result<()> {
        for (place, _) in self.stopped.extract_if(.., |(_, at)| *at <= by) {
            // Who was killed meanwhile and replaced does not mind.
            let _ = scene.fleet.members[place].running.signal(Signal::CONT);
        }
        if self.redis_back.is_some_and(|at| at <= by) {
            self.redis_back = None;
            stage.redis.go_on().await?;
        }
        Ok(())
    }

    /// Everything goes on, and nothing breaks any more.
    async fn end(&mut self, stage: &mut Stage, scene: &mut Scene) -> Result<()> {
        self.mend(stage, scene, Instant::now() + Duration::from_secs(3600)).await?;
        scene.world.tools.iter().for_each(|tool| tool.service.faults().clear());
        scene.fleet.tend()
    }
}

impl std::fmt::Display for Strikes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts: Vec<_> = self.counts.iter().map(|(what, many)| format!("{what} {many}")).collect();
        f.write_str(&counts.join(", "))
    }
}
