//! Keeps a connection's credential alive: opens it, and refreshes a grant whose access token has run out.
//!
//! One process at a time refreshes, under a lease in the database and with no transaction open meanwhile; the others
//! wait and take what it got. That it has begun is written down before anything is sent, and what came of it before
//! it is used: a tool that gives a new refresh token each time has then forgotten the old one. Between its answer and
//! our commit lies the one moment in which a crash costs a grant; a caller that stops waiting does not cut it short. The next process tries the old one, and then the
//! connection waits for a person; nothing is asked in a loop.

use crate::clock::Clock;
use crate::connect::owner;
use crate::credential::{Credential, Grant};
use crate::failpoint::failpoint;
use crate::oauth::{AuthError, AuthServer};
use crate::scan::egress::Allowed;
use crate::store::{Connection, Store, StoreError, random_id};
use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;
use twinflow_connectors::Contract;
use twinflow_vault::Vault;
use uuid::Uuid;

/// Longer than a token endpoint may take to answer.
const LEASE: Duration = Duration::from_secs(60);

/// How long to wait between two looks at what another process does.
const GLANCE: Duration = Duration::from_millis(200);

/// Times a refresh may be begun without having come to an end.
const CRASHES: i64 = 2;

/// An access token with less left than this is as good as run out.
const NEARLY: TimeDelta = TimeDelta::minutes(2);

/// Times a commit is tried: losing what is in it loses the grant.
const COMMITS: u32 = 20;

#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds the vault")]
pub struct Keeper {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub tenant: Uuid,
    pub allowed: Allowed,
    pub clock: Clock,
    /// Who refreshes: unique per process, and made unique per attempt.
    pub owner: String,
    pub under_way: UnderWay,
}

/// The refreshes that nobody may wait for any more, but that are not to be cut off.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<RwLock<()>>);

impl UnderWay {
    /// Waits until each has come to its end.
    pub async fn ended(&self) {
        drop(self.0.write().await);
    }
}

