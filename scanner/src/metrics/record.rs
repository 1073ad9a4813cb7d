//! A function for each metric, so that whoever calls it can mistake neither a name nor a label.

use super::names::{self, Metric};
use crate::store::State;
use std::time::Duration;

impl Metric {
    fn count<const N: usize>(&self, times: u64, labels: [(&'static str, &'static str); N]) {
        metrics::counter!(self.name, &labels).increment(times);
    }

    fn set<const N: usize>(&self, value: f64, labels: [(&'static str, &'static str); N]) {
        metrics::gauge!(self.name, &labels).set(value);
    }

    fn took<const N: usize>(&self, time: Duration, labels: [(&'static str, &'static str); N]) {
        metrics::histogram!(self.name, &labels).record(time.as_secs_f64());
    }
}

/// A tool by the word its contract has for it, whatever the row or the caller says.
fn tool(word: &str) -> [(&'static str, &'static str); 1] {
    let known = twinflow_connectors::find(word).map_or("other", |connector| connector.contract().tool);
    [("tool", known)]
}

/// Exact up to 2^53.
fn number(count: u64) -> f64 {
    count as f64
}

// --- Scans, over all tenants: for whoever leads, every 15 s ---

/// A state that is not given keeps its last number: give also those that no scan is in.
pub fn scans(counts: &[(State, u64)]) {
    for (state, count) in counts {
        names::SCANS.set(number(*count), [("state", state.word())]);
    }
}

/// Zero when none is due.
pub fn oldest_due(waited: Duration) {
    names::OLDEST_DUE.set(waited.as_secs_f64(), []);
}

pub fn leases_expired(scans: u64) {
    names::LEASES_EXPIRED.count(scans, []);
}

pub fn quarantined() {
    names::QUARANTINED.count(1, []);
}

// --- The scheduler ---

pub fn leading(leads: bool) {
    names::LEADING.set(f64::from(u8::from(leads)), []);
}

pub fn ticked(took: Duration) {
    names::TICK_SECONDS.took(took, []);
}

pub fn fired(schedules: u64) {
    names::FIRED.count(schedules, []);
}

// --- Bells ---

pub fn bells_outstanding(bells: u64) {
    names::BELLS_OUTSTANDING.set(number(bells), []);
}

pub fn bells_rung(bells: u64) {
    names::BELLS_RUNG.count(bells, []);
}

pub fn bell_answered() {
    names::BELLS_ANSWERED.count(1, []);
}

/// What was in the queue and is no bell.
pub fn bells_were_garbage(thrown_away: u64) {
    names::BELLS_GARBAGE.count(thrown_away, []);
}

// --- A worker ---

pub fn slots(slots: u64) {
    names::SLOTS.set(number(slots), []);
}

/// A scan under way in this process, for as long as this is held; also when it panics.
#[must_use = "it is under way for as long as this is held"]
#[derive(Debug)]
pub struct UnderWay(());

pub fn under_way() -> UnderWay {
    metrics::gauge!(names::UNDER_WAY.name).increment(1.0);
    UnderWay(())
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        metrics::gauge!(names::UNDER_WAY.name).decrement(1.0);
    }
}

pub fn worker_restarted() {
    names::RESTARTS.count(1, []);
}

/// A look into the database, and how many scans it found.
pub fn looked(found: u64) {
    names::LOOKS.count(1, []);
    names::LOOKS_FOUND.count(found, []);
}

// --- A scan ---

pub fn scan_ended(state: State, tool_word: &str) {
    let [tool] = tool(tool_word);
    names::ENDED.count(1, [("state", state.word()), tool]);
}

pub(crate) fn fenced() {
    names::FENCED.count(1, []);
}

pub(crate) fn request(tool_word: &str) {
    names::REQUESTS.count(1, tool(tool_word));
}

pub(crate) fn slow_down(tool_word: &str) {
    names::SLOW_DOWNS.count(1, tool(tool_word));
}

pub(crate) fn waited(tool_word: &str, wait: Duration) {
    names::WAITS.took(wait, tool(tool_word));
}

pub(crate) fn page_kept(tool_word: &str, took: Duration) {
    names::PAGES.took(took, tool(tool_word));
}

/// What an error of the database is called, here and in the log.
pub(crate) const CLASSES: [&str; 2] = ["busy", "failed"];

pub(crate) fn database_error(passes: bool) {
    let [busy, failed] = CLASSES;
    names::DATABASE_ERRORS.count(1, [("class", if passes { busy } else { failed })]);
}

/// Counters start at nothing rather than not at all: the first of a kind would be no rise. Those with labels start with
/// every tool.
pub(super) fn begin() {
    leases_expired(0);
    names::QUARANTINED.count(0, []);
    fired(0);
    bells_rung(0);
    names::BELLS_ANSWERED.count(0, []);
    names::BELLS_GARBAGE.count(0, []);
    names::RESTARTS.count(0, []);
    names::LOOKS.count(0, []);
    names::LOOKS_FOUND.count(0, []);
    names::FENCED.count(0, []);
    CLASSES.iter().for_each(|class| names::DATABASE_ERRORS.count(0, [("class", *class)]));
    for connector in twinflow_connectors::ALL {
        names::REQUESTS.count(0, tool(connector.contract().tool));
        names::SLOW_DOWNS.count(0, tool(connector.contract().tool));
    }
}
