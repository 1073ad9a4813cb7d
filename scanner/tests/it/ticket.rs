//! One key, at most one ticket, and nobody is told of one that may not be there.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, postgres, sqlite};
use futures::future::join_all;
use secrecy::SecretString;
use std::path::Path;
use std::time::Duration;
use twinflow::clock::Clock;
use twinflow::connect;
use twinflow::credential::Credential;
use twinflow::scan::egress::Bounds;
use twinflow::store::{NewTicket, Ticket, TicketEnd, TicketState};
use twinflow::ticket::{self, Setting, TicketError, Wish};
use twinflow_connectors::{DESKS, Operation, Prose};
use twinflow_fixtures::jira::{Labels, TicketSwitches, WRITE_TOKEN};
use twinflow_fixtures::{Asked, Fault, Jira, RetryAfter, Service, ServiceOptions, canary, stands};
use uuid::Uuid;

const KEY: Uuid = Uuid::from_u128(0x7f3c_1a2e_5b5e_4a4e_9a58_0d8a_4e0c_1b2d);
const CREATE: &str = "/rest/api/3/issue";
/// Stands in the body of the one write.
const WRITE: &str = "twinflow.idempotency";

/// A Jira whose connection may write.
struct Office {
    bench: Bench,
    clock: Clock,
    bounds: Bounds,
}

impl Office {
    async fn new(clock: &TestClock, database: Database, switches: TicketSwitches) -> Self {
        let world = Jira::new(&story(20, clock), "SHOP").with_tickets(switches);
        let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
        let bench = Bench::new(clock.clone(), database, tool, &["SHOP"]).await;
        let office = Self { clock: clock.clock(), bounds: bench.scanner.bounds, bench };
        office.renew(WRITE_TOKEN).await;
        office
    }

    async fn renew(&self, token: &str) {
        let scanner = &self.bench.scanner;
        let setting = connect::Setting {
            store: &*scanner.store,
            vault: &scanner.vault,
            tenant: scanner.tenant,
            allowed: &scanner.allowed,
            now: self.clock.now(),
        };
        let connector = twinflow_connectors::find("jira").unwrap();
        let credential = Credential::Token(SecretString::from(token));
        let (connection, mut rng) = (&self.bench.connection, rand::rng());
        connect::renew(setting, connection, connector, &credential, false, &mut rng).await.unwrap();
        self.bench.tool.clear_ledger();
    }

    fn setting(&self) -> Setting<'_> {
        let scanner = &self.bench.scanner;
        Setting {
            store: &scanner.store,
            vault: &scanner.vault,
            tenant: scanner.tenant,
            allowed: &scanner.allowed,
            clock: &self.clock,
            bounds: self.bounds,
        }
    }

    async fn preview(&self, typed: &Typed) -> Result<ticket::Preview, TicketError> {
        let wish = Wish {
            connection: &self.bench.connection,
            project: typed.project,
            kind: typed.kind,
            summary: &typed.summary,
            description: typed.description.as_ref(),
            labels: &typed.labels,
            key: typed.key,
            marked: typed.marked,
        };
        ticket::preview(self.setting(), wish).await
    }

    async fn create(&self, typed: &Typed) -> Result<Ticket, TicketError> {
        ticket::create(self.setting(), self.preview(typed).await?.confirm()).await
    }

    async fn state(&self, key: Uuid) -> Option<TicketState> {
        self.bench.store().ticket(key).await.unwrap().map(|ticket| ticket.state)
    }

    fn writes(&self) -> Vec<Asked> {
        let written = |asked: &Asked| asked.path.ends_with(CREATE);
        self.bench.tool.ledger().into_iter().filter(written).collect()
    }

    /// How many tickets there are in the tool beside those that were there.
    fn made(&self) -> usize {
        self.bench.tool.cases().len() - 20
    }

    fn spoil_the_write(&self, fault: Fault) {
        self.bench.tool.faults().when_body_contains(WRITE, fault);
    }
}

