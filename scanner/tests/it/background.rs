//! What the store promises to scans in the background, on both engines; and a worker and a scheduler at work.

use crate::support::bench::Bench;
use crate::support::clock::TestClock;
use crate::support::engines::{self, Database, TENANT};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use twinflow::clock::{Clock, Time as _};
use twinflow::scan::bells::{Bells, MemoryBells, NoBells};
use twinflow::scan::scheduler::Scheduler;
use twinflow::scan::watch::StopCord;
use twinflow::scan::worker::Worker;
use twinflow::scan::{Background, Scanner};
use twinflow::store::{
    Asked, Claim, Claiming, Connection, Doing, ErrorClass, Firing, Kept, Outcome, Planned, Rank, State,
    Store, StoreError, Tenants, WantedScans, Whom,
};
use twinflow_connectors::{Activity, Cursor, Event, Opaque, Stream};
use twinflow_fixtures::stands;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);
/// Long enough to tell before from after, on a server whose clock nobody moves.
const MOMENT: TimeDelta = TimeDelta::milliseconds(300);

struct World {
    clock: TestClock,
    database: Database,
    on_server: bool,
}

impl World {
    async fn sqlite() -> Self {
        let clock = TestClock::new();
        Self { database: engines::sqlite(&clock).await, clock, on_server: false }
    }

    async fn postgres() -> Self {
        Self { database: engines::postgres().await, clock: TestClock::new(), on_server: true }
    }

    fn store(&self) -> &dyn Store {
        &*self.database.store
    }

    async fn tenants(&self) -> Tenants {
        self.database.tenants(&self.clock).await
    }

    /// By the clock that the engine goes by.
    fn now(&self) -> DateTime<Utc> {
        if self.on_server { Clock::system().now() } else { self.clock.now() }
    }

    async fn pass(&self, time: TimeDelta) {
        self.clock.forward(time);
        if self.on_server {
            tokio::time::sleep(time.to_std().unwrap()).await;
        }
    }

    async fn connected(&self, name: &str) -> Uuid {
        let connection = connection(name);
        let stream = Stream { name: "stream".into() };
        self.store().add_connection(&connection, &sealed(), &[stream]).await.unwrap();
        connection.id
    }

    async fn opened(&self, connection: Uuid) -> Uuid {
        self.store().open_scan(connection, Uuid::new_v4()).await.unwrap()
    }

    async fn claim(&self, scan: Uuid) -> Option<Claim> {
        self.store().claim(scan, &Claiming { crashes: Some(3), ..Claiming::new("w", LEASE) }).await.unwrap()
    }

    async fn claimed(&self) -> Claim {
        let scan = self.opened(self.connected("github").await).await;
        self.claim(scan).await.expect("it is due")
    }

    async fn state(&self, scan: Uuid) -> State {
        self.store().scan(scan).await.unwrap().unwrap().state
    }

    /// What a worker leaves behind that was killed.
    async fn worker_dies(&self) {
        self.store().expire_leases().await.unwrap();
    }

    /// Fires what is due, each next in an hour; how many fired.
    async fn fire(&self) -> u64 {
        let (due, now) = self.store().due(100).await.unwrap();
        let firing = |it: Planned| Firing {
            connection: it.connection_id,
            scan: Uuid::new_v4(),
            due_at: it.next_at.unwrap(),
            next_at: Some(now + TimeDelta::hours(1)),
        };
        self.store().fire(&due.into_iter().map(firing).collect::<Vec<_>>()).await.unwrap()
    }
}

fn sealed() -> Vec<u8> {
    std::iter::once(1).chain(std::iter::repeat_n(0, 99)).collect()
}

fn connection(name: &str) -> Connection {
    Connection {
        id: Uuid::new_v4(),
        name: name.to_owned(),
        tool: "github".into(),
        base_url: "https://api.github.com".into(),
        account_id: "1".into(),
        account_name: "somebody".into(),
        created_at: DateTime::UNIX_EPOCH,
        pseudonymise: Whom::Nobody,
        paused: None,
        disconnected_at: None,
    }
}

