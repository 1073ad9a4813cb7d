//! What can be typed to connect each tool, and what it comes to: a [`Wish`].

use super::sign_in::Consent;
use crate::store::Whom;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};

/// What a person registers before they can consent, at the end of a tool's help.
macro_rules! consent {
    ($app:literal) => {
        concat!(
            "By consent, with --client-id: register an app at ",
            $app,
            "\n\nThe app's callback URL is http://127.0.0.1:PORT/callback. Where the tool wants to know the port, choose one, \
             register it and give it with --redirect-port.\n\nSecrets are asked for, or read from standard input."
        )
    };
}

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
    #[command(after_help = consent!(
        "https://developer.atlassian.com/console/myapps: an OAuth 2.0 (3LO) integration with the Jira API's \
         read:jira-work, read:jira-user and write:jira-work. Atlassian wants to know the port.\n\n\
         With a token instead: an OAuth 2.0 (3LO) access token with read:jira-work and read:jira-user."
    ))]
    Jira {
        /// The site's cloud id, as https://YOUR-SITE.atlassian.net/_edge/tenant_info shows it; by consent only where
        /// there are several sites
        #[arg(long, value_name = "ID", required_unless_present_any = ["base_url", "client_id"], conflicts_with = "base_url")]
        cloud_id: Option<String>,
        /// Which site, by its URL or name, where you consented to several
        #[arg(long, value_name = "URL|NAME", conflicts_with = "cloud_id")]
        site: Option<String>,
        /// A project to follow, by its key; repeat it for more [default: the whole site]
        #[arg(long = "project", value_name = "KEY")]
        projects: Vec<String>,
        /// A Jira behind a proxy of yours, up to but without /rest; the operator lists its host in
        /// TWINFLOW_EGRESS_ALLOW
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        common: Common,
    },
    /// Connect Linear: the issues of some teams, or of the whole workspace
    #[command(after_help = consent!(
        "Linear, under Settings, Administration, API. Linear wants to know the port; the app's client secret is not \
         needed."
    ))]
    Linear {
        /// A team to follow, by its key; repeat it for more [default: the whole workspace]
        #[arg(long = "team", value_name = "KEY")]
        teams: Vec<String>,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        elsewhere: Elsewhere,
        #[command(flatten)]
        common: Common,
    },
    /// Connect Gmail: who wrote when to whom in one mailbox, without subjects and texts
    #[command(after_help = consent!(
        "https://console.cloud.google.com, under APIs & Services: enable the Gmail API, then make an OAuth client of \
         the type Desktop app, which takes every port. While its consent screen is in Testing, Google ends every \
         grant after seven days."
    ))]
    Gmail {
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        elsewhere: Elsewhere,
        #[command(flatten)]
        common: Common,
    },
    /// Connect Salesforce: the cases that a user may see
    #[command(after_help = consent!(
        "Salesforce, under Setup, External Client App Manager, with PKCE and the scopes api and refresh_token. \
         Salesforce wants to know the port. Consent as a user who may read cases and nothing else."
    ))]
    Salesforce {
        /// Your instance, as acme.my.salesforce.com; consent tells it, a token does not
        #[arg(long, value_name = "HOST|URL", required_unless_present_any = ["base_url", "client_id"])]
        instance: Option<String>,
        /// Consent at test.salesforce.com, where sandboxes live
        #[arg(long, conflicts_with = "oauth_url")]
        sandbox: bool,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        elsewhere: Elsewhere,
        #[command(flatten)]
        common: Common,
    },
    /// Connect Zendesk: all tickets of an account
    #[command(after_help = consent!(
        "your Zendesk, in the Admin Center under Apps and integrations, APIs, OAuth clients: a public client. Zendesk \
         wants to know the port.\n\nWith an API token instead: --email says whose it is. Zendesk ends all API tokens \
         on 2027-04-30."
    ))]
    Zendesk {
        /// What stands before .zendesk.com
        #[arg(long, value_name = "NAME", required_unless_present = "base_url")]
        subdomain: Option<String>,
        /// Whose API token it is
        #[arg(long, value_name = "ADDRESS", conflicts_with = "client_id")]
        email: Option<String>,
        /// Read also who did something, from ticket events, which bring subjects along that are skipped
        #[arg(long)]
        detailed: bool,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        elsewhere: Elsewhere,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args, Debug)]
