//! Keeps an apalis worker alive. Anything that Redis does ends the worker: a restart, `FLUSHALL`, a stall, one id that
//! is no bell. So [`until_stopped`] mends the queue and builds it anew, under a new name, for as long as we are wanted.

use super::RedisBells;
use super::queue::Queue;
use crate::scan::bells::BellError;
use crate::scan::bells::crew::Crew;
use apalis::prelude::{BackendExt as _, Codec, Event, EventListenerExt as _, TaskId, WorkerBuilder};
use apalis_redis::{Config, RedisStorage};
use futures::FutureExt as _;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// What Redis is given, once the last answer is given, to hear that we leave.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) async fn until_stopped(bells: &RedisBells, crew: &Arc<Crew>) {
    let mut retry = bells.pace.first_retry;
    let mut gone = None;
    while !crew.is_stopping() {
        // Unique per process and per rebuild: a second worker of one name takes over the bells of the first, or is
        // refused as long as the first one's heartbeat is fresh.
        let name = format!("{}-{}", bells.owner, Uuid::new_v4().simple());
        let began = Instant::now();
        match prepare(bells, crew, gone.as_deref()).await {
            Ok(queue) => {
                gone = Some(name.clone());
                // apalis has an `unreachable!` on the way.
                let _ = AssertUnwindSafe(live(bells, crew, &queue, &name)).catch_unwind().await;
                crew.adopt();
                if crew.is_stopping() {
                    break;
                }
                bells.counters.restarted();
                tracing::warn!("the way to the bells broke");
            }
            Err(_) => tracing::debug!("no bells"),
        }
        bells.away.store(true, Ordering::Relaxed);
        if began.elapsed() > bells.pace.heartbeat {
            retry = bells.pace.first_retry;
        }
        tokio::select! {
            () = crew.stop.pulled() => break,
            () = tokio::time::sleep(retry) => retry = (retry * 2).min(bells.pace.last_retry),
        }
    }
    crew.idle().await;
    // apalis removes its worker's entry by the wrong name, so it would stay.
    if let (Some(gone), Ok(queue)) = (gone, bells.queue()) {
        let _ = tokio::time::timeout(FAREWELL, queue.mend(Some(&gone), &[])).await;
    }
}

/// Mends the queue before a worker trips over it, and takes the last one's remains away.
async fn prepare(bells: &RedisBells, crew: &Crew, gone: Option<&str>) -> Result<Queue, BellError> {
    // Its own connection, so that no other command stands between a worker and its heartbeat.
    let queue = Queue::new(bells.client.clone(), bells.name.clone(), bells.pace.response)?;
    bells.counters.threw_away(queue.mend(gone, &crew.busy()).await?);
    Ok(queue)
}

/// Returns when the worker gave up, or has stopped as it should.
async fn live(bells: &RedisBells, crew: &Arc<Crew>, queue: &Queue, name: &str) {
    let config = Config::default()
        .queue(&bells.name)
        .heartbeat_interval(bells.pace.heartbeat)
        .missed_heartbeats(bells.pace.missed)
        // apalis sends no heartbeat while more than one waits in its hands, and is taken for dead.
        .batch_size(1)
        // Locks, results and events are only more that can fail, and each failure ends the worker. Rows have leases.
        .lock_tasks(false)
        .persist_results(false)
        .emit_events(false);
    let storage = RedisStorage::<Option<Uuid>>::new(queue.connection.clone()).with_config(config);
    let backend = storage.with_codec(BellCodec).poll_with_interval(bells.pace.poll);
    let (away, handler) =
        (bells.away.clone(), Handler { bells: bells.clone(), crew: crew.clone(), name: name.to_owned() });
    let worker = WorkerBuilder::new(name)
        .backend(backend)
        .layer(crew.limit())
        .on_event(move |_, event| {
            if matches!(event, Event::HeartBeat) {
                away.store(false, Ordering::Relaxed);
            }
        })
        .build(move |scan: Option<Uuid>, bell: TaskId| handler.clone().take(bell.to_string(), scan));
    let stop = crew.stop.clone();
    let pulled = async move {
        stop.pulled().await;
        std::io::Result::Ok(())
    };
    let farewell = async {
        crew.stop.pulled().await;
        crew.idle().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        _ = worker.run_until(pulled) => {}
        () = farewell => {}
    }
}

#[derive(Clone)]
struct Handler {
    bells: RedisBells,
    crew: Arc<Crew>,
    name: String,
}

impl Handler {
    /// Always returns well: apalis' retries know no end and no backoff, and rows decide about retries anyway.
    async fn take(self, bell: String, scan: Option<Uuid>) {
        let Self { bells, crew, name } = self;
        if crew.is_stopping() {
            // Goes back with the rest when the worker's entry is removed.
            return;
        }
        let (heard, id) = (bells.clone(), bell.clone());
        let forget = async move {
            let counters = &heard.counters;
            if scan.is_some() {
                counters.answered_one()
            } else {
                counters.threw_away(1)
            }
            if let Ok(queue) = heard.queue() {
                // If that fails it rings once more, for nothing.
                let _ = queue.forget(&name, &id).await;
            }
        };
        match scan {
            Some(scan) => crew.take(bell, scan, forget).await,
            None => forget.await,
        }
    }
}

/// The scan's id as text. What is none is no error, for an error would end the worker.
#[derive(Clone, Copy, Debug)]
struct BellCodec;

impl Codec<Option<Uuid>> for BellCodec {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, scan: &Option<Uuid>) -> Result<Vec<u8>, Infallible> {
        Ok(scan.map(|scan| scan.to_string().into_bytes()).unwrap_or_default())
    }

    fn decode(&self, bell: &Vec<u8>) -> Result<Option<Uuid>, Infallible> {
        Ok(Uuid::try_parse_ascii(bell).ok())
    }
}
