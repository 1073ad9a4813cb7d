//! What came of it, beside what is aimed at.

use crate::database::Engine;
use crate::job::Figures;
use crate::pretend::{Pretend, Tool};
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// A scan, and the bounds measured in the same minutes.
#[derive(Serialize)]
pub(crate) struct Row {
    tool: Tool,
    engine: Engine,
    cases: u64,
    repositories: u8,
    latency_ms: u64,
    side_by_side: usize,
    ratios: Ratios,
    /// Every run; the table shows the fastest.
    scan: Vec<Figures>,
    download: Vec<Figures>,
    insert: Vec<Figures>,
}

#[derive(Serialize)]
struct Ratios {
    /// Wall time to that of download and insert one after the other: aimed at 2 at most, without latency.
    to_sum: Option<f64>,
    /// To the slower of the two: what a perfect overlap would come to.
    to_slower: Option<f64>,
    /// Aimed at 60,000 at least, into SQLite without latency.
    events_per_second: f64,
    /// To the time that nothing but waiting for answers takes: aimed at 1.05 at most.
    to_waiting: Option<f64>,
}

impl Row {
    pub(crate) fn new(
        pretend: &Pretend,
        tool: Tool,
        engine: Engine,
        side_by_side: usize,
        scan: Vec<Figures>,
        download: Vec<Figures>,
        insert: Vec<Figures>,
    ) -> Self {
        let best = fastest(&scan).unwrap_or_default();
        let bounds = fastest(&download).zip(fastest(&insert)).map(|(a, b)| (a.wall_seconds, b.wall_seconds));
        let at_a_time = side_by_side.min(usize::from(pretend.repositories)) as f64;
        let waiting = best.pages as f64 * pretend.latency as f64 / 1000.0 / at_a_time;
        let ratios = Ratios {
            to_sum: bounds.map(|(a, b)| best.wall_seconds / (a + b)),
            to_slower: bounds.map(|(a, b)| best.wall_seconds / a.max(b)),
            events_per_second: best.events as f64 / best.wall_seconds,
            to_waiting: (pretend.latency > 0).then(|| best.wall_seconds / waiting),
        };
        let Pretend { cases, repositories, latency: latency_ms, .. } = *pretend;
        Self { tool, engine, cases, repositories, latency_ms, side_by_side, ratios, scan, download, insert }
    }

    fn best(&self) -> Figures {
        fastest(&self.scan).unwrap_or_default()
    }

    fn cells(&self) -> Vec<String> {
        let best = self.best();
        let seconds = |runs: &[Figures]| shown(fastest(runs).map(|it| it.wall_seconds), 2);
        vec![
            self.tool.to_string(),
            format!("{} × {}", self.repositories, self.cases),
            self.latency_ms.to_string(),
            self.engine.to_string(),
            best.events.to_string(),
            best.pages.to_string(),
            best.requests.to_string(),
            format!("{:.2}", best.wall_seconds),
            format!("{:.2}", best.cpu_seconds),
            format!("{:.0}", best.peak_kib as f64 / 1024.0),
            format!("{:.0}", self.ratios.events_per_second),
            seconds(&self.download),
            seconds(&self.insert),
            shown(self.ratios.to_sum, 2),
            shown(self.ratios.to_slower, 2),
            shown(self.ratios.to_waiting, 3),
        ]
    }

    /// The aims that are missed, in words.
    fn missed(&self) -> Vec<String> {
        let mut missed = vec![];
        let mut aim = |met: bool, words: String| {
            if !met {
                missed.push(words);
            }
        };
        let Ratios { to_sum, events_per_second, to_waiting, .. } = self.ratios;
        aim(to_sum.is_none_or(|it| it <= 2.0), "takes more than twice (a) + (b)".to_owned());
        let into_sqlite = self.latency_ms == 0 && self.engine == Engine::Sqlite;
        aim(!into_sqlite || events_per_second >= 60_000.0, "below 60,000 events/s".to_owned());
        let one = self.repositories == 1;
        aim(to_waiting.is_none_or(|it| !one || it <= 1.05), "more than 1.05 × waiting".to_owned());
        aim(self.best().peak_kib <= 64 * 1024, "more than 64 MB".to_owned());
        let name = format!("{}, {} × {}", self.tool, self.repositories, self.cases);
        let whole = |words| format!("{name}, {} ms, {}: {words}", self.latency_ms, self.engine);
        missed.into_iter().map(whole).collect()
    }
}

fn fastest(runs: &[Figures]) -> Option<Figures> {
    runs.iter().copied().min_by(|a, b| a.wall_seconds.total_cmp(&b.wall_seconds))
}

fn shown(number: Option<f64>, digits: usize) -> String {
    number.map_or("–".to_owned(), |number| format!("{number:.digits$}"))
}

pub(crate) fn json(rows: &[Row]) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(rows)?);
    Ok(())
}

const HEADER: [&str; 16] = [
    "tool",
    "cases",
    "ms",
    "engine",
    "events",
    "pages",
    "requests",
    "wall s",
    "CPU s",
    "MB",
    "events/s",
    "(a) s",
    "(b) s",
    "÷(a+b)",
    "÷max(a,b)",
    "÷waiting",
];

pub(crate) fn print(rows: &[Row]) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADER);
    table.add_rows(rows.iter().map(Row::cells));
    table.column_iter_mut().skip(4).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    println!("{table}\n{}", LEGEND.trim());
    for row in rows.iter().filter(|row| row.repositories == 1) {
        let larger = rows.iter().find(|it| it.larger_than(row));
        if let Some(larger) = larger {
            let mb = |row: &Row| row.best().peak_kib as f64 / 1024.0;
            let (tool, engine, ms) = (row.tool, row.engine, row.latency_ms);
            println!(
                "memory, {tool} into {engine} at {ms} ms: {:.0} MB with {} cases, {:.0} MB with {}",
                mb(row),
                row.cases,
                mb(larger),
                larger.cases
            );
        }
    }
    let missed: Vec<_> = rows.iter().flat_map(Row::missed).collect();
    println!("{}", if missed.is_empty() { "All aims are met." } else { "Missed:" });
    missed.iter().for_each(|words| println!("  {words}"));
    Ok(())
}

const LEGEND: &str = "
wall, CPU, MB: the scan's own process; MB is the most that was resident. (a): the same requests, read and dropped.
(b): the same events into a table with a primary key and nothing else; Postgres does not wait for its disk, SQLite
does. waiting: pages × latency ÷ streams followed at a time; (a) beside it says what the pretend tool and the
network stack make of it.
Aims: ÷(a+b) ≤ 2; ≥ 60,000 events/s into sqlite at 0 ms; ÷waiting ≤ 1.05 for one repository; ≤ 64 MB, and flat.";

impl Row {
    fn larger_than(&self, other: &Self) -> bool {
        let kind = |row: &Self| (row.tool, row.engine, row.latency_ms, row.repositories);
        kind(self) == kind(other) && self.cases > other.cases
    }
}
