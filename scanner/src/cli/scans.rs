//! `twinflow scans`

use super::{End, format};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Scan, State};
use anyhow::Result;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// How many, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let store = settings.open_store(Clock::system()).await?;
    let scans = store.scans(args.limit).await?;
    if args.json {
        format::json(&scans)?;
    } else if scans.is_empty() {
        format::print("No scans yet. Start one with `twinflow scan`.")?;
    } else {
        print(&scans)?;
    }
    Ok(End::Done)
}

/// What was read as a table, then why, for those that are not simply complete.
pub(super) fn print(scans: &[Scan]) -> Result<()> {
    let mut table = format::table([
        "CONNECTION",
        "STATE",
        "STARTED",
        "TOOK",
        "PAGES",
        "REQUESTS",
        "CASES",
        "EVENTS",
        "NEW",
    ]);
    for scan in scans {
        table.add_row([
            scan.connection.clone(),
            scan.state.word().to_owned(),
            scan.started_at.map_or("not yet".into(), format::moment),
            took(scan),
            scan.pages.to_string(),
            scan.requests.to_string(),
            scan.cases.to_string(),
            scan.events_read.to_string(),
            scan.events_new.to_string(),
        ]);
    }
    format::print(table)?;
    for scan in scans.iter().filter(|scan| !scan.reasons.is_empty()) {
        let until = scan.until.filter(|_| scan.state == State::Deferred);
        let until = until.map_or(String::new(), |until| format!(" until {}", format::moment(until)));
        format::print(format_args!("\n{} {}{until}:", scan.connection, scan.state.word()))?;
        for reason in &scan.reasons {
            format::print(format_args!("  {reason}"))?;
        }
    }
    Ok(())
}

fn took(scan: &Scan) -> String {
    match (scan.started_at, scan.finished_at) {
        (Some(start), Some(end)) => format!("{:.1} s", (end - start).as_seconds_f64()),
        _ => String::new(),
    }
}
