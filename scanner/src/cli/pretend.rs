//! `twinflow pretend`, and the pretend tools that `demo` scans.

use super::{End, format};
use crate::clock::Clock;
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::io::Write as _;
use std::time::Duration;
use twinflow_fixtures::{
    GitHub, Jira, LedgerDepth, Service, ServiceOptions, Story, StoryOptions, github, jira,
};

pub(super) const REPOSITORY: &str = "acme/shop";
pub(super) const PROJECT: &str = "SHOP";

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

/// GitHub and Jira on loopback, with the same story behind both.
pub(super) struct Tools {
    pub(super) github: Service,
    pub(super) jira: Service,
}

impl Tools {
    pub(super) async fn start(world: &World, repositories: u8, now: DateTime<Utc>) -> Result<Self> {
        let cases = usize::try_from(world.cases)?;
        let story = Story::new(StoryOptions { seed: world.seed, cases, now });
        let options = ServiceOptions { remember_answers: true, ledger: LedgerDepth::Counts };
        let mut github = GitHub::new(&story, REPOSITORY);
        for n in 2..=repositories {
            let story = Story::new(StoryOptions { seed: world.seed + u64::from(n), cases, now });
            github = github.with_repository(&story, &format!("{REPOSITORY}-{n}"));
        }
        let jira = Jira::new(&story, PROJECT);
        Ok(Self {
            github: Service::start(github, options).await?,
            jira: Service::start(jira, options).await?,
        })
    }

    pub(super) fn jira_url(&self) -> String {
        format!("{}/ex/jira/{}", self.jira.url(), jira::CLOUD_ID)
    }
}

pub(super) async fn run(args: &Args) -> Result<End> {
    let tools = Tools::start(&args.world, args.repositories, Clock::system().now()).await?;
    tools.github.latency(Duration::from_millis(args.latency));
    tools.jira.latency(Duration::from_millis(args.latency));
    let (github_url, jira_url) = (tools.github.url(), tools.jira_url());
    if args.json {
        let place = json!({
            "github": { "url": github_url, "token": github::TOKEN, "repository": REPOSITORY },
            "jira": { "url": jira_url, "token": jira::TOKEN, "write_token": jira::WRITE_TOKEN, "project": PROJECT },
        });
        writeln!(std::io::stdout().lock(), "{place}")?;
    } else {
        format::print(format_args!(
            "Pretend GitHub and Jira are up. In another terminal:\n\n  \
             export TWINFLOW_EGRESS_ALLOW={github_url},{}\n  \
             echo {} | twinflow connect github --repo {REPOSITORY} --base-url {github_url}\n  \
             echo {} | twinflow connect jira --project {PROJECT} --base-url {jira_url}\n  \
             twinflow scan\n\nCtrl-C ends them.",
            tools.jira.url(),
            github::TOKEN,
            jira::TOKEN,
        ))?;
    }
    tokio::signal::ctrl_c().await?;
    Ok(End::Done)
}