/// Why there is no credential to go on with, in a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// The connection waits for a person now.
    #[error("{0}")]
    Paused(String),
    /// A person ended it; with the name of its tool.
    #[error("it was disconnected; connect it again with `twinflow connect {0}`")]
    Disconnected(String),
    #[error("{0}")]
    Passing(String),
    #[error("{0}")]
    Broken(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A credential as it is stored, and opened.
#[expect(missing_debug_implementations, reason = "holds a credential")]
pub struct Held {
    pub sealed: Vec<u8>,
    pub credential: Credential,
}

impl Keeper {
    /// The credential as it stands, of a connection that may be used; refreshed first if it has nearly run out.
    pub async fn open(
        &self,
        connection: &Connection,
        contract: &'static Contract,
    ) -> Result<Held, KeepError> {
        self.is_alive(connection).await?;
        let held = self.look(connection).await?;
        let runs_out = |grant: &Grant| {
            grant.refresh.is_some() && grant.expires_at.is_some_and(|at| at - NEARLY <= self.clock.now())
        };
        match held.credential.grant().filter(|grant| runs_out(grant)) {
            None => Ok(held),
            // It may last for a while yet; if not, the tool will say so.
            Some(grant) => match self.refresh(connection, contract, grant).await {
                Err(KeepError::Passing(_)) => Ok(held),
                refreshed => refreshed,
            },
        }
    }

    /// One that is newer than `stale`: from the tool, or from whoever was there before.
    pub async fn refresh(
        &self,
        connection: &Connection,
        contract: &'static Contract,
        stale: &Grant,
    ) -> Result<Held, KeepError> {
        let patience = self.clock.now() + LEASE * 2;
        while self.clock.now() < patience {
            let held = self.look(connection).await?;
            if !held.credential.grant().is_some_and(|grant| grant.is_same(stale)) {
                return Ok(held);
            }
            let guard = self.under_way.0.clone().read_owned().await;
            // An attempt of its own: whatever else this process ends, it does not end this.
            let owner = format!("{}-{}", self.owner, random_id(&mut rand::rng()));
            let (keeper, whose) = (Self { owner, ..self.clone() }, connection.clone());
            // Spawned, so that it comes to its end even when whoever asked for it is told to stop.
            let attempt = tokio::spawn(async move {
                let attempted = keeper.attempt(&whose, contract, held).await;
                drop(guard);
                attempted
            });
            let attempted = attempt.await;
            let broke_off = |_| KeepError::Broken("renewing the access broke off in the middle".into());
            if let Some(fresh) = attempted.map_err(broke_off)?? {
                return Ok(fresh);
            }
            // Another process refreshes, unless nobody may any more.
            self.is_alive(connection).await?;
            self.clock.sleep(GLANCE).await;
        }
        Err(KeepError::Passing("another process is renewing the access and does not come to an end".into()))
    }

    /// Refreshes what is held, from taking the right to it to keeping what came; nothing if another has that right.
    async fn attempt(
        &self,
        connection: &Connection,
        contract: &'static Contract,
        held: Held,
    ) -> Result<Option<Held>, KeepError> {
        let Some(grant) = held.credential.grant() else { return Ok(None) };
        let begun = self.store.begin_refresh(connection.id, &held.sealed, &self.owner, LEASE).await?;
        let refreshed = match begun {
            None => return Ok(None),
            Some(times) if times > CRASHES => {
                let why = "twice, renewing the access ended in the middle and what came of it is not known";
                self.pause(connection, &held, why).await
            }
            Some(_) => self.ask(connection, contract, &held, grant).await,
        };
        refreshed.map(Some)
    }

    /// Whether it may be used: as it stands now, for it may have ended since somebody looked.
    async fn is_alive(&self, connection: &Connection) -> Result<(), KeepError> {
        let now = self.store.connection(&connection.name).await?;
        match now.paused {
            _ if now.disconnected_at.is_some() => Err(KeepError::Disconnected(now.tool)),
            Some(why) => Err(KeepError::Paused(why)),
            None => Ok(()),
        }
    }

    async fn ask(
        &self,
        connection: &Connection,
        contract: &'static Contract,
        held: &Held,
        grant: &Grant,
    ) -> Result<Held, KeepError> {
        let server = AuthServer::new(contract, &self.allowed, &connection.base_url, grant.server.as_deref());
        let Some(server) = server else {
            self.store.end_refresh(connection.id, &self.owner).await?;
            return Err(KeepError::Broken("this program cannot renew the access of this tool".into()));
        };
        match server.refresh(grant, self.clock.now()).await {
            Ok(fresh) => {
                failpoint!("refreshed");
                self.keep(connection, held, Credential::Grant(fresh)).await
            }
            Err(error @ (AuthError::Dead | AuthError::WrongApp)) => {
                self.pause(connection, held, &error.to_string()).await
            }
            Err(error) => {
                self.store.end_refresh(connection.id, &self.owner).await?;
                Err(KeepError::Passing(error.to_string()))
            }
        }
    }

    /// Sealed and committed before anybody uses it.
    async fn keep(&self, connection: &Connection, held: &Held, fresh: Credential) -> Result<Held, KeepError> {
        let owner_of = owner(self.tenant, connection.id);
        let sealed = self.vault.seal(&owner_of, &fresh.to_text(), &mut rand::rng());
        let sealed = sealed.map_err(|error| KeepError::Broken(error.to_string()))?;
        let mut tries = 0;
        loop {
            let kept =
                self.store.keep_refreshed(connection.id, &self.owner, &held.sealed, sealed.as_bytes()).await;
            match kept {
                Ok(true) => return Ok(Held { sealed: sealed.as_bytes().to_vec(), credential: fresh }),
                // Somebody gave a new one by hand, or the connection is over.
                Ok(false) => return self.look(connection).await,
                Err(StoreError::Busy(_)) if tries < COMMITS => tries += 1,
                Err(error) => return Err(error.into()),
            }
            self.clock.sleep(GLANCE).await;
        }
    }

    async fn pause(&self, connection: &Connection, held: &Held, why: &str) -> Result<Held, KeepError> {
        let why = format!("{why}; connect it again with `twinflow renew {}`", connection.name);
        if self.store.pause(connection.id, &self.owner, &held.sealed, &why).await? {
            return Err(KeepError::Paused(why));
        }
        self.look(connection).await
    }

    async fn look(&self, connection: &Connection) -> Result<Held, KeepError> {
        let sealed = self.store.sealed_credential(connection).await?;
        let text = self.vault.open(&owner(self.tenant, connection.id), &sealed);
        let text = text.map_err(|error| KeepError::Broken(error.to_string()))?;
        let credential =
            Credential::from_text(&text).map_err(|error| KeepError::Broken(error.to_string()))?;
        Ok(Held { sealed, credential })
    }
}
