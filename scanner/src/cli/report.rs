//! `twinflow report`

use super::{End, format};
use crate::clock::Clock;
use crate::config::Settings;
use crate::insight::{Insight, ToolReport, print};
use crate::store::{Connection, Store};
use anyhow::Result;
use chrono::{DateTime, Utc};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Which connections, by name [default: all]
    connections: Vec<String>,
    /// Print one JSON document; durations are seconds
    #[arg(long)]
    json: bool,
}

/// Cases read from the event log at a time.
const CASES: i64 = 500;

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let clock = Clock::system();
    let store = settings.open_store(clock.clone()).await?;
    let mut reports = vec![];
    for connection in store.connections().await? {
        if args.connections.is_empty() || args.connections.contains(&connection.name) {
            reports.push(of(&*store, &connection, clock.now()).await?);
        }
    }
    for name in &args.connections {
        store.connection(name).await?;
    }
    if args.json {
        format::json(&reports)?
    } else {
        format::print(print::render(&reports))?
    }
    Ok(End::Done)
}

/// What the event log says of one connection, a handful of cases in memory at a time.
pub(crate) async fn of(store: &dyn Store, connection: &Connection, now: DateTime<Utc>) -> Result<ToolReport> {
    let names = store.names(connection.id).await?;
    let mut insight = Insight::new(connection, &names);
    let mut after = String::new();
    loop {
        let cases = store.cases_with_events(connection.id, &after, CASES).await?;
        let Some((last, _)) = cases.last() else { break };
        after.clone_from(&last.id);
        cases.iter().for_each(|(case, events)| insight.case(case, events));
    }
    Ok(insight.report(now))
}
