//! What both engines promise, held to one suite: each promise is written once and run on each.
//! [`file`] holds what only a database in a file can get wrong, [`server`] what only a server can.

use crate::support::clock::TestClock;
use crate::support::engines::{self, Database};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use futures::future::join_all;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use twinflow::store::{
    Amount, Asked, Claim, Claiming, Connection, Doing, ErrorClass, FollowedStream, Kept, LoggedEvent,
    Outcome, Purged, Scan, State, Store, StoreError, Wanted, WantedScans, event_id,
};
use twinflow_connectors::{
    Activity, Case, Cursor, Event, Kind, Name, Named, Opaque, Pending, Place, Stage, Stream, Sweep, Window,
};
use uuid::Uuid;

/// An engine, and the time it goes by.
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

    /// A server's leases go by its own clock.
    async fn pass(&self, time: Duration) {
        self.clock.forward(TimeDelta::from_std(time).unwrap());
        if self.on_server {
            tokio::time::sleep(time).await;
        }
    }

    /// With one stream, `stream`.
    async fn connected(&self, name: &str) -> Connection {
        let connection = connection(name);
        self.store().add_connection(&connection, &sealed(1, 0), &[stream("stream")]).await.unwrap();
        connection
    }

    async fn claimed(&self, connection: &Connection, lease: Duration) -> Claim {
        let scan = self.store().open_scan(connection.id, Uuid::new_v4()).await.unwrap();
        self.store().claim(scan, &Claiming::new("a test", lease)).await.unwrap().expect("nobody else has it")
    }

    async fn keep(&self, claim: &Claim, page: &Page) -> Result<u64, StoreError> {
        self.store().keep(claim, &page.kept()).await
    }

    async fn scan(&self, claim: &Claim) -> Scan {
        self.store().scan(claim.scan).await.unwrap().expect("the scan")
    }

    async fn log(&self) -> Vec<LoggedEvent> {
        self.store().events(&everything()).await.unwrap()
    }

    async fn followed(&self, connection: &Connection) -> FollowedStream {
        let mut streams = self.store().streams(connection.id).await.unwrap();
        assert_eq!(streams.len(), 1);
        streams.remove(0)
    }

    /// All that a page can change, to be compared.
    async fn picture(&self, claim: &Claim) -> String {
        let store = self.store();
        let cases = store.cases_with_events(claim.connection, "", i64::MAX).await.unwrap();
        let (streams, names) = (store.streams(claim.connection).await, store.names(claim.connection).await);
        format!("{:?} {cases:?} {streams:?} {names:?} {:?}", self.log().await, self.scan(claim).await)
    }
}

const LEASE: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Page {
    stream: String,
    cursor: Cursor,
    cases: Vec<Case>,
    events: Vec<Event>,
    names: Vec<Named>,
    asked: Asked,
    waited: Duration,
    doing: Doing,
}

impl Page {
    fn new() -> Self {
        Self { stream: "stream".into(), asked: asked(1), ..Self::default() }
    }

    /// One case with one event, and a place to go on from.
    fn of(case_id: &str) -> Self {
        Self {
            cursor: cursor(case_id),
            cases: vec![case(case_id)],
            events: vec![event(case_id, "1")],
            names: vec![named(Kind::Person, case_id, "Somebody", None)],
            ..Self::new()
        }
    }

    fn kept(&self) -> Kept<'_> {
        Kept {
            stream: &self.stream,
            cursor: &self.cursor,
            read_at: noon(),
            cases: &self.cases,
            events: &self.events,
            revised: &[],
            withdrawn: &[],
            names: &self.names,
            asked: &self.asked,
            waited: self.waited,
            skipped: &NOTHING,
            doing: &self.doing,
        }
    }
}

/// So many requests of one operation.
fn asked(requests: u64) -> Asked {
    Asked::from([("issues".to_owned(), Amount { requests, bytes: 100 })])
}

static NOTHING: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();

fn id(text: &str) -> Opaque {
    Opaque::new(text).unwrap_or_else(|| panic!("{text:?} is no id"))
}

fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn noon() -> DateTime<Utc> {
    time("2026-11-16T12:00:00Z")
}

fn stream(name: &str) -> Stream {
    Stream { name: name.into() }
}

fn connection(name: &str) -> Connection {
    Connection {
        id: Uuid::new_v4(),
        name: name.into(),
        tool: "github".into(),
        base_url: "https://api.github.com".into(),
        account_id: "7".into(),
        account_name: "octocat".into(),
        created_at: noon(),
        pseudonymise: Default::default(),
        paused: None,
        disconnected_at: None,
    }
}

/// Looks like a sealed credential, which is all that the store asks of it.
fn sealed(key: u8, body: u8) -> Vec<u8> {
    let mut bytes = vec![1, 1, key, key, key, key];
    bytes.resize(120, body);
    bytes
}

fn event(case: &str, source: &str) -> Event {
    Event {
        case: id(case),
        activity: Activity::StatusChanged,
        resource: Some(id("ann")),
        at: noon(),
        from: Some(id("open")),
        to: Some(id("closed")),
        source: id(&format!("{case}/{source}")),
        turn: 0,
    }
}

fn case(case_id: &str) -> Case {
    Case {
        id: id(case_id),
        key: id(&format!("acme/shop#{case_id}")),
        created_at: noon(),
        updated_at: noon(),
        status: Some(id("open")),
        assignee: None,
        priority: None,
    }
}

fn named(kind: Kind, whose: &str, name: &str, stage: Option<Stage>) -> Named {
    Named { kind, id: id(whose), name: Name::new(name), stage }
}

fn cursor(place: &str) -> Cursor {
    let sweep = Sweep::new(noon(), vec![window("since", Place::After(place.into()))], vec![]);
    Cursor { mark: Some(noon()), bookmark: None, sweep: Some(sweep) }
}

fn window(since: &str, page: Place) -> Window {
    Window { operation: "issues".into(), since: since.into(), until: None, page }
}

fn ended(state: State) -> Outcome {
    Outcome { state, reasons: vec![], until: None, error: None }
}

fn everything() -> Wanted {
    Wanted { limit: i64::MAX, ..Wanted::default() }
}

fn cases_of(events: &[LoggedEvent]) -> Vec<&str> {
    events.iter().map(|event| event.case.as_str()).collect()
}

/// An error may name what a person typed and a code, but neither statements nor rows.
#[track_caller]
fn says_no_sql(error: &StoreError) {
    let said = format!("{error} {error:?}").to_uppercase();
    for word in ["SELECT", "INSERT", "UPDATE ", "DELETE", "SQL", "RELATION", "CONSTRAINT", "TENANT_ID", "$1"]
    {
        assert!(!said.contains(word), "{word} in {said}");
    }
}

/// Makes `sqlite::it` and `postgres::it` of every promise. One that is not listed is dead code to the compiler.
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
    a_page_whose_last_statement_fails_is_not_kept_at_all,
    a_page_of_a_stream_that_is_not_followed_is_not_kept,
    a_page_given_up_on_half_way_is_kept_whole_or_not_at_all,
    a_page_kept_twice_is_stored_once_and_counted_once_as_new,
    a_happening_that_stands_twice_on_a_page_is_stored_once,
    an_empty_page_moves_the_cursor_and_nothing_else,
    twenty_thousand_events_fit_on_a_page,
    the_same_happening_of_another_connection_is_another_event,

    a_worker_whose_claim_was_taken_over_changes_nothing,
    a_worker_whose_scan_has_ended_changes_nothing,
    a_claim_of_a_scan_that_somebody_works_on_is_refused,
    a_claim_that_was_held_through_a_wait_is_not_given_to_another,
    a_page_holds_the_claim_for_another_lease,
    a_scan_whose_worker_is_gone_goes_to_the_next_with_a_higher_epoch,
    a_scan_whose_worker_is_known_to_be_dead_is_taken_over_at_once,
    a_connection_has_one_active_scan,
    of_many_scans_opened_at_once_there_is_one,
    a_scan_can_be_opened_while_others_end_theirs,
    of_many_claims_at_once_one_is_granted,
    a_scan_that_has_ended_is_not_claimed_again,
    a_scan_put_back_goes_on_from_the_page_it_kept,
    a_scan_that_is_not_there_is_not_claimed_and_not_found,

    a_cursor_comes_back_exactly_as_it_was_kept,
    what_an_older_reading_says_of_a_case_does_not_replace_the_newer,
    a_case_that_stands_twice_on_a_page_is_kept_as_it_stood_last,
    a_name_that_stands_twice_on_a_page_is_kept_as_it_stood_last,
    a_status_keeps_its_stage_once_it_is_known,
    a_thing_has_one_name_for_each_kind,

    a_name_belongs_to_one_connection,
    connections_are_listed_oldest_first,
    a_connection_comes_back_exactly_as_it_was_added,
    what_is_not_there_is_named_in_the_error,
    a_stream_knows_how_many_cases_came_from_it,
    scans_are_listed_newest_first_with_sums_over_their_streams,
    how_a_scan_ended_comes_back_word_for_word,

    paging_through_events_of_one_moment_visits_each_once,
    the_oldest_event_there_can_be_is_listed,
    events_are_found_by_the_id_and_by_the_key_of_their_case,
    events_are_found_by_connection,
    since_is_the_first_moment_and_until_is_the_first_no_more,
    cases_are_paged_through_in_the_order_of_their_ids,
    the_events_of_a_case_come_in_the_order_of_time_turn_and_id,
    times_come_back_to_the_microsecond_and_in_order,
    the_longest_ids_and_all_scripts_fit,
    hostile_text_is_text,

    a_refresh_is_one_processs_until_its_lease_ends,
    a_refresh_is_begun_neither_for_another_credential_nor_for_a_connection_that_waits_or_is_over,
    what_a_refresh_brings_is_kept_unless_a_person_gave_something_newer,
    a_connection_waits_for_a_person_only_while_its_credential_is_the_one_that_failed,
    a_disconnected_connections_worker_writes_nothing_more,
    a_disconnected_connection_comes_back_with_the_streams_it_is_given,
    a_purge_counts_what_it_deletes_and_leaves_other_connections_alone,

    a_credential_is_replaced_only_by_who_saw_the_last_one,
    credentials_are_counted_by_the_key_they_are_sealed_under,
    a_credential_that_was_not_sealed_is_refused,
    an_error_quotes_no_statement_and_no_row,
}

