//! A scheduler: opens scans when they are due and rings for them, fairly. Any number may run; one of them leads, and
//! another takes over within seconds. What it remembers are hints: whoever takes over begins with none.

use super::bells::{Bells, MOST};
use super::schedule::Schedule;
use super::watch::StopCord;
use crate::clock::Clock;
use crate::failpoint::failpoint;
use crate::metrics;
use crate::store::{Due, Firing, Planned, State, Store, StoreError, Tenants, random_id};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What only one process does.
const JOB: &str = "schedule";
/// How long the lead is kept without a word; another takes over when it has run out.
const LEAD: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(500);
/// While the database is away, or another process leads.
const BACK_OFF: Duration = Duration::from_secs(2);
/// Tenants whose schedules are fired in a tick, and schedules of each at a time.
const TENANTS_A_TICK: i64 = 200;
const SCHEDULES_AT_A_TIME: i64 = 500;
/// Tenants whose schedules are fired at a time; each is two commits.
const SIDE_BY_SIDE: usize = 4;
/// Tenants that are rung for in a tick.
const RUNG_A_TICK: i64 = 500;
/// How often it is counted how scans stand.
const COUNTED_EVERY: Duration = Duration::from_secs(15);
/// A bell that was not answered for so long is rung again, although nothing says that it was lost.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// How long it may take to leave the lead to others.
const FAREWELL: Duration = Duration::from_secs(2);

pub struct Scheduler {
    pub tenants: Arc<Tenants>,
    pub bells: Arc<dyn Bells>,
    pub clock: Clock,
    /// Who leads: unique per process.
    pub owner: String,
    /// Scans of one tenant at a time.
    pub per_tenant: i64,
    pub stop: StopCord,
    /// The scans that were rung for, by which claim of them, and when.
    rung: HashMap<Uuid, (i64, Instant)>,
    /// Claims whose lease ran out, each counted once.
    lapsed: HashSet<(Uuid, i64)>,
    /// The tenant that was rung for last.
    after: Uuid,
    leads: bool,
    bells_are_away: bool,
    /// When it was last counted how scans stand.
    counted_at: Option<Instant>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// What a tick came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    pub fired: u64,
    pub rung: usize,
}

impl Scheduler {
    pub fn new(
        tenants: Arc<Tenants>,
        bells: Arc<dyn Bells>,
        clock: Clock,
        owner: String,
        per_tenant: i64,
        stop: StopCord,
    ) -> Self {
        Self {
            tenants,
            bells,
            clock,
            owner,
            per_tenant,
            stop,
            rung: HashMap::new(),
            lapsed: HashSet::new(),
            after: Uuid::nil(),
            leads: false,
            bells_are_away: false,
            counted_at: None,
        }
    }

    /// Ticks until the cord is pulled.
    pub async fn run(mut self) {
        let mut pause = Duration::ZERO;
        let stop = self.stop.clone();
        while self.may_go_on_after(pause).await {
            // What a tick that is let go has not committed, the next one does.
            let ticked = tokio::select! {
                biased;
                () = stop.pulled() => break,
                ticked = self.tick_if_leading() => ticked,
            };
            pause = match ticked {
                Ok(Some(_)) => TICK,
                Ok(None) => BACK_OFF,
                Err(_) => {
                    tracing::warn!("database is away");
                    self.follows();
                    BACK_OFF
                }
            };
        }
        // Without a database the lead runs out by itself.
        let resigning = self.tenants.dispatch.resign(JOB, &self.owner);
        let _ = tokio::time::timeout(FAREWELL, resigning).await;
    }

    /// Another process leads, or none can: what this one counted is no longer so.
    fn follows(&mut self) {
        if std::mem::take(&mut self.leads) {
            metrics::scans(&still_to_be_done(&BTreeMap::new()));
            metrics::oldest_due(Duration::ZERO);
        }
        metrics::leading(false);
    }

