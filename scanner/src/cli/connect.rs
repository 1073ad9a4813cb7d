//! `twinflow connect`

use super::{End, format};
use crate::config::{Opened, Settings};
use crate::connect::{NewConnection, Setting, add, renew};
use crate::scan::egress::Allowed;
use crate::store::Whom;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use secrecy::SecretString;
use std::io::{IsTerminal as _, Read as _};
use twinflow_connectors::Connector;

#[derive(Subcommand, Debug)]
pub(super) enum Tool {
    /// Connect GitHub: the issues of one or more repositories
    #[command(
        after_help = "The token is a fine-grained personal access token for these repositories alone, with \
        Issues: read.\nIt is asked for, or read from standard input: twinflow connect github --repo acme/shop < token"
    )]
    Github {
        /// A repository to follow, as OWNER/NAME; repeat it for more
        #[arg(long = "repo", value_name = "OWNER/NAME", required = true)]
        repositories: Vec<String>,
        /// GitHub Enterprise Server's API, like https://ghe.example.com/api; the operator lists its host in
        /// TWINFLOW_EGRESS_ALLOW
        #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
        base_url: String,
        /// Take a classic token, though it can do far more than read issues
        #[arg(long)]
        accept_broad_token: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Connect Jira Cloud: the issues of some projects, or of the whole site
    #[command(
        after_help = "The token is an OAuth 2.0 (3LO) access token with read:jira-work and read:jira-user.\n\
        It is asked for, or read from standard input."
    )]
    Jira {
        /// The site's cloud id, as https://YOUR-SITE.atlassian.net/_edge/tenant_info shows it
        #[arg(long, value_name = "ID", required_unless_present = "base_url", conflicts_with = "base_url")]
        cloud_id: Option<String>,
        /// A project to follow, by its key; repeat it for more [default: the whole site]
        #[arg(long = "project", value_name = "KEY")]
        projects: Vec<String>,
        /// A Jira behind a proxy of yours, up to but without /rest; the operator lists its host in
        /// TWINFLOW_EGRESS_ALLOW
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args, Debug)]
#[command(
    after_help = "The token is asked for, or read from standard input. It has to belong to the same account."
)]
pub(super) struct Renew {
    /// Which connection, by name
    connection: String,
    /// Take a classic GitHub token, though it can do far more than read issues
    #[arg(long)]
    accept_broad_token: bool,
}

#[derive(Args, Debug)]
pub(super) struct Common {
    /// What to call the connection [default: the tool's name]
    #[arg(long)]
    name: Option<String>,
    /// Keep only pseudonyms of people: of everybody, of outsiders (those whose address is of another domain than the
    /// account's) or of nobody [default: nobody; for Gmail, outsiders]
    #[arg(long, value_enum, value_name = "WHOM", num_args = 0..=1, require_equals = true, default_missing_value = "everybody")]
    pseudonymise: Option<Whom>,
}

pub(super) async fn run(settings: &Settings, tool: Tool) -> Result<End> {
    match tool {
        Tool::Github { repositories, base_url, accept_broad_token, common } => {
            connect(settings, "github", &base_url, &repositories, accept_broad_token, common).await
        }
        Tool::Jira { cloud_id, projects, base_url, common } => {
            let base_url = match (base_url, cloud_id) {
                (Some(url), _) => url,
                (None, Some(id)) if is_cloud_id(&id) => format!("https://api.atlassian.com/ex/jira/{id}"),
                (None, id) => bail!("{:?} is not a cloud id", id.unwrap_or_default()),
            };
            let streams = if projects.is_empty() { vec!["site".to_owned()] } else { projects };
            connect(settings, "jira", &base_url, &streams, false, common).await
        }
    }
}

fn is_cloud_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

async fn connect(
    settings: &Settings,
    tool: &str,
    base_url: &str,
    streams: &[String],
    accept_broad: bool,
    common: Common,
) -> Result<End> {
    let connector = twinflow_connectors::find(tool).context("no such tool")?;
    let mut streams = streams.to_vec();
    streams.sort();
    streams.dedup();
    // Mistakes in what was typed are found before anybody is asked for a token.
    for name in &streams {
        connector.stream(name)?;
    }
    let allowed = settings.allowed()?;
    allowed.pin(base_url, connector.contract())?;
    let opened = settings.open().await?;
    let token = token(settings, connector)?;
    let setting = setting(&opened, &allowed);
    let name = common.name.unwrap_or_else(|| tool.to_owned());
    let pseudonymise = common.pseudonymise.unwrap_or_else(|| Whom::by_default(tool));
    let (streams, token) = (&streams, &token);
    let new = NewConnection { connector, name: &name, base_url, streams, token, accept_broad, pseudonymise };
    let connection = add(setting, new, &mut rand::rng()).await?;
    let title = connector.contract().title;
    format::print(format_args!(
        "Connected {title} as {}, named {:?}; it follows {}.",
        connection.account_name,
        name,
        streams.join(", ")
    ))?;
    opened.store.close().await;
    settings.remark("Next: twinflow scan");
    Ok(End::Done)
}

pub(super) async fn renew_one(settings: &Settings, args: &Renew) -> Result<End> {
    let opened = settings.open().await?;
    let connection = opened.store.connection(&args.connection).await?;
    let connector = twinflow_connectors::find(&connection.tool).context("no such tool")?;
    let token = token(settings, connector)?;
    let allowed = settings.allowed()?;
    let setting = setting(&opened, &allowed);
    renew(setting, &connection, connector, &token, args.accept_broad_token, &mut rand::rng()).await?;
    opened.store.close().await;
    format::print(format_args!("{} has a new credential.", connection.name))?;
    Ok(End::Done)
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

/// From a hidden prompt or from standard input, never from the command line, where others can see it.
fn token(settings: &Settings, connector: &'static dyn Connector) -> Result<SecretString> {
    let contract = connector.contract();
    let stdin = std::io::stdin();
    let typed = if stdin.is_terminal() {
        settings.remark(&format!("{}: {}, with:", contract.title, super::contract::credentials(contract)));
        for scope in contract.scopes {
            settings.remark(&format!("  {}: {}", scope.name, scope.why));
        }
        SecretString::from(rpassword::prompt_password("Token: ")?)
    } else {
        let mut text = String::new();
        // No token is longer; what is, is some other file.
        stdin.lock().take(16 << 10).read_to_string(&mut text).context("standard input is not text")?;
        SecretString::from(text)
    };
    trimmed(&typed)
}

#[expect(clippy::disallowed_methods, reason = "a token's line end is not part of it")]
fn trimmed(typed: &SecretString) -> Result<SecretString> {
    use secrecy::ExposeSecret as _;
    let token = typed.expose_secret().trim();
    if token.is_empty() {
        bail!("no token was given; type it at the prompt, or pass it on standard input");
    }
    if token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        bail!("what was given has spaces or line breaks inside, as no token has; give the token alone");
    }
    Ok(SecretString::from(token))
}
