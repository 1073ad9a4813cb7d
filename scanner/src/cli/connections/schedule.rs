//! `twinflow connections schedule`

use super::super::{End, format};
use super::disconnected;
use crate::scan::schedule::Schedule;
use crate::store::{Planned, Store};
use anyhow::{Context as _, Result, anyhow, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples: --every 15m, --every 2h, --cron '30 2 * * mon-fri' --zone Europe/Berlin --jitter 5m.\n\
        A cron line has five fields (minute, hour, day of month, month, day of week) and goes by the wall clock of its zone: what \
        the change to summer time skips is run right after it, what the change back repeats is run once.\n\
        Without a choice it shows the schedule and its next five times."
)]
pub(super) struct Args {
    /// Which connection, by name
    connection: String,
    /// Every so often: a whole number of s, m, h or d
    #[arg(long, value_name = "INTERVAL", conflicts_with_all = ["cron", "zone"])]
    every: Option<String>,
    /// By the wall clock: a cron line of five fields
    #[arg(long, value_name = "LINE")]
    cron: Option<String>,
    /// The time zone of the cron line, as the IANA database has it [default: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// How long after its time a scan may begin, so that not all begin at once: a whole number of s, m or h
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Times that are shown.
const SHOWN: usize = 5;

#[derive(Serialize)]
struct Shown<'a> {
    connection: &'a str,
    #[serde(flatten)]
    planned: &'a Planned,
    next: Vec<DateTime<Utc>>,
}

pub(super) async fn run(store: &dyn Store, now: DateTime<Utc>, args: &Args) -> Result<End> {
    let connection = store.connection(&args.connection).await?;
    if connection.disconnected_at.is_some() {
        bail!(disconnected(&connection));
    }
    let planned = store.planned().await?.into_iter().find(|planned| planned.connection_id == connection.id);
    let mut planned = planned.with_context(|| format!("{:?} has no schedule", connection.name))?;
    let mut schedule = parse(&planned)?;
    if chosen(&mut planned, args)? {
        schedule = parse(&planned)?;
        planned.spec = schedule.spec();
        planned.zone = schedule.zone().to_owned();
        planned.next_at = schedule.next_after(now, connection.id);
        store.plan(&planned).await?;
    }
    let next = next_times(&planned, &schedule, now, connection.id);
    if args.json {
        format::json(&Shown { connection: &connection.name, planned: &planned, next })?;
        return Ok(End::Done);
    }
    let jitter = match schedule.jitter().as_secs() {
        0 => String::new(),
        seconds => format!(", up to {seconds} s later"),
    };
    format::print(format_args!("{} is scanned {schedule}{jitter}.", connection.name))?;
    if planned.paused_at.is_some() {
        format::print(format_args!(
            "It is paused; `twinflow connections resume {}` ends that.",
            connection.name
        ))?;
    }
    if let Some(why) = &connection.paused {
        format::print(format_args!("It waits for a person: {why}"))?;
    }
    match next.as_slice() {
        [] => format::print("It is never due again.")?,
        next => {
            next.iter().try_for_each(|at| format::print(format_args!("  {}", wall(*at, &planned.zone))))?
        }
    }
    Ok(End::Done)
}

fn parse(planned: &Planned) -> Result<Schedule> {
    let jitter = planned.jitter_s.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    Ok(Schedule::parse(&planned.spec, &planned.zone, jitter)?)
}

/// Puts what was chosen in place; whether anything was.
fn chosen(planned: &mut Planned, args: &Args) -> Result<bool> {
    if let Some(every) = &args.every {
        let every = every.trim();
        planned.spec =
            every.strip_prefix("every").map_or_else(|| format!("every {every}"), |_| every.to_owned());
        planned.zone = "UTC".to_owned();
        planned.jitter_s = None;
    }
    if let Some(cron) = &args.cron {
        if cron.split_whitespace().next() == Some("every") || cron.split_whitespace().count() == 1 {
            bail!("a cron line has five fields, such as `30 2 * * mon-fri`; intervals go with --every");
        }
        planned.spec.clone_from(cron);
        planned.zone = "UTC".to_owned();
        planned.jitter_s = None;
    }
    if let Some(zone) = &args.zone {
        if planned.spec.starts_with("every") {
            bail!("a time zone goes with --cron: an interval is the same everywhere");
        }
        planned.zone.clone_from(zone);
    }
    if let Some(jitter) = &args.jitter {
        planned.jitter_s = Some(seconds(jitter)?);
    }
    Ok(args.every.is_some() || args.cron.is_some() || args.zone.is_some() || args.jitter.is_some())
}

fn seconds(text: &str) -> Result<i64> {
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let counted = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)));
    let seconds =
        counted.and_then(|(count, unit)| count.parse::<u32>().ok().map(|count| i64::from(count) * unit));
    seconds.ok_or_else(|| anyhow!("{text:?} is no time: write 30s, 5m or 1h"))
}

/// The one that stands in the row first: it is what counts, also when it is overdue.
fn next_times(
    planned: &Planned,
    schedule: &Schedule,
    now: DateTime<Utc>,
    connection: Uuid,
) -> Vec<DateTime<Utc>> {
    let after = |at: &DateTime<Utc>| schedule.next_after((*at).max(now), connection);
    std::iter::successors(planned.next_at, after).take(SHOWN).collect()
}

/// In UTC, and as the clock of its zone shows it.
pub(super) fn wall(at: DateTime<Utc>, zone: &str) -> String {
    let utc = format::moment(at);
    match zone.parse::<Tz>() {
        Ok(zone) if zone != Tz::UTC => {
            format!("{utc} ({} {})", at.with_timezone(&zone).format("%a %H:%M"), zone.name())
        }
        _ => utc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_the_clock_of_its_zone_shows_it_in_summer_and_in_winter() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).expect("a time").to_utc();
        let berlin = |text| wall(at(text), "Europe/Berlin");
        assert_eq!(berlin("2026-07-01T00:30:00Z"), "2026-07-01T00:30:00Z (Wed 02:30 Europe/Berlin)");
        assert_eq!(berlin("2026-12-01T01:30:00Z"), "2026-12-01T01:30:00Z (Tue 02:30 Europe/Berlin)");
        assert_eq!(wall(at("2026-12-01T01:30:00Z"), "UTC"), "2026-12-01T01:30:00Z");
    }

    #[test]
    fn a_jitter_is_a_whole_number_with_its_unit() {
        assert_eq!(
            [seconds("30s"), seconds("5m"), seconds("1h")].map(Result::ok),
            [Some(30), Some(300), Some(3600)]
        );
        for nonsense in ["", "s", "30", "-1s", "1d", "1.5m", "é"] {
            assert!(seconds(nonsense).is_err(), "{nonsense:?}");
        }
    }
}
