//! Somebody who answers bells and writes down which. Start at [`Answering`].

use super::redis::TestRedis;
use futures::FutureExt as _;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use twinflow::scan::bells::{Answerer, Bells, Pace, RedisBells};
use twinflow::scan::watch::StopCord;
use uuid::Uuid;

/// As in life, only sooner.
pub(crate) const QUICK: Pace = Pace {
    heartbeat: Duration::from_secs(1),
    missed: 2,
    poll: Duration::from_millis(20),
    response: Duration::from_secs(1),
    mend: Duration::from_millis(200),
    first_retry: Duration::from_millis(20),
    last_retry: Duration::from_millis(200),
};

pub(crate) struct Answering<B> {
    pub(crate) bells: B,
    pub(crate) stop: StopCord,
    pub(crate) task: JoinHandle<()>,
    log: Arc<Mutex<Log>>,
    leave: Arc<Semaphore>,
}

#[derive(Default)]
struct Log {
    begun: usize,
    most: usize,
    heard: Vec<Uuid>,
}

impl Answering<RedisBells> {
    pub(crate) fn new(redis: &TestRedis, slots: usize) -> Self {
        Self::of(bells(redis), slots, Semaphore::MAX_PERMITS)
    }

    /// Gives no answer to the end before it is let go.
    pub(crate) fn holding(redis: &TestRedis, slots: usize) -> Self {
        Self::of(bells(redis), slots, 0)
    }

    /// Rings until it is heard: a bell may get lost, but not for ever all of them.
    pub(crate) async fn hears_again(&self) {
        self.hears_again_or(self).await;
    }

    pub(crate) async fn hears_again_or(&self, other: &Self) {
        let scans = ids(1);
        let heard = || self.heard().contains(&scans[0]) || other.heard().contains(&scans[0]);
        let began = Instant::now();
        while !heard() {
            assert!(began.elapsed() < PATIENCE, "deaf: {:?}, {:?}", self.bells.counted(), self.bells);
            let _ = self.bells.ring(&scans).await;
            let rung = Instant::now();
            while !heard() && rung.elapsed() < Duration::from_millis(500) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Keys of bells.
    pub(crate) async fn left(&self, redis: &TestRedis) -> Vec<String> {
        let keys: Vec<String> = redis.ask(&["KEYS", "*"]).await;
        keys.into_iter().filter(|key| !key.contains("workers") && !key.contains("queues")).collect()
    }
}

impl<B: Bells + Clone + 'static> Answering<B> {
    pub(crate) fn of(bells: B, slots: usize, leave: usize) -> Self {
        let (stop, log) = (StopCord::default(), Arc::new(Mutex::new(Log::default())));
        let leave = Arc::new(Semaphore::new(leave));
        let (ours, gate) = (log.clone(), leave.clone());
        let answer: Answerer = Arc::new(move |scan| {
            let (log, gate) = (ours.clone(), gate.clone());
            let answer = async move {
                {
                    let mut log = log.lock().unwrap();
                    log.begun += 1;
                    log.most = log.most.max(log.begun - log.heard.len());
                }
                gate.acquire().await.unwrap().forget();
                log.lock().unwrap().heard.push(scan);
            };
            answer.boxed()
        });
        let (answering, cord) = (bells.clone(), stop.clone());
        let task = tokio::spawn(async move { answering.answer(slots, answer, cord).await });
        Self { bells, stop, task, log, leave }
    }

    pub(crate) fn heard(&self) -> Vec<Uuid> {
        self.log.lock().unwrap().heard.clone()
    }

    pub(crate) fn begun(&self) -> usize {
        self.log.lock().unwrap().begun
    }

    /// The most at a time.
    pub(crate) fn most(&self) -> usize {
        self.log.lock().unwrap().most
    }

    pub(crate) fn let_go(&self, answers: usize) {
        self.leave.add_permits(answers);
    }

    pub(crate) async fn ended(self) -> Vec<Uuid> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("it did not end").unwrap();
        std::mem::take(&mut self.log.lock().unwrap().heard)
    }
}

pub(crate) fn bells(redis: &TestRedis) -> RedisBells {
    RedisBells::new(&redis.url(), "us").unwrap().with_pace(QUICK)
}

pub(crate) fn ids(amount: usize) -> Vec<Uuid> {
    (0..amount).map(|_| Uuid::new_v4()).collect()
}

pub(crate) fn sorted(scans: &[Uuid]) -> Vec<Uuid> {
    scans.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// All keys, once nothing of a bell is among them.
pub(crate) async fn settled_keys(redis: &TestRedis, answering: &Answering<RedisBells>) -> Vec<String> {
    until("no bell is left", async || answering.left(redis).await.is_empty()).await;
    let mut keys: Vec<String> = redis.ask(&["KEYS", "*"]).await;
    keys.sort();
    keys
}
