//! `twinflow connect` and `twinflow renew`; what can be typed is in `tools.rs`.

use super::consent::{self, DryRun};
use super::sign_in::{self, Consent};
use super::tools::{Tool, Wish};
use super::{End, format};
use crate::clock::Clock;
use crate::config::{Opened, Settings};
use crate::connect::{ConnectError, NewConnection, Setting, check, choose_site, keep, owner, renew};
use crate::credential::{App, Credential, Grant};
use crate::disconnect::{self, AtTheTool};
use crate::oauth::AuthServer;
use crate::scan::egress::Allowed;
use crate::store::{Connection, StoreError, Whom};
use anyhow::{Context as _, Result, anyhow, bail};
use twinflow_connectors::Connector;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "The credential has to belong to the same account. What was connected by consent goes through the \
    consent page again;\na token is asked for, or read from standard input."
)]
pub(super) struct Renew {
    /// Which connection, by name
    connection: String,
    /// Take a classic GitHub token, though it can do far more than read issues
    #[arg(long)]
    accept_broad_token: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(settings: &Settings, tool: Tool) -> Result<End> {
    let wish = tool.wish()?;
    let connector = connector(wish.tool)?;
    let contract = connector.contract();
    let base_url = wish.base_url.as_deref().unwrap_or(contract.base_url);
    // Mistakes in what was typed are found before anybody is asked for a secret.
    for name in &wish.streams {
        connector.stream(name)?;
    }
    let allowed = settings.allowed()?;
    let client_id = wish.consent.client_id.as_deref();
    let server = match client_id {
        Some(_) => Some(by_consent(connector, base_url, &allowed, wish.consent.oauth_url.as_deref())?),
        None => None,
    };
    if wish.common.dry_run {
        let (streams, consent) = (wish.streams.as_slice(), server.as_ref().zip(client_id));
        DryRun { connector, base_url, streams, consent, now: Clock::system().now() }.print()?;
        return Ok(End::Done);
    }
    if server.is_none() {
        allowed.pin(base_url, contract)?;
    }
    let opened = settings.open().await?;
    let plan = Plan { settings, opened: &opened, allowed: &allowed, wish: &wish, connector };
    match (&server, client_id, &wish.user) {
        (Some(server), Some(client_id), _) => plan.by_consent(server, client_id, base_url).await?,
        (_, _, Some(user)) => plan.connect(base_url, &sign_in::basic(settings, contract, user)?).await?,
        _ => plan.connect(base_url, &Credential::Token(sign_in::token(settings, contract)?)).await?,
    }
    opened.store.close().await;
    settings.remark("Next: twinflow scan");
    Ok(End::Done)
}

fn connector(tool: &str) -> Result<&'static dyn Connector> {
    twinflow_connectors::find(tool).ok_or_else(|| anyhow!("this program has no connector for {tool}"))
}

/// The tool's authorisation server; that it may be asked is found out here.
fn by_consent<'a>(
    connector: &'static dyn Connector,
    base_url: &'a str,
    allowed: &'a Allowed,
    elsewhere: Option<&'a str>,
) -> Result<AuthServer<'a>> {
    let contract = connector.contract();
    let server = AuthServer::new(contract, allowed, base_url, elsewhere).with_context(|| {
        format!("{} cannot be connected by consent; leave --client-id out", contract.title)
    })?;
    server.endpoint(server.oauth().authorize)?;
    server.endpoint(server.oauth().token)?;
    Ok(server)
}

/// Everything that is known before there is a credential.
struct Plan<'a> {
    settings: &'a Settings,
    opened: &'a Opened,
    allowed: &'a Allowed,
    wish: &'a Wish,
    connector: &'static dyn Connector,
}

