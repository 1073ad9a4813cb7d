//! Servers of our own, to be stopped, restarted and killed: each in a private folder, on a free loopback port, with a
//! proxy before it.

mod postgres;
mod redis;

pub(crate) use postgres::{Database, End, Postgres};
pub(crate) use redis::Redis;

use crate::process;
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where everything of this run stands. It is taken away when this program has ended, however it went, together with
/// whatever still runs there.
pub(crate) struct Folder(PathBuf);

/// Takes our process id and the folder. A process belongs to us if it works in it.
const STAND_BY: &str = r#"
while kill -0 "$1" 2>/dev/null; do sleep 0.5; done
cd /
for process in /proc/[0-9]*; do
  case $(readlink "$process/cwd" 2>/dev/null) in
    "$2" | "$2"/*) kill -9 "${process#/proc/}" 2>/dev/null ;;
  esac
done
sleep 0.2
if [ -e "$2/kept" ]; then rm -rf "$2/postgres" "$2/redis"; else rm -rf "$2"; fi
"#;

impl Folder {
    pub(crate) fn make() -> Result<Self> {
        let us = std::process::id();
        // Not the system's choice of a folder: the path of a socket may have some 100 letters, and the servers' users
        // must be able to go there.
        let folder = PathBuf::from(format!("/tmp/twinflow-faults-{us}"));
        fs::DirBuilder::new().mode(0o711).create(&folder).with_context(|| folder.display().to_string())?;
        let mut shell = Command::new("sh");
        shell.args(["-c", STAND_BY, "twinflow-faults", &us.to_string()]).arg(&folder);
        // It shares neither our terminal's Ctrl-C nor our output.
        shell.process_group(0).current_dir("/");
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.spawn().context("no shell")?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.0.join(name);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    /// Leaves what stands there to be looked at, all but the servers' files.
    pub(crate) fn keep(&self) -> Result<()> {
        Ok(fs::write(self.0.join("kept"), "")?)
    }
}

/// One that nobody listens on now.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A server's process, in a group of its own so that our terminal's Ctrl-C is not its.
fn serve(mut command: Command, folder: &Path, log: &str) -> Result<process::Running> {
    command.current_dir(folder);
    process::Running::start(command, &folder.join(log))
}
