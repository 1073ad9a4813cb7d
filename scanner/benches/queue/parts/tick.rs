//! The scheduler's tick, again and again.

use crate::machine::resident;
use crate::part::{ready, tell};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use twinflow::clock::Clock;
use twinflow::scan::bells::{Bells, NoBells, RedisBells};
use twinflow::scan::scheduler::Scheduler;
use twinflow::scan::watch::StopCord;
use twinflow::store::Tenants;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ticks {
    pub(crate) database: String,
    /// No bells without it.
    pub(crate) redis: Option<String>,
    /// So many; else until nothing is left to open.
    pub(crate) many: Option<usize>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ticked {
    pub(crate) milliseconds: Vec<f64>,
    pub(crate) fired: u64,
    pub(crate) rung: usize,
    pub(crate) resident_kib: u64,
}

pub(crate) async fn play(ticks: &Ticks) -> Result<()> {
    let tenants = Arc::new(Tenants::of_server(&ticks.database, 2).await?);
    let bells: Arc<dyn Bells> = match &ticks.redis {
        Some(url) => Arc::new(RedisBells::new(url, "a benchmark")?),
        None => Arc::new(NoBells),
    };
    let owner = "a benchmark".to_owned();
    let mut scheduler = Scheduler::new(tenants, bells, Clock::system(), owner, 4, StopCord::default());
    // The first one connects.
    ready()?;
    let mut sum = Ticked::default();
    loop {
        let began = Instant::now();
        let ticked = scheduler.tick().await?;
        sum.milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        sum.fired += ticked.fired;
        sum.rung += ticked.rung;
        if ticks.many.map_or(ticked.fired == 0, |many| sum.milliseconds.len() == many) {
            break;
        }
        if let Some(url) = &ticks.redis {
            // As if workers had taken all of them.
            let mut redis = redis::Client::open(url.as_str())?.get_multiplexed_async_connection().await?;
            redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        }
    }
    sum.resident_kib = resident("self")?;
    tell(&sum)
}
