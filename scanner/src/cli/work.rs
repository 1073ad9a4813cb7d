//! `twinflow worker`, `twinflow scheduler` and `twinflow serve`: what runs until it is told to stop.

use super::End;
use super::scan::{RESERVE, owner};
use crate::clock::Clock;
use crate::config::Settings;
use crate::metrics::{Port, PortArgs};
use crate::scan::bells::{Bells, MemoryBells, NoBells, RedisBells};
use crate::scan::egress::Bounds;
use crate::scan::scheduler::Scheduler;
use crate::scan::watch::{Nobody, StopCord};
use crate::scan::worker::Worker;
use crate::scan::{Background, CENSUS_EVERY, Scanner};
use crate::store::Tenants;
use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::Args;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Connections to the database that a worker uses beside one for each slot.
const SPARE_CONNECTIONS: u32 = 2;

/// How work is handed over, and shown.
#[derive(Args, Clone, Debug)]
pub(super) struct Handing {
    #[command(flatten)]
    metrics: PortArgs,
    /// Ring for scans through this Redis, so that they begin at once; without it workers look every two seconds
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// Scans of one tenant that run at a time
    #[arg(long, env = "TWINFLOW_PER_TENANT", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    per_tenant: u16,
}

/// How scans are run.
#[derive(Args, Clone, Debug)]
pub(super) struct Running {
    /// Scans run at a time
    #[arg(long, env = "TWINFLOW_SLOTS", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    slots: u16,
    /// The longest wait that is sat out, in seconds; for a longer one the scan waits and its slot is free
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// How much of a tool's limit is left to others that use it, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = RESERVE, value_parser = clap::value_parser!(u8).range(0..=95))]
    reserve: u8,
    /// Streams of a connection followed at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    side_by_side: u8,
    /// After how many days the cases there still are are counted again
    #[arg(long, value_name = "DAYS", default_value_t = CENSUS_EVERY.num_days(), value_parser = clap::value_parser!(i64).range(1..=3650))]
    census_every: i64,
    /// How often a scan may end its worker, without getting any further between, until it is quarantined
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    crashes: u8,
    /// How long a scan stays with a worker that is not heard of, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,
    /// How often a worker looks for due scans by itself, in seconds; with Redis this is for what bells miss
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    look: u64,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Takes scans that are due, of all tenants, and runs them. Any number of workers may run, on any number of \
        machines.\nSIGTERM or Ctrl-C: scans stop after the page that is being kept and go back to the queue; it exits \
        with 0 within ten seconds."
)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    handing: Handing,
    #[command(flatten)]
    running: Running,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Opens scans when their schedules say so, and rings for what is due. Any number may run; one leads, and \
        another takes over within seconds."
)]
pub(super) struct SchedulerArgs {
    #[command(flatten)]
    handing: Handing,
}

#[derive(Args, Debug)]
#[command(
    after_help = "With the embedded database this is the one process there is. `twinflow scan --background` hands it a scan."
)]
pub(super) struct ServeArgs {
    /// A worker and a scheduler in one process
    #[arg(long, required = true)]
    all: bool,
    #[command(flatten)]
    handing: Handing,
    #[command(flatten)]
    running: Running,
}

pub(super) async fn worker(settings: &Settings, args: &WorkerArgs) -> Result<End> {
    on_a_server(settings, "worker")?;
    let made = Made::new(settings, &args.handing, Some(&args.running), false).await?;
    let worker = made.worker(settings, &args.handing, &args.running)?;
    made.until_told(settings, "Worker", worker.run()).await
}

pub(super) async fn scheduler(settings: &Settings, args: &SchedulerArgs) -> Result<End> {
    on_a_server(settings, "scheduler")?;
    let made = Made::new(settings, &args.handing, None, false).await?;
    let scheduler = made.scheduler(&args.handing);
    made.until_told(settings, "Scheduler", scheduler.run()).await
}