    async fn may_go_on_after(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.pulled() => false,
            () = self.clock.sleep(pause) => true,
        }
    }

    async fn tick_if_leading(&mut self) -> Result<Option<Ticked>, StoreError> {
        let leads = self.tenants.dispatch.lead(JOB, &self.owner, LEAD).await?;
        if !leads {
            self.follows();
            return Ok(None);
        }
        if !self.leads {
            tracing::info!("leads");
            self.rung.clear();
            self.lapsed.clear();
            self.leads = true;
        }
        metrics::leading(true);
        let began = Instant::now();
        let ticked = self.tick().await?;
        metrics::ticked(began.elapsed());
        self.count_now_and_then().await?;
        Ok(Some(ticked))
    }

    /// How scans stand, for who looks on.
    async fn count_now_and_then(&mut self) -> Result<(), StoreError> {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNTED_EVERY) {
            return Ok(());
        }
        self.counted_at = Some(Instant::now());
        let standing = self.tenants.dispatch.standing().await?;
        metrics::scans(&still_to_be_done(&standing.by_state));
        let waited = standing.oldest_due.map(|oldest| standing.now - oldest);
        metrics::oldest_due(waited.and_then(|it| it.to_std().ok()).unwrap_or_default());
        Ok(())
    }

    /// One round: opens what is due, then rings. Whether this process leads is for who calls to know.
    pub async fn tick(&mut self) -> Result<Ticked, StoreError> {
        let fired = self.fire().await?;
        if fired > 0 {
            failpoint!("opened");
        }
        let rung = self.ring().await?;
        Ok(Ticked { fired, rung })
    }

    /// Opens a scan for every connection whose time has come. A time that was missed, or many, come to one scan.
    async fn fire(&mut self) -> Result<u64, StoreError> {
        let tenants = self.tenants.dispatch.tenants_due(TENANTS_A_TICK).await?;
        let firing = tenants.into_iter().map(async |tenant| {
            // One tenant's rows may be locked; the others are not to wait for that.
            fire_for(&*self.tenants.store(tenant)).await.unwrap_or_else(|_| {
                tracing::warn!(%tenant, "database is away");
                0
            })
        });
        let fired: u64 = futures::stream::iter(firing)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect::<Vec<_>>()
            .await
            .iter()
            .sum();
        if fired > 0 {
            tracing::debug!(scans = fired, "fired");
        }
        metrics::fired(fired);
        Ok(fired)
    }

    /// Rings for scans that are due, the first of every tenant before the second of any.
    async fn ring(&mut self) -> Result<usize, StoreError> {
        let mut due = self.tenants.dispatch.lapsed(RUNG_A_TICK).await?;
        self.notice(&due);
        // Where bells are away, workers look.
        let Some(outstanding) = self.outstanding().await else { return Ok(0) };
        if outstanding == 0 {
            // All were taken, or all were lost; a second bell for what was taken does no harm.
            self.rung.clear();
        }
        self.rung.retain(|_, (_, at)| at.elapsed() < FORGOTTEN);
        let room = MOST.saturating_sub(outstanding);
        if room == 0 {
            return Ok(0);
        }
        due.retain(|due| self.is_news(due));
        let in_turn = self.due_in_turn().await?;
        due.extend(in_turn.into_iter().filter(|due| self.is_news(due)));
        due.truncate(room);
        let ids: Vec<_> = due.iter().map(|due| due.id).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let rung = self.bells.ring(&ids).await.unwrap_or(0);
        failpoint!("rung");
        self.rung.extend(due.iter().take(rung).map(|due| (due.id, (due.epoch, Instant::now()))));
        Ok(rung)
    }

    /// Counts claims whose lease ran out.
    fn notice(&mut self, lapsed: &[Due]) {
        let known =
            std::mem::replace(&mut self.lapsed, lapsed.iter().map(|due| (due.id, due.epoch)).collect());
        for (scan, epoch) in self.lapsed.difference(&known) {
            tracing::warn!(%scan, epoch, "lease ran out");
            metrics::leases_expired(1);
        }
    }

    /// Whether nobody was rung for this claim of it.
    fn is_news(&self, due: &Due) -> bool {
        self.rung.get(&due.id).is_none_or(|(epoch, _)| *epoch != due.epoch)
    }

    /// How many bells were not taken yet; `None` where there are none to be had.
    async fn outstanding(&mut self) -> Option<usize> {
        let outstanding = self.bells.outstanding().await.ok();
        match (outstanding.is_none(), self.bells_are_away) {
            (true, false) => tracing::warn!("bells are away"),
            (false, true) => tracing::info!("bells are back"),
            _ => {}
        }
        self.bells_are_away = outstanding.is_none();
        metrics::bells_outstanding(outstanding.unwrap_or(0) as u64);
        outstanding
    }

    /// What is due of the tenants whose turn it is.
    async fn due_in_turn(&mut self) -> Result<Vec<Due>, StoreError> {
        let dispatch = &self.tenants.dispatch;
        let tenants = dispatch.tenants_waiting(self.after, RUNG_A_TICK).await?;
        // Fewer than asked for: those were the last, and the next turn is the first one's.
        let all = (tenants.len() as i64) < RUNG_A_TICK;
        self.after = tenants.last().copied().filter(|_| !all).unwrap_or_default();
        dispatch.scans_due(&tenants, self.per_tenant).await
    }
}

/// How many scans stand in each state that is not the last.
fn still_to_be_done(by_state: &BTreeMap<State, u64>) -> Vec<(State, u64)> {
    let states = State::ALL.iter().filter(|state| !state.is_over());
    states.map(|state| (*state, by_state.get(state).copied().unwrap_or(0))).collect()
}

async fn fire_for(store: &dyn Store) -> Result<u64, StoreError> {
    // By the database's clock: one that goes wrong here makes nothing early, late or twice.
    let (due, now) = store.due(SCHEDULES_AT_A_TIME).await?;
    let firings: Vec<_> = due.iter().filter_map(|planned| firing(planned, now)).collect();
    store.fire(&firings).await
}

/// The next time after this one. A schedule that cannot be read is not fired again before somebody mends it.
fn firing(planned: &Planned, now: DateTime<Utc>) -> Option<Firing> {
    let jitter = planned.jitter_s.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    let schedule = Schedule::parse(&planned.spec, &planned.zone, jitter).ok();
    if schedule.is_none() {
        tracing::error!(connection = %planned.connection_id, "a schedule cannot be read");
    }
    let next_at = schedule.and_then(|schedule| schedule.next_after(now, planned.connection_id));
    let scan = random_id(&mut rand::rng());
    Some(Firing { connection: planned.connection_id, scan, due_at: planned.next_at?, next_at })
}