fn event(nth: u32) -> Event {
    Event {
        case: Opaque::new("1").unwrap(),
        activity: Activity::Created,
        resource: None,
        at: DateTime::UNIX_EPOCH,
        from: None,
        to: None,
        source: Opaque::new(nth.to_string()).unwrap(),
        turn: 0,
    }
}

fn ended(state: State) -> Outcome {
    Outcome { state, reasons: vec![], until: None, error: None }
}

async fn keep_a_page(store: &dyn Store, claim: &Claim) -> Result<u64, StoreError> {
    keep(store, claim, &[]).await
}

async fn keep(store: &dyn Store, claim: &Claim, events: &[Event]) -> Result<u64, StoreError> {
    let (cursor, asked, skipped, doing) =
        (Cursor::default(), Asked::default(), BTreeMap::new(), Doing::default());
    let page = Kept {
        stream: "stream",
        cursor: &cursor,
        read_at: DateTime::UNIX_EPOCH,
        cases: &[],
        events,
        revised: &[],
        withdrawn: &[],
        names: &[],
        asked: &asked,
        waited: Duration::ZERO,
        skipped: &skipped,
        doing: &doing,
    };
    store.keep(claim, &page).await
}

macro_rules! both_engines_promise {
    ($($promise:ident,)+) => {
        mod sqlite {
            $(#[tokio::test] async fn $promise() { super::$promise(super::World::sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $promise() { super::$promise(super::World::postgres().await).await; })+
        }
    };
}

both_engines_promise! {
    a_scan_that_waits_is_taken_up_when_it_is_due_and_not_before,
    a_scan_that_ends_its_worker_three_times_is_quarantined_and_holds_its_connection,
    what_is_new_lets_crashes_be_forgotten_and_what_was_known_does_not,
    a_panic_counts_as_a_crash_and_the_third_quarantines,
    who_is_cancelled_writes_nothing_more,
    a_connection_that_rests_is_fenced_and_goes_on_when_it_wakes,
    times_that_were_missed_come_to_one_scan,
    two_who_fire_at_once_open_one_scan,
    what_is_under_way_is_not_opened_again_by_its_schedule,
    a_connection_that_waits_for_a_person_is_not_opened_by_its_schedule,
    a_connection_that_is_over_is_never_due_and_its_scans_are_over_too,
    who_has_nothing_due_yet_is_not_among_the_tenants_to_look_at,
    a_person_goes_before_the_schedule_and_that_before_a_backfill,
    a_backfill_runs_beside_a_scan_of_its_connection,
    no_tenant_runs_more_than_its_share,
    many_who_claim_at_once_keep_to_the_share,
    a_pause_that_a_tool_asked_for_outlives_a_rest,
    what_is_given_back_is_due_at_once_and_its_worker_is_fenced_out,
    one_leads_until_it_resigns_or_its_time_is_up,
    scans_are_shown_page_by_page_and_by_state_and_error,
    how_scans_stand_is_counted_and_the_oldest_that_is_due_is_known,
}

async fn a_scan_that_waits_is_taken_up_when_it_is_due_and_not_before(world: World) {
    let claim = world.claimed().await;
    let until = Some(world.now() + MOMENT);
    let waits = Outcome { until, error: Some(ErrorClass::Quota), ..ended(State::Waiting) };
    world.store().settle(&claim, &waits).await.unwrap();
    assert_eq!(world.claim(claim.scan).await, None);
    let anyway = Claiming { anyway: true, ..Claiming::new("w", LEASE) };
    let early = world.store().claim(claim.scan, &anyway).await.unwrap().expect("a person may");
    assert_eq!(early.tries, 0, "a tool's pause is no failed try");
    world.store().settle(&early, &Outcome { error: Some(ErrorClass::Unavailable), ..waits }).await.unwrap();
    world.pass(MOMENT * 2).await;
    assert_eq!(world.claim(claim.scan).await.expect("it is due").tries, 1);
}

async fn a_scan_that_ends_its_worker_three_times_is_quarantined_and_holds_its_connection(world: World) {
    let connection = world.connected("github").await;
    let scan = world.opened(connection).await;
    for _ in 0..3 {
        world.claim(scan).await.expect("it may be tried");
        world.worker_dies().await;
    }
    assert_eq!(world.claim(scan).await, None);
    let row = world.store().scan(scan).await.unwrap().unwrap();
    assert_eq!((row.state, row.error, row.crashes), (State::Quarantined, Some(ErrorClass::Crash), 3));
    assert!(row.reasons[0].contains("scans retry"), "{:?}", row.reasons);
    // Neither its schedule nor a person's scan begins another that would go the same way.
    world.fire().await;
    assert_eq!(world.opened(connection).await, scan);
    assert!(world.store().release(scan).await.unwrap());
    assert!(world.claim(scan).await.is_some(), "who lets it go has looked into it");
}

async fn what_is_new_lets_crashes_be_forgotten_and_what_was_known_does_not(world: World) {
    let scan = world.opened(world.connected("github").await).await;
    for nth in 0..5 {
        let claim = world.claim(scan).await.expect("it gets further each time");
        keep(world.store(), &claim, &[event(nth)]).await.unwrap();
        world.worker_dies().await;
    }
    // Another stream's page, read again and again, would hide the one that ends its workers.
    for expected in [true, true, false] {
        let claim = world.claim(scan).await;
        assert_eq!(claim.is_some(), expected);
        if let Some(claim) = claim {
            keep(world.store(), &claim, &[event(0)]).await.unwrap();
            world.worker_dies().await;
        }
    }
    assert_eq!(world.state(scan).await, State::Quarantined);
}

async fn a_panic_counts_as_a_crash_and_the_third_quarantines(world: World) {
    let scan = world.opened(world.connected("github").await).await;
    for expected in [State::Waiting, State::Waiting, State::Quarantined] {
        let claim = world.claim(scan).await.expect("it is due");
        assert_eq!(world.store().crashed(&claim, TimeDelta::zero(), Some(3)).await.unwrap(), expected);
    }
    assert_eq!(world.state(scan).await, State::Quarantined);
}

async fn who_is_cancelled_writes_nothing_more(world: World) {
    let claim = world.claimed().await;
    assert!(world.store().cancel(claim.scan).await.unwrap());
    assert_eq!(keep_a_page(world.store(), &claim).await, Err(StoreError::Fenced));
    assert_eq!(world.store().settle(&claim, &ended(State::Complete)).await, Err(StoreError::Fenced));
    assert_eq!(world.state(claim.scan).await, State::Cancelled);
    assert!(!world.store().cancel(claim.scan).await.unwrap(), "it is over");
    assert_ne!(world.opened(claim.connection).await, claim.scan);
}

async fn a_connection_that_rests_is_fenced_and_goes_on_when_it_wakes(world: World) {
    let claim = world.claimed().await;
    assert!(world.store().rest(claim.connection).await.unwrap());
    assert!(!world.store().rest(claim.connection).await.unwrap(), "it rests already");
    assert_eq!(keep_a_page(world.store(), &claim).await, Err(StoreError::Fenced));
    assert_eq!((world.state(claim.scan).await, world.fire().await), (State::Waiting, 0));
    assert_eq!(world.claim(claim.scan).await, None);
    assert!(world.store().wake(claim.connection).await.unwrap());
    assert!(world.claim(claim.scan).await.is_some());
}

async fn times_that_were_missed_come_to_one_scan(world: World) {
    let connection = world.connected("github").await;
    // Due since for ever.
    let mut plan = world.store().planned().await.unwrap().remove(0);
    plan.next_at = Some(DateTime::UNIX_EPOCH);
    assert!(world.store().plan(&plan).await.unwrap());
    assert_eq!((world.fire().await, world.fire().await), (1, 0));
    let scans = world.store().scans(&WantedScans::newest(10)).await.unwrap();
    assert_eq!(scans.len(), 1);
    assert_eq!((scans[0].connection_id, scans[0].rank), (connection, Rank::Schedule));
}

async fn two_who_fire_at_once_open_one_scan(world: World) {
    world.connected("github").await;
    let fired: u64 = join_all((0..8).map(async |_| world.fire().await)).await.into_iter().sum();
    assert_eq!(fired, 1);
    assert_eq!(world.store().scans(&WantedScans::newest(10)).await.unwrap().len(), 1);
}

async fn what_is_under_way_is_not_opened_again_by_its_schedule(world: World) {
    let claim = world.claimed().await;
    assert_eq!(world.fire().await, 1, "its time moves on all the same");
    assert_eq!(world.store().scans(&WantedScans::newest(10)).await.unwrap().len(), 1);
    world.store().settle(&claim, &ended(State::Complete)).await.unwrap();
}

async fn a_connection_that_waits_for_a_person_is_not_opened_by_its_schedule(world: World) {
    let connection = world.connected("github").await;
    assert!(world.store().pause(connection, "w", &sealed(), "see to it").await.unwrap());
    assert_eq!(world.fire().await, 1, "its time moves on");
    assert!(world.store().scans(&WantedScans::newest(10)).await.unwrap().is_empty());
}

async fn a_connection_that_is_over_is_never_due_and_its_scans_are_over_too(world: World) {
    let dispatch = world.tenants().await.dispatch;
    let claim = world.claimed().await;
    let until = Some(world.now());
    world.store().settle(&claim, &Outcome { until, ..ended(State::Waiting) }).await.unwrap();
    assert_eq!(dispatch.tenants_due(10).await.unwrap(), [TENANT]);
    assert_eq!(world.store().fence(claim.connection).await.unwrap(), 1);
    assert!(dispatch.tenants_due(10).await.unwrap().is_empty(), "it would stand in the way of others");
    assert_eq!((world.fire().await, world.state(claim.scan).await), (0, State::Failed));
}

async fn who_has_nothing_due_yet_is_not_among_the_tenants_to_look_at(world: World) {
    let claim = world.claimed().await;
    let dispatch = world.tenants().await.dispatch;
    let until = Some(world.now() + TimeDelta::hours(1));
    world.store().settle(&claim, &Outcome { until, ..ended(State::Waiting) }).await.unwrap();
    assert!(dispatch.tenants_waiting(Uuid::nil(), 10).await.unwrap().is_empty());
    assert!(world.store().release(claim.scan).await.unwrap());
    assert_eq!(dispatch.tenants_waiting(Uuid::nil(), 10).await.unwrap(), [TENANT]);
}

async fn a_person_goes_before_the_schedule_and_that_before_a_backfill(world: World) {
    let tenants = world.tenants().await;
    let [by_person, by_schedule] = [world.connected("a").await, world.connected("b").await];
    let since = twinflow::store::Backfill { since: DateTime::UNIX_EPOCH, upto: None };
    let backfill = world.store().open_backfill(by_person, Uuid::new_v4(), since).await.unwrap();
    world.fire().await;
    let asked_for = world.opened(by_person).await;
    let scheduled = world.store().last_scan(by_schedule).await.unwrap().unwrap().id;
    let due = tenants.dispatch.scans_due(&[TENANT], 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), [asked_for, scheduled, backfill]);
}

