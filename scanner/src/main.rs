//! The `twinflow` program. `cli` says what can be typed; each command is one file in it.

use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // Ends with the program; what it says is read from FAILPOINTS.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    twinflow::cli::run(twinflow::cli::Cli::parse()).await
}
