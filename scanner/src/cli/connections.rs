//! `twinflow connections`

use super::{End, format};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::Connection;
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

#[derive(clap::Args, Debug)]
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

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let store = settings.open_store(Clock::system()).await?;
    let mut shown = vec![];
    for connection in store.connections().await? {
        let streams = store.streams(connection.id).await?.into_iter().map(|followed| Stream {
            name: followed.name,
            cases: followed.cases,
            read_up_to: followed.cursor.mark,
            unfinished: followed.cursor.sweep.is_some(),
        });
        shown.push(Shown { streams: streams.collect(), connection });
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
    let mut table = format::table(["NAME", "TOOL", "ACCOUNT", "STREAM", "CASES", "READ UP TO"]);
    for Shown { connection, streams } in shown {
        let state = match (connection.disconnected_at, &connection.paused) {
            (Some(_), _) => " (disconnected)",
            (None, Some(_)) => " (paused)",
            (None, None) => "",
        };
        for stream in streams {
            let upto = stream.read_up_to.map_or("nothing yet".to_owned(), format::moment);
            let more = if stream.unfinished { " (a scan is unfinished)" } else { "" };
            table.add_row([
                connection.name.clone(),
                connection.tool.clone(),
                connection.account_name.clone(),
                stream.name.clone(),
                stream.cases.to_string(),
                format!("{upto}{more}{state}"),
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
