//! One measured process: this program again, told on its command line what to do. It says when it is ready, begins
//! when it is told, and ends with a line of JSON, or when nobody holds its input any more.

use crate::parts::{bare, tick, work};
use anyhow::{Context as _, Result, ensure};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use twinflow_vault::{KeySet, Vault};
use uuid::Uuid;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    Tick(tick::Ticks),
    Schedule(work::Crew),
    Work(work::Crew),
    PopList(bare::List),
    PopTable(bare::Table),
}

/// Being one of them.
pub(crate) async fn play(part: &str) -> Result<()> {
    match serde_json::from_str(part)? {
        Part::Tick(ticks) => tick::play(&ticks).await,
        Part::Schedule(crew) => work::schedule(&crew).await,
        Part::Work(crew) => work::work(&crew).await,
        Part::PopList(list) => bare::pop_list(&list).await,
        Part::PopTable(table) => bare::pop_table(&table).await,
    }
}

/// Says that this process is ready, and waits for the word.
pub(crate) fn ready() -> Result<()> {
    println!("ready");
    let mut word = String::new();
    std::io::stdin().read_line(&mut word)?;
    Ok(())
}

pub(crate) fn tell(figures: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(figures)?);
    Ok(())
}

/// Ends with this value.
pub(crate) struct Played {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Played {
    /// Until it is ready.
    pub(crate) fn start(part: &Part) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--part")
            .arg(serde_json::to_string(part)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(process.stdout.take().context("no output")?);
        let mut played = Self { input: process.stdin.take(), process, output };
        ensure!(played.line()?.trim() == "ready", "the measured process failed");
        Ok(played)
    }

    pub(crate) fn go(&mut self) -> Result<()> {
        Ok(self.input.as_mut().context("no input")?.write_all(b"go\n")?)
    }

    pub(crate) fn told<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_json::from_str(&self.line()?).context("the measured process did not say what came of it")
    }

    pub(crate) fn resident(&self) -> Result<u64> {
        crate::machine::resident(&self.process.id().to_string())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        drop(self.input.take());
        // Fails only if it has ended already.
        let _ = self.process.wait();
    }
}

/// The same in every process.
pub(crate) fn vault() -> Result<Vault> {
    Ok(Vault::new(KeySet::generate(&mut ChaCha20Rng::seed_from_u64(1))?))
}

pub(crate) fn tenant(nth: usize) -> Uuid {
    let nth = nth as u64;
    // Spread as chance would: their order in an index is not that of their making.
    Uuid::from_u64_pair(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15), nth)
}