async fn a_backfill_runs_beside_a_scan_of_its_connection(world: World) {
    let claim = world.claimed().await;
    let upto = Some(world.now());
    let since = twinflow::store::Backfill { since: DateTime::UNIX_EPOCH, upto };
    let backfill = world.store().open_backfill(claim.connection, Uuid::new_v4(), since).await.unwrap();
    let again = world.store().open_backfill(claim.connection, Uuid::new_v4(), since).await.unwrap();
    assert_eq!(again, backfill, "there is one at a time");
    let beside = world.claim(backfill).await.expect("it is due");
    assert_eq!(beside.backfill.map(|it| it.since), Some(DateTime::UNIX_EPOCH));
    keep_a_page(world.store(), &beside).await.unwrap();
    assert_eq!(world.store().backfilled(backfill, "stream").await.unwrap(), Some(Cursor::default()));
    keep_a_page(world.store(), &claim).await.unwrap();
}

async fn no_tenant_runs_more_than_its_share(world: World) {
    let tenants = world.tenants().await;
    let mut scans = vec![];
    for name in ["a", "b", "c"] {
        scans.push(world.opened(world.connected(name).await).await);
    }
    let two = Claiming { per_tenant: Some(2), ..Claiming::new("w", LEASE) };
    assert_eq!(tenants.dispatch.scans_due(&[TENANT], 2).await.unwrap().len(), 2);
    for scan in &scans[..2] {
        assert!(world.store().claim(*scan, &two).await.unwrap().is_some());
    }
    assert!(tenants.dispatch.scans_due(&[TENANT], 2).await.unwrap().is_empty());
    assert_eq!(world.store().claim(scans[2], &two).await.unwrap(), None);
    world.worker_dies().await;
    assert!(world.store().claim(scans[2], &two).await.unwrap().is_some(), "the dead take no place");
}

