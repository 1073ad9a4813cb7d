//! `just replay DIR`: reads a folder of recorded answers again, through the pretend services, and says what they mean.
//!
//! The folder holds exports of what a collector once read from the real tools, one CSV file per endpoint: in
//! `jira/devlake` and `github/devlake`, or it is such a folder itself. The scan is the real one, its database a
//! temporary one. Counts are printed, never content. Exits with 1 when a scan is not complete, or when the event
//! log is not what the pretend service knows to have happened.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use twinflow::clock::Clock;
use twinflow::connect::{NewConnection, Setting, add};
use twinflow::credential::Credential;
use twinflow::scan::egress::{Allowed, Bounds};
use twinflow::scan::watch::{Nobody, StopCord};
use twinflow::scan::{CENSUS_EVERY, Scanner};
use twinflow::store::{self, Connection, Scan, Wanted, random_id};
use twinflow_fixtures::replay::Recording;
use twinflow_fixtures::{Fact, Service, ServiceOptions, World, github, jira, replay};
use twinflow_vault::{KeySet, Vault};
use uuid::Uuid;

/// Reads recorded answers again and says what they mean
#[derive(Parser)]
struct Args {
    /// A folder with jira/devlake or github/devlake in it, or such a folder itself
    dir: PathBuf,
}

/// Which files hold a tool's documents; the first must be there.
struct Tool {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
}

const TOOLS: [Tool; 2] = [
    Tool {
        name: "jira",
        files: &[
            ("issues", "_raw_jira_api_issues.csv"),
            ("histories recorded by themselves", "_raw_jira_api_issue_changelogs.csv"),
            ("statuses", "_raw_jira_api_status.csv"),
        ],
    },
    Tool {
        name: "github",
        files: &[("issues", "_raw_github_api_issues.csv"), ("events", "_raw_github_api_events.csv")],
    },
];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut found = 0;
    let mut good = true;
    for tool in &TOOLS {
        if let Some(folder) = tool.folder(&args.dir) {
            found += 1;
            good &= tool.replay(&folder).await?;
        }
    }
    if found == 0 {
        bail!("{} holds neither jira/devlake nor github/devlake, and is neither of them", args.dir.display());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tool {
    fn folder(&self, given: &Path) -> Option<PathBuf> {
        let folders = [given.join(self.name).join("devlake"), given.to_owned()];
        folders.into_iter().find(|folder| file(folder, self.files[0].1).is_file())
    }

    /// Whether everything came back as it happened.
    async fn replay(&self, folder: &Path) -> Result<bool> {
        println!("{}, from {}", self.name, folder.display());
        let documents = self.files.iter().map(|(what, name)| Ok(format!("{} {what}", rows(folder, name)?)));
        println!("  documents  {}", documents.collect::<Result<Vec<_>>>()?.join(", "));
        let (world, skipped): (World, _) = match self.name {
            "jira" => replay::jira(folder).map(parts)?,
            _ => replay::github(folder).map(parts)?,
        };
        let service = Service::start(world, ServiceOptions::default()).await?;
        let facts = service.facts();
        let (scan, log) = self.scan(&service, &facts).await?;
        println!("  skipped    {}", counted(&skipped));
        println!("  cases      {}", scan.cases);
        let mut activities = BTreeMap::<_, usize>::new();
        log.iter().for_each(|fact| *activities.entry(fact.activity.clone()).or_default() += 1);
        println!("  events     {}: {}", log.len(), counted(&activities));
        println!("  scan       {}, {} pages, {} requests", scan.state.word(), scan.pages, scan.requests);
        scan.reasons.iter().for_each(|why| println!("             {why}"));
        let same = log == sorted(facts);
        println!("  the log    {}\n", if same { "is what happened" } else { "IS NOT what happened" });
        Ok(same && scan.state == store::State::Complete)
    }

    /// The real scan, into a database that goes with this function; and the log it left.
    async fn scan(&self, service: &Service, facts: &[Fact]) -> Result<(Scan, Vec<Fact>)> {
        let (base_url, token) = match self.name {
            "jira" => (format!("{}/ex/jira/{}", service.url(), jira::CLOUD_ID), jira::TOKEN),
            _ => (service.url(), github::TOKEN),
        };
        let folder = TempDir::new()?;
        let scanner = scanner(service, &folder.path().join("twinflow.db")).await?;
        let streams: BTreeSet<_> = facts.iter().map(|fact| fact.stream.clone()).collect();
        let new = NewConnection {
            connector: twinflow_connectors::find(self.name).context("no such tool")?,
            name: self.name,
            base_url: &base_url,
            streams: &Vec::from_iter(streams),
            credential: &Credential::Token(token.to_owned().into()),
            accept_broad: false,
            pseudonymise: Default::default(),
        };
        let connection = connect(&scanner, new).await?;
        let id = scanner.store.open_scan(connection.id, random_id(&mut rand::rng())).await?;
        scanner.run(id).await?;
        let scan = scanner.store.scan(id).await?.context("the scan is gone")?;
        let wanted = Wanted { limit: i64::MAX, ..Wanted::default() };
        let log = scanner.store.events(&wanted).await?.into_iter().map(|event| Fact {
            stream: String::new(),
            case: event.case,
            at: event.at,
            activity: event.activity,
            resource: event.resource,
            from: event.from,
            to: event.to,
        });
        Ok((scan, sorted(log.collect())))
    }
}

async fn scanner(service: &Service, database: &Path) -> Result<Scanner> {
    let tenant = Uuid::from_u128(1);
    let clock = Clock::system();
    let keys = KeySet::generate(&mut rand::rng())?;
    Ok(Scanner {
        store: store::open_embedded(database, tenant, clock.clone()).await?,
        vault: Arc::new(Vault::new(keys)),
        tenant,
        allowed: Allowed::default().and(&service.url())?,
        clock,
        watch: Arc::new(Nobody),
        stop: StopCord::default(),
        owner: "replay".to_owned(),
        takeover: false,
        bounds: Bounds::default(),
        streams_side_by_side: 4,
        patience: Duration::from_secs(300),
        reserve: 20,
        census_every: CENSUS_EVERY,
        lease: Duration::from_secs(60),
        anyway: false,
        background: None,
    })
}

async fn connect(scanner: &Scanner, new: NewConnection<'_>) -> Result<Connection> {
    let setting = Setting {
        store: &*scanner.store,
        vault: &scanner.vault,
        tenant: scanner.tenant,
        allowed: &scanner.allowed,
        now: scanner.clock.now(),
    };
    Ok(add(setting, new, &mut rand::rng()).await?)
}

fn parts<W: Into<World>>(recording: Recording<W>) -> (World, BTreeMap<String, usize>) {
    (recording.world.into(), recording.skipped)
}

/// Without the stream, which the log does not repeat per event.
fn sorted(mut facts: Vec<Fact>) -> Vec<Fact> {
    facts.iter_mut().for_each(|fact| fact.stream.clear());
    facts.sort();
    facts
}

fn counted(counts: &BTreeMap<String, usize>) -> String {
    let words: Vec<_> = counts.iter().map(|(what, times)| format!("{times} {what}")).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    let inner = folder.join("raw_tables").join(name);
    if inner.is_file() { inner } else { folder.join(name) }
}

fn rows(folder: &Path, name: &str) -> Result<usize> {
    let path = file(folder, name);
    if !path.is_file() {
        return Ok(0);
    }
    let mut reader = csv::Reader::from_path(&path).with_context(|| path.display().to_string())?;
    Ok(reader.records().filter(Result::is_ok).count())
}
