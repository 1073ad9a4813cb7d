//! Adds a connection: checks what the credential may do, seals it, and notes what is to be followed.

use crate::scan::egress::{Allowed, Bounds, Egress, NotAllowed, SendError};
use crate::scan::failure::Failure;
use crate::store::{Connection, Store, StoreError, Whom, random_id};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use twinflow_connectors::{Account, BadStream, Connector, Cursor, Refusal, Stream};
use twinflow_vault::{Owner, Sealed, Vault};
use uuid::Uuid;

/// What a sealed credential is bound to.
pub fn owner(tenant: Uuid, connection: Uuid) -> Owner {
    Owner { tenant, connection, table: "credentials", column: "sealed" }
}

/// What a person says when connecting a tool.
#[expect(missing_debug_implementations, reason = "holds a token")]
pub struct NewConnection<'a> {
    pub connector: &'static dyn Connector,
    pub name: &'a str,
    pub base_url: &'a str,
    pub streams: &'a [String],
    pub token: &'a SecretString,
    /// Take a credential that may do more than the contract asks for.
    pub accept_broad: bool,
    /// Of whom only pseudonyms are kept.
    pub pseudonymise: Whom,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    BadStream(#[from] BadStream),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(
        "the token may do more than read issues ({0}); make a fine-grained token with the scopes that \
         `twinflow contract` lists, or say --accept-broad-token"
    )]
    TooBroad(String),
    #[error(
        "the tool does not accept this token; make a new one with the scopes that `twinflow contract` lists; \
         nothing was stored"
    )]
    Unauthorised,
    #[error("{stream}: {problem}; nothing was stored")]
    Stream { stream: String, problem: String },
    #[error("the tool could not be asked: {0}; nothing was stored")]
    Tool(Failure),
    #[error(
        "this token is {now}'s, the connection is {before}'s; nothing was changed: for another account make another connection"
    )]
    OtherAccount { now: String, before: String },
    #[error("{0}")]
    Vault(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where and as whom a connection is added.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds the vault")]
pub struct Setting<'a> {
    pub store: &'a dyn Store,
    pub vault: &'a Vault,
    pub tenant: Uuid,
    pub allowed: &'a Allowed,
    pub now: DateTime<Utc>,
}

/// Asks whose credential it is and whether each stream can be read, then seals and stores.
pub async fn add(
    setting: Setting<'_>,
    new: NewConnection<'_>,
    rng: &mut impl rand::CryptoRng,
) -> Result<Connection, ConnectError> {
    let contract = new.connector.contract();
    let streams: Vec<_> =
        new.streams.iter().map(|name| new.connector.stream(name)).collect::<Result<_, _>>()?;
    let (egress, account) =
        checked(setting, new.connector, new.base_url, new.token, new.accept_broad).await?;
    for stream in &streams {
        can_be_read(new.connector, &egress, stream, setting.now).await?;
    }
    let connection = Connection {
        id: random_id(rng),
        name: new.name.to_owned(),
        tool: contract.tool.to_owned(),
        base_url: new.base_url.to_owned(),
        account_id: account.id.as_str().to_owned(),
        account_name: account.name.as_str().to_owned(),
        created_at: setting.now,
        pseudonymise: new.pseudonymise,
    };
    if new.pseudonymise != Whom::Nobody && setting.store.pseudonym_key().await?.is_none() {
        let fresh = setting.vault.new_pseudonym_key(setting.tenant, rng);
        let fresh = fresh.map_err(|error| ConnectError::Vault(error.to_string()))?;
        // Whoever comes second uses what the first one made.
        setting.store.swap_pseudonym_key(None, fresh.as_bytes()).await?;
    }
    let sealed = seal(setting, connection.id, new.token, rng)?;
    setting.store.add_connection(&connection, sealed.as_bytes(), &streams).await?;
    Ok(connection)
}

/// Puts a new credential in place of a connection's old one, if it belongs to the same account.
pub async fn renew(
    setting: Setting<'_>,
    connection: &Connection,
    connector: &'static dyn Connector,
    token: &SecretString,
    accept_broad: bool,
    rng: &mut impl rand::CryptoRng,
) -> Result<(), ConnectError> {
    let account = checked(setting, connector, &connection.base_url, token, accept_broad).await?.1;
    if account.id.as_str() != connection.account_id {
        let (now, before) = (account.name.as_str().to_owned(), connection.account_name.clone());
        return Err(ConnectError::OtherAccount { now, before });
    }
    let sealed = seal(setting, connection.id, token, rng)?;
    loop {
        // Somebody who rotates the keys at this moment may have sealed the old one anew.
        let old = setting.store.sealed_credential(connection).await?;
        if setting.store.swap_credential(connection.id, &old, sealed.as_bytes()).await? {
            return Ok(());
        }
    }
}

/// A way out with this credential, and whose it is.
async fn checked(
    setting: Setting<'_>,
    connector: &'static dyn Connector,
    base_url: &str,
    token: &SecretString,
    accept_broad: bool,
) -> Result<(Egress, Account), ConnectError> {
    let contract = connector.contract();
    let pin = setting.allowed.pin(base_url, contract)?;
    let unsent = |error: SendError| ConnectError::Tool(error.into());
    let egress = Egress::new(contract, pin, token, Bounds::default()).map_err(unsent)?;
    let account = account(connector, &egress).await?;
    if !account.beyond.is_empty() && !accept_broad {
        return Err(ConnectError::TooBroad(account.beyond.join(", ")));
    }
    Ok((egress, account))
}

fn seal(
    setting: Setting<'_>,
    connection: Uuid,
    token: &SecretString,
    rng: &mut impl rand::CryptoRng,
) -> Result<Sealed, ConnectError> {
    let owner = owner(setting.tenant, connection);
    setting.vault.seal(&owner, token, rng).map_err(|error| ConnectError::Vault(error.to_string()))
}

async fn account(connector: &'static dyn Connector, egress: &Egress) -> Result<Account, ConnectError> {
    let probe = connector.probe().map_err(|error| ConnectError::Tool(error.into()))?;
    let answer = egress.send(&probe).await.map_err(|error| ConnectError::Tool(error.into()))?;
    match connector.refusal(&answer) {
        Some(Refusal::Unauthorised) => Err(ConnectError::Unauthorised),
        Some(refusal) => Err(ConnectError::Tool(Failure::Refused(refusal))),
        None => connector.account(&answer).map_err(|error| ConnectError::Tool(error.into())),
    }
}

/// Asks for the stream's first page, and keeps nothing of it.
async fn can_be_read(
    connector: &'static dyn Connector,
    egress: &Egress,
    stream: &Stream,
    now: DateTime<Utc>,
) -> Result<(), ConnectError> {
    let problem =
        |failure: Failure| ConnectError::Stream { stream: stream.name.clone(), problem: failure.to_string() };
    let sweep = connector.begin(stream, &Cursor::default(), now);
    let asked = connector.ask(stream, &sweep).map_err(|error| problem(error.into()))?;
    let mut answers = vec![];
    for request in &asked {
        let answer = egress.send(request).await.map_err(|error| problem(error.into()))?;
        if let Some(refusal) = connector.refusal(&answer) {
            return Err(problem(Failure::Refused(refusal)));
        }
        answers.push(answer);
    }
    // A login page is no refusal, and no page of issues either.
    connector.read(stream, &sweep, &answers).map(drop).map_err(|error| problem(error.into()))
}
