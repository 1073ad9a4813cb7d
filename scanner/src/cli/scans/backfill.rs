//! `twinflow scans backfill`

use super::super::connections::Standing;
use super::super::{End, events, format};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Backfill, Store, random_id};
use anyhow::{Result, bail};

#[derive(clap::Args, Debug)]
#[command(
    after_help = "For when events are missing that the tool still has. What is there already stays once, and how far the connection has \
        been read does not change.\n\
        GitHub, Jira and Zendesk are read in the order of changes, and reading stops after --until; a case that changed again \
        later is then left out, for it stands where it changed last. Linear and Salesforce are read from --since to their end. \
        Gmail knows no time to begin at: its mailbox is read again as a whole.\n\
        Times are UTC: 2026-11-01, 2026-11-01T09:00:00Z, or an age: 90m, 12h, 7d. Backfills go after all other scans."
)]
pub(super) struct Args {
    /// Which connection, by name
    connection: String,
    /// What changed from then on
    #[arg(long, value_name = "TIME")]
    since: String,
    /// What changed until then [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, store: &dyn Store, clock: &Clock, args: &Args) -> Result<End> {
    let now = clock.now();
    let window = Backfill {
        since: events::moment(&args.since, now)?,
        upto: args.until.as_deref().map(|text| events::moment(text, now)).transpose()?,
    };
    if window.since > now || window.upto.is_some_and(|upto| upto <= window.since) {
        bail!("--since has to be before --until, and before now");
    }
    let connection = store.connection(&args.connection).await?;
    if let Some(why) = Standing::load(store).await?.in_the_way(connection.id) {
        bail!(why);
    }
    let fresh = random_id(&mut rand::rng());
    let opened = store.open_backfill(connection.id, fresh, window).await?;
    let Some(scan) = store.scan(opened).await? else { bail!("the connection was deleted meanwhile") };
    if opened != fresh && (scan.since, scan.upto) != (Some(window.since), window.upto) {
        let id = format::short(opened);
        bail!(
            "{} has another backfill under way; let it end, or `twinflow scans cancel {id}`",
            connection.name
        );
    }
    if args.json {
        format::json(&scan)?;
    } else {
        let id = format::short(opened);
        format::print(format_args!("The backfill of {} is queued as scan {id}.", connection.name))?;
    }
    settings.remark("Handed over; `twinflow scans watch` looks on.");
    Ok(End::Done)
}
