//! `twinflow pretend`, and the pretend tools that `demo` scans.

use super::{End, format};
use crate::clock::Clock;
use crate::credential::Credential;
use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;
use twinflow_connectors::Connector;
use twinflow_fixtures::{
    GitHub, LedgerDepth, Service, ServiceOptions, Stand, Story, StoryOptions, jira, oauth, stands,
};

#[derive(clap::Args, Clone, Debug)]
pub(super) struct World {
    /// Cases each tool has
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) cases: u64,
    /// The same number tells the same story
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "They listen on loopback alone, and end with Ctrl-C.")]
pub(super) struct Args {
    #[command(flatten)]
    world: World,
    /// Milliseconds each answer takes
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
    /// Repositories GitHub has, each with that many cases: acme/shop, acme/shop-2 and so on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    repositories: u8,
    /// Say where they are as one line of JSON
    #[arg(long)]
    json: bool,
}

/// A pretend tool on loopback, and how it is entered.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) base_url: String,
    pub(super) streams: Vec<String>,
    user: Option<&'static str>,
    token: &'static str,
    /// Whether it has an authorisation server.
    by_consent: bool,
    service: Service,
}

impl Tool {
    async fn start(stand: Stand) -> Result<Self> {
        let options = ServiceOptions { remember_answers: true, ledger: LedgerDepth::Counts };
        let service = Service::start(stand.world, options).await?;
        if let Some(dialect) = stand.oauth {
            service.oauth(dialect);
        }
        let base_url = format!("{}{}", service.url(), stand.path);
        let (name, streams, user, token) = (stand.tool, stand.streams, stand.user, stand.token);
        let by_consent = stand.oauth.is_some();
        Ok(Self { name, base_url, streams, user, token, by_consent, service })
    }

    pub(super) fn connector(&self) -> Result<&'static dyn Connector> {
        twinflow_connectors::find(self.name).context("no such tool")
    }

    pub(super) fn credential(&self) -> Result<Credential> {
        let token = self.token.into();
        Ok(match self.user {
            None => Credential::Token(token),
            Some(user) => {
                Credential::basic(self.connector()?.contract(), user, token).context("no name is taken")?
            }
        })
    }

    pub(super) fn origin(&self) -> String {
        self.service.url()
    }

    /// The command line that connects it.
    fn connect(&self) -> String {
        let Self { name, base_url, token, user, .. } = self;
        let (tool, more) = match *name {
            "zendesk_detailed" => ("zendesk", " --detailed --name zendesk_detailed".to_owned()),
            "github" => (*name, self.flags("--repo")),
            "jira" => (*name, self.flags("--project")),
            "linear" => (*name, self.flags("--team")),
            _ => (*name, String::new()),
        };
        let user = user.map(|user| format!(" --email {user}")).unwrap_or_default();
        format!("echo {token} | twinflow connect {tool}{more}{user} --base-url {base_url}")
    }

    fn flags(&self, flag: &str) -> String {
        self.streams.iter().map(|stream| format!(" {flag} {stream}")).collect()
    }

    fn json(&self) -> Value {
        let mut place = json!({ "url": self.base_url, "token": self.token, "streams": self.streams });
        if self.by_consent {
            place["oauth_url"] = self.origin().into();
            place["client_id"] = oauth::CLIENT_ID.into();
            place["client_secret"] = oauth::CLIENT_SECRET.into();
        }
        if let Some(user) = self.user {
            place["user"] = user.into();
        }
        if self.name == "jira" {
            place["write_token"] = jira::WRITE_TOKEN.into();
        }
        place
    }
}

/// Every tool there is, with the same story behind each; GitHub with as many repositories.
pub(super) async fn start(world: &World, repositories: u8, now: DateTime<Utc>) -> Result<Vec<Tool>> {
    let cases = usize::try_from(world.cases)?;
    let story = |nth: u64| Story::new(StoryOptions { seed: world.seed + nth, cases, now });
    let mut tools = vec![];
    for mut stand in stands(&story(0)) {
        if stand.tool == "github" && repositories > 1 {
            let first = stand.streams.first().cloned().unwrap_or_default();
            let mut github = GitHub::new(&story(0), &first);
            for nth in 2..=repositories {
                let name = format!("{first}-{nth}");
                github = github.with_repository(&story(nth.into()), &name);
                stand.streams.push(name);
            }
            stand.world = github.into();
        }
        tools.push(Tool::start(stand).await?);
    }
    Ok(tools)
}

/// What the operator lists, so that they may be asked.
pub(super) fn origins(tools: &[Tool]) -> String {
    tools.iter().map(Tool::origin).collect::<Vec<_>>().join(",")
}

pub(super) async fn run(args: &Args) -> Result<End> {
    let tools = start(&args.world, args.repositories, Clock::system().now()).await?;
    for tool in &tools {
        tool.service.latency(Duration::from_millis(args.latency));
    }
    if args.json {
        let places: serde_json::Map<_, _> =
            tools.iter().map(|tool| (tool.name.to_owned(), tool.json())).collect();
        writeln!(std::io::stdout().lock(), "{}", Value::from(places))?;
    } else {
        let lines: String = tools.iter().map(|tool| format!("  {}\n", tool.connect())).collect();
        format::print(format_args!(
            "Pretend tools are up. In another terminal:\n\n  export TWINFLOW_EGRESS_ALLOW={}\n{lines}  \
             twinflow scan\n\nBy consent, in place of a token: --client-id {} with --oauth-url and the same URL; \
             a client secret, where one is asked for: {}\n\nCtrl-C ends them.",
            origins(&tools),
            oauth::CLIENT_ID,
            oauth::CLIENT_SECRET,
        ))?;
    }
    tokio::signal::ctrl_c().await?;
    Ok(End::Done)
}