// --- Pages ---

async fn a_page_whose_last_statement_fails_is_not_kept_at_all(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let full = Page { asked: asked(i64::MAX as u64), ..Page::of("first") };
    assert_eq!(world.keep(&claim, &full).await, Ok(1));
    let before = world.picture(&claim).await;

    // One request more than the counter holds: the count comes last, after everything else was written.
    let error = world.keep(&claim, &Page::of("second")).await.unwrap_err();

    says_no_sql(&error);
    assert_eq!(world.picture(&claim).await, before);
    assert_eq!(world.keep(&claim, &Page { asked: asked(0), ..Page::of("second") }).await, Ok(1));
    assert_ne!(world.picture(&claim).await, before);
}

async fn a_page_of_a_stream_that_is_not_followed_is_not_kept(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let before = world.picture(&claim).await;

    // Its cursor has nowhere to stand, so keeping the rest would read the same page for ever.
    let error = world.keep(&claim, &Page { stream: "another".into(), ..Page::of("1") }).await.unwrap_err();

    says_no_sql(&error);
    assert_eq!(world.picture(&claim).await, before);
}

async fn a_page_given_up_on_half_way_is_kept_whole_or_not_at_all(world: World) {
    const PER_PAGE: usize = 200;
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    for page in 0..40_u64 {
        let name = format!("case-{page:02}");
        let events = (0..PER_PAGE).map(|n| event(&name, &n.to_string())).collect();
        let page = Page { events, cursor: cursor(&name), cases: vec![case(&name)], ..Page::new() };
        let patience = Duration::from_micros(200 * u64::try_from(page.cursor_number()).unwrap());
        let _given_up_or_not = tokio::time::timeout(patience, world.keep(&claim, &page)).await;
    }
    let last = Page::of("last");
    assert_eq!(world.keep(&claim, &last).await, Ok(1), "the store goes on");

    let cases = world.store().cases_with_events(connection.id, "case", 100).await.unwrap();
    let pages: Vec<_> = cases.iter().filter(|(case, _)| case.id != "last").collect();
    for (case, events) in &pages {
        assert_eq!(events.len(), PER_PAGE, "{}", case.id);
    }
    let scan = world.scan(&claim).await;
    assert_eq!(world.log().await.len(), pages.len() * PER_PAGE + 1);
    assert_eq!(scan.pages, pages.len() as i64 + 1);
    assert_eq!(scan.events_new, (pages.len() * PER_PAGE) as i64 + 1);
    assert_eq!(world.followed(&connection).await.cursor, last.cursor);
}

impl Page {
    fn cursor_number(&self) -> usize {
        self.cases.first().map_or(0, |case| case.id.as_str().trim_start_matches("case-").parse().unwrap_or(0))
    }
}

async fn a_page_kept_twice_is_stored_once_and_counted_once_as_new(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let page = Page { events: vec![event("1", "a"), event("1", "b")], ..Page::of("1") };
    assert_eq!(world.keep(&claim, &page).await, Ok(2));
    assert_eq!(world.keep(&claim, &page).await, Ok(0));

    // Some of it new.
    let more = Page { events: vec![event("1", "b"), event("1", "c")], ..page };
    assert_eq!(world.keep(&claim, &more).await, Ok(1));

    assert_eq!(world.log().await.len(), 3);
    let scan = world.scan(&claim).await;
    assert_eq!((scan.pages, scan.events_read, scan.events_new), (3, 6, 3));
}

async fn a_happening_that_stands_twice_on_a_page_is_stored_once(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let page = Page { events: vec![event("1", "a"); 3], ..Page::of("1") };
    assert_eq!(world.keep(&claim, &page).await, Ok(1));
    assert_eq!(world.log().await.len(), 1);
}

async fn an_empty_page_moves_the_cursor_and_nothing_else(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    assert_eq!(world.keep(&claim, &Page { cursor: cursor("2"), ..Page::new() }).await, Ok(0));

    assert_eq!(world.followed(&connection).await.cursor, cursor("2"));
    assert!(world.log().await.is_empty());
    assert!(world.store().names(connection.id).await.unwrap().0.is_empty());
    assert!(world.store().cases_with_events(connection.id, "", 10).await.unwrap().is_empty());
    let scan = world.scan(&claim).await;
    assert_eq!((scan.pages, scan.requests, scan.cases, scan.events_read), (1, 1, 0, 0));
}

async fn twenty_thousand_events_fit_on_a_page(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    let numbers = || (0..20_000).map(|n: u32| n.to_string());
    let page = Page {
        events: numbers().map(|n| event(&n, "1")).collect(),
        cases: numbers().map(|n| case(&n)).collect(),
        names: numbers().map(|n| named(Kind::Person, &n, "Somebody", None)).collect(),
        ..Page::new()
    };
    assert_eq!(world.keep(&claim, &page).await, Ok(20_000));
    assert_eq!(world.log().await.len(), 20_000);
    assert_eq!(world.followed(&connection).await.cases, 20_000);
    assert_eq!(world.store().names(connection.id).await.unwrap().0.len(), 20_000);
}

async fn the_same_happening_of_another_connection_is_another_event(world: World) {
    for name in ["one", "another"] {
        let claim = world.claimed(&world.connected(name).await, LEASE).await;
        assert_eq!(world.keep(&claim, &Page::of("1")).await, Ok(1));
    }
    let log = world.log().await;
    let connections: BTreeSet<_> = log.iter().map(|event| event.connection.as_str()).collect();
    assert_eq!(connections, BTreeSet::from(["one", "another"]));
}

// --- Claims ---

/// Nothing a worker can try with this claim has any effect.
async fn is_fenced(world: &World, claim: &Claim) {
    let before = world.picture(claim).await;
    assert_eq!(world.keep(claim, &Page::of("zombie")).await, Err(StoreError::Fenced));
    assert_eq!(world.store().renew(claim).await, Err(StoreError::Fenced));
    for state in [State::Failed, State::Queued, State::Complete] {
        assert_eq!(world.store().settle(claim, &ended(state)).await, Err(StoreError::Fenced));
    }
    assert_eq!(world.picture(claim).await, before);
}

async fn a_worker_whose_claim_was_taken_over_changes_nothing(world: World) {
    let old = world.claimed(&world.connected("github").await, LEASE).await;
    world.keep(&old, &Page::of("1")).await.unwrap();
    let new =
        world.store().claim(old.scan, &Claiming::new("another", LEASE).taking_over()).await.unwrap().unwrap();

    is_fenced(&world, &old).await;
    // And does not hinder its successor.
    assert_eq!(world.keep(&new, &Page::of("2")).await, Ok(1));
    is_fenced(&world, &Claim { epoch: new.epoch + 1, ..new.clone() }).await;
    assert_eq!(world.store().settle(&new, &ended(State::Complete)).await, Ok(()));
}

async fn a_worker_whose_scan_has_ended_changes_nothing(world: World) {
    let connection = world.connected("github").await;
    for state in [State::Complete, State::Queued] {
        let claim = world.claimed(&connection, LEASE).await;
        world.store().settle(&claim, &ended(state)).await.unwrap();
        is_fenced(&world, &claim).await;
    }
}

async fn a_claim_of_a_scan_that_somebody_works_on_is_refused(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    assert_eq!(world.store().claim(claim.scan, &Claiming::new("another", LEASE)).await, Ok(None));
    assert_eq!(world.scan(&claim).await.attempts, 1);
    assert_eq!(world.store().renew(&claim).await, Ok(()), "and the first worker keeps it");
}

