//! One measured process: what it is told on its command line, and the line of JSON it answers.

use crate::database;
use crate::jobs;
use crate::pretend::{Place, Pretend};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::future::Future;
use std::time::Instant;
use tokio::runtime::Runtime;
use twinflow::credential::Credential;
use twinflow_connectors::Connector;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    Scan,
    Download,
    Insert,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) role: Role,
    pub(crate) tool: String,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) user: Option<String>,
    pub(crate) streams: Vec<String>,
    pub(crate) side_by_side: usize,
    pub(crate) database: Option<database::Place>,
}

/// What came of a job. The times are those of its measured part, the memory that of the whole process.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// The most that was resident at a time.
    pub(crate) peak_kib: u64,
    /// Resident when the measured part began.
    pub(crate) start_kib: u64,
    pub(crate) pages: u64,
    pub(crate) requests: u64,
    /// Of the answers' bodies, unpacked.
    pub(crate) bytes: u64,
    pub(crate) cases: u64,
    pub(crate) events: u64,
}

impl Job {
    pub(crate) fn new(role: Role, pretend: &Pretend, tool: &str, side_by_side: usize) -> Result<Self> {
        let Place { url, token, user, streams } = pretend.place(tool)?.clone();
        Ok(Self { role, tool: tool.to_owned(), url, token, user, streams, side_by_side, database: None })
    }

    pub(crate) fn connector(&self) -> Result<&'static dyn Connector> {
        twinflow_connectors::find(&self.tool).context("no such tool")
    }

    pub(crate) fn credential(&self) -> Result<Credential> {
        let token = self.token.clone().into();
        Ok(match &self.user {
            None => Credential::Token(token),
            Some(user) => {
                Credential::basic(self.connector()?.contract(), user, token).context("no name is taken")?
            }
        })
    }

    /// In a process of its own.
    pub(crate) fn run(&self) -> Result<Figures> {
        let mut process = std::process::Command::new(std::env::current_exe()?);
        process.arg("--job").arg(serde_json::to_string(self)?).stderr(std::process::Stdio::inherit());
        let output = process.output()?;
        ensure!(output.status.success(), "the measured process failed");
        serde_json::from_slice(&output.stdout).context("the measured process did not say what came of it")
    }
}

/// Being that process.
pub(crate) fn work(runtime: &Runtime, job: &str) -> Result<()> {
    let job: Job = serde_json::from_str(job)?;
    let figures = runtime.block_on(async {
        match job.role {
            Role::Scan => jobs::scan::run(&job).await,
            Role::Download => jobs::download::run(&job).await,
            Role::Insert => jobs::insert::run(&job).await,
        }
    })?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Runs the measured part of a job.
pub(crate) async fn measured<T>(part: impl Future<Output = Result<T>>) -> Result<(T, Figures)> {
    let (start_kib, cpu, begun) = (resident("VmRSS:")?, cpu_seconds()?, Instant::now());
    let done = part.await?;
    let (wall_seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let peak_kib = resident("VmHWM:")?;
    Ok((done, Figures { wall_seconds, cpu_seconds, start_kib, peak_kib, ..Figures::default() }))
}

fn resident(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Of all threads, in user and kernel mode; counted in hundredths of a second.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // What comes before is the program's name, which may hold anything.
    let (_, after) = stat.rsplit_once(") ").context("no such file")?;
    let ticks = after.split(' ').skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()? as f64 / 100.0)
}
