//! The real program, with nothing of our environment: as a command that ends, or as a worker that does not.

use crate::process::Running;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use uuid::Uuid;

/// How it is run in one world.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) folder: PathBuf,
    pub(crate) variables: BTreeMap<&'static str, String>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) code: Option<i32>,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn done(self) -> Result<Self> {
        ensure!(self.code == Some(0), "twinflow {} ended with {:?}: {}", self.line, self.code, self.err);
        Ok(self)
    }
}

impl Program {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), variables: BTreeMap::new() }
    }

    pub(crate) fn with(&self, variable: &'static str, value: impl Into<String>) -> Self {
        let mut other = self.clone();
        other.variables.insert(variable, value.into());
        other
    }

    pub(crate) fn of_tenant(&self, tenant: Uuid) -> Self {
        self.with("TWINFLOW_TENANT", tenant.to_string())
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinflow"));
        command.args(line.split_whitespace()).current_dir(&self.folder).env_clear();
        command.env("HOME", &self.folder).env("TMPDIR", &self.folder).envs(&self.variables);
        command
    }

    /// To its end, with something on its standard input.
    pub(crate) async fn run(&self, line: &str, input: &str) -> Result<Ran> {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (line, input) = (line.to_owned(), input.to_owned());
        let running = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            // Who complains about the command line does not read on.
            let _ = child.stdin.take().context("no input")?.write_all(input.as_bytes());
            let output = child.wait_with_output()?;
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            Ok(Ran { line, code: output.status.code(), err })
        });
        running.await?
    }

    /// A process that goes on; `log` is a file's name.
    pub(crate) fn start(&self, line: &str, log: &str) -> Result<Running> {
        Running::start(self.command(line), &self.folder.join(log))
    }
}