async fn many_who_claim_at_once_keep_to_the_share(world: World) {
    let mut scans = vec![];
    for nth in 0..8 {
        scans.push(world.opened(world.connected(&nth.to_string()).await).await);
    }
    let two = Claiming { per_tenant: Some(2), ..Claiming::new("w", LEASE) };
    let claims =
        join_all(scans.iter().map(async |scan| world.store().claim(*scan, &two).await.unwrap())).await;
    assert_eq!(claims.into_iter().flatten().count(), 2);
}

async fn a_pause_that_a_tool_asked_for_outlives_a_rest(world: World) {
    let claim = world.claimed().await;
    let until = Some(world.now() + TimeDelta::hours(1));
    let waits = Outcome { until, error: Some(ErrorClass::Quota), ..ended(State::Waiting) };
    world.store().settle(&claim, &waits).await.unwrap();
    world.store().rest(claim.connection).await.unwrap();
    world.store().wake(claim.connection).await.unwrap();
    assert_eq!((world.claim(claim.scan).await, world.state(claim.scan).await), (None, State::Waiting));
}

async fn what_is_given_back_is_due_at_once_and_its_worker_is_fenced_out(world: World) {
    let claim = world.claimed().await;
    assert_eq!(world.store().give_back("somebody else").await.unwrap(), 0);
    assert_eq!(world.store().give_back("w").await.unwrap(), 1);
    assert_eq!(keep_a_page(world.store(), &claim).await, Err(StoreError::Fenced));
    assert!(world.claim(claim.scan).await.is_some());
    assert_eq!(world.store().scan(claim.scan).await.unwrap().unwrap().crashes, 0, "that was no crash");
}

