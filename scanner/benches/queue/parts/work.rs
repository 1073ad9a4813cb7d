//! A worker and a scheduler as the program runs them.

use crate::part::{ready, vault};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use twinflow::clock::Clock;
use twinflow::scan::bells::RedisBells;
use twinflow::scan::egress::{Allowed, Bounds};
use twinflow::scan::scheduler::Scheduler;
use twinflow::scan::watch::{Nobody, StopCord};
use twinflow::scan::worker::Worker;
use twinflow::scan::{Background, CENSUS_EVERY, Scanner};
use twinflow::store::Tenants;
use uuid::Uuid;

/// Scans that a worker runs at a time, and that run of one tenant.
pub(crate) const SLOTS: u32 = 4;
const PER_TENANT: i64 = 4;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Crew {
    pub(crate) database: String,
    pub(crate) redis: String,
    /// Where pretend tools are.
    pub(crate) allowed: Option<String>,
    /// Unique per process.
    pub(crate) owner: String,
}

pub(crate) async fn schedule(crew: &Crew) -> Result<()> {
    let tenants = Arc::new(Tenants::of_server(&crew.database, 2).await?);
    let bells = Arc::new(RedisBells::new(&crew.redis, &crew.owner)?);
    let (owner, stop) = (crew.owner.clone(), StopCord::default());
    let scheduler = Scheduler::new(tenants, bells, Clock::system(), owner, PER_TENANT, stop.clone());
    ready()?;
    pull_when_left(stop);
    scheduler.run().await;
    Ok(())
}

pub(crate) async fn work(crew: &Crew) -> Result<()> {
    let tenants = Arc::new(Tenants::of_server(&crew.database, SLOTS + 2).await?);
    let bells = Arc::new(RedisBells::new(&crew.redis, &crew.owner)?);
    let stop = StopCord::default();
    let allowed = match &crew.allowed {
        Some(origin) => Allowed::default().and(origin)?,
        None => Allowed::default(),
    };
    let scanner = Scanner {
        store: tenants.store(Uuid::nil()),
        vault: Arc::new(vault()?),
        tenant: Uuid::nil(),
        allowed,
        clock: Clock::system(),
        watch: Arc::new(Nobody),
        stop: stop.clone(),
        owner: crew.owner.clone(),
        takeover: false,
        bounds: Bounds::default(),
        streams_side_by_side: 4,
        patience: Duration::from_secs(30),
        reserve: 0,
        census_every: CENSUS_EVERY,
        lease: Duration::from_secs(60),
        anyway: false,
        background: Some(Background { per_tenant: PER_TENANT, crashes: 3 }),
    };
    let worker = Worker::new(tenants, bells, scanner, SLOTS as usize, Duration::from_secs(15));
    ready()?;
    pull_when_left(stop);
    worker.run().await;
    Ok(())
}

/// Stops when nobody holds our input any more.
fn pull_when_left(stop: StopCord) {
    std::thread::spawn(move || {
        let mut word = String::new();
        // Nothing is written there: it returns at the end.
        let _ = std::io::stdin().read_line(&mut word);
        stop.pull();
    });
}
