//! Pretend tools, a store, and a scanner between them.

use super::clock::TestClock;
use super::engines::{Database, TENANT};
use chrono::{DateTime, Utc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use twinflow::connect::{ConnectError, NewConnection, Setting, add};
use twinflow::credential::Credential;
use twinflow::scan::egress::{Allowed, Bounds};
use twinflow::scan::watch::{Nobody, StopCord};
use twinflow::scan::{CENSUS_EVERY, Scanner};
use twinflow::store::{Connection, Outcome, Store, Wanted, random_id};
use twinflow_fixtures::{Fact, Service, ServiceOptions, Stand, Story, StoryOptions, stands};
use twinflow_vault::{KeySet, Vault};

/// One pretend tool, connected.
pub(crate) struct Bench {
    pub(crate) clock: TestClock,
    pub(crate) database: Database,
    pub(crate) tool: Service,
    pub(crate) connection: Connection,
    pub(crate) scanner: Scanner,
}

pub(crate) fn story(cases: usize, clock: &TestClock) -> Story {
    use twinflow::clock::Time as _;
    Story::new(StoryOptions { seed: 7, cases, now: clock.now() })
}

impl Bench {
    /// GitHub or Jira, with these streams followed.
    pub(crate) async fn new(clock: TestClock, database: Database, tool: Service, streams: &[&str]) -> Self {
        let name = if streams.iter().any(|name| name.contains('/')) { "github" } else { "jira" };
        let mut stand = stands(&story(1, &clock)).into_iter().find(|stand| stand.tool == name).unwrap();
        stand.streams = streams.iter().map(|name| (*name).to_owned()).collect();
        Self::with(clock, database, tool, &Door::of(&stand)).await
    }

    /// Any tool, with everything followed that its stand has.
    pub(crate) async fn of(clock: TestClock, database: Database, stand: Stand) -> Self {
        let door = Door::of(&stand);
        let tool = Service::start(stand.world, ServiceOptions::default()).await.unwrap();
        Self::with(clock, database, tool, &door).await
    }

    async fn with(clock: TestClock, database: Database, tool: Service, door: &Door) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let scanner = Scanner {
            store: database.store.clone(),
            vault: Arc::new(Vault::new(KeySet::generate(&mut rng).unwrap())),
            tenant: TENANT,
            allowed: Allowed::default().and(&tool.url()).unwrap(),
            clock: clock.clock(),
            watch: Arc::new(Nobody),
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
        };
        let base_url = format!("{}{}", tool.url(), door.path);
        let connecting = connect(&scanner, door.tool, &base_url, &door.streams, &door.credential);
        let connection = connecting.await.unwrap();
        tool.clear_ledger();
        Self { clock, database, tool, connection, scanner }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.database.store
    }

    /// Opens a scan, or the one that was cut short, and runs it.
    pub(crate) async fn scan(&self) -> Outcome {
        let fresh = random_id(&mut rand::rng());
        let scan = self.store().open_scan(self.connection.id, fresh).await.unwrap();
        self.scanner.run(scan).await.unwrap().expect("the scan is ours")
    }

    /// What the event log holds, in the oracle's words.
    pub(crate) async fn log(&self) -> Vec<Fact> {
        logged(self.store()).await
    }

    /// What a perfect reader would have found, without the stream, which the log does not repeat per event.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        let mut facts: Vec<_> = self.tool.facts().into_iter().map(without_stream).collect();
        facts.sort();
        facts
    }
}

pub(crate) fn without_stream(fact: Fact) -> Fact {
    Fact { stream: String::new(), ..fact }
}

/// Every event of a store, sorted; panics if one stands there twice.
pub(crate) async fn logged(store: &dyn Store) -> Vec<Fact> {
    let wanted = Wanted { limit: i64::MAX, ..Wanted::default() };
    let events = store.events(&wanted).await.unwrap();
    let ids: BTreeSet<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), events.len(), "an event stands in the log twice");
    let fact = |event: twinflow::store::LoggedEvent| Fact {
        case: event.case,
        activity: event.activity,
        resource: event.resource,
        at: event.at,
        from: event.from,
        to: event.to,
        stream: String::new(),
    };
    let mut facts: Vec<_> = events.into_iter().map(fact).collect();
    facts.sort();
    facts
}

/// How a stand's tool is entered.
struct Door {
    tool: &'static str,
    path: String,
    streams: Vec<String>,
    credential: Credential,
}

impl Door {
    fn of(stand: &Stand) -> Self {
        let contract = twinflow_connectors::find(stand.tool).expect("a tool").contract();
        let credential = match stand.user {
            None => Credential::Token(stand.token.into()),
            Some(user) => Credential::basic(contract, user, stand.token.into()).expect("it takes a name"),
        };
        Self { tool: stand.tool, path: stand.path.clone(), streams: stand.streams.clone(), credential }
    }
}

pub(crate) async fn connect(
    scanner: &Scanner,
    tool: &str,
    base_url: &str,
    streams: &[String],
    credential: &Credential,
) -> Result<Connection, ConnectError> {
    let setting = Setting {
        store: &*scanner.store,
        vault: &scanner.vault,
        tenant: scanner.tenant,
        allowed: &scanner.allowed,
        now: DateTime::<Utc>::UNIX_EPOCH,
    };
    let connector = twinflow_connectors::find(tool).expect("a tool");
    let (accept_broad, pseudonymise) = (false, Default::default());
    let new =
        NewConnection { connector, name: tool, base_url, streams, credential, accept_broad, pseudonymise };
    add(setting, new, &mut rand::rng()).await
}