async fn one_leads_until_it_resigns_or_its_time_is_up(world: World) {
    let dispatch = world.tenants().await.dispatch;
    let lead = async |owner, lease| dispatch.lead("job", owner, lease).await.unwrap();
    let moment = MOMENT.to_std().unwrap();
    assert!(lead("a", LEASE).await && !lead("b", LEASE).await && lead("a", LEASE).await);
    assert!(dispatch.lead("another job", "b", LEASE).await.unwrap());
    dispatch.resign("job", "b").await.unwrap();
    assert!(!lead("b", LEASE).await, "nobody resigns for another");
    dispatch.resign("job", "a").await.unwrap();
    assert!(lead("b", moment).await && !lead("a", moment).await);
    world.pass(MOMENT * 2).await;
    assert!(lead("a", LEASE).await && !lead("b", LEASE).await);
}

async fn scans_are_shown_page_by_page_and_by_state_and_error(world: World) {
    let states = [State::Complete, State::Partial, State::Failed, State::SuspiciousEmpty, State::Failed];
    for (nth, state) in states.into_iter().enumerate() {
        let scan = world.opened(world.connected(&format!("c{nth}")).await).await;
        let claim = world.claim(scan).await.unwrap();
        let error = (state == State::Failed).then_some(ErrorClass::Unavailable);
        world.store().settle(&claim, &Outcome { error, ..ended(state) }).await.unwrap();
        world.pass(TimeDelta::milliseconds(2)).await;
    }
    let shown = async |wanted: WantedScans| world.store().scans(&wanted).await.unwrap();
    let all = shown(WantedScans::newest(100)).await;
    assert_eq!(all.iter().map(|scan| scan.state).rev().collect::<Vec<_>>(), states);
    let mut paged = vec![];
    while paged.len() < all.len() {
        let after = paged.last().map(|scan: &twinflow::store::Scan| (scan.created_at, scan.id));
        paged.extend(shown(WantedScans { after, ..WantedScans::newest(2) }).await);
    }
    assert_eq!(paged, all);
    let of = async |states: &[State], error| {
        shown(WantedScans { states: states.to_vec(), error, ..WantedScans::newest(100) }).await.len()
    };
    assert_eq!(of(&[State::Partial, State::SuspiciousEmpty], None).await, 2);
    assert_eq!(of(&[], Some(ErrorClass::Unavailable)).await, 2);
    assert_eq!(of(&[State::Complete], Some(ErrorClass::Unavailable)).await, 0);
    let since = Some(all[1].created_at);
    assert_eq!(shown(WantedScans { since, ..WantedScans::newest(100) }).await, all[..2]);
}