struct Typed {
    project: &'static str,
    kind: &'static str,
    summary: Prose,
    description: Option<Prose>,
    labels: Vec<String>,
    key: Uuid,
    marked: bool,
}

fn typed() -> Typed {
    Typed {
        project: "SHOP",
        kind: "Bug",
        summary: Prose::from("Look \"here\" {summary}".to_owned()),
        description: Some(Prose::from("One line\n\nand another".to_owned())),
        labels: vec!["till".to_owned()],
        key: KEY,
        marked: true,
    }
}

/// Runs promises on each engine.
macro_rules! on_each_engine {
    ($($promise:ident)+) => {
        mod in_sqlite { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            let clock = super::TestClock::new();
            super::$promise(&clock, super::sqlite(&clock).await).await;
        })+ }
        mod in_postgres { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $promise() {
            super::$promise(&super::TestClock::new(), super::postgres().await).await;
        })+ }
    };
}

on_each_engine! {
    a_ticket_is_sent_to_the_byte_as_it_was_shown_and_the_next_scan_reads_it
    ten_clicks_at_once_with_one_key_make_one_ticket
    a_ticket_left_in_the_middle_of_sending_is_looked_for_and_not_sent_again
    a_ticket_that_was_created_stays_so_and_one_that_may_be_is_not_begun_again
    a_connection_that_is_over_or_waits_for_a_person_takes_no_tickets
}

async fn a_ticket_is_sent_to_the_byte_as_it_was_shown_and_the_next_scan_reads_it(
    clock: &TestClock,
    database: Database,
) {
    let office = Office::new(clock, database, TicketSwitches::default()).await;
    let preview = office.preview(&typed()).await.unwrap();
    assert!(office.writes().is_empty() && office.state(KEY).await.is_none(), "a preview does nothing");
    let (url, text) = (preview.url(), preview.text().to_owned());
    let marker = preview.marker().unwrap().to_owned();
    let ticket = ticket::create(office.setting(), preview.confirm()).await.unwrap();

    let writes = office.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!((writes[0].method.as_str(), &writes[0].body), ("POST", &text));
    assert!(url.ends_with(&writes[0].path) && url.starts_with(&office.bench.tool.url()), "{url}");
    let body: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["fields"]["summary"], "Look \"here\" {summary}");
    assert_eq!(body["fields"]["labels"], serde_json::json!([marker, "till"]));
    assert_eq!(body["properties"][0]["value"]["key"], KEY.to_string());
    let expected = (TicketState::Created, Some("SHOP-21"), Some(marker.as_str()));
    assert_eq!((ticket.state, ticket.issue_key.as_deref(), ticket.marker.as_deref()), expected);
    assert_eq!(ticket.issue_id, office.bench.tool.cases().last().cloned().unwrap());

    office.bench.scan().await;
    assert_eq!(office.bench.log().await, office.bench.facts());
    // Said again, nothing is sent.
    assert_eq!(office.create(&typed()).await, Ok(ticket.clone()));
    assert_eq!(ticket::check(office.setting(), KEY).await, Ok(ticket));
    assert_eq!((office.writes().len(), office.made()), (1, 1));
}

async fn ten_clicks_at_once_with_one_key_make_one_ticket(clock: &TestClock, database: Database) {
    let mut office = Office::new(clock, database, TicketSwitches::default()).await;
    // Those who come late wait for the first, as long as it takes on the wall.
    office.clock = Clock::system();
    office.bench.tool.latency(Duration::from_millis(50));
    let clicks = join_all((0..10).map(async |_| office.create(&typed()).await)).await;
    let keys: Vec<_> = clicks.into_iter().map(|click| click.unwrap().issue_key).collect();
    assert_eq!(keys, vec![Some("SHOP-21".to_owned()); 10]);
    assert_eq!((office.writes().len(), office.made()), (1, 1));
}

