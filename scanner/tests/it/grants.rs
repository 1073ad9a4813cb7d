//! A grant is kept alive: refreshed once however many need it, stored before it is used, and when it is over, a
//! person is told and nothing is asked in a loop.

use crate::support::bench::{logged, story, without_stream};
use crate::support::browser::{consent_line, dance, get, parameter};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, TENANT, postgres, sqlite};
use crate::support::program::{self, Home, Ran, facts, key_line, write_keys};
use chrono::TimeDelta;
use futures::future::join_all;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde_json::json;
use sqlx::Connection as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use twinflow::connect::{NewConnection, Setting, add};
use twinflow::credential::{App, Credential, Grant};
use twinflow::keeper::{KeepError, Keeper, UnderWay};
use twinflow::oauth::{Attempt, AuthServer};
use twinflow::scan::egress::{Allowed, Bounds};
use twinflow::scan::watch::{Nobody, Progress, StopCord, Watch};
use twinflow::scan::{CENSUS_EVERY, Scanner};
use twinflow::store::{Connection, Outcome, State, Store, random_id};
use twinflow_connectors::Contract;
use twinflow_fixtures::oauth::{CLIENT_ID, CLIENT_SECRET, OAuthDialect};
use twinflow_fixtures::{Fault, Jira, Service, ServiceOptions, jira};
use twinflow_vault::{KeySet, Vault};

fn contract() -> &'static Contract {
    twinflow_connectors::find("jira").unwrap().contract()
}

/// How often a refresh was asked for.
fn refreshes(tool: &Service) -> usize {
    tool.ledger().iter().filter(|it| it.path == "/oauth/token" && it.body.contains("refresh_token")).count()
}

/// What a person at the consent page gets us.
async fn granted(tool: &Service, allowed: &Allowed, clock: &TestClock) -> Grant {
    let url = tool.url();
    let server = AuthServer::new(contract(), allowed, &url, Some(&url)).unwrap();
    let app = App { id: CLIENT_ID.into(), secret: Some(CLIENT_SECRET.into()) };
    let (redirect, attempt) = ("http://127.0.0.1:1/callback", Attempt::new(&mut rand::rng()));
    let page = server.consent_page(&app, redirect, &attempt).unwrap();
    let back = tokio::task::spawn_blocking(move || get(&page)).await.unwrap();
    let code = parameter(&back.location.unwrap().parse().unwrap(), "code").unwrap();
    server.exchange(&app, redirect, &attempt, &code.into(), clock.clock().now()).await.unwrap().0
}

/// A pretend Jira with two projects, connected by consent.
struct Granted {
    clock: TestClock,
    database: Database,
    tool: Arc<Service>,
    connection: Connection,
    vault: Arc<Vault>,
    allowed: Allowed,
    grant: Grant,
}

impl Granted {
    async fn new(clock: TestClock, database: Database, cases: usize) -> Self {
        let world = Jira::new(&story(cases, &clock), "ONE").with_project(&story(cases, &clock), "TWO");
        let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
        tool.oauth(OAuthDialect::JIRA);
        let allowed = Allowed::default().and(&tool.url()).unwrap();
        let grant = granted(&tool, &allowed, &clock).await;
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let vault = Vault::new(KeySet::generate(&mut rng).unwrap());
        let setting = Setting {
            store: &*database.store,
            vault: &vault,
            tenant: TENANT,
            allowed: &allowed,
            now: clock.clock().now(),
        };
        let base_url = format!("{}/ex/jira/{}", tool.url(), jira::CLOUD_ID);
        let new = NewConnection {
            connector: twinflow_connectors::find("jira").unwrap(),
            name: "jira",
            base_url: &base_url,
            streams: &["ONE".to_owned(), "TWO".to_owned()],
            credential: &Credential::Grant(grant.clone()),
            accept_broad: false,
            pseudonymise: Default::default(),
        };
        let connection = add(setting, new, &mut rng).await.unwrap();
        tool.clear_ledger();
        Self { clock, database, tool: Arc::new(tool), connection, vault: Arc::new(vault), allowed, grant }
    }

