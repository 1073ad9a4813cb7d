//! Where it was measured, and how busy that was.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fs;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    /// Processes that ran or wanted to, over the last minute; ours among them.
    pub(crate) load: f64,
}

impl Machine {
    pub(crate) fn now() -> Result<Self> {
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split(' ').next().context("no load")?.parse()?;
        Ok(Self { cores: std::thread::available_parallelism()?.get(), load })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cores, load {:.1}", self.cores, self.load)
    }
}

/// What of a process is resident, in KiB.
pub(crate) fn resident(process: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The value below which this part of them lies.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}
