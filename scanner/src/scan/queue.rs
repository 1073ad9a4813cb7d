//! Hands scans to workers. The row in `scans` is the truth; the queue's message is its id, a bell without
//! authority: a bell that is lost, doubled or forged changes nothing, because a worker claims the row first.

use super::Scanner;
use crate::store::{Outcome, StoreError};
use apalis::prelude::{
    BoxDynError, Data, MemoryStorage, TaskSink, WorkerBuilder, WorkerBuilderExt as _, WorkerContext,
};
use futures::FutureExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// What came of the scans whose bells were rung; a scan that was not ours to run came to nothing.
pub type Results = BTreeMap<Uuid, Result<Option<Outcome>, StoreError>>;

struct Work {
    scanner: Arc<Scanner>,
    results: Mutex<Results>,
    expected: usize,
}

/// Scans run at a time. Left alone, apalis would run all there are.
const SIDE_BY_SIDE: usize = 4;

/// Rings a bell for each scan and runs them, a few side by side, until all are settled.
pub async fn run_all(scanner: Arc<Scanner>, scans: &[Uuid]) -> Result<Results, BoxDynError> {
    let scans: BTreeSet<_> = scans.iter().copied().collect();
    if scans.is_empty() {
        return Ok(Results::new());
    }
    let mut bells = MemoryStorage::new();
    for scan in &scans {
        bells.push(*scan).await?;
    }
    // Unique per process: two workers of one name would be taken for one.
    let worker = WorkerBuilder::new(scanner.owner.as_str());
    let work = Arc::new(Work { scanner, results: Mutex::default(), expected: scans.len() });
    worker.backend(bells).concurrency(SIDE_BY_SIDE).data(work.clone()).build(answer).run().await?;
    Ok(std::mem::take(&mut *lock(&work.results)))
}

/// Always returns well: retries, pauses and dead scans are decided by the row, never by the queue.
async fn answer(scan: Uuid, work: Data<Arc<Work>>, worker: WorkerContext) {
    // A panic is a fault of ours, and one scan's alone: its row stays claimed, and whoever claims it next goes on.
    let run = AssertUnwindSafe(work.scanner.run(scan)).catch_unwind().await;
    let result = run.unwrap_or_else(|_| {
        tracing::error!(%scan, "panicked");
        Ok(None)
    });
    let mut results = lock(&work.results);
    results.insert(scan, result);
    if results.len() == work.expected {
        // Fails only when it has stopped already.
        let _ = worker.stop();
    }
}

fn lock(results: &Mutex<Results>) -> std::sync::MutexGuard<'_, Results> {
    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
