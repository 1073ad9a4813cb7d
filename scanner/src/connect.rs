//! Adds a connection: checks what the credential may do, seals it, and notes what is to be followed.

use crate::credential::{Credential, Grant};
use crate::oauth::{AuthError, ScopeError, check_scopes};
use crate::scan::egress::{Allowed, Bounds, Egress, NotAllowed, SendError};
use crate::scan::failure::Failure;
use crate::store::{Connection, Store, StoreError, Whom, random_id};
use chrono::{DateTime, Utc};
use twinflow_connectors::{Account, BadStream, Connector, Cursor, Refusal, Site, Stream};
use twinflow_vault::{Owner, Sealed, Vault};
use url::Url;
use uuid::Uuid;

/// What a sealed credential is bound to.
pub fn owner(tenant: Uuid, connection: Uuid) -> Owner {
    Owner { tenant, connection, table: "credentials", column: "sealed" }
}

/// What a person says when connecting a tool.
#[expect(missing_debug_implementations, reason = "holds a credential")]
pub struct NewConnection<'a> {
    pub connector: &'static dyn Connector,
    pub name: &'a str,
    pub base_url: &'a str,
    pub streams: &'a [String],
    pub credential: &'a Credential,
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
    #[error("{0}; nothing was stored")]
    Auth(#[from] AuthError),
    #[error("{0}; nothing was stored")]
    Scopes(#[from] ScopeError),
    #[error("what was granted opens no site; consent again and choose one; nothing was stored")]
    NoSite,
    #[error("say which site with --site: {0}; nothing was stored")]
    WhichSite(String),
    #[error(
        "this token is {now}'s, the connection is {before}'s; nothing was changed: for another account make another connection"
    )]
    OtherAccount { now: String, before: String },
    #[error(
        "{0:?} was disconnected and is another account's; choose another --name, or delete what it read with `twinflow disconnect {0} --purge`"
    )]
    NameOfAnother(String),
    #[error(
        "{name:?} was disconnected and kept pseudonyms of {before}, which is not to be changed to {wished}: what was read \
         before would stay as it is; say --pseudonymise={before}, choose another --name, or delete what it read with \
         `twinflow disconnect {name} --purge`"
    )]
    OtherPseudonyms { name: String, before: &'static str, wished: &'static str },
    #[error("{0:?} is disconnected; connect it again with `twinflow connect`")]
    Disconnected(String),
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

/// A connection that would work. Nothing of it is stored yet.
#[derive(Debug)]
pub struct Checked {
    connection: Connection,
    streams: Vec<Stream>,
}

impl Checked {
    pub fn account_name(&self) -> &str {
        &self.connection.account_name
    }
}

/// Asks whose credential it is and whether each stream can be read, then seals and stores.
pub async fn add(
    setting: Setting<'_>,
    new: NewConnection<'_>,
    rng: &mut impl rand::CryptoRng,
) -> Result<Connection, ConnectError> {
    let checked = check(setting, &new, rng).await?;
    keep(setting, checked, new.credential, rng).await
}

/// Asks whose credential it is and whether each stream can be read.
pub async fn check(
    setting: Setting<'_>,
    new: &NewConnection<'_>,
    rng: &mut impl rand::CryptoRng,
) -> Result<Checked, ConnectError> {
    let contract = new.connector.contract();
    let streams: Vec<_> =
        new.streams.iter().map(|name| new.connector.stream(name)).collect::<Result<_, _>>()?;
    let base_url = new.credential.base_url(new.base_url);
    let (egress, account) =
        asked(setting, new.connector, &base_url, new.credential, new.accept_broad).await?;
    for stream in &streams {
        can_be_read(new.connector, &egress, stream, setting.now).await?;
    }
    let former = former(setting, new, &account).await?;
    let connection = Connection {
        id: former.map_or_else(|| random_id(rng), |former| former.id),
        name: new.name.to_owned(),
        tool: contract.tool.to_owned(),
        base_url,
        account_id: account.id.as_str().to_owned(),
        account_name: account.name.as_str().to_owned(),
        created_at: setting.now,
        pseudonymise: new.pseudonymise,
        paused: None,
        disconnected_at: None,
    };
    Ok(Checked { connection, streams })
}

/// Seals and stores.
pub async fn keep(
    setting: Setting<'_>,
    checked: Checked,
    credential: &Credential,
    rng: &mut impl rand::CryptoRng,
) -> Result<Connection, ConnectError> {
    let Checked { connection, streams } = checked;
    if connection.pseudonymise != Whom::Nobody && setting.store.pseudonym_key().await?.is_none() {
        let fresh = setting.vault.new_pseudonym_key(setting.tenant, rng);
        let fresh = fresh.map_err(|error| ConnectError::Vault(error.to_string()))?;
        // Whoever comes second uses what the first one made.
        setting.store.swap_pseudonym_key(None, fresh.as_bytes()).await?;
    }
    let sealed = seal(setting, connection.id, credential, rng)?;
    setting.store.add_connection(&connection, sealed.as_bytes(), &streams).await?;
    Ok(connection)
}