async fn a_claim_that_was_held_through_a_wait_is_not_given_to_another(world: World) {
    let lease = Duration::from_millis(1500);
    let claim = world.claimed(&world.connected("github").await, lease).await;
    for _ in 0..2 {
        world.pass(lease * 2 / 3).await;
        assert_eq!(world.store().renew(&claim).await, Ok(()));
        assert_eq!(world.store().claim(claim.scan, &Claiming::new("another", lease)).await, Ok(None));
    }
}

async fn a_page_holds_the_claim_for_another_lease(world: World) {
    let lease = Duration::from_millis(1500);
    let claim = world.claimed(&world.connected("github").await, lease).await;
    for page in ["1", "2"] {
        world.pass(lease * 2 / 3).await;
        world.keep(&claim, &Page::of(page)).await.unwrap();
        assert_eq!(world.store().claim(claim.scan, &Claiming::new("another", lease)).await, Ok(None));
    }
}

async fn a_scan_whose_worker_is_gone_goes_to_the_next_with_a_higher_epoch(world: World) {
    let first = world.claimed(&world.connected("github").await, Duration::from_millis(1)).await;
    world.pass(Duration::from_millis(20)).await;
    let second = world.store().claim(first.scan, &Claiming::new("another", LEASE)).await.unwrap().unwrap();

    assert!(second.epoch > first.epoch);
    assert_eq!((second.scan, second.connection), (first.scan, first.connection));
    let scan = world.scan(&second).await;
    assert_eq!((scan.state, scan.attempts), (State::Running, 2));
    is_fenced(&world, &first).await;
}

async fn a_scan_whose_worker_is_known_to_be_dead_is_taken_over_at_once(world: World) {
    let first = world.claimed(&world.connected("github").await, LEASE).await;
    let second = world
        .store()
        .claim(first.scan, &Claiming::new("another", LEASE).taking_over())
        .await
        .unwrap()
        .unwrap();
    assert!(second.epoch > first.epoch);
}

async fn a_connection_has_one_active_scan(world: World) {
    let (one, another) = (world.connected("one").await, world.connected("another").await);
    let open = async |of: &Connection| world.store().open_scan(of.id, Uuid::new_v4()).await.unwrap();
    let scan = open(&one).await;
    assert_eq!(open(&one).await, scan, "while it is queued");
    assert_ne!(open(&another).await, scan, "others have their own");

    let claim = world.claimed(&one, LEASE).await;
    assert_eq!(claim.scan, scan);
    assert_eq!(open(&one).await, scan, "while it is running");

    world.store().settle(&claim, &ended(State::Partial)).await.unwrap();
    assert_ne!(open(&one).await, scan, "once it has ended");
}

async fn of_many_scans_opened_at_once_there_is_one(world: World) {
    let connection = world.connected("github").await;
    let opened = join_all((0..20).map(|_| world.store().open_scan(connection.id, Uuid::new_v4()))).await;
    let ids: BTreeSet<_> = opened.into_iter().map(|id| id.unwrap()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(world.store().scans(&WantedScans::newest(100)).await.unwrap().len(), 1);
}

async fn a_scan_can_be_opened_while_others_end_theirs(world: World) {
    let connection = world.connected("github").await;
    let work = async |_| {
        for _ in 0..40 {
            let scan = world.store().open_scan(connection.id, Uuid::new_v4()).await.unwrap();
            if let Some(claim) = world.store().claim(scan, &Claiming::new("a test", LEASE)).await.unwrap() {
                world.store().settle(&claim, &ended(State::Complete)).await.unwrap();
            }
        }
    };
    join_all((0..16).map(work)).await;
    let scans = world.store().scans(&WantedScans::newest(1000)).await.unwrap();
    assert!(scans.iter().all(|scan| scan.state == State::Complete && scan.attempts == 1));
}

async fn of_many_claims_at_once_one_is_granted(world: World) {
    let connection = world.connected("github").await;
    let scan = world.store().open_scan(connection.id, Uuid::new_v4()).await.unwrap();
    let claims =
        join_all((0..20).map(async |_| world.store().claim(scan, &Claiming::new("a test", LEASE)).await))
            .await;
    let granted: Vec<_> = claims.into_iter().filter_map(|claim| claim.unwrap()).collect();
    assert_eq!(granted.len(), 1);
    assert_eq!(world.scan(&granted[0]).await.attempts, 1);
}

async fn a_scan_that_has_ended_is_not_claimed_again(world: World) {
    let connection = world.connected("github").await;
    for state in [State::Complete, State::Partial, State::Deferred, State::SuspiciousEmpty, State::Failed] {
        let claim = world.claimed(&connection, LEASE).await;
        world.store().settle(&claim, &ended(state)).await.unwrap();
        for takeover in [false, true] {
            assert_eq!(
                world
                    .store()
                    .claim(claim.scan, &Claiming { takeover, ..Claiming::new("another", LEASE) })
                    .await,
                Ok(None)
            );
        }
        let scan = world.scan(&claim).await;
        assert_eq!(scan.state, state);
        assert!(scan.started_at.is_some() && scan.finished_at.is_some());
    }
}

async fn a_scan_put_back_goes_on_from_the_page_it_kept(world: World) {
    let connection = world.connected("github").await;
    let first = world.claimed(&connection, LEASE).await;
    world.keep(&first, &Page::of("1")).await.unwrap();
    let started = world.scan(&first).await.started_at;
    world.store().settle(&first, &ended(State::Queued)).await.unwrap();

    let scan = world.scan(&first).await;
    assert_eq!((scan.state, scan.finished_at), (State::Queued, None));
    let second = world.claimed(&connection, LEASE).await;
    assert_eq!(second.scan, first.scan);
    assert!(second.epoch > first.epoch);
    assert_eq!(world.followed(&connection).await.cursor, cursor("1"));
    assert_eq!(world.scan(&second).await.started_at, started);
    world.keep(&second, &Page::of("2")).await.unwrap();
    assert_eq!(world.scan(&second).await.pages, 2);
}

async fn a_scan_that_is_not_there_is_not_claimed_and_not_found(world: World) {
    let nowhere = Uuid::new_v4();
    assert_eq!(world.store().claim(nowhere, &Claiming::new("a test", LEASE).taking_over()).await, Ok(None));
    assert_eq!(world.store().scan(nowhere).await, Ok(None));
    let claim = Claim {
        scan: nowhere,
        connection: nowhere,
        epoch: 0,
        lease: LEASE,
        tries: 0,
        crashes: 0,
        backfill: None,
    };
    assert_eq!(world.keep(&claim, &Page::of("1")).await, Err(StoreError::Fenced));
    assert!(world.store().open_scan(nowhere, Uuid::new_v4()).await.is_err());
    assert!(world.store().scans(&WantedScans::newest(10)).await.unwrap().is_empty());
}

// --- What is known ---

async fn a_cursor_comes_back_exactly_as_it_was_kept(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    assert_eq!(world.followed(&connection).await.cursor, Cursor::default());
    let place = |page| Sweep::new(noon(), vec![window("2026-01-01 00:00", page)], vec![]);
    let full = Sweep {
        began: time("2026-11-16T12:00:00.123456Z"),
        windows: vec![
            window(
                "updated >= \"2026/01/01 00:00\" ' 🦀",
                Place::After("a \"token\" with \\ and \u{1F980} and \t".into()),
            ),
            Window { until: Some("z".into()), ..window("", Place::End) },
        ],
        upto: Some(noon()),
        bookmark: Some("4711".into()),
        carried: vec!["a|b".into()],
        reached: Some(time("1999-12-31T23:59:59.999999Z")),
        pending: vec![
            Pending { operation: "changelog".into(), cases: vec!["10063".into(), "é".into()], page: None },
            Pending { operation: "".into(), cases: vec![], page: Some("p2".into()) },
        ],
        cases: u64::MAX >> 1,
        halved: 255,
        skipped: [("an issue vanished".to_owned(), 3)].into(),
    };
    for sweep in [Some(full), Some(place(Place::First)), Some(place(Place::End)), None] {
        let page =
            Page { cursor: Cursor { mark: Some(noon()), bookmark: Some("x".into()), sweep }, ..Page::new() };
        world.keep(&claim, &page).await.unwrap();
        assert_eq!(world.followed(&connection).await.cursor, page.cursor);
    }
}

async fn what_an_older_reading_says_of_a_case_does_not_replace_the_newer(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    let read = |status: &str, updated_at: &str| Case {
        status: Some(id(status)),
        updated_at: time(updated_at),
        ..case("1")
    };
    // A fraction of a second is later than none.
    for (status, updated_at, stands) in [
        ("first", "2026-11-16T12:00:00Z", "first"),
        ("newer", "2026-11-16T12:00:00.000001Z", "newer"),
        ("older", "2026-11-16T12:00:00Z", "newer"),
        ("much-older", "2025-11-16T12:00:00.5Z", "newer"),
        ("same", "2026-11-16T12:00:00.000001Z", "same"),
        ("newest", "2026-11-16T12:00:00.01Z", "newest"),
        ("older", "2026-11-16T12:00:00.009999Z", "newest"),
    ] {
        world.keep(&claim, &Page { cases: vec![read(status, updated_at)], ..Page::new() }).await.unwrap();
        let known = world.store().cases_with_events(connection.id, "", 10).await.unwrap();
        assert_eq!(known[0].0.status.as_deref(), Some(stands), "after {status} of {updated_at}");
    }
}

async fn a_case_that_stands_twice_on_a_page_is_kept_as_it_stood_last(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    let read = |whose: String, status: &str, minute: i64| Case {
        status: Some(id(status)),
        updated_at: noon() + TimeDelta::minutes(minute),
        ..case(&whose)
    };
    let mut cases = vec![];
    for n in 0..100 {
        // The newest first; and of those of one moment, the last.
        cases.push(read(format!("a{n}"), "last", 2));
        cases.push(read(format!("a{n}"), "first", 1));
        cases.push(read(format!("b{n}"), "first", 1));
    }
    cases.extend((0..100).map(|n| read(format!("b{n}"), "last", 1)));
    world.keep(&claim, &Page { cases, ..Page::new() }).await.unwrap();

    let known = world.store().cases_with_events(connection.id, "", 1000).await.unwrap();
    assert_eq!(known.len(), 200);
    for (case, _) in known {
        assert_eq!(case.status.as_deref(), Some("last"), "{}", case.id);
    }
}

async fn a_name_that_stands_twice_on_a_page_is_kept_as_it_stood_last(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    let names = vec![
        named(Kind::Status, "1", "Doing", Some(Stage::InProgress)),
        named(Kind::Status, "1", "In Progress", None),
    ];
    world.keep(&claim, &Page { names, ..Page::new() }).await.unwrap();

    let names = world.store().names(connection.id).await.unwrap();
    assert_eq!(names.name(Kind::Status, "1"), "In Progress");
    assert_eq!(names.stage("1"), Some(Stage::InProgress));
}

async fn a_status_keeps_its_stage_once_it_is_known(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    for (name, stage, stands) in [
        ("Review", None, None),
        ("Review", Some(Stage::InProgress), Some(Stage::InProgress)),
        ("Reviewing", None, Some(Stage::InProgress)),
        ("Reviewed", Some(Stage::Done), Some(Stage::Done)),
        ("Reviewed", Some(Stage::ToDo), Some(Stage::ToDo)),
    ] {
        let names = vec![named(Kind::Status, "3", name, stage)];
        world.keep(&claim, &Page { names, ..Page::new() }).await.unwrap();
        let names = world.store().names(connection.id).await.unwrap();
        assert_eq!((names.name(Kind::Status, "3"), names.stage("3")), (name, stands));
    }
}

async fn a_thing_has_one_name_for_each_kind(world: World) {
    let (one, another) = (world.connected("one").await, world.connected("another").await);
    let names = || Kind::ALL.iter().map(|kind| named(*kind, "1", kind.word(), None)).collect();
    world.keep(&world.claimed(&one, LEASE).await, &Page { names: names(), ..Page::new() }).await.unwrap();

    let known = world.store().names(one.id).await.unwrap();
    for kind in Kind::ALL {
        assert_eq!(known.name(*kind, "1"), kind.word());
        assert_eq!(known.name(*kind, "2"), "2", "the id where no name is known");
    }
    assert!(world.store().names(another.id).await.unwrap().0.is_empty());
}

// --- Connections and scans ---

async fn a_name_belongs_to_one_connection(world: World) {
    let first = world.connected("github").await;
    let second = connection("github");
    let error = world.store().add_connection(&second, &sealed(9, 0), &[stream("s")]).await.unwrap_err();
    assert_eq!(error, StoreError::NameTaken("github".into()));
    assert!(error.to_string().contains("--name"), "{error}");

    assert_eq!(world.store().connections().await.unwrap(), vec![first]);
    assert_eq!(world.store().sealed_under().await.unwrap(), vec![([1; 4], 1)]);
    assert!(world.store().streams(second.id).await.unwrap().is_empty());
    // Names are told apart by case, as everything else is.
    world.connected("GitHub").await;
}

async fn connections_are_listed_oldest_first(world: World) {
    for (name, minute) in [("b", 3), ("c", 1), ("a", 2)] {
        let connection = Connection { created_at: noon() + TimeDelta::minutes(minute), ..connection(name) };
        world.store().add_connection(&connection, &sealed(1, 0), &[]).await.unwrap();
    }
    let listed = world.store().connections().await.unwrap();
    assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["c", "a", "b"]);
}