async fn how_scans_stand_is_counted_and_the_oldest_that_is_due_is_known(world: World) {
    let dispatch = world.tenants().await.dispatch;
    assert_eq!(dispatch.standing().await.unwrap().by_state, BTreeMap::new());
    let claim = world.claimed().await;
    let second = world.connected("second").await;
    let scan = world.opened(second).await;
    let due_at = world.store().scan(scan).await.unwrap().unwrap().due_at;
    let standing = dispatch.standing().await.unwrap();
    assert_eq!(standing.by_state, BTreeMap::from([(State::Queued, 1), (State::Running, 1)]));
    assert_eq!(standing.oldest_due, Some(due_at));
    assert_eq!(dispatch.tenant_of(scan).await.unwrap(), Some(TENANT));
    assert_eq!(dispatch.tenant_of(Uuid::new_v4()).await.unwrap(), None);
    world.store().settle(&claim, &ended(State::Complete)).await.unwrap();
    assert_eq!(dispatch.tenant_of(claim.scan).await.unwrap(), None, "it is over");
    world.worker_dies().await;
    assert!(dispatch.lapsed(10).await.unwrap().is_empty());
    world.claim(scan).await.unwrap();
    world.worker_dies().await;
    assert_eq!(dispatch.lapsed(10).await.unwrap().len(), 1);
}

// --- A worker and a scheduler at work ---

/// A bench whose tool is scanned in the background, by the machine's clock.
struct Works {
    bench: Bench,
    tenants: Arc<Tenants>,
    bells: Arc<dyn Bells>,
    stop: StopCord,
}

impl Works {
    async fn new(database: Database, bells: Arc<dyn Bells>) -> Self {
        let clock = TestClock::new();
        let stand = stands(&crate::support::bench::story(60, &clock))
            .into_iter()
            .find(|it| it.tool == "jira")
            .unwrap();
        let bench = Bench::of(clock.clone(), database, stand).await;
        let tenants = Arc::new(bench.database.tenants(&clock).await);
        Self { bench, tenants, bells, stop: StopCord::default() }
    }

    fn worker(&self, look: Duration) -> Arc<Worker> {
        let scanner = Scanner {
            clock: Clock::system(),
            stop: self.stop.clone(),
            background: Some(Background { per_tenant: 4, crashes: 3 }),
            ..self.bench.scanner.clone()
        };
        Worker::new(self.tenants.clone(), self.bells.clone(), scanner, 2, look)
    }

    fn scheduler(&self) -> Scheduler {
        let (tenants, bells) = (self.tenants.clone(), self.bells.clone());
        Scheduler::new(tenants, bells, Clock::system(), "scheduler".into(), 4, self.stop.clone())
    }

    async fn last(&self) -> Option<twinflow::store::Scan> {
        self.bench.store().last_scan(self.bench.connection.id).await.unwrap()
    }

