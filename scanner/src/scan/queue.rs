//! Runs scans that somebody waits for. The row in `scans` is the truth; the queue's message is its connection's id, a
//! bell without authority. Workers in the background may be quicker: what one of them has is followed to its end.

use super::Scanner;
use super::watch::{Doing, Progress};
use crate::store::{Scan, State, StoreError, random_id};
use apalis::prelude::{
    BoxDynError, Data, MemoryStorage, TaskSink, WorkerBuilder, WorkerBuilderExt as _, WorkerContext,
};
use futures::FutureExt as _;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// Each connection's scan.
pub type Results = BTreeMap<Uuid, Result<Uuid, StoreError>>;

struct Work {
    scanner: Arc<Scanner>,
    results: Mutex<BTreeMap<Uuid, Result<Ran, StoreError>>>,
    expected: usize,
}

/// A scan, and whether it was ours to run.
struct Ran {
    scan: Uuid,
    was_ours: bool,
}

/// Scans run at a time. Left alone, apalis would run all there are.
const SIDE_BY_SIDE: usize = 4;
/// Between two looks at what another worker does.
const GLANCE: Duration = Duration::from_secs(1);

/// Rings a bell for each connection and scans them, a few side by side, until all are settled.
pub async fn run_all(scanner: Arc<Scanner>, connections: &[Uuid]) -> Result<Results, BoxDynError> {
    let connections: BTreeSet<_> = connections.iter().copied().collect();
    if connections.is_empty() {
        return Ok(Results::new());
    }
    let mut bells = MemoryStorage::new();
    for connection in &connections {
        bells.push(*connection).await?;
    }
    // Unique per process: two workers of one name would be taken for one.
    let worker = WorkerBuilder::new(scanner.owner.as_str());
    let work =
        Arc::new(Work { scanner: scanner.clone(), results: Mutex::default(), expected: connections.len() });
    worker.backend(bells).concurrency(SIDE_BY_SIDE).data(work.clone()).build(answer).run().await?;
    let ran = std::mem::take(&mut *lock(&work.results));
    let ended = ran.into_iter().map(async |(connection, ran)| match ran {
        Ok(Ran { scan, was_ours: false }) => (connection, follow(&scanner, scan).await.map(|()| scan)),
        ran => (connection, ran.map(|ran| ran.scan)),
    });
    Ok(join_all(ended).await.into_iter().collect())
}

/// Always returns well: retries, pauses and dead scans are decided by the row, never by the queue.
async fn answer(connection: Uuid, work: Data<Arc<Work>>, worker: WorkerContext) {
    let result = open_and_run(&work.scanner, connection).await;
    let mut results = lock(&work.results);
    results.insert(connection, result);
    if results.len() == work.expected {
        // Fails only when it has stopped already.
        let _ = worker.stop();
    }
}

/// Opens a connection's scan, or finds the one under way, and runs it. Not any sooner: whatever is open and due,
/// workers in the background take.
async fn open_and_run(scanner: &Scanner, connection: Uuid) -> Result<Ran, StoreError> {
    let fresh = random_id(&mut rand::rng());
    let scan = scanner.store.open_scan(connection, fresh).await?;
    // A panic is a fault of ours, and one scan's alone: its row stays claimed, and whoever claims it next goes on.
    let run = AssertUnwindSafe(scanner.run(scan)).catch_unwind().await;
    let outcome = run.unwrap_or_else(|_| {
        tracing::error!(%scan, "panicked");
        Ok(None)
    })?;
    Ok(Ran { scan, was_ours: outcome.is_some() })
}

/// Looks on while another worker runs a scan, and takes it up should that one be gone or have given it back. The cord
/// ends the looking on and nothing else.
async fn follow(scanner: &Scanner, scan: Uuid) -> Result<(), StoreError> {
    loop {
        let row = match scanner.store.scan(scan).await {
            Ok(Some(row)) => row,
            Ok(None) => break,
            // Seen next time; the worker sits that out, too.
            Err(StoreError::Busy(_)) if !scanner.stop.is_pulled() => {
                scanner.clock.sleep(GLANCE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let goes_on = matches!(row.state, State::Queued | State::Running);
        scanner.watch.progress(&row.connection, "by another worker", &progress(&row, goes_on));
        if !goes_on {
            break;
        }
        tokio::select! {
            biased;
            () = scanner.stop.pulled() => break,
            () = scanner.clock.sleep(GLANCE) => {}
        }
        match scanner.run(scan).await {
            Ok(None) | Err(StoreError::Busy(_)) => {}
            Ok(Some(_)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The sums over its streams.
fn progress(scan: &Scan, goes_on: bool) -> Progress {
    let ended =
        || Doing::Ended { word: scan.state.word(), why: scan.reasons.first().cloned().unwrap_or_default() };
    Progress {
        cases: scan.cases.unsigned_abs(),
        events: scan.events_read.unsigned_abs(),
        new: scan.events_new.unsigned_abs(),
        pages: scan.pages.unsigned_abs(),
        requests: scan.requests.unsigned_abs(),
        now: if goes_on { Doing::Reading } else { ended() },
    }
}

fn lock<T>(results: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
