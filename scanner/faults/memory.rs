//! What processes hold over time, and whether that grows.

use crate::fleet::Fleet;
use std::collections::BTreeMap;
use std::time::Instant;

/// Resident memory of each process, by the name of its log.
#[derive(Default)]
pub(crate) struct Memory {
    processes: BTreeMap<String, Process>,
}

#[derive(Default)]
struct Process {
    first_seen: Option<Instant>,
    /// Minutes since then, and KiB.
    samples: Vec<(f64, f64)>,
}

/// Samples from which it can be told whether something grows.
const ENOUGH: usize = 6;

impl Memory {
    pub(crate) fn sample(&mut self, fleet: &Fleet) {
        for member in &fleet.members {
            let Some(kib) = member.running.resident() else { continue };
            let process = self.processes.entry(member.log.clone()).or_default();
            let first_seen = *process.first_seen.get_or_insert_with(Instant::now);
            process.samples.push((first_seen.elapsed().as_secs_f64() / 60.0, kib as f64));
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "resident MB at the start, median, at the end; KB a minute over the second half")?;
        for (log, Process { samples, .. }) in &self.processes {
            let (Some((_, first)), Some((lived, last))) = (samples.first(), samples.last()) else { continue };
            if samples.len() < ENOUGH {
                continue;
            }
            let mut sorted: Vec<_> = samples.iter().map(|(_, kib)| *kib).collect();
            sorted.sort_by(f64::total_cmp);
            let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
            let (_, late) = samples.split_at(samples.len() / 2);
            let [first, median, last] = [*first, median, *last].map(|kib| kib / 1024.0);
            let grows = slope(late);
            write!(f, "\n{log:<18} {first:5.1} {median:5.1} {last:5.1}  {grows:+6.0}  over {lived:.1} min")?;
        }
        Ok(())
    }
}

/// Of the straight line that fits best.
fn slope(points: &[(f64, f64)]) -> f64 {
    let many = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / many;
    let (x, y) = (mean(|it| it.0), mean(|it| it.1));
    let spread: f64 = points.iter().map(|it| (it.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|it| (it.0 - x) * (it.1 - y)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}
