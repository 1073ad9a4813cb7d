//! A worker: runs scans that are due, a few at a time. A bell makes that quick; a look into the database now and then
//! makes it certain, so that nothing depends on bells. Whether a scan is ours, its row decides when it is claimed.

use super::Scanner;
use super::bells::{Answerer, Bells};
use super::watch::StopCord;
use crate::failpoint::failpoint;
use crate::metrics;
use crate::store::{Outcome, StoreError, Tenants, random_id};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How long a scan may take to stop after its page before it is given back without its consent.
pub const GRACE: Duration = Duration::from_secs(10);
/// Between looks while there are no bells to rely on.
const WITHOUT_BELLS: Duration = Duration::from_secs(2);
/// Before a look after one that found something: what it found has to be claimed first.
const AT_ONCE: Duration = Duration::from_millis(50);

/// What a worker is made of.
pub struct Worker {
    tenants: Arc<Tenants>,
    bells: Arc<dyn Bells>,
    /// As one tenant's; each scan gets its own.
    scanner: Scanner,
    places: usize,
    slots: Arc<Semaphore>,
    look_every: Duration,
    stop: StopCord,
    /// The scans under way, and whose they are.
    under_way: Mutex<BTreeMap<Uuid, Uuid>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("slots", &self.places).finish_non_exhaustive()
    }
}

impl Worker {
    /// `scanner` says how scans are run, whoever's they are; it has to run in the background.
    pub fn new(
        tenants: Arc<Tenants>,
        bells: Arc<dyn Bells>,
        scanner: Scanner,
        slots: usize,
        look_every: Duration,
    ) -> Arc<Self> {
        let stop = scanner.stop.clone();
        let under_way = Mutex::default();
        let permits = Arc::new(Semaphore::new(slots));
        Arc::new(Self { tenants, bells, scanner, places: slots, slots: permits, look_every, stop, under_way })
    }

    /// Works until the cord is pulled; then scans stop after the page that is being kept and go back to the queue.
    pub async fn run(self: Arc<Self>) {
        metrics::slots(self.places as u64);
        let this = self.clone();
        let answer: Answerer = Arc::new(move |scan| {
            let this = this.clone();
            Box::pin(async move { this.answer(scan).await })
        });
        let working =
            async { tokio::join!(self.bells.answer(self.places, answer, self.stop.clone()), self.look()) };
        let too_long = async {
            self.stop.pulled().await;
            tracing::info!("shutting down");
            self.scanner.clock.sleep(GRACE).await;
        };
        tokio::select! {
            _ = working => {}
            () = too_long => self.give_back().await,
        }
    }

    async fn answer(&self, scan: Uuid) {
        failpoint!("fetched");
        // Closed by nobody.
        if let Ok(slot) = self.slots.clone().acquire_owned().await {
            self.take(scan, slot).await;
        }
    }

    /// Looks into the database, more often while it finds something.
    async fn look(self: &Arc<Self>) {
        let mut running = JoinSet::new();
        let mut pause = Duration::ZERO;
        while self.may_go_on_after(pause).await {
            let free = self.slots.available_permits();
            let found = self.found(free).await.unwrap_or_else(|_| {
                tracing::warn!("database is away");
                vec![]
            });
            metrics::looked(found.len() as u64);
            // A bell was quicker: who looks for nothing finds nothing, and knows no more than before.
            let knows_no_more = free == 0;
            pause = if found.is_empty() && !knows_no_more { self.until_next_look() } else { AT_ONCE };
            for scan in found {
                let Ok(slot) = self.slots.clone().try_acquire_owned() else { break };
                let this = self.clone();
                running.spawn(async move { this.take(scan, slot).await });
            }
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
    }

    async fn may_go_on_after(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.pulled() => return false,
            () = self.scanner.clock.sleep(pause) => {}
        }
        // A look without a free slot would be for nothing.
        tokio::select! {
            biased;
            () = self.stop.pulled() => false,
            slot = self.slots.acquire() => slot.is_ok(),
        }
    }

    /// The upper half of it by chance, so that workers do not look together.
    fn until_next_look(&self) -> Duration {
        let pause = if self.bells.is_away() { WITHOUT_BELLS.min(self.look_every) } else { self.look_every };
        pause.mul_f64(0.5 + self.scanner.clock.chance() / 2.0)
    }

    /// What could be taken up now, a few more than fit: other workers take some of it.
    async fn found(&self, free: usize) -> Result<Vec<Uuid>, StoreError> {
        let many = i64::try_from(free).unwrap_or(i64::MAX);
        let dispatch = &self.tenants.dispatch;
        let per_tenant = self.scanner.background.map_or(many, |it| it.per_tenant);
        // From some tenant on, another one each time, so that none is always last.
        let from = random_id(&mut rand::rng());
        let mut tenants = dispatch.tenants_waiting(from, many).await?;
        if tenants.len() < free {
            tenants.extend(dispatch.tenants_waiting(Uuid::nil(), many).await?);
            tenants.dedup();
        }
        let lapsed = dispatch.lapsed(many).await?;
        let due = dispatch.scans_due(&tenants, per_tenant).await?;
        let mut found: Vec<_> = lapsed.into_iter().chain(due).map(|due| due.id).collect();
        found.truncate(free);
        Ok(found)
    }

    /// Runs a scan if it is there to be run.
    async fn take(&self, scan: Uuid, slot: OwnedSemaphorePermit) {
        if self.run_one(scan).await.is_err() {
            // Its lease will run out, and whoever takes it up then goes on from the last page.
            tracing::warn!(%scan, "database is away");
        }
        drop(slot);
    }

    async fn run_one(&self, scan: Uuid) -> Result<Option<Outcome>, StoreError> {
        let Some(tenant) = self.tenants.dispatch.tenant_of(scan).await? else { return Ok(None) };
        let scanner = Scanner { store: self.tenants.store(tenant), tenant, ..self.scanner.clone() };
        // A second bell for what is under way here already.
        if self.under_way().contains_key(&scan) {
            return Ok(None);
        }
        self.under_way().insert(scan, tenant);
        let ran = scanner.run(scan).await;
        self.under_way().remove(&scan);
        ran
    }

    /// Whatever has not stopped goes back to the queue; who still writes for it is fenced out.
    async fn give_back(&self) {
        let mut given_back = 0;
        let tenants: BTreeSet<_> = self.under_way().values().copied().collect();
        for tenant in tenants {
            given_back += self.tenants.store(tenant).give_back(&self.scanner.owner).await.unwrap_or(0);
        }
        tracing::warn!(scans = given_back, "gave back");
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<Uuid, Uuid>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