async fn a_connection_comes_back_exactly_as_it_was_added(world: World) {
    let added = Connection {
        tool: "jira".into(),
        base_url: "https://api.atlassian.com/ex/jira/1".into(),
        account_id: "5fb48fe2:0d-21_ff==".into(),
        account_name: "Zoë 重要 🦀 'O\"Neil\\".into(),
        created_at: time("2026-11-16T12:00:00.123456Z"),
        ..connection("日本語 with spaces")
    };
    // A stream named twice is followed once.
    let streams = [stream("b"), stream("a"), stream("b")];
    world.store().add_connection(&added, &sealed(1, 2), &streams).await.unwrap();

    assert_eq!(world.store().connection(&added.name).await, Ok(added.clone()));
    assert_eq!(world.store().sealed_credential(&added).await, Ok(sealed(1, 2)));
    let streams = world.store().streams(added.id).await.unwrap();
    assert_eq!(streams.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

async fn what_is_not_there_is_named_in_the_error(world: World) {
    let nobody = connection("nobody");
    let error = world.store().connection("nobody").await.unwrap_err();
    assert_eq!(error, StoreError::NoSuchConnection("nobody".into()));
    let error = world.store().sealed_credential(&nobody).await.unwrap_err();
    assert_eq!(error, StoreError::NoCredential("nobody".into()));
    let error = world.store().events(&Wanted { case: Some("1".into()), ..everything() }).await.unwrap_err();
    assert_eq!(error, StoreError::NoSuchCase("1".into()));
}

async fn a_stream_knows_how_many_cases_came_from_it(world: World) {
    let (one, another) = (connection("one"), connection("another"));
    for connection in [&one, &another] {
        let streams = [stream("full"), stream("empty"), stream("half")];
        world.store().add_connection(connection, &sealed(1, 0), &streams).await.unwrap();
    }
    let claim = world.claimed(&one, LEASE).await;
    for (stream, cases) in [("full", &["1", "2", "3"][..]), ("half", &["4"]), ("half", &["4", "3"])] {
        let cases = cases.iter().map(|id| case(id)).collect();
        world.keep(&claim, &Page { stream: stream.into(), cases, ..Page::new() }).await.unwrap();
    }
    let counts = async |of: &Connection| {
        let streams = world.store().streams(of.id).await.unwrap();
        streams.into_iter().map(|it| (it.name, it.cases)).collect::<Vec<_>>()
    };
    // A case that moved belongs to where it was seen last.
    assert_eq!(counts(&one).await, [("empty".into(), 0), ("full".into(), 2), ("half".into(), 2)]);
    assert!(counts(&another).await.iter().all(|(_, cases)| *cases == 0));
}

async fn scans_are_listed_newest_first_with_sums_over_their_streams(world: World) {
    let connection = connection("github");
    let streams = [stream("a"), stream("b"), stream("untouched")];
    world.store().add_connection(&connection, &sealed(1, 0), &streams).await.unwrap();
    let mut opened = vec![];
    for round in 0..3_u64 {
        let claim = world.claimed(&connection, LEASE).await;
        for stream in ["a", "b", "a"] {
            let events = (0..=round).map(|n| event(stream, &n.to_string())).collect();
            let (asked, waited) = (asked(2), Duration::from_millis(100 + round));
            let page = Page { stream: stream.into(), events, asked, waited, ..Page::of("1") };
            world.keep(&claim, &page).await.unwrap();
        }
        world.store().settle(&claim, &ended(State::Complete)).await.unwrap();
        opened.push(claim.scan);
        world.pass(Duration::from_millis(5)).await;
    }
    let scans = world.store().scans(&WantedScans::newest(2)).await.unwrap();
    assert_eq!(scans.iter().map(|scan| scan.id).collect::<Vec<_>>(), [opened[2], opened[1]]);

    let last = &scans[0];
    assert_eq!((last.connection.as_str(), last.tool.as_str()), ("github", "github"));
    assert_eq!((last.pages, last.requests, last.cases, last.waited_ms), (3, 6, 3, 306));
    assert_eq!((last.events_read, last.events_new), (9, 2));
    assert_eq!(world.store().scan(last.id).await.unwrap().as_ref(), Some(last));
    assert_eq!(world.store().scans(&WantedScans::newest(100)).await.unwrap().len(), 3);
}

async fn how_a_scan_ended_comes_back_word_for_word(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let outcome = Outcome {
        state: State::Deferred,
        reasons: vec!["\"quoted\" 'too' \\ 日本語 🦀\nsecond line".into(), String::new(), "{\"a\":1}".into()],
        until: Some(time("2026-11-17T00:00:00.000001Z")),
        error: Some(ErrorClass::Quota),
    };
    world.store().settle(&claim, &outcome).await.unwrap();
    let scan = world.scan(&claim).await;
    assert_eq!(
        Outcome { state: scan.state, reasons: scan.reasons, until: scan.until, error: scan.error },
        outcome
    );
}

// --- The event log ---

/// Reads all that is wanted, a page at a time.
async fn paged(world: &World, wanted: &Wanted, limit: i64) -> Vec<LoggedEvent> {
    let mut all: Vec<LoggedEvent> = vec![];
    loop {
        let after = all.last().map(|last| (last.at, last.turn, last.id));
        let page = world.store().events(&Wanted { after, limit, ..wanted.clone() }).await.unwrap();
        if page.is_empty() {
            return all;
        }
        assert!(page.len() as i64 <= limit);
        all.extend(page);
    }
}

async fn paging_through_events_of_one_moment_visits_each_once(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let turned = |n: i32| Event { turn: n % 3 - 1, ..event("1", &n.to_string()) };
    let sooner = Event { at: noon() - TimeDelta::microseconds(1), turn: 9, ..event("1", "sooner") };
    let later = Event { at: noon() + TimeDelta::microseconds(1), turn: -9, ..event("1", "later") };
    let events = (0..100).map(turned).chain([later, sooner]).collect();
    world.keep(&claim, &Page { events, ..Page::of("1") }).await.unwrap();

    let all = world.log().await;
    assert_eq!(all.len(), 102);
    assert!(all.is_sorted_by_key(|event| (event.at, event.turn, event.id)));
    let of_case = Wanted { case: Some("1".into()), ..everything() };
    for limit in [1, 7, 50, 102, 1000] {
        assert_eq!(paged(&world, &everything(), limit).await, all, "by {limit}");
        assert_eq!(paged(&world, &of_case, limit).await, all, "of the case, by {limit}");
    }
}

async fn the_oldest_event_there_can_be_is_listed(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let first = Event { at: DateTime::UNIX_EPOCH, turn: i32::MIN, ..event("1", "first") };
    let last = Event { at: time("2199-12-31T23:59:59.999999Z"), turn: i32::MAX, ..event("1", "last") };
    world.keep(&claim, &Page { events: vec![last, first], ..Page::of("1") }).await.unwrap();
    for case in [None, Some("1".to_owned())] {
        let found = world.store().events(&Wanted { case, ..everything() }).await.unwrap();
        assert_eq!(found.iter().map(|it| it.turn).collect::<Vec<_>>(), [i32::MIN, i32::MAX]);
    }
}

async fn events_are_found_by_the_id_and_by_the_key_of_their_case(world: World) {
    let (one, another) = (world.connected("one").await, world.connected("another").await);
    for connection in [&one, &another] {
        let claim = world.claimed(connection, LEASE).await;
        for case in ["1", "11", "A", "a"] {
            world.keep(&claim, &Page::of(case)).await.unwrap();
        }
    }
    let find = async |case: &str, connection| {
        world.store().events(&Wanted { case: Some(case.into()), connection, ..everything() }).await
    };
    for wanted in ["1", "acme/shop#1"] {
        let found = find(wanted, None).await.unwrap();
        assert_eq!(cases_of(&found), ["1", "1"], "of both connections");
        assert_eq!(found[0].key.as_deref(), Some("acme/shop#1"));
        assert_eq!(cases_of(&find(wanted, Some(one.id)).await.unwrap()), ["1"]);
    }
    assert_eq!(cases_of(&find("a", Some(one.id)).await.unwrap()), ["a"]);
    for nothing in ["", "1 ", "%", "_", "acme/shop#_", "acme/shop", "ACME/SHOP#1"] {
        assert_eq!(find(nothing, None).await, Err(StoreError::NoSuchCase(nothing.into())));
    }
}

async fn events_are_found_by_connection(world: World) {
    let (one, another) = (world.connected("one").await, world.connected("another").await);
    world.keep(&world.claimed(&one, LEASE).await, &Page::of("1")).await.unwrap();
    world.keep(&world.claimed(&another, LEASE).await, &Page::of("2")).await.unwrap();
    for (connection, cases) in
        [(Some(one.id), vec!["1"]), (Some(another.id), vec!["2"]), (Some(Uuid::new_v4()), vec![])]
    {
        let found = world.store().events(&Wanted { connection, ..everything() }).await.unwrap();
        assert_eq!(cases_of(&found), cases);
    }
    assert_eq!(world.log().await.len(), 2);
}

async fn since_is_the_first_moment_and_until_is_the_first_no_more(world: World) {
    let claim = world.claimed(&world.connected("github").await, LEASE).await;
    let minute = |n: i64| noon() + TimeDelta::minutes(n);
    let events = (0..5).map(|n| Event { at: minute(n), ..event("1", &n.to_string()) }).collect();
    world.keep(&claim, &Page { events, ..Page::of("1") }).await.unwrap();

    let just = TimeDelta::microseconds(1);
    for (since, until, expected) in [
        (Some(minute(1)), Some(minute(3)), 1..3),
        (Some(minute(1) + just), Some(minute(3) + just), 2..4),
        (Some(minute(3)), None, 3..5),
        (None, Some(minute(3)), 0..3),
        (Some(minute(2)), Some(minute(2)), 2..2),
    ] {
        for case in [None, Some("1".to_owned())] {
            let wanted = Wanted { since, until, case, ..everything() };
            let found = world.store().events(&wanted).await.unwrap();
            let found: Vec<_> = found.iter().map(|event| event.at).collect();
            assert_eq!(found, expected.clone().map(minute).collect::<Vec<_>>(), "{since:?} {until:?}");
        }
    }
}

async fn cases_are_paged_through_in_the_order_of_their_ids(world: World) {
    let (one, another) = (world.connected("one").await, world.connected("another").await);
    let ids = ["10", "2", "1", "b", "B", "a-1", "a1", "a.1", "é", "z", "重要", "🦀", "~", "!", "_", "A"];
    for connection in [&one, &another] {
        let claim = world.claimed(connection, LEASE).await;
        for case in ids {
            world.keep(&claim, &Page::of(case)).await.unwrap();
        }
        world.keep(&claim, &Page { events: vec![], ..Page::of("no-events") }).await.unwrap();
    }
    let mut expected = ids.to_vec();
    expected.push("no-events");
    expected.sort_unstable(); // by their bytes, whatever the server's language
    for limit in [1, 3, 1000] {
        let (mut after, mut seen) = (String::new(), vec![]);
        loop {
            let page = world.store().cases_with_events(one.id, &after, limit).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            after = last.id.clone();
            for (case, events) in page {
                let its_own = if case.id == "no-events" { vec![] } else { vec![case.id.as_str()] };
                assert_eq!(cases_of(&events), its_own);
                assert_eq!((case.key, case.created_at), (format!("acme/shop#{}", case.id), noon()));
                seen.push(case.id);
            }
        }
        assert_eq!(seen, expected, "by {limit}");
    }
}

async fn the_events_of_a_case_come_in_the_order_of_time_turn_and_id(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    let mixed = |n: i32| Event {
        at: noon() + TimeDelta::milliseconds(i64::from(n * 7 % 5)),
        turn: n * 11 % 3,
        ..event("1", &n.to_string())
    };
    // The later half first.
    for events in [(50..100).map(mixed).collect(), (0..50).map(mixed).collect()] {
        world.keep(&claim, &Page { events, ..Page::of("1") }).await.unwrap();
    }
    let cases = world.store().cases_with_events(connection.id, "", 10).await.unwrap();
    let events = &cases[0].1;
    assert_eq!(events.len(), 100);
    assert!(events.is_sorted_by_key(|event| (event.at, event.turn, event.id)));
}

async fn times_come_back_to_the_microsecond_and_in_order(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    // Written with no, three and six digits, and at the turns of years.
    let times = [
        "1970-01-01T00:00:00Z",
        "1999-12-31T23:59:59.999999Z",
        "2000-01-01T00:00:00Z",
        "2026-11-16T11:59:59.999Z",
        "2026-11-16T12:00:00Z",
        "2026-11-16T12:00:00.000001Z",
        "2026-11-16T12:00:00.001Z",
        "2026-11-16T12:00:00.001001Z",
        "2026-11-16T12:00:00.1Z",
        "2026-11-16T12:00:01Z",
        "2199-12-31T23:59:59.999999Z",
    ];
    let events =
        times.iter().rev().map(|at| Event { at: time(at), ..event("1", &at.replace(':', "")) }).collect();
    let created_at = time("2026-11-16T12:00:00.001001Z");
    let cases = vec![Case { created_at, ..case("1") }];
    world.keep(&claim, &Page { events, cases, ..Page::of("1") }).await.unwrap();

    let found: Vec<_> = world.log().await.into_iter().map(|event| event.at).collect();
    assert_eq!(found, times.map(time));
    for at in times.map(time) {
        let wanted = Wanted { since: Some(at), until: Some(at + TimeDelta::microseconds(1)), ..everything() };
        assert_eq!(world.store().events(&wanted).await.unwrap().len(), 1, "{at}");
    }
    let known = world.store().cases_with_events(connection.id, "", 10).await.unwrap();
    assert_eq!(known[0].0.created_at, created_at);
}

async fn the_longest_ids_and_all_scripts_fit(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    let longest = "~".repeat(Opaque::LONGEST);
    // One that is normalised or folded would be found as the other.
    let ids = [
        longest.as_str(),
        "重要な仕事",
        "שלום",
        "é",
        "e\u{301}",
        "ß",
        "SS",
        "ss",
        "🦀🧪",
        "\u{3a9}",
        "\u{2126}",
    ];
    for case_id in ids {
        let whole = Event { resource: Some(id(case_id)), to: Some(id(case_id)), ..event("x", "1") };
        let events = vec![Event { case: id(case_id), source: id(case_id), ..whole }];
        let cases = vec![Case { key: id(case_id), ..case("x") }];
        let cases = cases.into_iter().map(|it| Case { id: id(case_id), ..it }).collect();
        let names = vec![named(Kind::Label, case_id, &"é".repeat(200), None)];
        let page = Page { cursor: cursor(case_id), cases, events, names, ..Page::new() };
        assert_eq!(world.keep(&claim, &page).await, Ok(1), "{case_id}");
        let found =
            world.store().events(&Wanted { case: Some(case_id.into()), ..everything() }).await.unwrap();
        assert_eq!(cases_of(&found), [case_id]);
        assert_eq!(found[0].resource.as_deref(), Some(case_id));
        assert_eq!((found[0].to.as_deref(), found[0].key.as_deref()), (Some(case_id), Some(case_id)));
    }
    assert_eq!(world.log().await.len(), ids.len());
    assert_eq!(world.store().names(connection.id).await.unwrap().0.len(), ids.len());
}

async fn hostile_text_is_text(world: World) {
    const HOSTILE: [&str; 12] = [
        "';DROP/**/TABLE/**/events;--",
        "\");DELETE/**/FROM/**/cases;--",
        "'||(SELECT/**/sealed/**/FROM/**/credentials)||'",
        "$1",
        "?1",
        ":name",
        "{}",
        "\\'",
        "\\u0000",
        "NULL",
        "{a,NULL,\"b\"}",
        "%_%",
    ];
    for text in HOSTILE {
        let connection = connection(text);
        let streams = [stream(text)];
        world.store().add_connection(&connection, &sealed(1, 0), &streams).await.unwrap();
        assert_eq!(world.store().connection(text).await, Ok(connection.clone()));
        let scan = world.store().open_scan(connection.id, Uuid::new_v4()).await.unwrap();
        let claim = world.store().claim(scan, &Claiming::new(text, LEASE)).await.unwrap().unwrap();
        let events = vec![Event { resource: Some(id(text)), from: Some(id(text)), ..event(text, "1") }];
        let names = vec![named(Kind::Label, text, text, None)];
        let page = Page { stream: text.into(), cursor: cursor(text), names, events, ..Page::of(text) };
        assert_eq!(world.keep(&claim, &page).await, Ok(1), "{text}");
        assert_eq!(world.followed(&connection).await.cursor, cursor(text));

        let wanted = Wanted { case: Some(text.into()), ..everything() };
        let found = world.store().events(&wanted).await.unwrap();
        assert_eq!(cases_of(&found), [text]);
        assert_eq!((found[0].from.as_deref(), found[0].connection.as_str()), (Some(text), text));
        let cases = world.store().cases_with_events(connection.id, "", 10).await.unwrap();
        assert_eq!(cases[0].0.id, text);
        assert_eq!(world.store().names(connection.id).await.unwrap().name(Kind::Label, text), text);
        let reasons = vec![text.to_owned()];
        world.store().settle(&claim, &Outcome { reasons, ..ended(State::Failed) }).await.unwrap();
        assert_eq!(world.scan(&claim).await.reasons, [text]);
    }
    assert_eq!(world.log().await.len(), HOSTILE.len());
}

// --- Grants, and the end of a connection ---

const BEGUN: Duration = Duration::from_secs(2);

async fn a_refresh_is_one_processs_until_its_lease_ends(world: World) {
    let (store, id, old) = (world.store(), world.connected("jira").await.id, sealed(1, 0));
    let begun = join_all(
        (0..8)
            .map(async |nth| store.begin_refresh(id, &old, &format!("process {nth}"), BEGUN).await.unwrap()),
    );
    assert_eq!(begun.await.into_iter().flatten().collect::<Vec<_>>(), [1]);
    assert_eq!(store.is_refreshing(id).await, Ok(true));
    assert_eq!(store.begin_refresh(id, &old, "another", BEGUN).await, Ok(None));
    // It has taken too long.
    world.pass(BEGUN + Duration::from_millis(100)).await;
    assert_eq!(store.is_refreshing(id).await, Ok(false));
    assert_eq!(store.begin_refresh(id, &old, "another", BEGUN).await, Ok(Some(2)));
    // Only who has it can end it; then it counts anew.
    store.end_refresh(id, "process 0").await.unwrap();
    assert_eq!(store.is_refreshing(id).await, Ok(true));
    store.end_refresh(id, "another").await.unwrap();
    assert_eq!(store.begin_refresh(id, &old, "another", BEGUN).await, Ok(Some(1)));
}

async fn a_refresh_is_begun_neither_for_another_credential_nor_for_a_connection_that_waits_or_is_over(
    world: World,
) {
    let (store, id, old) = (world.store(), world.connected("jira").await.id, sealed(1, 0));
    assert_eq!(store.begin_refresh(id, &sealed(1, 1), "a", BEGUN).await, Ok(None));
    assert_eq!(store.begin_refresh(Uuid::new_v4(), &old, "a", BEGUN).await, Ok(None));
    assert_eq!(store.pause(id, "a", &old, "over").await, Ok(true));
    assert_eq!(store.begin_refresh(id, &old, "a", BEGUN).await, Ok(None));
    assert_eq!(store.replace_credential(id, &old).await, Ok(true));
    assert_eq!(store.begin_refresh(id, &old, "a", BEGUN).await, Ok(Some(1)));
    store.end_refresh(id, "a").await.unwrap();
    store.fence(id).await.unwrap();
    assert_eq!(store.begin_refresh(id, &old, "b", BEGUN).await, Ok(None));
}

async fn what_a_refresh_brings_is_kept_unless_a_person_gave_something_newer(world: World) {
    let connection = world.connected("jira").await;
    let (store, id) = (world.store(), connection.id);
    let [old, new, by_hand, resealed, late] = [0, 1, 2, 3, 4].map(|body| sealed(1, body));
    let begin = async |sealed: &[u8]| store.begin_refresh(id, sealed, "me", BEGUN).await.unwrap();
    assert_eq!(begin(&old).await, Some(1));
    assert_eq!(store.keep_refreshed(id, "me", &old, &new).await, Ok(true));
    assert_eq!(store.sealed_credential(&connection).await.as_ref(), Ok(&new));
    // It has come to an end.
    assert_eq!(begin(&new).await, Some(1));
    assert_eq!(store.replace_credential(id, &by_hand).await, Ok(true));
    assert_eq!(store.keep_refreshed(id, "me", &new, &late).await, Ok(false));
    assert_eq!(store.sealed_credential(&connection).await.as_ref(), Ok(&by_hand));
    // What the vault sealed anew meanwhile is still the same credential.
    assert_eq!(begin(&by_hand).await, Some(1));
    assert_eq!(store.swap_credential(id, &by_hand, &resealed).await, Ok(true));
    assert_eq!(store.keep_refreshed(id, "me", &by_hand, &late).await, Ok(true));
    assert_eq!(store.replace_credential(Uuid::new_v4(), &new).await, Ok(false));
}

async fn a_connection_waits_for_a_person_only_while_its_credential_is_the_one_that_failed(world: World) {
    let connection = world.connected("jira").await;
    let (store, id) = (world.store(), connection.id);
    let paused = async || store.connection("jira").await.unwrap().paused;
    assert_eq!(store.pause(id, "me", &sealed(1, 9), "over").await, Ok(false));
    assert_eq!(paused().await, None);
    store.begin_refresh(id, &sealed(1, 0), "me", BEGUN).await.unwrap().unwrap();
    assert_eq!(store.pause(id, "me", &sealed(1, 0), "over").await, Ok(true));
    assert_eq!((paused().await.as_deref(), store.is_refreshing(id).await), (Some("over"), Ok(false)));
    store.replace_credential(id, &sealed(1, 1)).await.unwrap();
    assert_eq!(paused().await, None);
}

async fn a_disconnected_connections_worker_writes_nothing_more(world: World) {
    let (connection, other) = (world.connected("jira").await, world.connected("other").await);
    let (claim, others) = (world.claimed(&connection, LEASE).await, world.claimed(&other, LEASE).await);
    world.keep(&claim, &Page::of("1")).await.unwrap();
    assert_eq!(world.store().fence(connection.id).await, Ok(1));
    is_fenced(&world, &claim).await;
    let scan = world.scan(&claim).await;
    assert_eq!((scan.state, scan.reasons.len()), (State::Failed, 1));
    assert_eq!(world.store().claim(claim.scan, &Claiming::new("heir", LEASE).taking_over()).await, Ok(None));
    let ended = world.store().connection("jira").await.unwrap().disconnected_at;
    assert!(ended.is_some() && world.log().await.len() == 1, "what was read stays");
    // Once more changes nothing, and the neighbour goes on.
    assert_eq!(world.store().fence(connection.id).await, Ok(0));
    assert_eq!(world.store().connection("jira").await.unwrap().disconnected_at, ended);
    assert_eq!(world.keep(&others, &Page::of("2")).await, Ok(1));
}

async fn a_disconnected_connection_comes_back_with_the_streams_it_is_given(world: World) {
    let store = world.store();
    let connection = world.connected("jira").await;
    let claim = world.claimed(&connection, LEASE).await;
    world.keep(&claim, &Page::of("1")).await.unwrap();
    let taken = store.add_connection(&connection, &sealed(1, 1), &[]).await;
    assert_eq!(taken, Err(StoreError::NameTaken("jira".into())), "it is alive");
    store.fence(connection.id).await.unwrap();
    store.forget_credential(connection.id).await.unwrap();
    let gone = store.sealed_credential(&connection).await;
    assert_eq!(gone, Err(StoreError::NoCredential("jira".into())));

    let again = Connection { base_url: "https://ghe.example.com".into(), ..connection.clone() };
    store.add_connection(&again, &sealed(1, 2), &[stream("stream"), stream("more")]).await.unwrap();
    assert_eq!(store.connection("jira").await, Ok(again.clone()));
    let streams = store.streams(connection.id).await.unwrap();
    let marks: Vec<_> = streams.iter().map(|it| (it.name.as_str(), it.cursor == Cursor::default())).collect();
    assert_eq!(marks, [("more", true), ("stream", false)], "what was followed before goes on");
    store.fence(connection.id).await.unwrap();
    store.add_connection(&again, &sealed(1, 3), &[stream("more")]).await.unwrap();
    assert_eq!(store.streams(connection.id).await.unwrap().len(), 1);
    assert_eq!(store.sealed_credential(&connection).await, Ok(sealed(1, 3)));
}

async fn a_purge_counts_what_it_deletes_and_leaves_other_connections_alone(world: World) {
    let (connection, other) = (world.connected("jira").await, world.connected("other").await);
    for (connection, cases) in [(&connection, ["1", "2", "3"].as_slice()), (&other, &["1"])] {
        let claim = world.claimed(connection, LEASE).await;
        for case in cases {
            world.keep(&claim, &Page::of(case)).await.unwrap();
        }
    }
    let purged = world.store().purge(connection.id).await.unwrap();
    assert_eq!(purged, Purged { events: 3, cases: 3, names: 3, scans: 1, streams: 1 });
    let left: Vec<_> = world.store().connections().await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!((left, world.log().await.len()), (vec!["other".to_owned()], 1));
    assert_eq!(world.store().sealed_under().await, Ok(vec![([1; 4], 1)]));
    assert_eq!(world.store().scans(&WantedScans::newest(10)).await.unwrap().len(), 1);
}

// --- Credentials and errors ---

async fn a_credential_is_replaced_only_by_who_saw_the_last_one(world: World) {
    let (connection, another) = (world.connected("github").await, world.connected("another").await);
    let (old, new) = (sealed(1, 0), sealed(2, 0));
    assert_eq!(world.store().swap_credential(connection.id, &new, &old).await, Ok(false));
    assert_eq!(world.store().sealed_credential(&connection).await.as_ref(), Ok(&old));

    let swaps = join_all((10..30).map(async |body| {
        world.store().swap_credential(connection.id, &old, &sealed(2, body)).await.unwrap()
    }));
    assert_eq!(swaps.await.into_iter().filter(|swapped| *swapped).count(), 1);
    assert_ne!(world.store().sealed_credential(&connection).await.as_ref(), Ok(&old));
    assert_eq!(world.store().sealed_credential(&another).await.as_ref(), Ok(&old));
    assert_eq!(world.store().swap_credential(Uuid::new_v4(), &old, &new).await, Ok(false));
}

async fn credentials_are_counted_by_the_key_they_are_sealed_under(world: World) {
    assert_eq!(world.store().sealed_under().await, Ok(vec![]));
    for (name, key) in [("a", 7), ("b", 200), ("c", 7)] {
        world.store().add_connection(&connection(name), &sealed(key, 0), &[]).await.unwrap();
    }
    assert_eq!(world.store().sealed_under().await, Ok(vec![([7; 4], 2), ([200; 4], 1)]));
}

async fn a_credential_that_was_not_sealed_is_refused(world: World) {
    let sealed_one = world.connected("github").await;
    let long_token = format!("github_pat_{}", "x".repeat(200));
    let short = &sealed(1, 0)[..97];
    for plain in [b"".as_slice(), b"ghp_secret", b"\x01", long_token.as_bytes(), short, &[2; 120]] {
        let another = connection("another");
        let refused = world.store().add_connection(&another, plain, &[stream("s")]).await.unwrap_err();
        says_no_sql(&refused);
        assert!(!format!("{refused:?}").contains("secret"));
        let swapped = world.store().swap_credential(sealed_one.id, &sealed(1, 0), plain).await;
        assert!(swapped.is_err(), "{plain:?}");
    }
    assert_eq!(world.store().connections().await.unwrap(), vec![sealed_one.clone()]);
    assert_eq!(world.store().sealed_credential(&sealed_one).await, Ok(sealed(1, 0)));
}

async fn an_error_quotes_no_statement_and_no_row(world: World) {
    let connection = world.connected("github").await;
    let claim = world.claimed(&connection, LEASE).await;
    let store = world.store();
    let elsewhere = Claim { connection: Uuid::new_v4(), ..claim.clone() };
    let errors = [
        store.add_connection(&Connection { id: Uuid::new_v4(), ..connection.clone() }, &[], &[]).await.err(),
        store.add_connection(&self::connection("canary"), b"canary", &[]).await.err(),
        store.open_scan(Uuid::new_v4(), Uuid::new_v4()).await.err(),
        store.keep(&elsewhere, &Page::of("canary").kept()).await.err(),
        store.connection("nobody").await.err(),
        store.renew(&Claim { epoch: 99, ..claim }).await.err(),
    ];
    for error in errors {
        let error = error.expect("an error");
        says_no_sql(&error);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    assert_eq!(
        world.picture(&Claim { scan: elsewhere.scan, ..elsewhere }).await.matches("canary").count(),
        0
    );
}

// --- The id of an event ---

#[test]
fn the_id_of_an_event_is_what_it_always_was() {
    let connection = Uuid::parse_str("00010203-0405-0607-0809-0a0b0c0d0e0f").unwrap();
    let happened = Event { source: id("é-42"), ..event("1", "1") };
    // Six bytes of SHA-256 over connection and case, ten over connection, activity and source, each part with its
    // length before it, worked out elsewhere.
    let expected = "74f0a37c-52c0-8acc-acd8-f9b05e9b5416";
    assert_eq!(event_id(connection, &happened).to_string(), expected);
    assert_eq!(event_id(connection, &happened).get_version_num(), 8);
}

/// Few letters, so that parts often run into each other; and words of activities, so that they look like one.
fn source() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,4}",
        "(un)?labelled(labelled)?",
        "(created|moved|locked|unlocked){1,2}[0-9]?",
        "[!-~]{1,20}",
        "[重é🦀]{1,5}",
    ]
}

