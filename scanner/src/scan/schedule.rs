//! When a connection is scanned next. Start at [`Schedule::next_after`].
//!
//! A schedule is an endless row of slots, and each slot is one run. An interval's slots are a grid whose phase comes
//! from the connection's id, so that many connections spread by themselves. A cron line's slots are where the wall
//! clock of its zone shows one: `line.rs` reads the line, `wall.rs` finds the moments. A run comes a jitter after its
//! slot and before the next one. All of this is worked out anew from the slot and the id: nothing is remembered.

mod line;
#[cfg(test)]
mod tests;
mod wall;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use line::Line;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// Largest first.
const UNITS: [(char, u64, &str); 4] =
    [('d', DAY, "day"), ('h', 60 * MINUTE, "hour"), ('m', MINUTE, "minute"), ('s', 1, "second")];

/// When a connection is scanned: every so often, or by the wall clock of a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    rhythm: Rhythm,
    zone: Tz,
    jitter: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rhythm {
    /// In seconds.
    Every(u64),
    At(Box<Line>),
}

/// Why a schedule is none, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    #[error(
        "write an interval such as `every 15m`, or a cron line of five fields such as `30 2 * * mon-fri`"
    )]
    Unknown,
    #[error("an interval is a whole number of s, m, h or d: write `every 15m`, `every 2h` or `every 1d`")]
    Interval,
    #[error("a connection is scanned once a minute at most: write `every 1m` or longer")]
    TooOften,
    #[error("an interval is 366 days at most: write `every 366d` or shorter")]
    TooRare,
    #[error("names with `@` are not known: write the five fields, such as `0 0 * * *` for once a day")]
    Nickname,
    #[error(
        "a cron line has five fields (minute, hour, day of month, month, day of week) and none for seconds: \
         write for example `30 2 * * mon-fri`"
    )]
    Fields,
    #[error(
        "the {field} of a cron line is `*` or numbers from {low} to {high}: write for example `{example}`"
    )]
    Field { field: &'static str, low: u8, high: u8, example: &'static str },
    #[error(
        "the {field} of a cron line has steps from 1 to {high}, such as `*/2`; \
         for longer ones write an interval such as `every 90m`"
    )]
    Step { field: &'static str, high: u8 },
    #[error("no year has such a day: write a day that the month has, such as `0 0 28 2 *`")]
    Never,
    #[error("a time zone is written as the IANA database has it, such as `Europe/Berlin` or `UTC`")]
    Zone,
    #[error("a jitter is a day at most")]
    Jitter,
}

impl Default for Schedule {
    /// Every 15 minutes.
    fn default() -> Self {
        Self { rhythm: Rhythm::Every(15 * MINUTE), zone: Tz::UTC, jitter: Duration::ZERO }
    }
}

impl Schedule {
    /// How long after its slot a run by the wall clock may begin, unless a person says otherwise.
    pub const JITTER: Duration = Duration::from_secs(MINUTE);

    /// `every 15m` (s, m, h or d; one minute to 366 days; `15m` alone is the same), or a cron line of five fields as
    /// in [crontab(5)](https://man7.org/linux/man-pages/man5/crontab.5.html), read in an IANA time zone.
    ///
    /// A jitter counts in whole seconds. Without one, an interval has none and a cron line [`Self::JITTER`].
    pub fn parse(spec: &str, zone: &str, jitter: Option<Duration>) -> Result<Self, BadSchedule> {
        let spec = spec.to_ascii_lowercase();
        // One more than any schedule has, so that a long text is not read to its end.
        let words: Vec<&str> = spec.split_whitespace().take(7).collect();
        let rhythm = match words[..] {
            [] | ["every"] => return Err(BadSchedule::Unknown),
            [name, ..] if name.starts_with('@') => return Err(BadSchedule::Nickname),
            [period] | ["every", period] => Rhythm::Every(interval(period)?),
            ["every", ..] => return Err(BadSchedule::Interval),
            [minute, hour, day, month, weekday] => {
                Rhythm::At(Line::parse([minute, hour, day, month, weekday])?.into())
            }
            _ => return Err(BadSchedule::Fields),
        };
        let zone = zone.parse().map_err(|_| BadSchedule::Zone)?;
        let usual = if matches!(rhythm, Rhythm::At(_)) { Self::JITTER } else { Duration::ZERO };
        let jitter = Duration::from_secs(jitter.unwrap_or(usual).as_secs());
        if jitter > Duration::from_secs(DAY) {
            return Err(BadSchedule::Jitter);
        }
        Ok(Self { rhythm, zone, jitter })
    }

