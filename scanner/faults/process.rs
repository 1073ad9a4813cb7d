//! Processes and what can be done to them, by their id alone.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often a process is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// A process that writes into a file; killed with this value.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        // Our terminal's Ctrl-C is not theirs.
        command.process_group(0);
        let child = command.spawn().with_context(|| format!("{} cannot be started", shown(&command)))?;
        Ok(Self { child, log: log.to_owned() })
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    pub(crate) fn gone(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.gone()? {
                return Ok(status);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Whether it was stopped by a signal and not continued (proc(5), state `T`).
    pub(crate) fn is_stopped(&self) -> bool {
        self.stat().is_some_and(|(state, _)| state == 'T')
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    fn stat(&self) -> Option<(char, String)> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // What comes before is the program's name, which may hold anything.
        let (_, after) = stat.rsplit_once(") ")?;
        Some((after.chars().next()?, after.to_owned()))
    }

    pub(crate) fn said(&self) -> String {
        said(&self.log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either it is gone already, or this ends it, stopped or not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn said(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

/// Whether this is how `kill -9` ends a process.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

fn shown(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
