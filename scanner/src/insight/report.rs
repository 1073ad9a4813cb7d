//! The figures, each with the number of observations behind it. The JSON keys are part of the product: scripts
//! read them.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the log of one connection says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolReport {
    pub connection: String,
    pub tool: String,
    /// Open cases are counted up to here.
    pub as_of: DateTime<Utc>,
    pub cases: CaseCount,
    /// From created to the last time it became done, of cases that are done now.
    pub cycle_time: Spread,
    /// The longest total first. Time after a case became done for good is no one's wait and is not in it; a done
    /// status is listed when cases left it again.
    pub statuses: Vec<StatusTime>,
    /// Of the statuses that do not mean done, the one with the longest total.
    pub slowest_step: Option<StatusTime>,
    pub hand_overs: HandOvers,
    pub reopens: Reopens,
    pub first_assignment: FirstAssignment,
    pub events: EventCount,
    /// How far the figures can be trusted, a sentence each.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CaseCount {
    pub open: usize,
    pub done: usize,
    /// Neither: the tool no longer shows them. They were deleted, moved away or hidden.
    pub gone: usize,
}

impl CaseCount {
    pub const fn all(self) -> usize {
        self.open + self.done + self.gone
    }
}

/// Durations, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub n: usize,
    #[serde(rename = "median_seconds", serialize_with = "maybe_seconds")]
    pub median: Option<Duration>,
    #[serde(rename = "p85_seconds", serialize_with = "maybe_seconds")]
    pub p85: Option<Duration>,
}

/// The time cases spent in one status.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusTime {
    /// The tool's id of it.
    pub status: String,
    pub name: String,
    pub stage: Option<&'static str>,
    /// Finished ones; the median is theirs.
    pub visits: usize,
    #[serde(rename = "median_seconds", serialize_with = "maybe_seconds")]
    pub median: Option<Duration>,
    /// Open cases that are in it now, and how long they have been, taken together.
    pub running_cases: usize,
    #[serde(rename = "running_seconds", serialize_with = "seconds")]
    pub running: Duration,
    /// Finished and running: work that is stuck must not look fast because it never left.
    #[serde(rename = "total_seconds", serialize_with = "seconds")]
    pub total: Duration,
    /// Of the totals of all statuses.
    pub share: Option<f64>,
}

impl StatusTime {
    /// A status whose stage is unknown counts as not done.
    pub fn done(&self) -> bool {
        self.stage == Some(twinflow_connectors::Stage::Done.word())
    }
}

/// How often work passed from one person to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HandOvers {
    /// Cases.
    pub n: usize,
    pub total: usize,
    /// Per case.
    pub mean: Option<f64>,
    pub cases_with_any: usize,
    pub share_with_any: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reopens {
    /// Cases that were done at least once.
    pub n: usize,
    /// Those of them that left it again.
    pub reopened: usize,
    pub rate: Option<f64>,
}

/// From created to the first person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FirstAssignment {
    pub n: usize,
    #[serde(rename = "median_seconds", serialize_with = "maybe_seconds")]
    pub median: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventCount {
    pub n: usize,
    pub by_activity: BTreeMap<String, usize>,
}

impl Spread {
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { n: durations.len(), median: percentile(&durations, 50), p85: percentile(&durations, 85) }
    }
}

/// A percentile of what is sorted already: linear interpolation between the two nearest observations, type 7 of
/// Hyndman & Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996), 361–365.
/// Spreadsheets (`PERCENTILE.INC`), R and NumPy do the same by default, so whoever exports the log can check us.
pub fn percentile(sorted: &[Duration], percent: u32) -> Option<Duration> {
    let hundredths = sorted.len().checked_sub(1)? * percent.min(100) as usize;
    let low = *sorted.get(hundredths / 100)?;
    let high = *sorted.get(hundredths / 100 + 1).unwrap_or(&low);
    let fraction = (hundredths % 100) as u32;
    Some(low.saturating_add(high.saturating_sub(low) / 100 * fraction))
}

/// Whole seconds.
fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|it| it.as_secs()).serialize(serializer)
}
