//! `twinflow worker`, `twinflow scheduler` and `twinflow serve`: what runs until it is told to stop.

use super::End;
use super::scan::{RESERVE, owner};
use crate::clock::Clock;
use crate::config::{Settings, environment};
use crate::metrics::{Port, PortArgs};
use crate::scan::bells::{Bells, MemoryBells, NoBells, PREFIX, RedisBells};
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

/// Connections to the database for a slot: one keeps pages, one holds the claim meanwhile.
const CONNECTIONS_A_SLOT: u32 = 2;

/// How work is handed over, and shown.
#[derive(Args, Clone, Debug)]
pub(super) struct Handing {
    #[command(flatten)]
    metrics: PortArgs,
    /// What the names of all keys in Redis begin with: installations that share one each take their own, the same in
    /// all their processes
    #[arg(long, env = "TWINFLOW_REDIS_PREFIX", value_name = "WORD", default_value = PREFIX, value_parser = prefix)]
    redis_prefix: String,
    /// Scans of one tenant that run at a time
    #[arg(long, env = "TWINFLOW_PER_TENANT", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    per_tenant: u16,
}

/// How processes on a server ring for each other.
#[derive(Args, Clone, Debug)]
pub(super) struct Ringing {
    /// Ring for scans through this Redis, so that they begin at once; without it workers look every two seconds
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    redis_url: Option<String>,
}

/// apalis splits names at a `:`.
fn prefix(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    match text.len() {
        1..=40 if text.bytes().all(fits) => Ok(text.to_owned()),
        _ => Err("up to 40 small letters, digits, - and _".to_owned()),
    }
}

/// How scans are run.
#[derive(Args, Clone, Debug)]
pub(super) struct Running {
    /// Scans run at a time
    #[arg(long, env = "TWINFLOW_SLOTS", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
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
        machines.\nIt needs --database-url, with a login that is a member of both tf_app and tf_dispatch. It works for every tenant: \
        --tenant is neither needed nor heeded.\nSIGTERM or Ctrl-C: scans stop after the page that is being kept and go back to the queue; it exits \
        with 0 within ten seconds."
)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    ringing: Ringing,
    #[command(flatten)]
    handing: Handing,
    #[command(flatten)]
    running: Running,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Opens scans when their schedules say so, and rings for what is due. Any number may run; one leads, and \
        another takes over within seconds.\nIt needs --database-url, with a login that is a member of both tf_app and \
        tf_dispatch. It works for every tenant: --tenant is neither needed nor heeded."
)]
pub(super) struct SchedulerArgs {
    #[command(flatten)]
    ringing: Ringing,
    #[command(flatten)]
    handing: Handing,
}

#[derive(Args, Debug)]
#[command(
    after_help = "With the embedded database this is the one process there is. `twinflow scan --background` hands it a scan.\n\
        With --database-url it works for every tenant, beside any other workers and schedulers; the login has to be a member of \
        both tf_app and tf_dispatch, and --tenant is neither needed nor heeded.\nSIGTERM or Ctrl-C: scans stop after the \
        page that is being kept and go back to the queue; it exits with 0 within ten seconds."
)]
pub(super) struct ServeArgs {
    /// A worker and a scheduler in one process
    #[arg(long, required = true)]
    all: bool,
    /// Ring for scans through this Redis, too, for the workers of other processes; without it bells stay in memory
    /// [with --database-url also: REDIS_URL]
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    #[command(flatten)]
    handing: Handing,
    #[command(flatten)]
    running: Running,
}

impl ServeArgs {
    /// Where one process is all there is, the REDIS_URL that is set may be another program's.
    fn redis_url(&self, settings: &Settings) -> Option<String> {
        let set = || environment("REDIS_URL")?.into_string().ok().filter(|url| !url.is_empty());
        self.redis_url.clone().or_else(|| if settings.is_embedded() { None } else { set() })
    }
}

pub(super) async fn worker(settings: &Settings, args: &WorkerArgs) -> Result<End> {
    on_a_server(settings, "worker")?;
    let told = Told::listen()?;
    let work = async |stop| {
        let bells = Way { redis_url: args.ringing.redis_url.as_deref(), in_one_process: false };
        let made = Made::new(settings, &args.handing, Some(&args.running), bells, stop).await?;
        let Some(made) = made else { return Ok(()) };
        made.worker(settings, &args.handing, &args.running).await?.run().await;
        Ok(())
    };
    told.until(settings, "Worker", work).await
}