    /// Until the last scan stands like this.
    async fn until(&self, state: State) {
        let stands = async {
            while self.last().await.is_none_or(|scan| scan.state != state) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), stands).await;
        assert!(waited.is_ok(), "not {state:?} but {:?}", self.last().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scheduler_rings_for_a_worker_runs_to_its_end() {
    for database in [engines::sqlite(&TestClock::new()).await, engines::postgres().await] {
        let works = Works::new(database, Arc::new(MemoryBells::default())).await;
        // It would look once in an hour, and once at the start: there is nothing to be seen then.
        let worker = tokio::spawn(works.worker(Duration::from_secs(3600)).run());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let ticked = works.scheduler().tick().await.unwrap();
        assert_eq!((ticked.fired, ticked.rung), (1, 1));
        works.until(State::Complete).await;
        works.stop.pull();
        worker.await.unwrap();
        assert_eq!(works.bench.log().await, works.bench.facts());
        assert_eq!(works.last().await.unwrap().rank, Rank::Schedule);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_finds_by_itself_what_nobody_rang_for() {
    for database in [engines::sqlite(&TestClock::new()).await, engines::postgres().await] {
        let works = Works::new(database, Arc::new(NoBells)).await;
        works.bench.store().open_scan(works.bench.connection.id, Uuid::new_v4()).await.unwrap();
        let worker = tokio::spawn(works.worker(Duration::from_millis(50)).run());
        works.until(State::Complete).await;
        works.stop.pull();
        worker.await.unwrap();
        assert_eq!(works.bench.log().await, works.bench.facts());
    }
}

#[tokio::test]
async fn who_runs_fewer_goes_first_and_then_who_was_named_first() {
    let database = engines::postgres().await;
    let tenants = database.tenants(&TestClock::new()).await;
    let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
    for tenant in [a, b, c] {
        let store = tenants.store(tenant);
        for nth in 0..3 {
            let connection = connection(&nth.to_string());
            store.add_connection(&connection, &sealed(), &[]).await.unwrap();
            let scan = store.open_scan(connection.id, Uuid::new_v4()).await.unwrap();
            // The first tenant runs one already.
            if (tenant, nth) == (a, 0) {
                store.claim(scan, &Claiming::new("w", LEASE)).await.unwrap().unwrap();
            }
        }
    }
    let due = tenants.dispatch.scans_due(&[a, c, b], 4).await.unwrap();
    let order: Vec<_> = due.iter().map(|due| due.tenant_id).collect();
    assert_eq!(order, [c, b, a, c, b, a, c, b]);
}

/// A tenant that can be given none of what is found stands in nobody's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_runs_its_share_does_not_keep_a_look_from_others() {
    let works = Works::new(engines::postgres().await, Arc::new(NoBells)).await;
    let Works { bench, tenants, .. } = &works;
    // It runs as many as it may, and two more lost their workers.
    let other = tenants.store(Uuid::from_u128(1));
    for nth in 0..6 {
        let connection = connection(&nth.to_string());
        other.add_connection(&connection, &sealed(), &[]).await.unwrap();
        let scan = other.open_scan(connection.id, Uuid::new_v4()).await.unwrap();
        let lease = if nth < 4 { LEASE } else { Duration::ZERO };
        other.claim(scan, &Claiming::new("elsewhere", lease)).await.unwrap().unwrap();
    }
    bench.store().open_scan(bench.connection.id, Uuid::new_v4()).await.unwrap();
    let worker = tokio::spawn(works.worker(Duration::from_millis(100)).run());
    works.until(State::Complete).await;
    works.stop.pull();
    worker.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_told_to_stop_gives_its_scan_back_at_once() {
    let works = Works::new(engines::postgres().await, Arc::new(NoBells)).await;
    works.bench.tool.latency(Duration::from_secs(9));
    works.bench.store().open_scan(works.bench.connection.id, Uuid::new_v4()).await.unwrap();
    let worker = tokio::spawn(works.worker(Duration::from_millis(50)).run());
    works.until(State::Running).await;
    works.stop.pull();
    tokio::time::timeout(Duration::from_secs(5), worker)
        .await
        .expect("it does not wait for the tool")
        .unwrap();
    assert_eq!(works.last().await.unwrap().state, State::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_scan_stops_wherever_it_runs() {
    let works = Works::new(engines::postgres().await, Arc::new(NoBells)).await;
    works.bench.tool.latency(Duration::from_secs(9));
    let scan = works.bench.store().open_scan(works.bench.connection.id, Uuid::new_v4()).await.unwrap();
    let worker = tokio::spawn(works.worker(Duration::from_millis(50)).run());
    works.until(State::Running).await;
    assert!(works.bench.store().cancel(scan).await.unwrap());
    // The next one gets the slot only when the cancelled one has left it; both slots are taken otherwise.
    works.bench.tool.latency(Duration::ZERO);
    works.bench.store().open_scan(works.bench.connection.id, Uuid::new_v4()).await.unwrap();
    works.until(State::Complete).await;
    works.stop.pull();
    worker.await.unwrap();
    assert_eq!(works.bench.store().scan(scan).await.unwrap().unwrap().state, State::Cancelled);
}
