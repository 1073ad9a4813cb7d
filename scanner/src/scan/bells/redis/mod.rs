//! Bells between processes. `queue.rs` is what we do in Redis ourselves, `hear.rs` keeps an apalis worker alive.

mod hear;
mod queue;

use super::crew::Crew;
use super::{Answerer, BellError, Bells, Counted, Counters};
use crate::scan::watch::StopCord;
use queue::Queue;
use redis::Client;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// What the names of our keys begin with, unless an operator says otherwise.
pub const PREFIX: &str = "twinflow";

/// How long everything takes. The default is right but for tests.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often a worker says that it lives, in whole seconds.
    pub heartbeat: Duration,
    /// So many heartbeats missed, and the others take over its bells: 30 s where apalis takes 300.
    pub missed: usize,
    /// How soon a bell is heard. Without it apalis looks at each heartbeat only.
    pub poll: Duration,
    /// How long Redis may take to answer: a stall shorter than this loses no worker.
    pub response: Duration,
    /// How often whoever rings mends the queue.
    pub mend: Duration,
    /// How soon a worker that gave up is built anew; then twice that, and so on.
    pub first_retry: Duration,
    pub last_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            missed: 3,
            poll: Duration::from_millis(250),
            response: Duration::from_secs(5),
            mend: Duration::from_secs(15),
            first_retry: Duration::from_millis(100),
            last_retry: Duration::from_secs(5),
        }
    }
}

/// See the module.
#[derive(Clone)]
pub struct RedisBells {
    client: Client,
    owner: String,
    /// Of the queue.
    name: Arc<str>,
    pace: Pace,
    queue: Arc<OnceLock<Queue>>,
    mended: Arc<Mutex<Option<Instant>>>,
    away: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for RedisBells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBells")
            .field("owner", &self.owner)
            .field("counted", &self.counted())
            .finish_non_exhaustive()
    }
}

impl RedisBells {
    /// Does not connect, so Redis need not be there yet. `owner` is this process.
    pub fn new(url: &str, owner: &str) -> Result<Self, BellError> {
        let client = Client::open(url).map_err(|_| BellError::Address)?;
        Ok(Self {
            client,
            owner: owner.to_owned(),
            name: queue::named(PREFIX),
            pace: Pace::default(),
            queue: Arc::default(),
            mended: Arc::default(),
            away: Arc::default(),
            counters: Arc::default(),
        })
    }

    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// For an installation that shares its Redis with another: all its processes name the same, without a `:`.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        Self { name: queue::named(prefix), ..self }
    }

    pub fn counted(&self) -> Counted {
        self.counters.read()
    }

    /// Not the worker's own: a command that takes its time must not keep a heartbeat waiting.
    fn queue(&self) -> Result<&Queue, BellError> {
        if let Some(queue) = self.queue.get() {
            return Ok(queue);
        }
        let queue = Queue::new(self.client.clone(), self.name.clone(), self.pace.response)?;
        Ok(self.queue.get_or_init(|| queue))
    }

    /// Bells are forgotten as they are answered; this is for what nobody answers.
    async fn mend_now_and_then(&self) -> Result<(), BellError> {
        let now = Instant::now();
        let due = {
            let mut mended = self.mended.lock().unwrap_or_else(PoisonError::into_inner);
            let due = mended.is_none_or(|last| now.duration_since(last) >= self.pace.mend);
            if due {
                *mended = Some(now);
            }
            due
        };
        if due {
            self.counters.threw_away(self.queue()?.mend(None, &[]).await?);
        }
        Ok(())
    }

    fn noted<T>(&self, answer: Result<T, BellError>) -> Result<T, BellError> {
        self.away.store(answer.is_err(), Ordering::Relaxed);
        if answer.is_err() {
            // Perhaps it is broken in there.
            *self.mended.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }
}

#[async_trait::async_trait]
impl Bells for RedisBells {
    async fn outstanding(&self) -> Result<usize, BellError> {
        let waiting = async {
            self.mend_now_and_then().await?;
            self.queue()?.waiting().await
        };
        self.noted(waiting.await)
    }

    async fn ring(&self, scans: &[Uuid]) -> Result<usize, BellError> {
        let ring = async {
            self.mend_now_and_then().await?;
            self.queue()?.ring(scans).await
        };
        let rung = self.noted(ring.await)?;
        self.counters.rang(rung);
        Ok(rung)
    }

    async fn answer(&self, slots: usize, answer: Answerer, stop: StopCord) {
        hear::until_stopped(self, &Crew::new(slots, answer, stop)).await;
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}
