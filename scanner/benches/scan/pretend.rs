//! The pretend tools, in a process of their own so that their work is not taken for the scan's.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tool {
    Github,
    Jira,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Github => "github",
            Self::Jira => "jira",
        })
    }
}

/// Where a pretend tool is; what `twinflow pretend --json` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) token: String,
    #[serde(alias = "repository", alias = "project")]
    pub(crate) stream: String,
}

#[derive(Deserialize)]
struct Places {
    github: Place,
    jira: Place,
}

/// Ends with this value.
pub(crate) struct Pretend {
    pub(crate) cases: u64,
    pub(crate) latency: u64,
    pub(crate) repositories: u8,
    places: Places,
    process: Child,
}

impl Pretend {
    pub(crate) async fn start(cases: u64, latency: u64, repositories: u8) -> Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_twinflow"))
            .args(["pretend", "--json"])
            .args(["--cases", &cases.to_string(), "--latency", &latency.to_string()])
            .args(["--repositories", &repositories.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let places = serde_json::from_str(&line).context("the pretend tools did not say where they are")?;
        Ok(Self { cases, latency, repositories, places, process })
    }

    pub(crate) fn place(&self, tool: Tool) -> &Place {
        match tool {
            Tool::Github => &self.places.github,
            Tool::Jira => &self.places.jira,
        }
    }

    pub(crate) fn streams(&self, tool: Tool) -> Vec<String> {
        let first = &self.place(tool).stream;
        let others = (2..=self.repositories).filter(|_| tool == Tool::Github);
        [first.clone()].into_iter().chain(others.map(|nth| format!("{first}-{nth}"))).collect()
    }
}

impl Drop for Pretend {
    fn drop(&mut self) {
        // Either it is gone already, or this ends it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
