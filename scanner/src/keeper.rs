//! Keeps a connection's credential alive: opens it, and refreshes a grant whose access token has run out.
//!
//! One process at a time refreshes, under a lease in the database and with no transaction open meanwhile; the others
//! wait and take what it got. That it has begun is written down before anything is sent, and what came of it before
//! it is used: a tool that gives a new refresh token each time has then forgotten the old one. Between its answer and
//! our commit lies the one moment in which a crash costs a grant. The next process tries the old one, and then the
//! connection waits for a person; nothing is asked in a loop.

use crate::clock::Clock;
use crate::connect::owner;
use crate::credential::{Credential, Grant};
use crate::oauth::{AuthError, AuthServer};
use crate::scan::egress::Allowed;
use crate::store::{Connection, Store, StoreError};
use chrono::TimeDelta;
use std::time::Duration;
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

#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds the vault")]
pub struct Keeper<'a> {
    pub store: &'a dyn Store,
    pub vault: &'a Vault,
    pub tenant: Uuid,
    pub allowed: &'a Allowed,
    pub clock: &'a Clock,
    /// Who refreshes: unique per process.
    pub owner: &'a str,
    /// Whether whoever refreshed before is known to be dead.
    pub takeover: bool,
}

/// Why there is no credential to go on with, in a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// The connection waits for a person now.
    #[error("{0}")]
    Paused(String),
    #[error("{0}")]
    Passing(String),
    #[error("{0}")]
    Broken(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// As it is stored, and opened.
struct Held {
    sealed: Vec<u8>,
    credential: Credential,
}

impl Keeper<'_> {
    /// The credential as it stands; refreshed first if it has nearly run out.
    pub async fn open(
        &self,
        connection: &Connection,
        contract: &'static Contract,
    ) -> Result<Credential, KeepError> {
        let held = self.look(connection).await?;
        let runs_out = |grant: &Grant| {
            grant.refresh.is_some() && grant.expires_at.is_some_and(|at| at - NEARLY <= self.clock.now())
        };
        match held.credential.grant().filter(|grant| runs_out(grant)) {
            None => Ok(held.credential),
            // It may last for a while yet; if not, the tool will say so.
            Some(grant) => match self.refresh(connection, contract, grant).await {
                Err(KeepError::Passing(_)) => Ok(held.credential),
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
    ) -> Result<Credential, KeepError> {
        let patience = self.clock.now() + LEASE * 2;
        while self.clock.now() < patience {
            let held = self.look(connection).await?;
            let Credential::Grant(grant) = &held.credential else { return Ok(held.credential) };
            if !grant.is_same(stale) {
                return Ok(held.credential);
            }
            let begun = self
                .store
                .begin_refresh(connection.id, &held.sealed, self.owner, LEASE, self.takeover)
                .await?;
            match begun {
                Some(times) if times > CRASHES => {
                    let why =
                        "twice, renewing the access ended in the middle and what came of it is not known";
                    return self.pause(connection, &held, why).await;
                }
                Some(_) => return self.ask(connection, contract, &held, grant).await,
                None => self.wait(connection).await?,
            }
        }
        Err(KeepError::Passing("another process is renewing the access and does not come to an end".into()))
    }

    /// Another process refreshes, unless nobody may any more.
    async fn wait(&self, connection: &Connection) -> Result<(), KeepError> {
        let now = self.store.connection(&connection.name).await?;
        match now.paused {
            Some(why) => Err(KeepError::Paused(why)),
            None if now.disconnected_at.is_some() => {
                Err(StoreError::NoCredential(connection.name.clone()).into())
            }
            None => {
                self.clock.sleep(GLANCE).await;
                Ok(())
            }
        }
    }

    async fn ask(
        &self,
        connection: &Connection,
        contract: &'static Contract,
        held: &Held,
        grant: &Grant,
    ) -> Result<Credential, KeepError> {
        let server = AuthServer::new(contract, self.allowed, &connection.base_url, grant.server.as_deref());
        let Some(server) = server else {
            self.store.end_refresh(connection.id, self.owner).await?;
            return Err(KeepError::Broken("this program cannot renew the access of this tool".into()));
        };
        match server.refresh(grant, self.clock.now()).await {
            Ok(fresh) => self.keep(connection, held, Credential::Grant(fresh)).await,
            Err(error @ (AuthError::Dead | AuthError::WrongApp)) => {
                self.pause(connection, held, &error.to_string()).await
            }
            Err(error) => {
                self.store.end_refresh(connection.id, self.owner).await?;
                Err(KeepError::Passing(error.to_string()))
            }
        }
    }

    /// Sealed and committed before anybody uses it.
    async fn keep(
        &self,
        connection: &Connection,
        held: &Held,
        fresh: Credential,
    ) -> Result<Credential, KeepError> {
        let owner_of = owner(self.tenant, connection.id);
        let sealed = self.vault.seal(&owner_of, &fresh.to_text(), &mut rand::rng());
        let sealed = sealed.map_err(|error| KeepError::Broken(error.to_string()))?;
        let mut tries = 0;
        loop {
            let kept =
                self.store.keep_refreshed(connection.id, self.owner, &held.sealed, sealed.as_bytes()).await;
            match kept {
                Ok(true) => return Ok(fresh),
                // Somebody gave a new one by hand, or the connection is over.
                Ok(false) => return Ok(self.look(connection).await?.credential),
                Err(StoreError::Busy(_)) if tries < COMMITS => tries += 1,
                Err(error) => return Err(error.into()),
            }
            self.clock.sleep(GLANCE).await;
        }
    }

    async fn pause(&self, connection: &Connection, held: &Held, why: &str) -> Result<Credential, KeepError> {
        let why = format!("{why}; connect it again with `twinflow renew {}`", connection.name);
        if self.store.pause(connection.id, self.owner, &held.sealed, &why).await? {
            return Err(KeepError::Paused(why));
        }
        Ok(self.look(connection).await?.credential)
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