async fn a_ticket_left_in_the_middle_of_sending_is_looked_for_and_not_sent_again(
    clock: &TestClock,
    database: Database,
) {
    let office = Office::new(clock, database, TicketSwitches::default()).await;
    let marker = office.preview(&typed()).await.unwrap().marker().map(str::to_owned);
    let row = |key| NewTicket {
        id: key,
        connection: office.bench.connection.id,
        project: "SHOP".into(),
        marker: marker.clone(),
    };
    let store = office.bench.store();
    let other = Uuid::from_u128(2);
    for key in [KEY, other] {
        store.prepare_ticket(&row(key)).await.unwrap();
        assert!(store.begin_ticket(&row(key)).await.unwrap());
    }
    // As whoever began it was killed before a byte left.
    let ticket = office.create(&typed()).await.unwrap();
    assert_eq!((ticket.state, office.writes().len()), (TicketState::Unknown, 0));
    // And after: what is there by now is found.
    office.create(&Typed { key: Uuid::from_u128(3), ..typed() }).await.unwrap();
    let found = ticket::check(office.setting(), KEY).await.unwrap().state;
    assert_eq!(found, TicketState::Unknown, "another ticket is not taken for it");
    store.settle_ticket(other, &TicketEnd::Refused).await.unwrap();
    assert_eq!(office.state(other).await, Some(TicketState::Refused));
}

async fn a_ticket_that_was_created_stays_so_and_one_that_may_be_is_not_begun_again(
    clock: &TestClock,
    database: Database,
) {
    let office = Office::new(clock, database, TicketSwitches::default()).await;
    let created = office.create(&typed()).await.unwrap();
    let (store, connection) = (office.bench.store(), office.bench.connection.id);
    let row = NewTicket { id: KEY, connection, project: "SHOP".into(), marker: None };
    for end in [TicketEnd::Refused, TicketEnd::Unknown] {
        store.settle_ticket(KEY, &end).await.unwrap();
        assert_eq!(store.ticket(KEY).await, Ok(Some(created.clone())));
    }
    assert_eq!(store.begin_ticket(&row).await, Ok(false));
    assert_eq!(store.tickets(10).await, Ok(vec![created]));

    let fresh = NewTicket { id: Uuid::from_u128(5), ..row };
    store.prepare_ticket(&fresh).await.unwrap();
    let mut begun = vec![];
    for end in [TicketEnd::Refused, TicketEnd::Unknown, TicketEnd::Unknown] {
        begun.push(store.begin_ticket(&fresh).await.unwrap());
        begun.push(store.begin_ticket(&fresh).await.unwrap());
        store.settle_ticket(fresh.id, &end).await.unwrap();
    }
    assert_eq!(begun, [true, false, true, false, false, false]);
}

// --- What may come of the one attempt ---

async fn a_connection_that_is_over_or_waits_for_a_person_takes_no_tickets(
    clock: &TestClock,
    database: Database,
) {
    let office = Office::new(clock, database, TicketSwitches::default()).await;
    let (store, id) = (office.bench.store(), office.bench.connection.id);
    let seen = office.preview(&typed()).await.unwrap().confirm();
    let refused = |error: Option<TicketError>, why: &str| {
        let said = error.expect("nothing is sent").to_string();
        assert!(said.contains(why) && said.contains("nothing was sent"), "{said}");
    };
    let sealed = store.sealed_credential(&office.bench.connection).await.unwrap();
    assert_eq!(store.pause(id, "a test", &sealed, "ask a person").await, Ok(true));
    refused(office.preview(&typed()).await.err(), "ask a person");
    // It ends after somebody has seen the ticket; the credential is still there to be given back.
    store.fence(id).await.unwrap();
    refused(office.preview(&typed()).await.err(), "disconnected");
    refused(ticket::create(office.setting(), seen).await.err(), "disconnected");
    assert_eq!((office.writes().len(), office.state(KEY).await), (0, Some(TicketState::Prepared)));
}

