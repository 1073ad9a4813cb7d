//! Bells within one process. Nothing is kept: rows are the truth, and a new process looks for them first thing.

use super::crew::Crew;
use super::{Answerer, BellError, Bells, Counted, Counters, MOST};
use crate::scan::watch::StopCord;
use apalis::prelude::{MemorySink, MemoryStorage, MemoryStorageError, Task, TaskBuilder, WorkerBuilder};
use futures::stream::{self, StreamExt as _};
use futures::{SinkExt as _, sink};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use uuid::Uuid;

/// One answers at a time: a second `answer` begins when the first has ended.
#[derive(Clone)]
pub struct MemoryBells {
    rope: mpsc::Sender<Uuid>,
    waiting: Arc<Mutex<mpsc::Receiver<Uuid>>>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for MemoryBells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryBells").field("counted", &self.counted()).finish_non_exhaustive()
    }
}

impl Default for MemoryBells {
    fn default() -> Self {
        let (rope, waiting) = mpsc::channel(MOST);
        Self { rope, waiting: Arc::new(Mutex::new(waiting)), counters: Arc::default() }
    }
}

impl MemoryBells {
    pub fn counted(&self) -> Counted {
        self.counters.read()
    }

    /// apalis' own queue in memory can be taken from once; this one again, by whoever answers next.
    fn storage(waiting: OwnedMutexGuard<mpsc::Receiver<Uuid>>) -> MemoryStorage<Uuid> {
        let waiting = stream::unfold(waiting, |mut waiting| async move {
            let scan = waiting.recv().await?;
            Some((TaskBuilder::new(scan).build(), waiting))
        });
        // Nobody pushes by it.
        let sink = sink::drain::<Task<Uuid>>().sink_map_err(|never| MemoryStorageError::Other(never.into()));
        let sink: Box<dyn sink::Sink<_, Error = _> + Send + Sync + Unpin> = Box::new(sink);
        MemoryStorage::new_with(MemorySink::new(Arc::new(futures::lock::Mutex::new(sink))), waiting.boxed())
    }
}

#[async_trait::async_trait]
impl Bells for MemoryBells {
    async fn outstanding(&self) -> Result<usize, BellError> {
        Ok(MOST - self.rope.capacity())
    }

    async fn ring(&self, scans: &[Uuid]) -> Result<usize, BellError> {
        let rung = scans.iter().take_while(|scan| self.rope.try_send(**scan).is_ok()).count();
        self.counters.rang(rung);
        Ok(rung)
    }

    async fn answer(&self, slots: usize, answer: Answerer, stop: StopCord) {
        let storage = Self::storage(self.waiting.clone().lock_owned().await);
        let crew = Crew::new(slots, answer, stop);
        let (ours, counters) = (crew.clone(), self.counters.clone());
        let worker = WorkerBuilder::new("memory").backend(storage).layer(crew.limit());
        let worker = worker.build(move |scan: Uuid| {
            let (crew, counters) = (ours.clone(), counters.clone());
            let done = async move { counters.answered_one() };
            crew.take(Uuid::new_v4().to_string(), scan, done)
        });
        let stop = crew.stop.clone();
        let pulled = async move {
            stop.pulled().await;
            std::io::Result::Ok(())
        };
        if worker.run_until(pulled).await.is_err() {
            tracing::error!("the way to the bells broke");
            crew.stop.pulled().await;
        }
        crew.idle().await;
    }

    fn is_away(&self) -> bool {
        false
    }
}
