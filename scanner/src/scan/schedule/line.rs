//! A cron line: five fields, as [crontab(5)](https://man7.org/linux/man-pages/man5/crontab.5.html) has them.
//!
//! What is handed to `croner` was checked here first: it understands more than crontab does (seconds, `L`, `#`), lets
//! an empty list pass, and would search such a line for thousands of years.

use super::BadSchedule;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, YEAR_UPPER_LIMIT};

/// A line that some day matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// With numbers for names.
    text: String,
    cron: Cron,
    repeats: bool,
}

struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    /// The first stands for `low`.
    names: &'static [&'static str],
    example: &'static str,
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[], example: "0,30" },
    Field { name: "hour", low: 0, high: 23, names: &[], example: "8-18" },
    Field { name: "day of month", low: 1, high: 31, names: &[], example: "1,15" },
    Field { name: "month", low: 1, high: 12, names: &MONTHS, example: "jan-mar" },
    Field { name: "day of week", low: 0, high: 7, names: &WEEKDAYS, example: "mon-fri" },
];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// Sunday is both ends of the week.
const WEEKDAYS: [&str; 8] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Line {
    pub(super) fn parse(words: [&str; 5]) -> Result<Self, BadSchedule> {
        let mut fields = vec![];
        for (field, word) in FIELDS.iter().zip(words) {
            fields.push(field.canonical(word)?);
        }
        let text = fields.join(" ");
        let star = |at: usize| fields.get(at).is_some_and(|field| field.starts_with('*'));
        // A day has to match both fields of days if one of them starts with `*`, else either of them.
        let parser = CronParser::builder().dom_and_dow(star(2) || star(4));
        let parser = parser.seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&text).map_err(|_| BadSchedule::Fields)?;
        let line = Self { text, cron, repeats: star(0) || star(1) };
        // Years are the same again after 400 of them, and the search ends with the last of these.
        let early = NaiveDate::from_ymd_opt(YEAR_UPPER_LIMIT - 400, 1, 1).unwrap_or(NaiveDate::MIN);
        line.after(early.and_time(NaiveTime::MIN)).ok_or(BadSchedule::Never)?;
        Ok(line)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether an hour that the clock shows twice counts twice: so it is for lines that run all through the hour or
    /// the day, [as cron has it](https://manpages.debian.org/stable/cron/cron.8.en.html). One that names both runs once.
    pub(super) fn repeats(&self) -> bool {
        self.repeats
    }

    /// The first time after this one that a wall clock without time zone would match.
    pub(super) fn after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        self.cron.find_next_occurrence(&wall, false).ok()
    }

    /// The last such time before this one, or this one.
    pub(super) fn until(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        self.cron.find_previous_occurrence(&wall, true).ok()
    }
}

impl Field {
    fn canonical(&self, text: &str) -> Result<String, BadSchedule> {
        if text == "*" {
            return Ok(text.to_owned());
        }
        let parts: Result<Vec<String>, _> = text.split(',').map(|part| self.part(part)).collect();
        parts.map(|parts| parts.join(","))
    }

    /// One of a list: a value, a range, or a step through a range or all.
    fn part(&self, part: &str) -> Result<String, BadSchedule> {
        let Some((range, step)) = part.split_once('/') else {
            return self
                .range(part)
                .or_else(|| self.first(part).map(|value| value.to_string()))
                .ok_or(self.bad());
        };
        let range = if range == "*" { Some(range.to_owned()) } else { self.range(range) };
        let range = range.ok_or(self.bad())?;
        let step = number(step).filter(|step| (1..=self.high).contains(step));
        let step = step.ok_or(BadSchedule::Step { field: self.name, high: self.high })?;
        Ok(format!("{range}/{step}"))
    }

    fn range(&self, text: &str) -> Option<String> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (self.first(from)?, self.last(to)?);
        (from <= to).then(|| format!("{from}-{to}"))
    }

    fn first(&self, text: &str) -> Option<u8> {
        self.value(text, self.names.iter().position(|name| *name == text))
    }

    fn last(&self, text: &str) -> Option<u8> {
        self.value(text, self.names.iter().rposition(|name| *name == text))
    }

    fn value(&self, text: &str, named: Option<usize>) -> Option<u8> {
        let value = match named {
            Some(place) => self.low.checked_add(u8::try_from(place).ok()?),
            None => number(text),
        };
        value.filter(|value| (self.low..=self.high).contains(value))
    }

    fn bad(&self) -> BadSchedule {
        let Self { name: field, low, high, example, .. } = *self;
        BadSchedule::Field { field, low, high, example }
    }
}

/// Digits alone: Rust's own numbers may have a sign.
fn number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
