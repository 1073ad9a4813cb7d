//! Every metric there is. Whoever draws or alerts on one finds it here; `deploy/` is held to it by a test.
//!
//! Labels hold words of this program's source and nothing else: a tool, a state, a class of error. A tenant, a
//! connection or an id would be a series each, and would say whose work it is.

/// One metric, as it is rendered in `# HELP` and `# TYPE`.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only ever rises.
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
}

/// From one quick answer to the deadline of a request and what retries add to it.
const PAGE: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// From a pause between two tries to a limit that is renewed by the hour.
const WAIT: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];
/// A tick every half second has to be done long before the next.
const TICK: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, help, labels }
}

const fn gauge(
    name: &'static str,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help, labels }
}

const fn seconds(
    name: &'static str,
    buckets: &'static [f64],
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram(buckets), unit: Unit::Seconds, help, labels }
}

// --- Scans, over all tenants; counted by the process that leads ---

pub const SCANS: Metric =
    gauge("twinflow_scans", Unit::Count, &["state"], "Scans in each state, counted by whoever leads");
pub const OLDEST_DUE: Metric = gauge(
    "twinflow_oldest_due_seconds",
    Unit::Seconds,
    &[],
    "For how long the oldest scan that is due has waited for a worker",
);
pub const LEASES_EXPIRED: Metric =
    counter("twinflow_leases_expired_total", &[], "Scans whose worker was lost: its lease ran out");
pub const QUARANTINED: Metric =
    counter("twinflow_quarantined_total", &[], "Scans set aside after too many crashes without a page");

// --- The scheduler ---

pub const LEADING: Metric =
    gauge("twinflow_scheduler_leading", Unit::Count, &[], "1 while this process is the scheduler that leads");
pub const TICK_SECONDS: Metric =
    seconds("twinflow_scheduler_tick_seconds", TICK, &[], "How long one tick of the scheduler took");
pub const FIRED: Metric =
    counter("twinflow_schedules_fired_total", &[], "Schedules that came due and opened a scan");

// --- Bells ---

pub const BELLS_OUTSTANDING: Metric =
    gauge("twinflow_bells_outstanding", Unit::Count, &[], "Bells that were rung and not answered yet");
pub const BELLS_RUNG: Metric = counter("twinflow_bells_rung_total", &[], "Bells rung");
pub const BELLS_ANSWERED: Metric = counter("twinflow_bells_answered_total", &[], "Bells taken by a worker");
pub const BELLS_GARBAGE: Metric =
    counter("twinflow_bells_garbage_total", &[], "Messages in the queue that are no bell");

// --- A worker ---

pub const SLOTS: Metric =
    gauge("twinflow_worker_slots", Unit::Count, &[], "Scans this process may run at a time");
pub const UNDER_WAY: Metric =
    gauge("twinflow_worker_scans", Unit::Count, &[], "Scans under way in this process");
pub const RESTARTS: Metric = counter(
    "twinflow_worker_restarts_total",
    &[],
    "Times the part of a worker that takes bells ended and was started again",
);
pub const LOOKS: Metric =
    counter("twinflow_looks_total", &[], "Looks into the database for scans that no bell was heard of");
pub const LOOKS_FOUND: Metric = counter("twinflow_looks_found_total", &[], "Scans that such looks found");

// --- A scan ---

pub const ENDED: Metric =
    counter("twinflow_scans_ended_total", &["state", "tool"], "Scans that ended, by the state they ended in");
pub const FENCED: Metric =
    counter("twinflow_fenced_writes_total", &[], "Writes refused because another worker has the scan");
pub const REQUESTS: Metric = counter("twinflow_requests_total", &["tool"], "Requests sent to a tool");
pub const SLOW_DOWNS: Metric =
    counter("twinflow_slow_downs_total", &["tool"], "Answers by which a tool asked to slow down");
pub const WAITS: Metric =
    seconds("twinflow_wait_seconds", WAIT, &["tool"], "Pauses before a tool was asked again");
pub const PAGES: Metric =
    seconds("twinflow_page_seconds", PAGE, &["tool"], "From the first request for a page until it was kept");
pub const DATABASE_ERRORS: Metric = counter(
    "twinflow_database_errors_total",
    &["class"],
    "Errors of the database: busy or away, which passes, or failed",
);

pub const ALL: &[&Metric] = &[
    &SCANS,
    &OLDEST_DUE,
    &LEASES_EXPIRED,
    &QUARANTINED,
    &LEADING,
    &TICK_SECONDS,
    &FIRED,
    &BELLS_OUTSTANDING,
    &BELLS_RUNG,
    &BELLS_ANSWERED,
    &BELLS_GARBAGE,
    &SLOTS,
    &UNDER_WAY,
    &RESTARTS,
    &LOOKS,
    &LOOKS_FOUND,
    &ENDED,
    &FENCED,
    &REQUESTS,
    &SLOW_DOWNS,
    &WAITS,
    &PAGES,
    &DATABASE_ERRORS,
];
