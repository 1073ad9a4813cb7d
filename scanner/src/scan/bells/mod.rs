//! How a scan's id gets from the scheduler to some worker. Start at [`Bells`].
//!
//! The row in `scans` is the truth, and every worker looks into the database by itself as well. A bell only makes
//! it quick: it is a scan's id, a hint without authority. Lost, doubled or forged, it changes nothing, so whatever
//! is in doubt here is thrown away. `memory.rs` is for one process, `redis` for many, `crew.rs` answers for both.

mod crew;
mod memory;
mod none;
mod redis;

pub use self::memory::MemoryBells;
pub use self::none::NoBells;
pub use self::redis::{PREFIX, Pace, RedisBells};

use super::watch::StopCord;
use crate::metrics;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Bells that may wait at a time. apalis-redis 1.0 wedges for good at some 8,000: its Lua calls `unpack` on them.
pub const MOST: usize = 1000;

/// What a worker does about the scan whose bell it heard.
pub type Answerer = Arc<dyn Fn(Uuid) -> BoxFuture<'static, ()> + Send + Sync>;

/// Rings and hears bells.
#[async_trait::async_trait]
pub trait Bells: Send + Sync {
    /// How many bells wait for somebody to take them.
    async fn outstanding(&self) -> Result<usize, BellError>;

    /// Rings for the first of these scans, as many as [`MOST`] leaves room for, and says for how many.
    async fn ring(&self, scans: &[Uuid]) -> Result<usize, BellError>;

    /// Answers bells, `slots` at a time, until `stop` is pulled and the last answer is given. Nothing else ends it.
    async fn answer(&self, slots: usize, answer: Answerer, stop: StopCord);

    /// Whether the way to the bells is broken now: workers then look into the database more often.
    fn is_away(&self) -> bool;
}

/// Never quotes what the server said, nor its address: both may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BellError {
    #[error("not an address of a Redis: redis://host:port/0 or rediss://host:port/0")]
    Address,
    #[error("Redis cannot be reached")]
    Away,
    /// Redis answered no, in its own word: `OOM`, `READONLY`, `NOAUTH`, `WRONGTYPE`.
    #[error("Redis refused: {0}")]
    Refused(String),
}

/// What has happened at one end since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Bells handed over to Redis.
    pub rung: u64,
    /// Bells taken from it and answered to the end.
    pub answered: u64,
    /// What was in the queue, could not be a bell, and was thrown away.
    pub garbage: u64,
    /// Times that apalis' worker gave up and was built anew.
    pub restarts: u64,
}

#[derive(Debug, Default)]
struct Counters {
    rung: AtomicU64,
    answered: AtomicU64,
    garbage: AtomicU64,
    restarts: AtomicU64,
}

impl Counters {
    fn rang(&self, bells: usize) {
        let bells = u64::try_from(bells).unwrap_or(u64::MAX);
        self.rung.fetch_add(bells, Ordering::Relaxed);
        metrics::bells_rung(bells);
    }

    fn answered_one(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        metrics::bell_answered();
    }

    fn threw_away(&self, garbage: usize) {
        let garbage = u64::try_from(garbage).unwrap_or(u64::MAX);
        self.garbage.fetch_add(garbage, Ordering::Relaxed);
        metrics::bells_were_garbage(garbage);
    }

    fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        metrics::worker_restarted();
    }

    fn read(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            rung: of(&self.rung),
            answered: of(&self.answered),
            garbage: of(&self.garbage),
            restarts: of(&self.restarts),
        }
    }
}
