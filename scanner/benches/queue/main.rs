//! `just bench queue`: what it costs to hand scans to workers, from a thousand connections to a hundred thousand.
//!
//! All connections are due at once: a tenth of them one tenant's, the others in nines (`crowd.rs`). Nothing is read:
//! a connection that follows nothing ends as soon as it was claimed, so that what is measured is the queue.
//! `measure.rs` goes through the measurements; each measured process is another (`part.rs`, `parts/`), so that its
//! memory is its own. Beside ours stand a bare Redis list and a bare `FOR UPDATE SKIP LOCKED` (`parts/bare.rs`).
//!
//! Nothing here fails because of a figure: machines differ, and others may be at work on this one.

mod crowd;
mod fairness;
mod machine;
mod measure;
mod part;
mod parts;
mod plot;
mod servers;
mod table;

#[path = "../../tests/it/support/postgres.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod postgres;
#[path = "../../tests/it/support/redis.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "made for tests, which need more of it"
)]
mod redis;

use anyhow::Result;
use clap::Parser;
use std::path::PathBuf;

/// Measures what it costs to hand scans to workers
#[derive(Parser, Debug)]
#[command(name = "queue", max_term_width = 100)]
struct Args {
    /// Connections that are due at once
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    connections: Vec<usize>,
    /// Worker processes, of four slots each
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2, 4])]
    workers: Vec<usize>,
    /// Scans after which a measurement is cut short
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    sample: usize,
    /// Seconds after which it is
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// Write all figures here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw here, as SVG, how the cost grows
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Be one of the measured processes
    #[arg(long, hide = true)]
    part: Option<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    match &args.part {
        Some(part) => runtime.block_on(part::play(part)),
        None => runtime.block_on(measure::all(&args)),
    }
}
