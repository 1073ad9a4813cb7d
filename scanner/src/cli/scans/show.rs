//! `twinflow scans show`, and how scans are printed by who ran them.

use super::super::{End, format};
use super::list::{took, until};
use super::pick::by_id;
use crate::clock::Clock;
use crate::store::{Doing, Ledger, Scan, ScannedStream, State, Store};
use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Its id, or the first letters of it
    id: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A scan, and its part in each stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub scan: Scan,
    pub streams: Vec<ScannedStream>,
}

pub(super) async fn run(store: &dyn Store, clock: &Clock, args: &Args) -> Result<End> {
    let scan = by_id(store, &args.id).await?;
    let streams = store.scanned(scan.id).await?;
    if args.json {
        format::json(&Shown { scan, streams })?;
        return Ok(End::Done);
    }
    let at = clock.now();
    about(&scan, at)?;
    for part in &streams {
        let counts = (format::count(part.pages, "page", "pages"), part.events_read, part.events_new);
        let (pages, read, new) = counts;
        format::print(format_args!("\n{}: {pages}, {read} events read, {new} of them new", part.stream))?;
        if let Some(doing) = &part.doing {
            format::print(format_args!("  {}", now(doing, at)))?;
        }
        format::print(ledger(&part.ledger))?;
    }
    Ok(End::Done)
}

fn about(scan: &Scan, now: DateTime<Utc>) -> Result<()> {
    let mut table = format::table(["", ""]);
    let mut row = |what: &str, is: String| {
        if !is.is_empty() {
            table.add_row([what, &is]);
        }
    };
    row("scan", scan.id.to_string());
    row("connection", format!("{} ({})", scan.connection, scan.tool));
    row(
        "state",
        [Some(scan.state.word().to_owned()), until(scan, now)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", "),
    );
    row("why", why(scan));
    row("opened", format::moment(scan.created_at));
    row(
        "due",
        if scan.rests() { "when its connection is resumed".into() } else { format::moment(scan.due_at) },
    );
    row("began", scan.started_at.map_or("not yet".into(), format::moment));
    row("ended", scan.finished_at.map_or_else(String::new, format::moment));
    row("took", took(scan, now));
    row("attempts", scan.attempts.to_string());
    row("crashes", format!("{} since it last kept a page", scan.crashes));
    row("tries", format!("{} that failed as a whole", scan.tries));
    row("worker", scan.owner.clone().unwrap_or_default());
    row("requests", format!("{}, and {} s waited", scan.requests, scan.waited_ms / 1000));
    row("error", scan.error.map_or("", |class| class.word()).to_owned());
    for reason in &scan.reasons {
        row("", reason.clone());
    }
    // Without the heading, which says nothing.
    format::print(table.to_string().lines().skip(1).collect::<Vec<_>>().join("\n"))
}

/// Why it is there.
fn why(scan: &Scan) -> String {
    match (scan.since, scan.upto) {
        (Some(since), None) => format!("backfill of what changed since {}", format::moment(since)),
        (Some(since), Some(upto)) => {
            format!("backfill of what changed from {} to {}", format::moment(since), format::moment(upto))
        }
        (None, _) => scan.rank.word().to_owned(),
    }
}

/// What a stream's scan does at this moment, how far it has come, and what is left of the tool's limit.
pub(super) fn now(doing: &Doing, at: DateTime<Utc>) -> String {
    let mut said = doing.now.clone();
    if let Some(until) = doing.until {
        said += &format!(" until {}", format::moment(until));
    }
    if let Some(why) = &doing.why {
        said += &format!(": {why}");
    }
    if let Some((seen, total)) = doing.seen.zip(doing.total) {
        said += &format!(", {} of {} cases", format::number(seen), format::number(total));
    }
    if let Some(left) = doing.ends.and_then(|ends| rest(ends - at)) {
        said += &format!(", {left} left");
    }
    match doing.left {
        Some(left) => {
            let (remaining, limit) = (format::number(left.remaining), format::number(left.limit));
            format!("{said} (limit: {remaining} of {limit} left)")
        }
        None => said,
    }
}

/// As roughly as it is known; nothing of what should be over.
fn rest(left: TimeDelta) -> Option<String> {
    let minutes = (left + TimeDelta::seconds(30)).num_minutes();
    let hours = (left + TimeDelta::minutes(30)).num_hours();
    match left {
        past if past <= TimeDelta::zero() => None,
        _ if minutes < 1 => Some("less than a minute".into()),
        _ if minutes < 90 => Some(format!("about {minutes} min")),
        _ => Some(format!("about {hours} h")),
    }
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
pub(in crate::cli) fn print(scans: &[Scan]) -> Result<()> {
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
            format::short(scan.id),
            scan.connection.clone(),
            scan.state.word().to_owned(),
            scan.started_at.map_or("not yet".into(), format::moment),
            lasted(scan),
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

fn lasted(scan: &Scan) -> String {
    match (scan.started_at, scan.finished_at) {
        (Some(start), Some(end)) => format!("{:.1} s", (end - start).as_seconds_f64()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_says_how_far_it_has_come_and_about_how_long_it_takes_yet() {
        let at = DateTime::UNIX_EPOCH;
        let said = |seconds| {
            let (seen, total, ends) = (Some(1_200), Some(5_000), Some(at + TimeDelta::seconds(seconds)));
            now(&Doing { now: "reading".into(), seen, total, ends, ..Doing::default() }, at)
        };
        assert_eq!(said(170), "reading, 1,200 of 5,000 cases, about 3 min left");
        assert_eq!(said(29), "reading, 1,200 of 5,000 cases, less than a minute left");
        assert_eq!(said(7_300), "reading, 1,200 of 5,000 cases, about 2 h left");
        assert_eq!([0, -5].map(said), ["reading, 1,200 of 5,000 cases"; 2]);
        assert_eq!(now(&Doing { now: "reading".into(), ..Doing::default() }, at), "reading");
    }
}
