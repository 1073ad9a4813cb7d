//! Who answers at the moment. The crew outlives apalis' workers: whatever Redis does ends a worker, and with it every
//! future the worker holds, so each answer is a task of its own and goes on to its end. Its slot stays taken.

use super::Answerer;
use crate::scan::watch::StopCord;
use apalis::layers::limit::GlobalConcurrencyLimitLayer;
use futures::FutureExt as _;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

pub(super) struct Crew {
    slots: Arc<Semaphore>,
    answer: Answerer,
    pub(super) stop: StopCord,
    busy: watch::Sender<BTreeMap<String, Holds>>,
}

/// Who gives the slot back when an answer ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Worker,
    Itself,
}

impl Crew {
    pub(super) fn new(slots: usize, answer: Answerer, stop: StopCord) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(slots)),
            answer,
            stop,
            busy: watch::Sender::default(),
        })
    }

    /// Keeps apalis from taking a bell before there is a slot for it. Left alone, it runs all there are.
    pub(super) fn limit(&self) -> GlobalConcurrencyLimitLayer {
        GlobalConcurrencyLimitLayer::with_semaphore(self.slots.clone())
    }

    /// Answers one bell, then does `after`. To drop this future stops neither.
    pub(super) async fn take(
        self: Arc<Self>,
        bell: String,
        scan: Uuid,
        after: impl Future<Output = ()> + Send + 'static,
    ) {
        self.busy.send_modify(|busy| _ = busy.insert(bell.clone(), Holds::Worker));
        let task = tokio::spawn(async move {
            // A panic is a fault of ours, and one scan's alone: whoever claims its row next goes on.
            if AssertUnwindSafe((self.answer)(scan)).catch_unwind().await.is_err() {
                tracing::error!(%scan, "panicked");
            }
            after.await;
            self.busy.send_modify(|busy| {
                if busy.remove(&bell) == Some(Holds::Itself) {
                    self.slots.add_permits(1);
                }
            });
        });
        // Fails only when the runtime is shutting down.
        let _ = task.await;
    }

    /// To be called when apalis' worker is gone, and with it its hold on the slots: what still runs takes them over.
    pub(super) fn adopt(&self) {
        self.busy.send_modify(|busy| {
            for holds in busy.values_mut().filter(|holds| **holds == Holds::Worker) {
                *holds = Holds::Itself;
                self.slots.forget_permits(1);
            }
        });
    }

    /// The bells that are being answered.
    pub(super) fn busy(&self) -> Vec<String> {
        self.busy.borrow().keys().cloned().collect()
    }

    /// Whether no more bells are to be taken.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.pulled().now_or_never().is_some()
    }

    pub(super) async fn idle(&self) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.busy.subscribe().wait_for(BTreeMap::is_empty).await;
    }
}