pub(super) async fn scheduler(settings: &Settings, args: &SchedulerArgs) -> Result<End> {
    on_a_server(settings, "scheduler")?;
    let told = Told::listen()?;
    let work = async |stop| {
        let bells = Way { redis_url: args.ringing.redis_url.as_deref(), in_one_process: false };
        let made = Made::new(settings, &args.handing, None, bells, stop).await?;
        let Some(made) = made else { return Ok(()) };
        made.scheduler(&args.handing).run().await;
        Ok(())
    };
    told.until(settings, "Scheduler", work).await
}

pub(super) async fn serve(settings: &Settings, args: &ServeArgs) -> Result<End> {
    debug_assert!(args.all, "clap asks for it");
    let told = Told::listen()?;
    let _lock = settings.lock_scans()?;
    let work = async |stop| {
        let redis_url = args.redis_url(settings);
        let bells = Way { redis_url: redis_url.as_deref(), in_one_process: true };
        let made = Made::new(settings, &args.handing, Some(&args.running), bells, stop).await?;
        let Some(made) = made else { return Ok(()) };
        if settings.is_embedded() {
            // Holding the lock means that whoever claimed a scan before is dead.
            made.tenants.store(settings.any_tenant()).expire_leases().await?;
            made.tenants.dispatch.depose().await?;
        }
        let worker = made.worker(settings, &args.handing, &args.running).await?;
        tokio::join!(worker.run(), made.scheduler(&args.handing).run());
        // Brings everything into the embedded database's one file.
        made.tenants.store(settings.any_tenant()).close().await;
        Ok(())
    };
    told.until(settings, "Worker and scheduler", work).await
}

fn on_a_server(settings: &Settings, what: &str) -> Result<()> {
    if settings.is_embedded() {
        bail!(
            "a {what} of its own needs --database-url; with the embedded database, `twinflow serve --all` is both"
        );
    }
    Ok(())
}

/// How bells get from the scheduler to workers.
struct Way<'a> {
    redis_url: Option<&'a str>,
    in_one_process: bool,
}

/// What a worker and a scheduler share.
struct Made {
    tenants: Arc<Tenants>,
    bells: Arc<dyn Bells>,
    clock: Clock,
    owner: String,
    stop: StopCord,
    /// Where metrics are shown, as long as this is held.
    _port: Option<Port>,
}

impl Made {
    /// `None` when it is told to stop while the database is away.
    async fn new(
        settings: &Settings,
        handing: &Handing,
        running: Option<&Running>,
        bells: Way<'_>,
        stop: StopCord,
    ) -> Result<Option<Self>> {
        let port = handing.metrics.open().await?;
        if let Some(port) = &port {
            settings.remark(&format!("Metrics are at http://{}/metrics.", port.address()));
        }
        let clock = Clock::system();
        // A scheduler fires for as many tenants side by side.
        let slots = running.map_or(2, |it| u32::from(it.slots));
        let owner = owner();
        let bells: Arc<dyn Bells> = match bells.redis_url {
            Some(url) => Arc::new(RedisBells::new(url, &owner)?.with_prefix(&handing.redis_prefix)),
            None if bells.in_one_process => Arc::new(MemoryBells::default()),
            None => Arc::new(NoBells),
        };
        let waiting = || settings.remark("The database is away; it is tried again until it is there.");
        let tenants = tokio::select! {
            tenants = settings.open_tenants(slots * CONNECTIONS_A_SLOT, clock.clone(), waiting) => tenants?,
            () = stop.pulled() => return Ok(None),
        };
        Ok(Some(Self { tenants: Arc::new(tenants), bells, clock, owner, stop, _port: port }))
    }

    async fn worker(&self, settings: &Settings, handing: &Handing, running: &Running) -> Result<Arc<Worker>> {
        let scanner = Scanner {
            store: self.tenants.store(settings.any_tenant()),
            vault: settings.open_vault(&self.tenants).await?,
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
}

/// Ctrl-C and SIGTERM, heard from the very beginning.
struct Told([Signal; 2]);

impl Told {
    fn listen() -> Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    async fn again(&mut self) {
        let Self([interrupted, terminated]) = self;
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    }

    /// Works until told to stop, which lets the work come to an end; a second time does not wait for that, nor does one
    /// before the work has begun.
    async fn until<W>(
        mut self,
        settings: &Settings,
        what: &str,
        work: impl FnOnce(StopCord) -> W,
    ) -> Result<End>
    where
        W: Future<Output = Result<()>>,
    {
        let stop = StopCord::default();
        let work = work(stop.clone());
        settings.remark(&format!("{what} at work; Ctrl-C or SIGTERM ends it."));
        let telling = async {
            self.again().await;
            stop.pull();
            self.again().await;
        };
        tokio::select! {
            ended = work => ended?,
            () = telling => {}
        }
        settings.remark(&format!("{what} ended."));
        Ok(End::Done)
    }
}