async fn office(switches: TicketSwitches) -> (TestClock, Office) {
    let clock = TestClock::new();
    let office = Office::new(&clock, sqlite(&clock).await, switches).await;
    (clock, office)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_stays_out_is_made_up_for_by_looking_and_never_by_sending_again() {
    for fault in [
        Fault::Hang,
        Fault::HeadersOnly,
        Fault::CutConnection,
        Fault::Truncated,
        Fault::NotUtf8,
        Fault::WrongType,
        Fault::ServerErrorAfterAll(500),
        Fault::ServerErrorAfterAll(504),
    ] {
        let (clock, mut office) = office(TicketSwitches { found_after: 3, ..Default::default() }).await;
        office.bounds.deadline = Duration::from_millis(700);
        office.spoil_the_write(fault.clone());
        let ticket = office.create(&typed()).await.unwrap();
        let expected = (TicketState::Created, Some("SHOP-21".to_owned()));
        assert_eq!((ticket.state, ticket.issue_key), expected, "{fault:?}");
        assert_eq!((office.writes().len(), office.made()), (1, 1), "{fault:?}");
        assert_eq!(clock.waits(), [1, 2, 4].map(Duration::from_secs), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_found_in_two_minutes_is_unknown_until_it_is_found_and_is_not_sent_again() {
    for (fault, made) in [
        (Fault::ServerError(502), 0),
        (Fault::Html, 0),
        (Fault::RedirectTo("https://elsewhere.example/".to_owned()), 0),
        (Fault::Status(408), 0),
        (Fault::ServerErrorAfterAll(502), 1),
    ] {
        let (clock, office) = office(TicketSwitches { found_after: 9, ..Default::default() }).await;
        office.spoil_the_write(fault.clone());
        let ticket = office.create(&typed()).await.unwrap();
        assert_eq!((ticket.state, office.made()), (TicketState::Unknown, made), "{fault:?}");
        assert_eq!(clock.waits().iter().sum::<Duration>(), Duration::from_secs(120), "{fault:?}");
        office.bench.tool.faults().clear();
        let expected = if made == 1 { TicketState::Created } else { TicketState::Unknown };
        assert_eq!(office.create(&typed()).await.unwrap().state, expected, "{fault:?}");
        assert_eq!(ticket::check(office.setting(), KEY).await.unwrap().state, expected, "{fault:?}");
        assert_eq!((office.writes().len(), office.made()), (1, made), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_tool_cannot_even_be_asked_it_is_unknown_and_said_so() {
    let (_, office) = office(TicketSwitches::default()).await;
    let preview = office.preview(&typed()).await.unwrap();
    office.bench.tool.faults().always(Fault::ServerErrorAfterAll(503));
    let error = ticket::create(office.setting(), preview.confirm()).await.unwrap_err();
    assert!(matches!(error, TicketError::Unlooked { key: KEY, .. }), "{error}");
    assert!(error.to_string().contains(&format!("twinflow ticket check {KEY}")), "{error}");
    assert_eq!(office.state(KEY).await, Some(TicketState::Unknown));
    office.bench.tool.faults().clear();
    assert_eq!(ticket::check(office.setting(), KEY).await.unwrap().state, TicketState::Created);
    assert_eq!(office.made(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_is_said_in_a_sentence_that_quotes_nothing_and_can_be_tried_again_with_the_same_key() {
    let hour = Some(RetryAfter::Secs(3600));
    for (fault, words) in [
        (Fault::Status(400), "does not take the ticket as it is"),
        (Fault::Status(401), "write:jira-work"),
        (Fault::Status(403), "write:jira-work"),
        (Fault::Status(404), "does not know this"),
        (Fault::Status(413), "does not accept"),
        (Fault::JiraBurst { retry_after: hour }, "try again in 3600 s"),
        (Fault::JiraQuota { retry_after: None }, "try again after 2026-11-16T13:00:00Z"),
    ] {
        let (clock, office) = office(TicketSwitches::default()).await;
        office.spoil_the_write(fault.clone());
        let error = office.create(&typed()).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.ends_with("nothing was made"), "{fault:?}: {error}");
        assert!(canary::found_in(&error).is_empty() && !error.contains("Look"), "{error}");
        assert_eq!(office.state(KEY).await, Some(TicketState::Refused), "{fault:?}");
        assert_eq!((office.writes().len(), office.made()), (1, 0), "{fault:?}");
        assert_eq!(clock.waits(), [], "nothing is waited for");
        office.bench.tool.faults().clear();
        assert_eq!(office.create(&typed()).await.unwrap().state, TicketState::Created, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_is_not_there_is_sent_nothing() {
    let (_, office) = office(TicketSwitches::default()).await;
    let preview = office.preview(&typed()).await.unwrap();
    let Office { bench, clock, bounds } = office;
    let Bench { database, scanner, tool, .. } = bench;
    tool.stop().await;
    let setting = Setting {
        store: &scanner.store,
        vault: &scanner.vault,
        tenant: scanner.tenant,
        allowed: &scanner.allowed,
        clock: &clock,
        bounds,
    };
    let error = ticket::create(setting, preview.confirm()).await.unwrap_err();
    assert!(matches!(error, TicketError::Unsent(_)), "{error}");
    let state = database.store.ticket(KEY).await.unwrap().unwrap().state;
    assert_eq!(state, TicketState::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fields_a_tool_refuses_are_named_and_its_messages_are_not_repeated() {
    let (_, office) = office(TicketSwitches { labels: Labels::Refused, ..Default::default() }).await;
    let error = office.create(&typed()).await.unwrap_err();
    let said = "the tool does not take what stands in the field labels; nothing was made";
    assert_eq!(error.to_string(), said);
    let plain = Typed { labels: vec![], marked: false, ..typed() };
    assert_eq!(office.create(&plain).await.unwrap().state, TicketState::Created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_only_read_is_told_which_scope_it_lacks() {
    let (_, office) = office(TicketSwitches::default()).await;
    office.renew(twinflow_fixtures::jira::TOKEN).await;
    let error = office.create(&typed()).await.unwrap_err();
    assert_eq!(error, TicketError::NoScope("write:jira-work"));
    assert_eq!(office.made(), 0);
    office.bench.tool.revoke();
    assert_eq!(office.create(&typed()).await, Err(TicketError::Unauthorised));
}

// --- Without a marker ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_labels_are_not_on_the_screen_it_goes_without_and_cannot_be_looked_for() {
    let (clock, office) = office(TicketSwitches { labels: Labels::OffScreen, ..Default::default() }).await;
    let labelled = office.create(&typed()).await;
    assert_eq!(labelled, Err(TicketError::NotOnScreen("labels")));
    let plain = |key| Typed { labels: vec![], key, ..typed() };
    let preview = office.preview(&plain(KEY)).await.unwrap();
    assert!(preview.marker().is_none() && !preview.text().contains("labels"));
    assert_eq!(office.create(&plain(KEY)).await.unwrap().state, TicketState::Created);

    let other = Uuid::from_u128(4);
    office.spoil_the_write(Fault::ServerErrorAfterAll(500));
    assert_eq!(office.create(&plain(other)).await.unwrap().state, TicketState::Unknown);
    assert_eq!(ticket::check(office.setting(), other).await.unwrap().state, TicketState::Unknown);
    let searched = office.bench.tool.ledger().iter().any(|asked| asked.path.contains("search"));
    assert!(!searched && clock.waits().is_empty());
}

// --- Before anything is sent ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_ticket_is_said_before_anything_is_sent() {
    let switches = TicketSwitches { wants_more: true, page_at_most: 2, ..Default::default() };
    let (_, office) = office(switches).await;
    let prose = |text: &str| Prose::from(text.to_owned());
    let task = || Typed { kind: "task", ..typed() };
    for (wish, words) in [
        (Typed { project: "NOPE", ..task() }, "the project NOPE is not there"),
        (Typed { project: "shop", ..task() }, "not a project's key"),
        (Typed { project: "site", ..task() }, "not a project's key"),
        (Typed { kind: "Wish", ..task() }, "it has Bug, Story, Task"),
        (Typed { kind: "Sub-task", ..task() }, "under another ticket"),
        (Typed { kind: "Bug", ..task() }, "Found in version"),
        (Typed { summary: prose(" "), ..task() }, "a summary is one line of 1 to 255 characters"),
        (Typed { summary: prose("a\nb"), ..task() }, "a summary is one line"),
        (Typed { summary: prose(&"é".repeat(256)), ..task() }, "a summary is one line"),
        (Typed { description: Some(prose(&"é".repeat(32_768))), ..task() }, "at most 32767 characters"),
        (Typed { labels: vec!["two words".into()], ..task() }, "no spaces"),
    ] {
        let error = office.create(&wish).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(canary::found_in(&error).is_empty(), "{error}");
    }
    assert!(office.writes().is_empty() && office.state(KEY).await.is_none());
    for kind in ["task", "10006"] {
        let wish = Typed { kind, key: Uuid::new_v4(), summary: prose(&"é".repeat(255)), ..typed() };
        assert_eq!(office.create(&wish).await.unwrap().state, TicketState::Created);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_another_tickets_is_refused() {
    let (_, office) = office(TicketSwitches::default()).await;
    office.create(&typed()).await.unwrap();
    let preview = office.preview(&typed()).await.unwrap();
    let store = office.bench.store();
    let row = NewTicket {
        id: Uuid::from_u128(6),
        connection: office.bench.connection.id,
        project: "OTHER".into(),
        marker: None,
    };
    store.prepare_ticket(&row).await.unwrap();
    assert!(store.begin_ticket(&row).await.unwrap());
    let error = office.create(&Typed { key: row.id, ..typed() }).await.unwrap_err();
    assert!(matches!(error, TicketError::OtherTicket { .. }), "{error}");
    assert_eq!(ticket::create(office.setting(), preview.confirm()).await.unwrap().id, KEY);
    let missing = Uuid::from_u128(9);
    assert_eq!(ticket::check(office.setting(), missing).await, Err(TicketError::NoSuchTicket(missing)));
    assert_eq!(office.writes().len(), 1);
}

// --- A scan cannot ---

/// Whether a path is this template with its parameters filled in.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let same = |(wanted, part): (&&str, &&str)| wanted == part || wanted.contains('{');
    template.len() == path.len() && template.iter().zip(&path).all(same)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_of_every_tool_asks_only_what_its_contract_says_and_writes_nothing() {
    let clock = TestClock::new();
    let all = stands(&story(60, &clock));
    assert!(DESKS.iter().all(|desk| all.iter().any(|stand| stand.tool == desk.tool())));
    for stand in all {
        let (name, prefix) = (stand.tool, stand.path.clone());
        let bench = Bench::of(clock.clone(), sqlite(&clock).await, stand).await;
        bench.scan().await;
        assert_eq!(bench.log().await, bench.facts());
        let contract = twinflow_connectors::find(name).unwrap().contract();
        let actions = twinflow_connectors::tickets(name).map(|desk| desk.action());
        for asked in bench.tool.ledger() {
            let path = asked.path.strip_prefix(&prefix).unwrap();
            let is = |it: &&Operation| it.method.word() == asked.method && fits(it.path, path);
            assert!(contract.operations.iter().any(is), "{} {path}", asked.method);
            assert!(actions.is_none_or(|it| !fits(it.path, path)), "{} {path}", asked.method);
        }
        assert!(bench.tool.asked() > 0);
    }
}

#[test]
fn the_code_of_a_scan_does_not_even_name_tickets_but_for_the_door_it_cannot_open() {
    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                look(&entry, found);
            } else {
                let text = std::fs::read_to_string(&entry).unwrap();
                let name = entry.file_name().unwrap().to_string_lossy().into_owned();
                let named = ["ticket::", "Draft", "tickets("];
                found.extend(named.iter().any(|word| text.contains(word)).then_some(name));
            }
        }
    }
    let mut found = vec![];
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scan"), &mut found);
    assert_eq!(found, ["write.rs"]);
}
