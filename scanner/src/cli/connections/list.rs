//! `twinflow connections list`

use super::super::{End, format};
use super::schedule::wall;
use crate::store::{Connection, Planned, Store};
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    connection: Connection,
    streams: Vec<Stream>,
    schedule: Option<Planned>,
}

#[derive(Serialize)]
struct Stream {
    name: String,
    cases: i64,
    /// Everything that changed up to here has been read.
    read_up_to: Option<DateTime<Utc>>,
    /// A sweep that was cut short is waiting to go on.
    unfinished: bool,
}

pub(super) async fn run(store: &dyn Store, args: &Args) -> Result<End> {
    let planned = store.planned().await?.into_iter();
    let mut planned: BTreeMap<_, _> = planned.map(|planned| (planned.connection_id, planned)).collect();
    let mut shown = vec![];
    for connection in store.connections().await? {
        let streams = store.streams(connection.id).await?.into_iter().map(|followed| Stream {
            name: followed.name,
            cases: followed.cases,
            read_up_to: followed.cursor.mark,
            unfinished: followed.cursor.sweep.is_some(),
        });
        let schedule = planned.remove(&connection.id);
        shown.push(Shown { streams: streams.collect(), connection, schedule });
    }
    if args.json {
        format::json(&shown)?;
    } else if shown.is_empty() {
        format::print(
            "No connections yet. Add one with `twinflow connect`; `twinflow connect --help` lists the tools.",
        )?;
    } else {
        print(&shown)?;
    }
    Ok(End::Done)
}

fn print(shown: &[Shown]) -> Result<()> {
    let heading = ["NAME", "TOOL", "ACCOUNT", "STREAM", "CASES", "READ UP TO", "SCHEDULE", "NEXT"];
    let mut table = format::table(heading);
    for Shown { connection, streams, schedule } in shown {
        let (spec, next) = when(connection, schedule.as_ref());
        for stream in streams {
            let upto = stream.read_up_to.map_or("nothing yet".to_owned(), format::moment);
            let more = if stream.unfinished { " (a scan is unfinished)" } else { "" };
            table.add_row([
                connection.name.clone(),
                connection.tool.clone(),
                connection.account_name.clone(),
                stream.name.clone(),
                stream.cases.to_string(),
                format!("{upto}{more}"),
                spec.clone(),
                next.clone(),
            ]);
        }
    }
    format::print(table)?;
    for connection in shown.iter().map(|shown| &shown.connection) {
        if let Some(why) = &connection.paused {
            format::print(format_args!("\n{} is paused: {why}", connection.name))?;
        }
    }
    Ok(())
}

/// Its schedule, and when it is due next.
fn when(connection: &Connection, schedule: Option<&Planned>) -> (String, String) {
    if connection.disconnected_at.is_some() {
        return (String::new(), "(disconnected)".to_owned());
    }
    let Some(schedule) = schedule else { return (String::new(), String::new()) };
    let next = match schedule.next_at {
        _ if connection.paused.is_some() => "(paused)".to_owned(),
        _ if schedule.paused_at.is_some() => "(paused by hand)".to_owned(),
        None => "never".to_owned(),
        Some(next) => wall(next, &schedule.zone),
    };
    (schedule.spec.clone(), next)
}