    fn scanner(&self, watch: Arc<dyn Watch>) -> Scanner {
        Scanner {
            store: self.database.store.clone(),
            vault: self.vault.clone(),
            tenant: TENANT,
            allowed: self.allowed.clone(),
            clock: self.clock.clock(),
            watch,
            stop: StopCord::default(),
            owner: "a test".into(),
            takeover: false,
            bounds: Bounds { deadline: Duration::from_secs(10), ..Bounds::default() },
            streams_side_by_side: 4,
            patience: Duration::from_secs(300),
            reserve: 20,
            census_every: CENSUS_EVERY,
            lease: Duration::from_secs(60),
            anyway: false,
            background: None,
        }
    }

    async fn scan(&self, watch: Arc<dyn Watch>) -> Outcome {
        let store = &self.database.store;
        let scan = store.open_scan(self.connection.id, random_id(&mut rand::rng())).await.unwrap();
        self.scanner(watch).run(scan).await.unwrap().expect("the scan is ours")
    }

    async fn scans_to_the_oracle(&self, watch: Arc<dyn Watch>) {
        let outcome = self.scan(watch).await;
        assert_eq!(outcome, Outcome { state: State::Complete, reasons: vec![], until: None, error: None });
        let mut happened: Vec<_> = self.tool.facts().into_iter().map(without_stream).collect();
        happened.sort();
        assert!(logged(&*self.database.store).await == happened);
    }

    /// The tool's clock alone: its access tokens run out before they said they would.
    fn tokens_die(&self) {
        self.tool.set_now(self.clock.clock().now() + TimeDelta::hours(2));
    }

    /// Several of them refresh at once.
    async fn at_once(&self, stores: &[Arc<dyn Store>]) -> Vec<Result<Credential, KeepError>> {
        let clock = twinflow::clock::Clock::system();
        let owners: Vec<_> = (0..stores.len()).map(|nth| format!("process {nth}")).collect();
        let refresh = |(store, owner): (&Arc<dyn Store>, &String)| {
            let (store, owner, clock) = (store.clone(), owner.clone(), clock.clone());
            async move {
                let (vault, allowed) = (self.vault.clone(), self.allowed.clone());
                let under_way = UnderWay::default();
                let keeper = Keeper { store, vault, tenant: TENANT, allowed, clock, owner, under_way };
                keeper.refresh(&self.connection, contract(), &self.grant).await.map(|held| held.credential)
            }
        };
        join_all(stores.iter().zip(&owners).map(refresh)).await
    }
}

/// Lets the access tokens die once the first page is kept.
struct Midway(Arc<Service>, chrono::DateTime<chrono::Utc>);

