//! All SQL, nothing else. [`Store`] is what the rest of the program sees.
//!
//! Two engines tell the same story: SQLite (embedded, one tenant) and Postgres (many tenants, row-level
//! security). `shared.rs` holds every statement both accept and is compiled once for each; `sqlite.rs` and
//! `postgres.rs` hold what differs: how to open, how a tenant's transaction begins, and bulk ingest. One suite
//! of tests runs over both.

mod census;
mod dispatch;
mod dispatcher;
mod error;
mod postgres;
mod rows;
mod scans;
mod schedules;
mod sqlite;
mod tickets;

pub use census::{Census, CensusEnd, CensusPage};
pub use dispatch::{Dispatch, Due, Standing};
pub use error::StoreError;
pub use rows::*;
pub use scans::{Scans, WantedScans};
pub use schedules::{Firing, Planned, Schedules};
pub use tickets::{NewTicket, Ticket, TicketEnd, TicketState, Tickets};

use crate::clock::Clock;
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use twinflow_connectors::{Activity, Event, Opaque, Stream, Withdrawn};
use uuid::Uuid;

pub type Result<T> = std::result::Result<T, StoreError>;

/// The database as one tenant sees it. Every method is one transaction.
#[async_trait]
pub trait Store: Census + Scans + Schedules + Tickets + Send + Sync {
    /// `SQLite` or `Postgres`, with its version.
    async fn engine(&self) -> Result<String>;

    /// Adds a connection with its sealed credential and its streams. One of its id that was disconnected comes back,
    /// and what it had read stays.
    async fn add_connection(&self, connection: &Connection, sealed: &[u8], streams: &[Stream]) -> Result<()>;
    /// Oldest first.
    async fn connections(&self) -> Result<Vec<Connection>>;
    async fn connection(&self, name: &str) -> Result<Connection>;
    /// By its id.
    async fn connection_of(&self, id: Uuid) -> Result<Option<Connection>>;
    async fn sealed_credential(&self, connection: &Connection) -> Result<Vec<u8>>;
    /// Puts a credential in place of another, unless someone else did so first; whether it did.
    async fn swap_credential(&self, connection: Uuid, old: &[u8], new: &[u8]) -> Result<bool>;
    /// The sealed key of the tenant's pseudonyms.
    async fn pseudonym_key(&self) -> Result<Option<Vec<u8>>>;
    /// Puts one in place of another, or of none, unless someone else did so first; whether it did.
    async fn swap_pseudonym_key(&self, old: Option<&[u8]>, new: &[u8]) -> Result<bool>;
    /// Puts a credential that a person gave in place of whatever was there, and lets the connection go on.
    async fn replace_credential(&self, connection: Uuid, sealed: &[u8]) -> Result<bool>;
    /// Takes the right to refresh this credential for so long, unless another has it, the credential is no longer
    /// this one, or the connection is paused or over. How many times it was begun since it last came to an end. Nobody
    /// takes it over before its time: besides scans, tickets refresh, too.
    async fn begin_refresh(
        &self,
        connection: Uuid,
        sealed: &[u8],
        owner: &str,
        lease: Duration,
    ) -> Result<Option<i64>>;
    /// Keeps what a refresh brought, and ends it. Not so if another credential was put there meanwhile.
    async fn keep_refreshed(&self, connection: Uuid, owner: &str, old: &[u8], new: &[u8]) -> Result<bool>;
    /// Ends a refresh that brought nothing.
    async fn end_refresh(&self, connection: Uuid, owner: &str) -> Result<()>;
    /// Ends a refresh that a person has to see to: lets the connection wait, unless its credential is no longer this
    /// one; whether it does.
    async fn pause(&self, connection: Uuid, owner: &str, sealed: &[u8], why: &str) -> Result<bool>;
    async fn is_refreshing(&self, connection: Uuid) -> Result<bool>;
    /// Marks a connection as disconnected; its scans end, and their workers write nothing more. How many ended.
    async fn fence(&self, connection: Uuid) -> Result<u64>;
    async fn forget_credential(&self, connection: Uuid) -> Result<()>;
    /// Deletes a connection and everything that was read by it.
    async fn purge(&self, connection: Uuid) -> Result<Purged>;
    /// The ids of the keys under which credentials are sealed, and how many under each.
    async fn sealed_under(&self) -> Result<Vec<([u8; 4], i64)>>;
    async fn streams(&self, connection: Uuid) -> Result<Vec<FollowedStream>>;

