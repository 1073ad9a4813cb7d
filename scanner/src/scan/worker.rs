//! A worker: runs scans that are due, a few at a time. A bell makes that quick; a look into the database now and then
//! makes it certain, so that nothing depends on bells. Whether a scan is ours, its row decides when it is claimed.

use super::Scanner;
use super::bells::{Answerer, Bells};
use super::watch::StopCord;
use crate::failpoint::failpoint;
use crate::metrics;
use crate::store::{Claim, Due, StoreError, Tenants, random_id};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How long a scan may take to stop after its page before it is given back without its consent.
const GRACE: Duration = Duration::from_secs(7);
/// How long that may take. Together less than ten seconds: what is killed then has lost nothing.
const AT_LAST: Duration = Duration::from_secs(2);
/// Tenants, and scans that lost their worker, that a look takes in.
const AT_A_LOOK: i64 = 100;
/// Between looks while there are no bells to rely on.
const WITHOUT_BELLS: Duration = Duration::from_secs(2);

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
    under_way: AllUnderWay,
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
        let under_way = AllUnderWay::default();
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

    /// A bell that is heard while every slot is taken waits here; if that is too long, it rings again elsewhere.
    async fn answer(&self, scan: Uuid) {
        let slot = tokio::select! {
            biased;
            () = self.stop.pulled() => return,
            slot = self.slots.clone().acquire_owned() => slot,
        };
        // Closed by nobody.
        let Ok(slot) = slot else { return };
        failpoint!("fetched");
        match self.claimed(scan, slot).await {
            Ok(Some(claimed)) => claimed.run().await,
            Ok(None) => {}
            Err(_) => tracing::warn!(%scan, "database is away"),
        }
    }

    /// Looks into the database, again at once as long as there is something to be had.
    async fn look(&self) {
        let mut running = JoinSet::new();
        let (mut pause, mut after) = (Duration::ZERO, random_id(&mut rand::rng()));
        while self.may_go_on_after(pause).await {
            let mut took = false;
            let found = self.found(after).await;
            metrics::looked(found.as_ref().map_or(0, |found| found.len() as u64));
            for due in found.iter().flatten() {
                let Ok(slot) = self.slots.clone().try_acquire_owned() else { break };
                match self.claimed(due.id, slot).await {
                    Ok(Some(claimed)) => {
                        // The next look begins with those after it.
                        (took, after) = (true, due.tenant_id);
                        running.spawn(claimed.run());
                    }
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
            if found.is_err() {
                tracing::warn!("database is away");
            }
            (pause, after) = match took {
                true => (Duration::ZERO, after),
                false => (self.until_next_look(), random_id(&mut rand::rng())),
            };
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

    /// What could be taken up now: what lost its worker, and what is due, of the tenants after this one first.
    async fn found(&self, after: Uuid) -> Result<Vec<Due>, StoreError> {
        let dispatch = &self.tenants.dispatch;
        let mut found = dispatch.lapsed(AT_A_LOOK).await?;
        let mut tenants = dispatch.tenants_waiting(after, AT_A_LOOK).await?;
        if (tenants.len() as i64) < AT_A_LOOK {
            let first = dispatch.tenants_waiting(Uuid::nil(), AT_A_LOOK).await?;
            tenants.extend(first.into_iter().take_while(|first| *first <= after));
        }
        let per_tenant = self.scanner.background.map_or(1, |it| it.per_tenant);
        found.extend(dispatch.scans_due(&tenants, per_tenant).await?);
        Ok(found)
    }

    /// Claims a scan, if it is there to be run and nobody was quicker.
    async fn claimed(&self, scan: Uuid, slot: OwnedSemaphorePermit) -> Result<Option<Claimed>, StoreError> {
        let Some(tenant) = self.tenants.dispatch.tenant_of(scan).await? else { return Ok(None) };
        if self.stop.is_pulled() {
            return Ok(None);
        }
        let scanner = Scanner { store: self.tenants.store(tenant), tenant, ..self.scanner.clone() };
        let Some(claim) = scanner.claim(scan).await? else { return Ok(None) };
        let under_way = UnderWay::begin(&self.under_way, scan, tenant);
        Ok(Some(Claimed { scanner, claim, _under_way: under_way, _slot: slot }))
    }

    /// Whatever has not stopped goes back to the queue; who still writes for it is fenced out.
    async fn give_back(&self) {
        let tenants: BTreeSet<_> = lock(&self.under_way).values().copied().collect();
        let owner = &self.scanner.owner;
        let giving =
            tenants.into_iter().map(async |tenant| self.tenants.store(tenant).give_back(owner).await);
        match tokio::time::timeout(AT_LAST, join_all(giving)).await {
            Ok(given) => tracing::warn!(scans = given.iter().flatten().sum::<u64>(), "gave back"),
            // Their leases run out.
            Err(_) => tracing::warn!("database is away"),
        }
    }
}

/// A scan that is ours, and its slot.
struct Claimed {
    scanner: Scanner,
    claim: Claim,
    _under_way: UnderWay,
    _slot: OwnedSemaphorePermit,
}

impl Claimed {
    async fn run(self) {
        if self.scanner.run_claimed(&self.claim).await.is_err() {
            // Its lease runs out, and whoever takes it up then goes on from the last page.
            tracing::warn!(scan = %self.claim.scan, "database is away");
        }
    }
}

/// The scans that are under way, and whose they are.
type AllUnderWay = Arc<Mutex<BTreeMap<Uuid, Uuid>>>;

/// A scan that is, for as long as this is held.
struct UnderWay {
    all: AllUnderWay,
    scan: Uuid,
}

impl UnderWay {
    fn begin(all: &AllUnderWay, scan: Uuid, tenant: Uuid) -> Self {
        lock(all).insert(scan, tenant);
        Self { all: all.clone(), scan }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.scan);
    }
}

fn lock(all: &AllUnderWay) -> MutexGuard<'_, BTreeMap<Uuid, Uuid>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}