pub(super) async fn serve(settings: &Settings, args: &ServeArgs) -> Result<End> {
    debug_assert!(args.all, "clap asks for it");
    let _lock = settings.lock_scans()?;
    let made = Made::new(settings, &args.handing, Some(&args.running), true).await?;
    if settings.is_embedded() {
        // Holding the lock means that whoever claimed a scan before is dead.
        made.tenants.store(settings.any_tenant()).expire_leases().await?;
    }
    let worker = made.worker(settings, &args.handing, &args.running)?;
    let scheduler = made.scheduler(&args.handing);
    let both = async {
        tokio::join!(worker.run(), scheduler.run());
    };
    made.until_told(settings, "Worker and scheduler", both).await
}

fn on_a_server(settings: &Settings, what: &str) -> Result<()> {
    if settings.is_embedded() {
        bail!(
            "a {what} of its own needs --database-url; with the embedded database, `twinflow serve --all` is both"
        );
    }
    Ok(())
}

/// What a worker and a scheduler share.
struct Made {
    tenants: Arc<Tenants>,
    bells: Arc<dyn Bells>,
    clock: Clock,
    owner: String,
    stop: StopCord,
    /// Where metrics are shown, as long as this is held.
    port: Option<Port>,
}

impl Made {
    async fn new(
        settings: &Settings,
        handing: &Handing,
        running: Option<&Running>,
        in_one_process: bool,
    ) -> Result<Self> {
        let port = handing.metrics.open().await?;
        let clock = Clock::system();
        let slots = running.map_or(1, |it| u32::from(it.slots));
        let owner = owner();
        let bells: Arc<dyn Bells> = match &handing.redis_url {
            Some(url) => Arc::new(RedisBells::new(url, &owner)?),
            None if in_one_process => Arc::new(MemoryBells::default()),
            None => Arc::new(NoBells),
        };
        let tenants = settings.open_tenants(slots + SPARE_CONNECTIONS, clock.clone()).await?;
        Ok(Self { tenants: Arc::new(tenants), bells, clock, owner, stop: StopCord::default(), port })
    }

    fn worker(&self, settings: &Settings, handing: &Handing, running: &Running) -> Result<Arc<Worker>> {
        let scanner = Scanner {
            store: self.tenants.store(settings.any_tenant()),
            vault: settings.open_vault()?,
            tenant: settings.any_tenant(),
            allowed: settings.allowed()?,
            clock: self.clock.clone(),
            watch: Arc::new(Nobody),
            stop: self.stop.clone(),
            owner: self.owner.clone(),
            takeover: false,
            bounds: Bounds::default(),
            streams_side_by_side: running.side_by_side.into(),
            patience: Duration::from_secs(running.patience),
            reserve: running.reserve,
            census_every: TimeDelta::days(running.census_every),
            lease: Duration::from_secs(running.lease),
            anyway: false,
            background: Some(Background {
                per_tenant: handing.per_tenant.into(),
                crashes: running.crashes.into(),
            }),
        };
        let look = Duration::from_secs(running.look);
        Ok(Worker::new(self.tenants.clone(), self.bells.clone(), scanner, running.slots.into(), look))
    }

    fn scheduler(&self, handing: &Handing) -> Scheduler {
        Scheduler::new(
            self.tenants.clone(),
            self.bells.clone(),
            self.clock.clone(),
            self.owner.clone(),
            handing.per_tenant.into(),
            self.stop.clone(),
        )
    }

    /// Runs until Ctrl-C or SIGTERM, which lets it come to an end; a second one does not wait for that.
    async fn until_told(
        self,
        settings: &Settings,
        what: &str,
        work: impl Future<Output = ()>,
    ) -> Result<End> {
        let mut told = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        if let Some(port) = &self.port {
            settings.remark(&format!("Metrics are at http://{}/metrics.", port.address()));
        }
        settings.remark(&format!("{what} at work; Ctrl-C or SIGTERM ends it."));
        let stop = self.stop.clone();
        let pulling = async {
            any_of(&mut told).await;
            stop.pull();
            any_of(&mut told).await;
        };
        tokio::select! {
            () = work => {}
            () = pulling => {}
        }
        settings.remark(&format!("{what} ended."));
        Ok(End::Done)
    }
}

async fn any_of([interrupted, terminated]: &mut [Signal; 2]) {
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
}