impl Plan<'_> {
    fn name(&self) -> &str {
        self.wish.common.name.as_deref().unwrap_or(self.wish.tool)
    }

    async fn by_consent(&self, server: &AuthServer<'_>, client_id: &str, base_url: &str) -> Result<()> {
        // Before a person is sent to a consent page for nothing.
        match self.opened.store.connection(self.name()).await {
            Ok(known) if known.disconnected_at.is_none() => {
                return Err(StoreError::NameTaken(self.name().to_owned()).into());
            }
            Ok(_) | Err(StoreError::NoSuchConnection(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let contract = self.connector.contract();
        let app = sign_in::app(&self.wish.consent, client_id, server)?;
        let grant = sign_in::grant(&self.wish.consent, contract, server, &app, &self.opened.clock).await?;
        let connected = self.with_grant(base_url, grant.clone()).await;
        if connected.is_err() {
            // What is not stored is not left open.
            server.revoke(&grant).await;
        }
        connected
    }

    async fn with_grant(&self, base_url: &str, grant: Grant) -> Result<()> {
        let (setting, site) = (setting(self.opened, self.allowed), self.wish.site.as_deref());
        let chosen = choose_site(setting, self.connector, base_url, &grant, site).await?;
        self.connect(chosen.as_deref().unwrap_or(base_url), &Credential::Grant(grant)).await
    }

    async fn connect(&self, base_url: &str, credential: &Credential) -> Result<()> {
        let (setting, wish) = (setting(self.opened, self.allowed), self.wish);
        let new = NewConnection {
            connector: self.connector,
            name: self.name(),
            base_url,
            streams: &wish.streams,
            credential,
            accept_broad: wish.accept_broad,
            pseudonymise: wish.common.pseudonymise.unwrap_or_else(|| Whom::by_default(wish.tool)),
        };
        let checked = check(setting, &new, &mut rand::rng()).await?;
        let contract = self.connector.contract();
        consent::ask(self.settings, contract, checked.account_name(), &wish.streams, wish.common.yes)?;
        let connection = keep(setting, checked, credential, &mut rand::rng()).await?;
        format::print(format_args!(
            "Connected {} as {}, named {:?}; it follows {}.",
            contract.title,
            connection.account_name,
            connection.name,
            wish.streams.join(", ")
        ))
    }
}

pub(super) async fn renew_one(settings: &Settings, args: &Renew) -> Result<End> {
    let opened = settings.open().await?;
    let connection = opened.store.connection(&args.connection).await?;
    if connection.disconnected_at.is_some() {
        return Err(ConnectError::Disconnected(connection.name).into());
    }
    let connector = connector(&connection.tool)?;
    let allowed = settings.allowed()?;
    let (setting, rng) = (setting(&opened, &allowed), &mut rand::rng());
    let former = former(&opened, &connection).await?;
    let former_grant = former.as_ref().and_then(Credential::grant);
    let given_back = if former_grant.is_none() && args.consent.client_id.is_none() {
        if args.consent.client_secret_file.is_some() {
            bail!("say with --client-id which app the client secret is of");
        }
        let token = sign_in::token(settings, connector.contract())?;
        let credential = match former {
            Some(Credential::Basic { user, .. }) => Credential::Basic { user, secret: token },
            _ => Credential::Token(token),
        };
        renew(setting, &connection, connector, &credential, args.accept_broad_token, rng).await?;
        None
    } else {
        let elsewhere = args.consent.oauth_url.as_deref().or_else(|| former_grant?.server.as_deref());
        let server = by_consent(connector, &connection.base_url, &allowed, elsewhere)?;
        let app = app_again(&args.consent, former_grant, &server)?;
        let contract = connector.contract();
        let grant = sign_in::grant(&args.consent, contract, &server, &app, &opened.clock).await?;
        // A scan may have refreshed it while the person was at the consent page.
        let former = self::former(&opened, &connection).await?;
        let renewed = renew_by(setting, &connection, connector, grant.clone()).await;
        if renewed.is_err() {
            server.revoke(&grant).await;
        }
        renewed?;
        give_former_back(&opened, &allowed, &connection, former, &grant).await
    };
    opened.store.close().await;
    format::print(format_args!("{} has a new credential.", connection.name))?;
    given_back.map_or(Ok(()), format::print)?;
    Ok(End::Done)
}

/// The app as it was, unless another is named or it has another secret now.
fn app_again(consent: &Consent, former: Option<&Grant>, server: &AuthServer<'_>) -> Result<App> {
    match (consent.client_id.as_deref(), former) {
        (Some(client_id), _) => sign_in::app(consent, client_id, server),
        (None, Some(grant)) if consent.client_secret_file.is_none() => Ok(grant.app.clone()),
        (None, Some(grant)) => sign_in::app(consent, &grant.app.id, server),
        (None, None) => bail!("say with --client-id which app to consent to"),
    }
}

/// What became at the tool of what was granted before, in a sentence.
async fn give_former_back(
    opened: &Opened,
    allowed: &Allowed,
    connection: &Connection,
    former: Option<Credential>,
    newer: &Grant,
) -> Option<String> {
    let Some(Credential::Grant(former)) = former else { return None };
    let setting = disconnect::Setting {
        store: &*opened.store,
        vault: &opened.vault,
        tenant: opened.tenant,
        allowed,
        clock: &opened.clock,
    };
    let left = "What was granted before was not given back at the tool";
    match disconnect::give_back_former(setting, connection, former, newer).await {
        AtTheTool::Revoked => Some("The tool has taken back what was granted before.".to_owned()),
        AtTheTool::Failed { why, .. } => Some(format!("{left}: {why}.")),
        AtTheTool::ByHand { what_to_do } => Some(format!("{left}. To do by hand: {what_to_do}.")),
        AtTheTool::Nothing => Some(format!("{left}: that may end the new access, too.")),
    }
}

async fn renew_by(
    setting: Setting<'_>,
    connection: &Connection,
    connector: &'static dyn Connector,
    grant: Grant,
) -> Result<()> {
    // The same site as before has to be among those that were granted.
    let site = connection.base_url.rsplit('/').next();
    if choose_site(setting, connector, &connection.base_url, &grant, site)
        .await?
        .is_some_and(|it| it != connection.base_url)
    {
        bail!("consent was given for another site; nothing was changed");
    }
    let credential = Credential::Grant(grant);
    Ok(renew(setting, connection, connector, &credential, false, &mut rand::rng()).await?)
}

/// What opened the connection until now, as far as it can be read.
async fn former(opened: &Opened, connection: &Connection) -> Result<Option<Credential>> {
    let sealed = opened.store.sealed_credential(connection).await?;
    let text = opened.vault.open(&owner(opened.tenant, connection.id), &sealed);
    Ok(text.ok().and_then(|text| Credential::from_text(&text).ok()))
}

pub(super) fn setting<'a>(opened: &'a Opened, allowed: &'a Allowed) -> Setting<'a> {
    Setting {
        store: &*opened.store,
        vault: &opened.vault,
        tenant: opened.tenant,
        allowed,
        now: opened.clock.now(),
    }
}
