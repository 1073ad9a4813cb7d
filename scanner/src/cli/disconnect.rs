//! `twinflow disconnect`

use super::{End, format};
use crate::config::Settings;
use crate::disconnect::{AtTheTool, Receipt, Setting, disconnect};
use anyhow::{Result, bail};

#[derive(clap::Args, Debug)]
#[command(after_help = "What was read stays, and can be exported and reported, unless --purge is said.\n\
                  The name can be connected again; with the same account, it goes on where it ended.")]
pub(super) struct Args {
    /// Which connection, by name
    connection: String,
    /// Delete also everything that was read by it, and say how much that was
    #[arg(long)]
    purge: bool,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let opened = settings.open().await?;
    let connection = opened.store.connection(&args.connection).await?;
    confirm(args)?;
    let allowed = settings.allowed()?;
    let setting = Setting {
        store: &*opened.store,
        vault: &opened.vault,
        tenant: opened.tenant,
        allowed: &allowed,
        clock: &opened.clock,
    };
    let receipt = disconnect(setting, &connection, args.purge).await?;
    opened.store.close().await;
    if args.json {
        format::json(&receipt)?;
    } else {
        print(&receipt)?;
    }
    Ok(End::Done)
}

/// Where there is somebody to ask; deleting is never taken for granted.
fn confirm(args: &Args) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let what = if args.purge { " and delete everything it read" } else { "" };
    match format::confirm(&format!("Disconnect {}{what}?", args.connection))? {
        Some(true) => Ok(()),
        Some(false) => bail!("nothing was changed"),
        None if args.purge => bail!("--purge deletes what was read; say --yes with it"),
        None => Ok(()),
    }
}

fn print(receipt: &Receipt) -> Result<()> {
    let name = &receipt.connection;
    format::print(format_args!("{name} is disconnected; its credential is destroyed."))?;
    if receipt.scans_ended > 0 {
        format::print("Its scan that was under way has ended.")?;
    }
    match &receipt.at_the_tool {
        AtTheTool::Revoked => format::print("The tool has taken back what was granted.")?,
        AtTheTool::Failed { why, what_to_do } => {
            format::print(format_args!(
                "At the tool it could not be taken back: {why}. To do by hand: {what_to_do}."
            ))?;
        }
        AtTheTool::ByHand { what_to_do } => format::print(format_args!("To do by hand: {what_to_do}."))?,
        AtTheTool::Nothing => format::print("There was nothing left to take back at the tool.")?,
    }
    match &receipt.deleted {
        None => format::print(format_args!(
            "What it read stays; `twinflow disconnect {name} --purge` deletes it."
        )),
        Some(gone) => {
            let counts = [
                format::count(gone.events as i64, "event", "events"),
                format::count(gone.cases as i64, "case", "cases"),
                format::count(gone.names as i64, "name", "names"),
                format::count(gone.scans as i64, "scan", "scans"),
                format::count(gone.streams as i64, "stream", "streams"),
            ];
            format::print(format_args!("Deleted: {}.", counts.join(", ")))
        }
    }
}
