//! The pretend tools, in a process of their own so that their work is not taken for the scan's.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Where a pretend tool is and how it is entered; what `twinflow pretend --json` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) token: String,
    /// Whose token it is, where the tool wants to know.
    pub(crate) user: Option<String>,
    pub(crate) streams: Vec<String>,
}

/// Ends with this value.
pub(crate) struct Pretend {
    pub(crate) cases: u64,
    pub(crate) latency: u64,
    places: BTreeMap<String, Place>,
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
        Ok(Self { cases, latency, places, process })
    }

    pub(crate) fn place(&self, tool: &str) -> Result<&Place> {
        let known = || self.places.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.places
            .get(tool)
            .with_context(|| format!("no pretend tool is called {tool:?}; there are {}", known()))
    }
}

impl Drop for Pretend {
    fn drop(&mut self) {
        // Either it is gone already, or this ends it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
