//! Tables, JSON and times as people read them.

use anyhow::Result;
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write};

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

/// To the second, in UTC.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// One of something, or several.
pub(super) fn count(n: i64, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}
