//! `twinflow demo`: the main job, on pretend tools, by the same code as on real ones.

use super::pretend::{Tool, World, origins, start};
use super::scan::{end, run_scans, scanner};
use super::{End, format, report};
use crate::config::{Opened, Settings};
use crate::connect::{NewConnection, add};
use crate::insight::{ToolReport, print};
use crate::scan::watch::StopCord;
use crate::store::{Connection, Scan, Whom};
use anyhow::{Result, bail};
use serde::Serialize;

#[derive(clap::Args, Debug)]
#[command(after_help = "Nothing leaves this machine: the tools are pretend ones on loopback.")]
pub(super) struct Args {
    #[command(flatten)]
    world: World,
    /// Exit when done; without it the pretend tools stay up to be tried
    #[arg(long)]
    once: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    scans: Vec<Scan>,
    reports: Vec<ToolReport>,
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    if !settings.is_embedded() {
        bail!("the demo uses a database of its own; leave --database-url out");
    }
    let folder = Folder::new(settings)?;
    let now = crate::clock::Clock::system().now();
    let mut tools = start(&args.world, 1, now).await?;
    // What only those choose who want it.
    tools.retain(|tool| tool.name != "zendesk_detailed");
    let settings =
        Settings { data_dir: Some(folder.path()), egress_allow: origins(&tools), ..settings.clone() };
    let opened = settings.open().await?;
    let connections = connect(&settings, &opened, &tools).await?;
    let _lock = settings.lock_scans()?;
    let scans = run_scans(scanner(&settings, &opened, StopCord::default(), true)?, &connections).await?;
    let mut reports = vec![];
    for connection in &connections {
        reports.push(report::of(&*opened.store, connection, opened.clock.now()).await?);
    }
    let end = end(&scans);
    opened.store.close().await;
    if args.json {
        format::json(&Shown { scans, reports })?;
    } else {
        format::print(format_args!("\n{}", print::render(&reports)))?;
    }
    if !args.once {
        stay(&settings, &folder.keep(), &tools).await?;
    }
    Ok(end)
}

/// A connection to each pretend tool, by the code that connects the real ones.
async fn connect(settings: &Settings, opened: &Opened, tools: &[Tool]) -> Result<Vec<Connection>> {
    let known = opened.store.connections().await?;
    if !known.is_empty() {
        bail!("there are connections in this data directory already; the demo wants an empty one");
    }
    let allowed = settings.allowed()?;
    let setting = super::connect::setting(opened, &allowed);
    let mut connections = vec![];
    for tool in tools {
        let new = NewConnection {
            connector: tool.connector()?,
            name: tool.name,
            base_url: &tool.base_url,
            streams: &tool.streams,
            credential: &tool.credential()?,
            accept_broad: false,
            pseudonymise: Whom::by_default(tool.name),
        };
        connections.push(add(setting, new, &mut rand::rng()).await?);
    }
    Ok(connections)
}

/// Where the demo's data lies: where the person said, or in a folder that goes with `--once`.
enum Folder {
    Given(std::path::PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn new(settings: &Settings) -> Result<Self> {
        Ok(match &settings.data_dir {
            Some(given) => Self::Given(given.clone()),
            None => Self::Temporary(tempfile::Builder::new().prefix("twinflow-demo-").tempdir()?),
        })
    }

    fn path(&self) -> std::path::PathBuf {
        match self {
            Self::Given(path) => path.clone(),
            Self::Temporary(folder) => folder.path().to_owned(),
        }
    }

    fn keep(self) -> std::path::PathBuf {
        match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.keep(),
        }
    }
}

async fn stay(settings: &Settings, folder: &std::path::Path, tools: &[Tool]) -> Result<()> {
    settings.remark(&format!(
        "\nThe event log lies in {0}. The pretend tools stay up until Ctrl-C; in another terminal try:\n\n  \
         export TWINFLOW_DATA_DIR={0} TWINFLOW_EGRESS_ALLOW={1}\n  \
         twinflow scan\n  twinflow scans\n  twinflow events --limit 20\n  twinflow contract",
        folder.display(),
        origins(tools),
    ));
    Ok(tokio::signal::ctrl_c().await?)
}
