//! `just faults`: breaks things, and holds the event log against what really happened.
//!
//! Real workers of the real binary, a Postgres and a Redis of our own, pretend tools that know what happened. A case
//! (`cases/`) makes a world (`world.rs`), lets a fleet of processes work in it (`fleet.rs`), strikes, waits until all is
//! quiet again and asks the oracle (`oracle.rs`): nothing lost, nothing twice, nothing of another tenant, no cursor
//! moved back. Where a fault strikes is named in `scanner/src/failpoint.rs`.

mod case;
mod cases;
mod consent;
mod fleet;
mod memory;
mod oracle;
mod process;
mod program;
mod proxy;
mod report;
mod scene;
mod servers;
mod soak;
mod stage;
mod world;

#[path = "../tests/it/support/postgres.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod support;

use anyhow::{Result, ensure};
use case::{Case, Told};
use clap::Parser;
use stage::Stage;
use std::process::ExitCode;
use std::time::Instant;

/// The fault matrix: breaks things and compares the event log with what really happened.
#[derive(Parser, Debug)]
struct Args {
    /// Cases to run, as F09 or F2 for all that begin so; all without one
    cases: Vec<String>,
    /// What CI runs: the cases that take little time, struck a few times each
    #[arg(long)]
    subset: bool,
    /// How many times each case strikes
    #[arg(long, value_name = "N")]
    repeats: Option<usize>,
    /// The same number strikes at the same moments, as far as processes allow
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Say which cases there are
    #[arg(long)]
    list: bool,
    /// One JSON document per line
    #[arg(long)]
    json: bool,
    /// Leave the logs of cases that failed
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    length: soak::Length,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    fn repeats(&self, case: &Case) -> usize {
        self.repeats.unwrap_or(if self.subset { case.subset } else { case.repeats })
    }

    fn chosen(&self) -> Result<Vec<&'static Case>> {
        let all = cases::all();
        for wanted in &self.cases {
            ensure!(all.iter().any(|case| case.id.starts_with(wanted.as_str())), "there is no case {wanted}");
        }
        let named = |case: &&Case| {
            self.cases.is_empty() || self.cases.iter().any(|wanted| case.id.starts_with(wanted.as_str()))
        };
        Ok(all.into_iter().filter(named).filter(|case| self.repeats(case) > 0).collect())
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let chosen = args.chosen()?;
    if args.list {
        chosen.iter().for_each(|case| println!("{} {} x{}", case.id, case.what, args.repeats(case)));
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(cfg!(feature = "failpoints"), "nothing would strike: build with --features failpoints");
    if args.length.is_wanted() {
        let mut stage = Stage::set(args.seed).await?;
        let whole = soak::run(&mut stage, &args.length).await?;
        if !whole && args.keep {
            stage.folder.keep()?;
            println!("logs: {}", stage.folder.path().display());
        }
        return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    tokio::select! {
        all_good = play(&args, &chosen) => Ok(if all_good? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
    }
}

/// Whether all that was run came out well.
async fn play(args: &Args, chosen: &[&Case]) -> Result<bool> {
    let begun = Instant::now();
    let mut stage = Stage::set(args.seed).await?;
    let (mut struck, mut missed, mut skipped) = (0, vec![], 0);
    for case in chosen {
        let began = Instant::now();
        let told = (case.run)(&mut stage, args.repeats(case)).await;
        let told =
            told.unwrap_or_else(|error| Told { misses: vec![format!("{error:#}")], ..Told::default() });
        report::print(case, &told, began.elapsed(), args.json);
        struck += told.struck;
        skipped += usize::from(told.skipped.is_some());
        if told.skipped.is_none() && !told.is_good() {
            missed.push(case.id);
        }
        stage.set_right().await?;
    }
    if !missed.is_empty() && args.keep {
        stage.folder.keep()?;
        println!("logs: {}", stage.folder.path().display());
    }
    if !args.json {
        let whole =
            if missed.is_empty() { "all whole".to_owned() } else { format!("MISSED: {}", missed.join(" ")) };
        println!(
            "{} cases, {struck} strikes, {skipped} skipped, {:.0} s: {whole}",
            chosen.len(),
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(missed.is_empty())
}