fn happening() -> impl Strategy<Value = (u128, Activity, String)> {
    (0..3_u128, proptest::sample::select(Activity::ALL), source())
}

proptest! {
    #[test]
    fn two_happenings_have_one_id_only_if_they_are_the_same(one in happening(), other in happening()) {
        let made = |(connection, activity, source): &(u128, Activity, String)| {
            event_id(Uuid::from_u128(*connection), &Event { activity: *activity, source: id(source), ..event("1", "1") })
        };
        prop_assert_eq!(made(&one) == made(&other), one == other);
        prop_assert_eq!(made(&one), made(&one));
    }

    #[test]
    fn what_may_change_between_two_readings_is_no_part_of_an_id(seconds in 0..1_000_000_i64, turn: i32, text in source()) {
        let known = event("1", "1");
        let at = (noon() + TimeDelta::seconds(seconds)).trunc_subsecs(0);
        let read_again = Event { at, turn, resource: None, from: Some(id(&text)), to: None, ..known.clone() };
        prop_assert_eq!(event_id(Uuid::nil(), &known), event_id(Uuid::nil(), &read_again));
    }
}

/// What only a database in a file can get wrong.
mod file {
    use super::*;
    use crate::support::engines::TENANT;
    use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use tempfile::TempDir;
    use twinflow::store::open_embedded;