impl Watch for Midway {
    fn progress(&self, _: &str, _: &str, progress: &Progress) {
        if progress.pages == 1 {
            self.0.set_now(self.1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_that_runs_out_in_mid_scan_is_renewed_once_for_all_streams() {
    for database in [sqlite(&TestClock::new()).await, postgres().await] {
        let bench = Granted::new(TestClock::new(), database, 150).await;
        let later = bench.clock.clock().now() + TimeDelta::hours(2);
        bench.scans_to_the_oracle(Arc::new(Midway(bench.tool.clone(), later))).await;
        assert_eq!(refreshes(&bench.tool), 1);
        assert!(bench.tool.ledger().iter().any(|it| it.status == 401), "it did run out in the middle");
        assert_eq!(bench.tool.grants(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_that_has_nearly_run_out_is_renewed_before_anything_is_asked() {
    let clock = TestClock::new();
    let bench = Granted::new(clock.clone(), sqlite(&clock).await, 20).await;
    bench.clock.forward(TimeDelta::minutes(59));
    bench.scans_to_the_oracle(Arc::new(Nobody)).await;
    let ledger = bench.tool.ledger();
    assert_eq!((ledger[0].path.as_str(), refreshes(&bench.tool)), ("/oauth/token", 1));
    assert!(ledger.iter().all(|it| it.status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_processes_that_need_a_new_access_one_asks_for_it() {
    let clock = TestClock::new();
    let embedded = Granted::new(clock.clone(), sqlite(&clock).await, 3).await;
    let file = embedded.database.folder().unwrap().join("twinflow.db");
    let system = twinflow::clock::Clock::system();
    let second = twinflow::store::open_embedded(&file, TENANT, system.clone()).await.unwrap();
    let third = twinflow::store::open_embedded(&file, TENANT, system).await.unwrap();
    let server = Granted::new(TestClock::new(), postgres().await, 3).await;
    let (on_file, on_server) = ([second, third], [server.database.store.clone()]);
    for (bench, stores) in [(&embedded, on_file.as_slice()), (&server, on_server.as_slice())] {
        bench.tool.latency(Duration::from_millis(100));
        let many: Vec<_> = stores.iter().cycle().take(8).cloned().collect();
        let got: Vec<_> = bench.at_once(&many).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(refreshes(&bench.tool), 1);
        let first = got[0].grant().unwrap();
        assert!(!first.is_same(&bench.grant));
        assert!(got.iter().all(|it| it.grant().unwrap().is_same(first)));
        assert_eq!(bench.tool.grants(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_scan_pauses_ends_no_refresh_that_another_of_its_process_has_begun() {
    let clock = TestClock::new();
    let bench = Granted::new(clock.clone(), sqlite(&clock).await, 3).await;
    bench.tool.latency(Duration::from_secs(1));
    let (store, connection) = (bench.database.store.clone(), bench.connection.id);
    let pausing = async {
        while !store.is_refreshing(connection).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!store.pause(connection, "process 0", b"an older one", "see to it").await.unwrap());
        assert!(store.is_refreshing(connection).await.unwrap(), "it goes on");
    };
    let stores = [store.clone()];
    let (refreshed, ()) = tokio::join!(bench.at_once(&stores), pausing);
    assert!(!refreshed[0].as_ref().unwrap().grant().unwrap().is_same(&bench.grant));
    assert!(!store.is_refreshing(connection).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_refresh_that_keeps_what_it_gets_under_the_former_key() {
    let tool = program::jira(3).await;
    tool.oauth(OAuthDialect::JIRA);
    let mut home = Home::allowing(&[&tool]);
    let [old, new] = [(); 2].map(|()| home.run("vault keygen").done().out);
    home.set("TWINFLOW_VAULT_KEY", old.as_str());
    dance(&home, &consent_line(&tool)).done();
    tool.set_now(program::story(1).options().now + TimeDelta::hours(2));
    tool.latency(Duration::from_secs(3));
    let scan = home.command("scan").spawn().unwrap();
    let file = format!("sqlite://{}", home.data().join("twinflow.db").display());
    let mut database = sqlx::SqliteConnection::connect(&file).await.unwrap();
    let begun = "SELECT count(*) FROM credentials WHERE refresh_owner IS NOT NULL";
    while sqlx::query_scalar::<_, i64>(begun).fetch_one(&mut database).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The scan was given the old key in a variable, which cannot change; this goes by a file.
    write_keys(&home, &format!("primary {}\nformer {}\n", key_line(&new), key_line(&old)));
    home.set("TWINFLOW_KEY_FILE", home.named("data/vault.key"));
    let rotated = home.run("vault rotate").done();
    assert!(rotated.out.starts_with("Sealed 1 again"), "{}", rotated.out);
    tool.latency(Duration::ZERO);
    Ran::of("scan", scan.wait_with_output().unwrap());
    assert_eq!(refreshes(&tool), 1, "it was under way");
    write_keys(&home, &new);
    home.run("scan").done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_was_taken_back_lets_the_connection_wait_for_a_person() {
    let tool = program::jira(20).await;
    tool.oauth(OAuthDialect::JIRA);
    let home = Home::allowing(&[&tool]);
    dance(&home, &consent_line(&tool)).done();
    tool.end_grants();
    tool.clear_ledger();
    let ran = home.run("scan").ends(1);
    for words in ["ended, or was taken back", "twinflow renew jira"] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    assert_eq!(refreshes(&tool), 1);
    let shown = home.run("connections").done().out;
    assert!(shown.contains("(paused)") && shown.contains("twinflow renew jira"), "{shown}");
    home.run("doctor").ends(1);

    // From now on nothing is asked.
    let asked = tool.asked();
    let again = home.run("scan").ends(1);
    assert!(again.out.contains("twinflow renew jira"), "{}", again.out);
    assert_eq!(tool.asked(), asked);

    let renewed = dance(&home, "renew jira --no-browser").done();
    assert!(renewed.out.contains("has a new credential"), "{}", renewed.out);
    assert!(home.run("connections --json").done().json()[0]["paused"].is_null());
    home.run("scan").done();
    assert!(home.log() == facts(&[&tool]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_tools_answer_and_our_commit_costs_one_reconnect_and_no_loop() {
    let tool = program::jira(20).await;
    tool.oauth(OAuthDialect::JIRA);
    let home = Home::allowing(&[&tool]);
    dance(&home, &consent_line(&tool)).done();
    tool.set_now(program::story(1).options().now + TimeDelta::hours(2));
    tool.clear_ledger();
    // The tool has given a new refresh token and forgotten the old one; we never hear of it.
    tool.faults().when_body_contains("\"refresh_token\"", Fault::HeadersOnly);
    let mut scan = home.command("scan").spawn().unwrap();
    while refreshes(&tool) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scan.kill().unwrap();
    scan.wait().unwrap();
    tool.faults().clear();
    // Whoever was killed may as well be alive: only its lease says that nothing comes of it any more.
    let file = format!("sqlite://{}", home.data().join("twinflow.db").display());
    let mut database = sqlx::SqliteConnection::connect(&file).await.unwrap();
    let run_out = sqlx::query("UPDATE credentials SET refresh_until = $1 WHERE refresh_owner IS NOT NULL");
    let run_out = run_out.bind(chrono::DateTime::UNIX_EPOCH);
    assert_eq!(run_out.execute(&mut database).await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();

    let ran = home.run("scan").ends(1);
    assert!(ran.out.contains("twinflow renew jira"), "{}", ran.out);
    assert_eq!(refreshes(&tool), 2);
    home.run("scan").ends(1);
    assert_eq!(refreshes(&tool), 2);
    dance(&home, "renew jira --no-browser").done();
    home.run("scan").done();
    assert!(home.log() == facts(&[&tool]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_breaks_off_again_and_again_is_not_begun_for_ever() {
    let clock = TestClock::new();
    let bench = Granted::new(clock.clone(), sqlite(&clock).await, 3).await;
    let store = &bench.database.store;
    let sealed = store.sealed_credential(&bench.connection).await.unwrap();
    for nth in 1..=2 {
        let begun = store.begin_refresh(bench.connection.id, &sealed, "dead", Duration::ZERO).await;
        assert_eq!(begun, Ok(Some(nth)));
        bench.clock.forward(TimeDelta::seconds(1));
    }
    bench.tokens_die();
    let outcome = bench.scan(Arc::new(Nobody)).await;
    assert!(outcome.state == State::Failed && outcome.reasons[0].contains("twinflow renew"), "{outcome:?}");
    assert_eq!(refreshes(&bench.tool), 0);
    assert!(store.connection("jira").await.unwrap().paused.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_takes_over_another_still_waits_for_whoever_refreshes() {
    let clock = TestClock::new();
    let bench = Granted::new(clock.clone(), sqlite(&clock).await, 3).await;
    let store = &bench.database.store;
    let sealed = store.sealed_credential(&bench.connection).await.unwrap();
    let lease = Duration::from_secs(60);
    assert_eq!(store.begin_refresh(bench.connection.id, &sealed, "a ticket", lease).await, Ok(Some(1)));
    bench.tokens_die();
    let scan = store.open_scan(bench.connection.id, random_id(&mut rand::rng())).await.unwrap();
    let scanner = Scanner { takeover: true, ..bench.scanner(Arc::new(Nobody)) };
    let outcome = scanner.run(scan).await.unwrap().unwrap();
    assert_eq!((outcome.state, refreshes(&bench.tool)), (State::Complete, 1), "{outcome:?}");
    assert!(bench.clock.waits().iter().sum::<Duration>() >= lease, "it did not wait");
}

/// A scan that is refreshing right now, the answer of which comes late.
async fn refreshing(bench: &Granted) -> (StopCord, JoinHandle<Option<Outcome>>) {
    bench.tokens_die();
    bench.tool.latency(Duration::from_millis(300));
    let scan =
        bench.database.store.open_scan(bench.connection.id, random_id(&mut rand::rng())).await.unwrap();
    let scanner = Scanner { lease: Duration::from_millis(300), ..bench.scanner(Arc::new(Nobody)) };
    let (stop, running) = (scanner.stop.clone(), async move { scanner.run(scan).await.unwrap() });
    let running = tokio::spawn(running);
    while refreshes(&bench.tool) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (stop, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_is_stopped_while_it_refreshes_keeps_what_comes_before_it_ends() {
    let clock = TestClock::new();
    for fenced in [false, true] {
        let bench = Granted::new(clock.clone(), sqlite(&clock).await, 3).await;
        let store = &bench.database.store;
        let old = store.sealed_credential(&bench.connection).await.unwrap();
        let (stop, running) = refreshing(&bench).await;
        if fenced {
            store.fence(bench.connection.id).await.unwrap();
        } else {
            stop.pull();
        }
        let ended = running.await.unwrap();
        assert_eq!(ended.map(|it| it.state), (!fenced).then_some(State::Queued));
        assert_eq!(store.is_refreshing(bench.connection.id).await, Ok(false));
        assert_ne!(store.sealed_credential(&bench.connection).await.unwrap(), old, "the new grant is lost");
        assert_eq!((refreshes(&bench.tool), bench.tool.grants()), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_endpoint_in_trouble_is_asked_again_and_pauses_nothing() {
    let clock = TestClock::new();
    let bench = Granted::new(clock.clone(), sqlite(&clock).await, 20).await;
    bench.tokens_die();
    for fault in [Fault::ServerError(503), Fault::Html, Fault::CutConnection] {
        bench.tool.faults().when_body_contains("\"refresh_token\"", fault);
        let outcome = bench.scan(Arc::new(Nobody)).await;
        assert_eq!(outcome.state, State::Failed, "{outcome:?}");
        assert!(bench.database.store.connection("jira").await.unwrap().paused.is_none());
        bench.tool.faults().clear();
        // Had the answer got lost, the tool would have given a new one and this one be dead.
        bench.tool.oauth(OAuthDialect::JIRA);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_given_by_hand_meanwhile_goes_before_what_a_refresh_brings() {
    let clock = TestClock::new();
    let bench = Granted::new(clock.clone(), sqlite(&clock).await, 3).await;
    let store = &bench.database.store;
    let (id, old) = (bench.connection.id, store.sealed_credential(&bench.connection).await.unwrap());
    let long = |last| [&old[..old.len() - 1], &[last]].concat();
    store.begin_refresh(id, &old, "slow", Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(store.replace_credential(id, &long(1)).await, Ok(true));
    assert_eq!(store.keep_refreshed(id, "slow", &old, &long(2)).await, Ok(false));
    assert_eq!(store.pause(id, "slow", &old, "over").await, Ok(false));
    assert_eq!(store.sealed_credential(&bench.connection).await, Ok(long(1)));
    // One that the vault sealed anew is still the same one.
    store.begin_refresh(id, &long(1), "slow", Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(store.swap_credential(id, &long(1), &long(3)).await, Ok(true));
    assert_eq!(store.keep_refreshed(id, "slow", &long(1), &long(4)).await, Ok(true));
    assert_eq!(store.is_refreshing(id).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_over_is_asked_for_once_however_many_streams_need_it() {
    let clock = TestClock::new();
    let bench = Granted::new(clock.clone(), sqlite(&clock).await, 3).await;
    bench.tool.end_grants();
    let outcome = bench.scan(Arc::new(Nobody)).await;
    assert_eq!((outcome.state, outcome.reasons.len()), (State::Failed, 2), "{outcome:?}");
    assert!(outcome.reasons.iter().all(|why| why.contains("twinflow renew jira")), "{outcome:?}");
    assert_eq!(refreshes(&bench.tool), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pasted_token_is_never_refreshed() {
    let tool = program::jira(3).await;
    tool.oauth(OAuthDialect::JIRA);
    let home = Home::allowing(&[&tool]);
    home.connect_jira(&tool).done();
    tool.revoke();
    let ran: Ran = home.run("scan").ends(1);
    assert!(ran.out.contains("no longer accepts the credential"), "{}", ran.out);
    assert_eq!(refreshes(&tool), 0);
    assert_eq!(home.run("connections --json").done().json()[0]["paused"], json!(null));
}