    /// The canonical text, which reads as the same schedule.
    pub fn spec(&self) -> String {
        match &self.rhythm {
            Rhythm::Every(seconds) => {
                let (count, (unit, ..)) = in_units(*seconds);
                format!("every {count}{unit}")
            }
            Rhythm::At(line) => line.text().to_owned(),
        }
    }

    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// How long after its slot a run may begin; less where the next slot is near.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// The first moment after `after` at which `connection` is due. `None` if it never is again, which is so where
    /// the calendar ends: in the year 5000 for a cron line. A moment before 1970 counts as 1970.
    ///
    /// Asked again with its own answer it names the next slot's run: each slot once, in order. Asked with the present
    /// after a long stretch without runs it names one, however many were missed.
    pub fn next_after(&self, after: DateTime<Utc>, connection: Uuid) -> Option<DateTime<Utc>> {
        let after = after.max(DateTime::UNIX_EPOCH);
        // The slot that has begun may have its run still ahead; one before it cannot.
        let slots = [self.slot_until(after, connection), self.slot_after(after, connection)];
        slots.into_iter().flatten().filter_map(|slot| self.run(slot, connection)).find(|run| *run > after)
    }

    /// When the run of a slot begins: so soon that the next slot is farther away than the slot itself.
    fn run(&self, slot: DateTime<Utc>, connection: Uuid) -> Option<DateTime<Utc>> {
        let jitter = TimeDelta::from_std(self.jitter).ok()?;
        let next = self.slot_after(slot, connection);
        let room = next.map_or(jitter, |next| jitter.min((next - slot) / 2)).num_milliseconds();
        let slots_own = slot.timestamp_millis().to_be_bytes();
        slot.checked_add_signed(TimeDelta::milliseconds(chance(connection, &slots_own, room)))
    }

    /// The last slot that is not after this moment.
    fn slot_until(&self, at: DateTime<Utc>, connection: Uuid) -> Option<DateTime<Utc>> {
        let period = match &self.rhythm {
            Rhythm::Every(seconds) => period(*seconds)?,
            Rhythm::At(line) => return wall::slot_until(line, self.zone, at),
        };
        let now = at.timestamp_millis();
        DateTime::from_timestamp_millis(now - (now - chance(connection, &[], period)).rem_euclid(period))
    }

    /// The first slot after this moment.
    fn slot_after(&self, at: DateTime<Utc>, connection: Uuid) -> Option<DateTime<Utc>> {
        match &self.rhythm {
            Rhythm::Every(seconds) => {
                let period = TimeDelta::milliseconds(period(*seconds)?);
                self.slot_until(at, connection)?.checked_add_signed(period)
            }
            Rhythm::At(line) => wall::slot_after(line, self.zone, at),
        }
    }
}

/// For people: `every 15 minutes`, `at 30 2 * * 1-5 (Europe/Berlin)`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rhythm {
            Rhythm::Every(seconds) => match in_units(*seconds) {
                (1, (.., unit)) => write!(f, "every {unit}"),
                (count, (.., unit)) => write!(f, "every {count} {unit}s"),
            },
            Rhythm::At(line) => write!(f, "at {} ({})", line.text(), self.zone.name()),
        }
    }
}

fn interval(text: &str) -> Result<u64, BadSchedule> {
    let counted = UNITS.iter().find_map(|(unit, seconds, _)| Some((text.strip_suffix(*unit)?, seconds)));
    let (count, unit) = counted.ok_or(BadSchedule::Unknown)?;
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadSchedule::Interval);
    }
    // Digits that are no number are too many.
    match count.parse::<u64>().ok().and_then(|count| count.checked_mul(*unit)) {
        Some(..MINUTE) => Err(BadSchedule::TooOften),
        Some(seconds) if seconds <= 366 * DAY => Ok(seconds),
        _ => Err(BadSchedule::TooRare),
    }
}

/// In the largest unit that goes into it.
fn in_units(seconds: u64) -> (u64, (char, u64, &'static str)) {
    let [.., second] = UNITS;
    let unit = UNITS.into_iter().find(|(_, unit, _)| seconds.is_multiple_of(*unit)).unwrap_or(second);
    (seconds / unit.1, unit)
}

fn period(seconds: u64) -> Option<i64> {
    i64::try_from(seconds).ok()?.checked_mul(1000)
}

/// A number below `bound` that is always the same for this connection and slot, and evenly spread over many; 0 where
/// there is no room for another.
fn chance(connection: Uuid, slot: &[u8], bound: i64) -> i64 {
    let hash = Sha256::new().chain_update(connection).chain_update(slot).finalize();
    let number = hash.iter().take(7).fold(0, |number, byte| number << 8 | i64::from(*byte));
    number % bound.max(1)
}
