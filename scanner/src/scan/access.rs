//! A connection's way out through a whole scan: the credential is renewed when the tool no longer takes it.

use super::Scanner;
use super::egress::Egress;
use super::failure::Failure;
use crate::keeper::{Held, KeepError, Keeper, UnderWay};
use crate::store::{Connection, ErrorClass, StoreError};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use twinflow_connectors::Connector;

pub(super) struct Access<'a> {
    scanner: &'a Scanner,
    connection: &'a Connection,
    keeper: Keeper,
    pub(super) connector: &'static dyn Connector,
    pub(super) egress: Egress,
    /// How many times it was renewed; a request that failed under an older one is simply asked again.
    renewals: AtomicU64,
    /// Whether there is anything to renew.
    renewable: bool,
    /// One stream renews, the others wait.
    held: Mutex<Held>,
}

impl<'a> Access<'a> {
    /// Opens the credential of this one connection and pins its way out. The error is its kind and a sentence for a person.
    pub(super) async fn open(
        scanner: &'a Scanner,
        connection: &'a Connection,
        refreshes: &UnderWay,
    ) -> Result<Self, (ErrorClass, String)> {
        let connector = twinflow_connectors::find(&connection.tool)
            .ok_or_else(|| settings(&format!("this program has no connector for {}", connection.tool)))?;
        let contract = connector.contract();
        let keeper = keeper(scanner, refreshes);
        let held = keeper.open(connection, contract).await;
        let held = held.map_err(|error| (class(&error), error.to_string()))?;
        let credential = &held.credential;
        let base_url = credential.base_url(&connection.base_url);
        let pin = scanner.allowed.pin(&base_url, contract).map_err(|error| settings(&error))?;
        let egress = Egress::new(contract, pin, credential.authorization(), scanner.bounds);
        Ok(Self {
            scanner,
            connection,
            keeper,
            connector,
            egress: egress.map_err(|error| settings(&error))?,
            renewals: AtomicU64::new(0),
            renewable: credential.grant().is_some_and(|grant| grant.refresh.is_some()),
            held: Mutex::new(held),
        })
    }

    pub(super) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Acquire)
    }

    pub(super) fn is_renewable(&self) -> bool {
        self.renewable
    }

    /// The credential that was used last, as it is stored.
    pub(super) async fn sealed(&self) -> Vec<u8> {
        self.held.lock().await.sealed.clone()
    }

    /// Another access token than the one that was used when there had been so many renewals.
    pub(super) async fn renew(&self, seen: u64) -> Result<(), Failure> {
        let mut held = self.held.lock().await;
        if self.renewals() != seen {
            return Ok(());
        }
        let Some(stale) = held.credential.grant() else { return Ok(()) };
        let contract = self.connector.contract();
        let fresh = self.keeper.refresh(self.connection, contract, stale).await?;
        let base_url = fresh.credential.base_url(&self.connection.base_url);
        let pin = self.scanner.allowed.pin(&base_url, contract);
        let pin = pin.map_err(|error| Failure::Lapsed(error.to_string()))?;
        self.egress.change(pin, fresh.credential.authorization())?;
        *held = fresh;
        self.renewals.fetch_add(1, Ordering::Release);
        tracing::info!(connection = %self.connection.id, "renewed the access");
        Ok(())
    }
}

fn settings(error: &impl ToString) -> (ErrorClass, String) {
    (ErrorClass::Settings, error.to_string())
}

fn class(error: &KeepError) -> ErrorClass {
    match error {
        KeepError::Passing(_) => ErrorClass::Unavailable,
        KeepError::Paused(_) | KeepError::Disconnected(_) => ErrorClass::Credential,
        KeepError::Broken(_) | KeepError::Store(StoreError::NoCredential(_)) => ErrorClass::Settings,
        KeepError::Store(_) => ErrorClass::Database,
    }
}

fn keeper(scanner: &Scanner, refreshes: &UnderWay) -> Keeper {
    Keeper {
        store: scanner.store.clone(),
        vault: scanner.vault.clone(),
        tenant: scanner.tenant,
        allowed: scanner.allowed.clone(),
        clock: scanner.clock.clone(),
        owner: scanner.owner.clone(),
        under_way: refreshes.clone(),
    }
}

impl From<KeepError> for Failure {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Passing(why) => Self::NotRenewed(why),
            // The connection ended while it was being read.
            KeepError::Disconnected(_) | KeepError::Store(StoreError::NoCredential(_)) => {
                Self::Store(StoreError::Fenced)
            }
            KeepError::Store(error) => Self::Store(error),
            KeepError::Paused(why) | KeepError::Broken(why) => Self::Lapsed(why),
        }
    }
}