pub(super) struct Common {
    /// What to call the connection [default: the tool's name]
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Keep only pseudonyms of people: of everybody, of outsiders (those whose address is of another domain than the
    /// account's) or of nobody [default: nobody; for Gmail, outsiders]
    #[arg(long, value_enum, value_name = "WHOM", num_args = 0..=1, require_equals = true, default_missing_value = "everybody")]
    pub(super) pseudonymise: Option<Whom>,
    /// Connect without asking whether what will be read is wanted
    #[arg(long)]
    pub(super) yes: bool,
    /// Print every request that connecting would make, and send nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Args, Debug)]
pub(super) struct Elsewhere {
    /// The tool behind a proxy of yours; the operator lists its host in TWINFLOW_EGRESS_ALLOW
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

/// What a person wants connected.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) tool: &'static str,
    /// Where it is; where that is not known yet, the contract's.
    pub(super) base_url: Option<String>,
    pub(super) streams: Vec<String>,
    /// Whose token it is, where the tool wants to know.
    pub(super) user: Option<String>,
    pub(super) site: Option<String>,
    pub(super) consent: Consent,
    pub(super) accept_broad: bool,
    pub(super) common: Common,
}

impl Tool {
    pub(super) fn wish(self) -> Result<Wish> {
        Ok(match self {
            Self::Github { repositories, base_url, accept_broad_token, common } => Wish {
                accept_broad: accept_broad_token,
                ..Wish::new("github", Some(base_url), repositories, "", Consent::default(), common)
            },
            Self::Jira { cloud_id, site, projects, base_url, consent, common } => {
                if let Some(id) = cloud_id.as_ref().filter(|id| !is_cloud_id(id)) {
                    bail!("{id:?} is not a cloud id");
                }
                let of_site = |id: &String| format!("https://api.atlassian.com/ex/jira/{id}");
                let base_url = base_url.or_else(|| cloud_id.as_ref().map(of_site));
                let site = site.or(cloud_id);
                Wish { site, ..Wish::new("jira", base_url, projects, "site", consent, common) }
            }
            Self::Linear { teams, consent, elsewhere, common } => {
                Wish::new("linear", elsewhere.base_url, teams, "workspace", consent, common)
            }
            Self::Gmail { consent, elsewhere, common } => {
                Wish::new("gmail", elsewhere.base_url, vec![], "mailbox", consent, common)
            }
            Self::Salesforce { instance, sandbox, mut consent, elsewhere, common } => {
                let login =
                    if sandbox { "https://test.salesforce.com" } else { "https://login.salesforce.com" };
                if sandbox {
                    consent.oauth_url = Some(login.to_owned());
                }
                let instance = instance.map_or(login.to_owned(), |it| {
                    if it.contains("://") { it } else { format!("https://{it}") }
                });
                let base_url = elsewhere.base_url.or(Some(instance));
                Wish::new("salesforce", base_url, vec![], "cases", consent, common)
            }
            Self::Zendesk { subdomain, email, detailed, consent, elsewhere, common } => {
                if let Some(name) = subdomain.as_ref().filter(|name| !is_label(name)) {
                    bail!("{name:?} is not what stands before .zendesk.com");
                }
                if email.is_none() && consent.client_id.is_none() {
                    bail!(
                        "say how to sign in: by consent with --client-id, or with an API token and --email"
                    );
                }
                let of_account = |name| format!("https://{name}.zendesk.com");
                let base_url = elsewhere.base_url.or_else(|| subdomain.map(of_account));
                let tool = if detailed { "zendesk_detailed" } else { "zendesk" };
                Wish { user: email, ..Wish::new(tool, base_url, vec![], "tickets", consent, common) }
            }
        })
    }
}

impl Wish {
    fn new(
        tool: &'static str,
        base_url: Option<String>,
        mut streams: Vec<String>,
        all: &str,
        consent: Consent,
        common: Common,
    ) -> Self {
        if streams.is_empty() {
            streams = vec![all.to_owned()];
        }
        streams.sort();
        streams.dedup();
        Self { tool, base_url, streams, user: None, site: None, consent, accept_broad: false, common }
    }
}

fn is_cloud_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// One label of a host name (RFC 1123).
fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
