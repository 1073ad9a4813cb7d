//! `just bench scan`: how fast a scan is beside what no scan can beat.
//!
//! The pretend tools run in a process of their own (`pretend.rs`). Every measured run is another: this program
//! starts itself again with `--job`, so that its memory and CPU time are its own (`job.rs`). Three kinds of job
//! (`jobs/`): the real scan, into a fresh database; (a) the same requests through the same egress and the same
//! `read`, nothing stored; (b) a bare insert of the same rows in the same batches into a table with nothing but a
//! primary key. `plan.rs` says which are run, `table.rs` prints them beside what is aimed at.
//!
//! Nothing here fails because of a figure: machines differ, and others may be at work on this one.

mod database;
mod job;
mod jobs;
mod plan;
mod pretend;
mod table;

#[path = "../../tests/it/support/postgres.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod postgres;

use anyhow::Result;
use clap::Parser as _;
use plan::Args;

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    match &args.job {
        Some(job) => job::work(&runtime, job),
        None => runtime.block_on(plan::run(&args)),
    }
}
