//! `twinflow scans`

use super::{End, format};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Ledger, Scan, ScannedStream, State, Store, WantedScans};
use anyhow::{Result, bail};
use serde::Serialize;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// How many, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Say what one scan asked and what it kept, stream by stream
    Show {
        /// Its id, or the first letters of it
        id: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

/// A scan, and its part in each stream.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    scan: Scan,
    streams: Vec<ScannedStream>,
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let store = settings.open_store(Clock::system()).await?;
    if let Some(Action::Show { id, json }) = &args.action {
        return show(&*store, id, *json).await;
    }
    let scans = store.scans(&WantedScans::newest(args.limit)).await?;
    if args.json {
        format::json(&scans)?;
    } else if scans.is_empty() {
        format::print("No scans yet. Start one with `twinflow scan`.")?;
    } else {
        print(&scans)?;
    }
    Ok(End::Done)
}

async fn show(store: &dyn Store, id: &str, json: bool) -> Result<End> {
    let id = id.to_ascii_lowercase();
    let mut scans = store.scans(&WantedScans::newest(i64::MAX)).await?;
    scans.retain(|scan| !id.is_empty() && scan.id.to_string().starts_with(&id));
    let scan = match (scans.len(), scans.pop()) {
        (1, Some(scan)) => scan,
        (0, _) => bail!("no scan's id begins with {id:?}; `twinflow scans` lists them"),
        (several, _) => bail!("{several} scans' ids begin with {id:?}; say more of it"),
    };
    let streams = store.scanned(scan.id).await?;
    if json {
        format::json(&Shown { scan, streams })?;
        return Ok(End::Done);
    }
    print(std::slice::from_ref(&scan))?;
    for part in &streams {
        let counts = (format::count(part.pages, "page", "pages"), part.events_read, part.events_new);
        let (pages, read, new) = counts;
        format::print(format_args!("\n{}: {pages}, {read} events read, {new} of them new", part.stream))?;
        format::print(ledger(&part.ledger))?;
    }
    Ok(End::Done)
}

fn ledger(ledger: &Ledger) -> String {
    if *ledger == Ledger::default() {
        return "  nothing was noted of what was asked and kept".to_owned();
    }
    let mut table = format::table(["", "", "TIMES", "BYTES"]);
    for (operation, amount) in &ledger.asked {
        table.add_row(["  asked", operation, &amount.requests.to_string(), &amount.bytes.to_string()]);
    }
    for (what, times) in &ledger.kept {
        table.add_row(["  kept", what, &times.to_string(), ""]);
    }
    table.to_string()
}

/// What was read as a table, then why, for those that are not simply complete.
pub(super) fn print(scans: &[Scan]) -> Result<()> {
    let mut table = format::table([
        "ID",
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
            scan.id.to_string().chars().take(8).collect(),
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
