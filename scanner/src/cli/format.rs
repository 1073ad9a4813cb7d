//! Tables, JSON and times as people read them.

use anyhow::Result;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write};
use uuid::Uuid;

/// A plain table without borders, as wide as its content.
pub(super) fn table<const N: usize>(heading: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading.map(Cell::new));
    table
}

pub(super) fn print(text: impl std::fmt::Display) -> Result<()> {
    let shown = text.to_string();
    let lines = shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    Ok(writeln!(io::stdout().lock(), "{lines}")?)
}

/// A line on standard error. Where nobody listens any more, the work goes on all the same.
pub(crate) fn remark(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A person's yes or no; nothing where there is nobody to ask.
pub(super) fn confirm(question: &str) -> Result<Option<bool>> {
    let (stdin, stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Ok(None);
    }
    write!(stderr.lock(), "{question} [y/N] ")?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(Some(["y", "yes"].contains(&answer.trim().to_lowercase().as_str())))
}

/// One document, indented.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

/// One document in one line, for who reads them as they come.
pub(super) fn json_line(value: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// To the second, in UTC.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// One of something, or several.
pub(super) fn count(n: i64, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

/// With commas between the thousands.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// How long something took: in seconds, then in minutes, then in hours.
pub(super) fn span(time: TimeDelta) -> String {
    let seconds = time.as_seconds_f64().max(0.0);
    match seconds {
        0.0..60.0 => format!("{seconds:.1} s"),
        60.0..3600.0 => format!("{} min {} s", time.num_minutes(), time.num_seconds() % 60),
        _ => format!("{} h {} min", time.num_hours(), time.num_minutes() % 60),
    }
}

/// The first letters of an id, which name it to every command.
pub(super) fn short(id: Uuid) -> String {
    id.to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1000, 5_000_412].map(number), ["0", "999", "1,000", "5,000,412"]);
        let spans = [2, 61, 3_661].map(|seconds| span(TimeDelta::seconds(seconds)));
        assert_eq!(spans, ["2.0 s", "1 min 1 s", "1 h 1 min"]);
    }
}
