//! The `twinflow` program. `cli` says what can be typed; each command is one file in it.

use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    twinflow::cli::run(twinflow::cli::Cli::parse()).await
}