/// The disconnected connection that this one goes on with: of the same name, tool and account.
async fn former(
    setting: Setting<'_>,
    new: &NewConnection<'_>,
    account: &Account,
) -> Result<Option<Connection>, ConnectError> {
    let name = new.name.to_owned();
    let is_same = |known: &Connection| {
        known.tool == new.connector.contract().tool && known.account_id == account.id.as_str()
    };
    match setting.store.connection(new.name).await {
        Err(StoreError::NoSuchConnection(_)) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(known) if known.disconnected_at.is_none() => Err(StoreError::NameTaken(name).into()),
        Ok(known) if !is_same(&known) => Err(ConnectError::NameOfAnother(name)),
        Ok(known) if known.pseudonymise != new.pseudonymise => {
            let (before, wished) = (known.pseudonymise.word(), new.pseudonymise.word());
            Err(ConnectError::OtherPseudonyms { name, before, wished })
        }
        Ok(known) => Ok(Some(known)),
    }
}

/// Puts a new credential in place of a connection's old one, if it belongs to the same account.
pub async fn renew(
    setting: Setting<'_>,
    connection: &Connection,
    connector: &'static dyn Connector,
    credential: &Credential,
    accept_broad: bool,
    rng: &mut impl rand::CryptoRng,
) -> Result<(), ConnectError> {
    if connection.disconnected_at.is_some() {
        return Err(ConnectError::Disconnected(connection.name.clone()));
    }
    let base_url = credential.base_url(&connection.base_url);
    let account = asked(setting, connector, &base_url, credential, accept_broad).await?.1;
    if account.id.as_str() != connection.account_id {
        let (now, before) = (account.name.as_str().to_owned(), connection.account_name.clone());
        return Err(ConnectError::OtherAccount { now, before });
    }
    let sealed = seal(setting, connection.id, credential, rng)?;
    if setting.store.replace_credential(connection.id, sealed.as_bytes()).await? {
        Ok(())
    } else {
        Err(StoreError::NoCredential(connection.name.clone()).into())
    }
}

/// The base URL of the site that a fresh grant is to be used for, where the tool has such: the only one, or the one
/// that a person named. What is granted there is held against the contract.
pub async fn choose_site(
    setting: Setting<'_>,
    connector: &'static dyn Connector,
    base_url: &str,
    grant: &Grant,
    wanted: Option<&str>,
) -> Result<Option<String>, ConnectError> {
    let tool = |failure: Failure| ConnectError::Tool(failure);
    let Some(request) = connector.sites().map_err(|error| tool(error.into()))? else { return Ok(None) };
    let contract = connector.contract();
    let origin = Url::parse(base_url).map_err(|_| NotAllowed::BadUrl)?.origin().ascii_serialization();
    let pin = setting.allowed.pin(&origin, contract)?;
    let credential = Credential::Grant(grant.clone());
    let egress = Egress::new(contract, pin, credential.authorization(), Bounds::default());
    let egress = egress.map_err(|error| tool(error.into()))?;
    let answer = egress.send(&request).await.map_err(|error| tool(error.into()))?;
    if let Some(refusal) = connector.refusal(&answer) {
        return Err(tool(Failure::Refused(refusal)));
    }
    let sites = connector.read_sites(&answer).map_err(|error| tool(error.into()))?;
    let site = choose(&sites, wanted)?;
    check_scopes(contract.scopes, Some(&site.scopes))?;
    Ok(Some(format!("{origin}{}", site.path)))
}

fn choose<'a>(sites: &'a [Site], wanted: Option<&str>) -> Result<&'a Site, ConnectError> {
    let host = |url: &str| url.trim_start_matches("https://").trim_end_matches('/').to_lowercase();
    let is_wanted = |site: &&Site| {
        wanted.is_none_or(|it| {
            site.name.as_str() == it || host(&site.url) == host(it) || site.path.ends_with(&format!("/{it}"))
        })
    };
    let mut fitting = sites.iter().filter(is_wanted);
    match (fitting.next(), fitting.next()) {
        (Some(site), None) => Ok(site),
        _ if sites.is_empty() => Err(ConnectError::NoSite),
        _ => {
            let names = sites.iter().map(|site| format!("{} ({})", site.name.as_str(), site.url));
            Err(ConnectError::WhichSite(names.collect::<Vec<_>>().join(", ")))
        }
    }
}

/// A way out with this credential, and whose it is.
async fn asked(
    setting: Setting<'_>,
    connector: &'static dyn Connector,
    base_url: &str,
    credential: &Credential,
    accept_broad: bool,
) -> Result<(Egress, Account), ConnectError> {
    let contract = connector.contract();
    let pin = setting.allowed.pin(base_url, contract)?;
    let unsent = |error: SendError| ConnectError::Tool(error.into());
    let egress = Egress::new(contract, pin, credential.authorization(), Bounds::default()).map_err(unsent)?;
    let account = account(connector, &egress).await?;
    if !account.beyond.is_empty() && !accept_broad {
        return Err(ConnectError::TooBroad(account.beyond.join(", ")));
    }
    Ok((egress, account))
}

fn seal(
    setting: Setting<'_>,
    connection: Uuid,
    credential: &Credential,
    rng: &mut impl rand::CryptoRng,
) -> Result<Sealed, ConnectError> {
    let owner = owner(setting.tenant, connection);
    let sealed = setting.vault.seal(&owner, &credential.to_text(), rng);
    sealed.map_err(|error| ConnectError::Vault(error.to_string()))
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