    fn place() -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("twinflow.db");
        (folder, file)
    }

    async fn open(file: &Path) -> Result<Arc<dyn Store>, StoreError> {
        open_embedded(file, TENANT, TestClock::new().clock()).await
    }

    async fn refused(file: &Path) -> StoreError {
        let error = open(file).await.map(|_| ()).unwrap_err();
        says_no_sql(&error);
        error
    }

    /// Changes a database behind the program's back.
    async fn run(file: &Path, sql: &'static str) {
        let mut raw = raw(file).await;
        sqlx::raw_sql(sql).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
    }

    async fn raw(file: &Path) -> SqliteConnection {
        SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap()
    }

    #[tokio::test]
    async fn a_database_is_opened_again_and_again() {
        let (_folder, file) = place();
        for name in ["one", "two", "three"] {
            let store = open(&file).await.unwrap();
            store.add_connection(&connection(name), &sealed(1, 0), &[]).await.unwrap();
        }
        assert_eq!(open(&file).await.unwrap().connections().await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn an_empty_file_becomes_a_database() {
        let (_folder, file) = place();
        fs::write(&file, "").unwrap();
        assert!(open(&file).await.unwrap().connections().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_and_left_alone() {
        let (_folder, file) = place();
        let text = "not a database, but long enough to be read as a header\n".repeat(100);
        fs::write(&file, &text).unwrap();
        assert_eq!(refused(&file).await, StoreError::Damaged(file.clone()));
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }

    #[tokio::test]
    async fn a_database_of_another_program_is_refused_and_left_alone() {
        let (_folder, file) = place();
        run(&file, "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')").await;
        let before = fs::read(&file).unwrap();
        assert_eq!(refused(&file).await, StoreError::Damaged(file.clone()));
        assert_eq!(fs::read(&file).unwrap(), before);
    }

    #[tokio::test]
    async fn a_folder_in_the_files_place_is_refused() {
        let (folder, _) = place();
        assert_eq!(refused(folder.path()).await, StoreError::Damaged(folder.path().to_owned()));
    }

    #[tokio::test]
    async fn a_damaged_database_is_refused() {
        let (_folder, file) = place();
        open(&file).await.unwrap().add_connection(&connection("a"), &sealed(1, 0), &[]).await.unwrap();
        run(&file, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").await;
        let whole = fs::read(&file).unwrap();
        assert!(whole.len() > 3 * 4096);
        // All but its first page, which holds the header; then cut short in the middle of a page.
        let mut scribbled = whole.clone();
        scribbled[4096..].fill(0xA5);
        for damaged in [scribbled, whole[..whole.len() / 2 + 100].to_vec()] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(refused(&file).await, StoreError::Damaged(file.clone()));
        }
    }

    #[tokio::test]
    async fn a_database_of_a_newer_program_is_refused() {
        let (_folder, file) = place();
        drop(open(&file).await.unwrap());
        run(
            &file,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'future', true, x'00', 0)",
        )
        .await;
        let error = refused(&file).await;
        assert!(matches!(error, StoreError::Newer { found: 9999, known: 1.. }), "{error:?}");
        assert!(error.to_string().contains("newer version (9999)"), "{error}");
    }

    #[tokio::test]
    async fn a_database_made_by_another_text_of_a_migration_is_refused() {
        let (_folder, file) = place();
        drop(open(&file).await.unwrap());
        run(&file, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
        assert_eq!(refused(&file).await, StoreError::ChangedMigration(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_programs_that_make_the_same_database_at_once_each_gets_it() {
        for _ in 0..5 {
            let (_folder, file) = place();
            let opened = join_all((0..8).map(|_| {
                tokio::spawn({
                    let file = file.clone();
                    async move { open(&file).await.map(|_| ()) }
                })
            }));
            for outcome in opened.await {
                assert_eq!(outcome.unwrap(), Ok(()));
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_programs_that_write_to_one_database_both_succeed() {
        let (_folder, file) = place();
        let write = async |name: &'static str, store: Arc<dyn Store>| {
            let connection = connection(name);
            store.add_connection(&connection, &sealed(1, 0), &[stream("stream")]).await.unwrap();
            let scan = store.open_scan(connection.id, Uuid::new_v4()).await.unwrap();
            let claim = store.claim(scan, &Claiming::new(name, LEASE)).await.unwrap().unwrap();
            for page in 0..50 {
                let events = (0..100).map(|n| event(&format!("{page}"), &n.to_string())).collect();
                let page = Page { events, ..Page::of("1") };
                assert_eq!(store.keep(&claim, &page.kept()).await, Ok(100));
            }
        };
        let stores = [open(&file).await.unwrap(), open(&file).await.unwrap()];
        let [one, another] = stores.clone();
        tokio::join!(write("one", one), write("another", another));
        for store in stores {
            assert_eq!(store.events(&everything()).await.unwrap().len(), 10_000);
        }
    }

    #[tokio::test]
    async fn what_was_kept_is_on_disk_and_whole() {
        let (_folder, file) = place();
        let store = open(&file).await.unwrap();
        store.add_connection(&connection("a"), &sealed(1, 0), &[]).await.unwrap();
        let mut raw = raw(&file).await;
        let says: (String,) = sqlx::query_as("PRAGMA integrity_check").fetch_one(&mut raw).await.unwrap();
        assert_eq!(says.0, "ok");
        let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut raw).await.unwrap();
        assert!(orphans.is_empty());
    }
}

/// What only a server can get wrong.
mod server {
    use super::*;
    use crate::support::engines::{TENANT, migrated};
    use crate::support::postgres::TestDatabase;
    use sqlx::{Connection as _, PgConnection};
    use twinflow::store::open_server;

    async fn superuser(database: &TestDatabase) -> PgConnection {
        PgConnection::connect(&database.superuser_url()).await.unwrap()
    }

    #[tokio::test]
    async fn a_page_the_server_refuses_for_its_cursor_is_not_kept_at_all() {
        let world = World::postgres().await;
        let claim = world.claimed(&world.connected("github").await, LEASE).await;
        let before = world.picture(&claim).await;
        // JSON may hold a NUL, Postgres' may not; by then events, cases and names have been written.
        let page = Page { cursor: cursor("nul\0"), ..Page::of("1") };
        says_no_sql(&world.keep(&claim, &page).await.unwrap_err());
        assert_eq!(world.picture(&claim).await, before);
    }

    #[tokio::test]
    async fn a_connection_the_server_cut_off_is_made_anew() {
        let database = migrated().await;
        let store = open_server(&database.login_url("tf_app").await, TENANT).await.unwrap();
        store.add_connection(&connection("github"), &sealed(1, 0), &[]).await.unwrap();
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&mut superuser(&database).await)
        .await
        .unwrap();
        assert_eq!(store.connections().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn ids_are_ordered_by_their_bytes_whatever_the_servers_language() {
        let database = migrated().await;
        let mut admin = superuser(&database).await;
        // The tests' server speaks none, so ask the catalog: a key by any other order would change with a server's.
        let by_language: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT i.indexrelid::regclass || ' by ' || a.attname
             FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
             WHERE c.relnamespace = 'public'::regnamespace AND a.attcollation NOT IN (0, '\"C\"'::regcollation)",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(by_language, [""; 0]);
    }

    #[tokio::test]
    async fn a_server_that_is_full_or_away_is_worth_another_try() {
        let database = migrated().await;
        let url = database.login_url("tf_app").await;
        sqlx::query(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$",
        )
        .execute(&mut superuser(&database).await)
        .await
        .unwrap();
        let nobody_listens = "postgres://nobody@127.0.0.1:1/nothing";
        let (full, away) = tokio::join!(open_server(&url, TENANT), open_server(nobody_listens, TENANT));
        for outcome in [full, away] {
            let error = outcome.map(|_| ()).unwrap_err();
            assert!(matches!(error, StoreError::Busy(_)), "{error:?}");
        }
    }
}
