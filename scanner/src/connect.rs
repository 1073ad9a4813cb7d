//! Adds a connection: checks what the credential may do, seals it, and notes what is to be followed.

use crate::scan::egress::{Allowed, Bounds, Egress, NotAllowed, SendError};
use crate::scan::failure::Failure;
use crate::store::{Connection, Store, StoreError, random_id};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use twinflow_connectors::{Account, BadStream, Connector, Cursor, Refusal, Stream};
use twinflow_vault::{Owner, Vault};
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
    let pin = setting.allowed.pin(new.base_url, contract)?;
    let unsent = |error: SendError| ConnectError::Tool(error.into());
    let egress = Egress::new(contract, pin, new.token, Bounds::default()).map_err(unsent)?;
    let account = account(new.connector, &egress).await?;
    if !account.beyond.is_empty() && !new.accept_broad {
        return Err(ConnectError::TooBroad(account.beyond.join(", ")));
    }
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
    };
    let sealed = setting
        .vault
        .seal(&owner(setting.tenant, connection.id), new.token, rng)
        .map_err(|error| ConnectError::Vault(error.to_string()))?;
    setting.store.add_connection(&connection, sealed.as_bytes(), &streams).await?;
    Ok(connection)
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
    let sweep = connector.begin(&Cursor::default(), now);
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
