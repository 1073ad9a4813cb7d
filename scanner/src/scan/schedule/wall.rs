//! Where the wall clock of a zone shows the slots of a cron line.
//!
//! A time that the clock jumps over comes at the first moment after the jump; several of them, and one that is due
//! then anyway, are one slot. A time that the clock shows twice comes at the first, and at the second too if the line
//! [repeats](Line::repeats). So every time of a line has its moment, whatever the clock does.

use super::line::Line;
use chrono::{DateTime, Datelike as _, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::YEAR_UPPER_LIMIT;

/// The first slot after this moment.
pub(super) fn slot_after(line: &Line, zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (here, twice) = shown(zone, at)?;
    // While the clock shows a stretch for the first time, what is behind on its face may be ahead in time.
    let mut wall = here.checked_sub_signed(twice)?;
    let mut nearest: Option<DateTime<Utc>> = None;
    loop {
        wall = line.after(wall)?;
        let ahead = moments(line, zone, wall).filter(|moment| *moment > at);
        nearest = nearest.into_iter().chain(ahead).min();
        if wall > here && nearest.is_some() {
            return nearest;
        }
    }
}

/// The last slot that is not after this moment.
pub(super) fn slot_until(line: &Line, zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (here, twice) = shown(zone, at)?;
    // While the clock shows a stretch again, what is ahead on its face may be behind in time.
    let mut wall = line.until(here.checked_add_signed(twice)?)?;
    let mut nearest: Option<DateTime<Utc>> = None;
    loop {
        let behind = moments(line, zone, wall).filter(|moment| *moment <= at);
        nearest = nearest.into_iter().chain(behind).max();
        if wall <= here && nearest.is_some() {
            return nearest;
        }
        wall = line.until(wall.checked_sub_signed(TimeDelta::seconds(1))?)?;
    }
}

/// What the clock shows at this moment, and how far apart the two moments are if it shows that twice.
fn shown(zone: Tz, at: DateTime<Utc>) -> Option<(NaiveDateTime, TimeDelta)> {
    // Where no slot is looked for any more; the far end of time has no wall clock at all.
    if at.year() >= YEAR_UPPER_LIMIT {
        return None;
    }
    let here = at.with_timezone(&zone).naive_local();
    let twice = match zone.from_local_datetime(&here) {
        MappedLocalTime::Ambiguous(first, second) => second - first,
        MappedLocalTime::Single(_) | MappedLocalTime::None => TimeDelta::zero(),
    };
    Some((here, twice))
}

/// The moments at which a time of the line comes.
fn moments(line: &Line, zone: Tz, wall: NaiveDateTime) -> impl Iterator<Item = DateTime<Utc>> {
    let [first, second] = match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(moment) => [Some(moment), None],
        MappedLocalTime::Ambiguous(first, second) => [Some(first), line.repeats().then_some(second)],
        MappedLocalTime::None => [GapInfo::new(&wall, &zone).and_then(|gap| gap.end), None],
    };
    first.into_iter().chain(second).map(|moment| moment.to_utc())
}