    /// Keeps a page: events, cases, names, the cursor and the lease, all or nothing. How many events were new.
    async fn keep(&self, claim: &Claim, page: &Kept<'_>) -> Result<u64>;
    /// Notes what a page cost that was not got.
    async fn spend(&self, claim: &Claim, stream: &str, asked: &Asked, waited: Duration) -> Result<()>;
    /// What this scan could not read of a stream, also before it was cut short.
    async fn skipped(&self, scan: Uuid, stream: &str) -> Result<BTreeMap<String, u64>>;

    /// In the order of time.
    async fn events(&self, wanted: &Wanted) -> Result<Vec<LoggedEvent>>;
    /// Cases in the order of their id, after the given one, each with its events in the order of time.
    async fn cases_with_events(
        &self,
        connection: Uuid,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(KnownCase, Vec<LoggedEvent>)>>;
    async fn names(&self, connection: Uuid) -> Result<Names>;

    /// Lets go of the database; SQLite then brings everything into its one file.
    async fn close(&self);
}

/// Opens the embedded database, making or migrating it as needed.
pub async fn open_embedded(file: &Path, tenant: Uuid, clock: Clock) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(sqlite::Engine::open(file, tenant, clock).await?))
}

/// Opens a Postgres database as one tenant. It must have been migrated, by another role.
pub async fn open_server(url: &str, tenant: Uuid) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(postgres::Engine::open(url, tenant, 8).await?))
}

/// The database as workers and schedulers see it.
pub struct Tenants {
    /// What is to be done, whoever's it is.
    pub dispatch: Arc<dyn Dispatch>,
    store: Box<dyn Fn(Uuid) -> Arc<dyn Store> + Send + Sync>,
}

impl Tenants {
    /// As one tenant.
    pub fn store(&self, tenant: Uuid) -> Arc<dyn Store> {
        (self.store)(tenant)
    }

    /// The one tenant of the embedded database.
    pub async fn embedded(file: &Path, tenant: Uuid, clock: Clock) -> Result<Self> {
        let engine = Arc::new(sqlite::Engine::open(file, tenant, clock).await?);
        Ok(Self { dispatch: engine.clone(), store: Box::new(move |_| engine.clone()) })
    }

    /// All tenants of a Postgres database, over so many connections beside a few to find work by.
    pub async fn of_server(url: &str, connections: u32) -> Result<Self> {
        let dispatch = Arc::new(dispatcher::Dispatcher::open(url).await?);
        let engine = postgres::Engine::open(url, Uuid::nil(), connections).await?;
        Ok(Self { dispatch, store: Box::new(move |tenant| Arc::new(engine.of(tenant))) })
    }
}

impl std::fmt::Debug for Tenants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenants").finish_non_exhaustive()
    }
}

/// Brings a Postgres database to this program's version; `url` logs in as the role that owns it.
pub async fn migrate_server(url: &str) -> Result<()> {
    postgres::migrate(url).await
}

/// Version of the newest migration this program knows.
fn newest_migration() -> i64 {
    postgres::MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The id of an event: a UUID of version 8 (RFC 9562, section 5.8) made from what happened, so the same happening
/// read twice has the same id, overlap costs nothing and a page stored twice is stored once.
///
/// Six bytes say which case, so that a page's events, which are those of a few cases, lie together in the index;
/// the other ten say which happening: SHA-256 over the connection, the activity and the tool's own identity of it.
pub fn event_id(connection: Uuid, event: &Event) -> Uuid {
    happening_id(connection, &event.case, event.activity, &event.source)
}

/// The id it had as an event.
fn withdrawn_id(connection: Uuid, it: &Withdrawn) -> Uuid {
    happening_id(connection, &it.case, it.activity, &it.source)
}

fn happening_id(connection: Uuid, case: &Opaque, activity: Activity, source: &Opaque) -> Uuid {
    let activity = activity.word().as_bytes();
    let [c0, c1, c2, c3, c4, c5, ..] = digest([connection.as_bytes(), case.as_str().as_bytes()]);
    let [e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, ..] =
        digest([connection.as_bytes().as_slice(), activity, source.as_str().as_bytes()]);
    let bytes = [c0, c1, c2, c3, c4, c5, e0, e1, e2, e3, e4, e5, e6, e7, e8, e9];
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// SHA-256 over parts, each with its length before it.
fn digest<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A UUID of random bytes handed in.
pub fn random_id(rng: &mut (impl rand::Rng + ?Sized)) -> Uuid {
    use rand::RngExt as _;
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}
