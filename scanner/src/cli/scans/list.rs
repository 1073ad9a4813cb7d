//! `twinflow scans list`

use super::super::{End, events, format};
use super::pick::{Filter, by_id};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Scan, State, Store};
use anyhow::Result;
use chrono::{DateTime, Utc};

#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
#[command(
    after_help = "Times are UTC. --since takes 2026-11-01, 2026-11-01T09:00:00Z, or an age: 90m, 12h, 7d."
)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Only those that were opened from then on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many, newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Only those that come after this one, the last that was shown
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, store: &dyn Store, clock: &Clock, args: &Args) -> Result<End> {
    let now = clock.now();
    // One more tells whether there are more.
    let mut wanted = args.filter.wanted(store, args.limit + 1).await?;
    wanted.since = args.since.as_deref().map(|text| events::moment(text, now)).transpose()?;
    if let Some(id) = &args.after {
        let last = by_id(store, id).await?;
        wanted.after = Some((last.created_at, last.id));
    }
    let narrowed = !args.filter.is_empty() || args.since.is_some() || args.after.is_some();
    let mut scans = store.scans(&wanted).await?;
    let more = i64::try_from(scans.len()).is_ok_and(|found| found > args.limit);
    scans.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    if args.json {
        format::json(&scans)?;
    } else if scans.is_empty() && narrowed {
        format::print("No such scans. `twinflow scans` lists all of them.")?;
    } else if scans.is_empty() {
        format::print("No scans yet. Start one with `twinflow scan`.")?;
    } else {
        table(&scans, now)?;
    }
    if let Some(last) = scans.last().filter(|_| more) {
        settings.remark(&format!(
            "There are more: --after {} goes on, --limit shows more.",
            format::short(last.id)
        ));
    }
    Ok(End::Done)
}

fn table(scans: &[Scan], now: DateTime<Utc>) -> Result<()> {
    let heading = ["ID", "CONNECTION", "STATE", "WHY", "BEGAN", "TOOK", "PAGES", "NEW", "ERROR", ""];
    let mut table = format::table(heading);
    for scan in scans {
        table.add_row([
            format::short(scan.id),
            scan.connection.clone(),
            scan.state.word().to_owned(),
            scan.rank.word().to_owned(),
            scan.started_at.map_or("not yet".into(), format::moment),
            took(scan, now),
            scan.pages.to_string(),
            scan.events_new.to_string(),
            scan.error.map_or("", |class| class.word()).to_owned(),
            [until(scan, now), sentence(scan)].into_iter().flatten().collect::<Vec<_>>().join(": "),
        ]);
    }
    format::print(table)
}

/// From its beginning to its end, or to now.
pub(super) fn took(scan: &Scan, now: DateTime<Utc>) -> String {
    let end = scan.finished_at.or_else(|| (scan.state == State::Running).then_some(now));
    scan.started_at.zip(end).map_or_else(String::new, |(start, end)| format::span(end - start))
}

/// What it waits for, as far as that is a time.
pub(super) fn until(scan: &Scan, now: DateTime<Utc>) -> Option<String> {
    match scan.state {
        State::Waiting if scan.rests() => None,
        State::Waiting => Some(format!("waits until {}", format::moment(scan.due_at))),
        State::Queued if scan.due_at > now => Some(format!("due {}", format::moment(scan.due_at))),
        State::Deferred => scan.until.map(|until| format!("until {}", format::moment(until))),
        _ => None,
    }
}

fn sentence(scan: &Scan) -> Option<String> {
    let first = scan.reasons.first()?;
    Some(match scan.reasons.len() {
        1 => first.clone(),
        several => {
            format!("{first} (and {} more: twinflow scans show {})", several - 1, format::short(scan.id))
        }
    })
}
