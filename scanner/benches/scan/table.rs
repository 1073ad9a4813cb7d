//! What came of it, beside what is aimed at.

use crate::database::Engine;
use crate::job::{Figures, Job};
use crate::pretend::Pretend;
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use twinflow::scan::egress::Bounds;

/// A scan, and the bounds measured in the same minutes.
#[derive(Serialize)]
pub(crate) struct Row {
    tool: String,
    engine: Engine,
    cases: u64,
    streams: usize,
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
    events_per_second: f64,
    /// What the tool's quota is spent on.
    requests_per_thousand_events: f64,
    bytes_per_event: f64,
    /// To the time that waiting for one round of answers after the other takes.
    to_waiting: Option<f64>,
    /// To the time that the requests take if as many as may be are always on their way.
    to_in_flight: Option<f64>,
}

impl Row {
    pub(crate) fn new(
        pretend: &Pretend,
        job: &Job,
        engine: Engine,
        scan: Vec<Figures>,
        download: Vec<Figures>,
        insert: Vec<Figures>,
    ) -> Self {
        let best = fastest(&scan).unwrap_or_default();
        let bounds = fastest(&download).zip(fastest(&insert)).map(|(a, b)| (a.wall_seconds, b.wall_seconds));
        let (streams, side_by_side) = (job.streams.len(), job.side_by_side);
        let waits = |count: u64, at_a_time: usize| {
            let waiting = count as f64 * pretend.latency as f64 / 1000.0 / at_a_time as f64;
            (pretend.latency > 0).then(|| best.wall_seconds / waiting)
        };
        let events = best.events as f64;
        let ratios = Ratios {
            to_sum: bounds.map(|(a, b)| best.wall_seconds / (a + b)),
            to_slower: bounds.map(|(a, b)| best.wall_seconds / a.max(b)),
            events_per_second: events / best.wall_seconds,
            requests_per_thousand_events: best.requests as f64 * 1000.0 / events,
            bytes_per_event: best.bytes as f64 / events,
            to_waiting: waits(best.pages, side_by_side.min(streams)),
            to_in_flight: waits(best.requests, Bounds::default().side_by_side),
        };
        let Pretend { cases, latency: latency_ms, .. } = *pretend;
        let tool = job.tool.clone();
        Self { tool, engine, cases, streams, latency_ms, side_by_side, ratios, scan, download, insert }
    }

    fn best(&self) -> Figures {
        fastest(&self.scan).unwrap_or_default()
    }

    fn cells(&self) -> Vec<String> {
        let best = self.best();
        let seconds = |runs: &[Figures]| shown(fastest(runs).map(|it| it.wall_seconds), 2);
        vec![
            self.tool.clone(),
            format!("{} × {}", self.streams, self.cases),
            self.latency_ms.to_string(),
            self.engine.to_string(),
            best.events.to_string(),
            best.pages.to_string(),
            best.requests.to_string(),
            format!("{:.2}", best.wall_seconds),
            format!("{:.2}", best.cpu_seconds),
            format!("{:.0}", best.peak_kib as f64 / 1024.0),
            format!("{:.0}", self.ratios.events_per_second),
            format!("{:.1}", self.ratios.requests_per_thousand_events),
            format!("{:.0}", self.ratios.bytes_per_event),
            seconds(&self.download),
            seconds(&self.insert),
            shown(self.ratios.to_sum, 2),
            shown(self.ratios.to_slower, 2),
            shown(self.ratios.to_waiting, 2),
            shown(self.ratios.to_in_flight, 2),
        ]
    }

    /// What a first scan may take where each answer takes a tenth of a second, and windows are read side by side.
    fn seconds_aimed_at(&self) -> Option<f64> {
        match (self.tool.as_str(), self.streams, self.cases, self.latency_ms) {
            ("jira", 1, 5_000, 100) => Some(2.0),
            ("github", 1, 5_000, 100) => Some(3.5),
            _ => None,
        }
    }

    /// The aims that are missed, in words.
    fn missed(&self) -> Vec<String> {
        let mut missed = vec![];
        let mut aim = |met: bool, words: String| {
            if !met {
                missed.push(words);
            }
        };
        let Ratios { to_sum, events_per_second, .. } = self.ratios;
        let best = self.best();
        aim(to_sum.is_none_or(|it| it <= 2.0), "takes more than twice (a) + (b)".to_owned());
        let fast = ["github", "jira"].contains(&self.tool.as_str());
        let into_sqlite = fast && self.latency_ms == 0 && self.engine == Engine::Sqlite;
        aim(!into_sqlite || events_per_second >= 60_000.0, "below 60,000 events/s".to_owned());
        if let Some(seconds) = self.seconds_aimed_at() {
            aim(best.wall_seconds < seconds, format!("takes {seconds} s or more"));
        }
        aim(best.peak_kib <= 64 * 1024, "more than 64 MB".to_owned());
        let name = format!("{}, {} × {}", self.tool, self.streams, self.cases);
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

const HEADER: [&str; 19] = [
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
    "req/1k",
    "B/event",
    "(a) s",
    "(b) s",
    "÷(a+b)",
    "÷max(a,b)",
    "÷waiting",
    "÷in flight",
];

pub(crate) fn print(rows: &[Row]) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADER);
    table.add_rows(rows.iter().map(Row::cells));
    table.column_iter_mut().skip(4).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    println!("{table}\n{}", LEGEND.trim());
    for row in rows.iter().filter(|row| row.streams == 1) {
        let larger = rows.iter().find(|it| it.larger_than(row));
        if let Some(larger) = larger {
            let mb = |row: &Row| row.best().peak_kib as f64 / 1024.0;
            let (tool, engine, ms) = (&row.tool, row.engine, row.latency_ms);
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
wall, CPU, MB: the scan's own process; MB is the most that was resident. req/1k: requests for 1,000 kept events;
B/event: decoded bytes of the answers for each; a vendor's quota is spent on these. (a): the same requests, read and
dropped. (b): the same events into a table with a primary key and nothing else; Postgres does not wait for its disk,
SQLite does. waiting: pages (rounds of requests asked together) × latency ÷ streams followed at a time. in flight:
requests × latency ÷ 8, which is how many may be on their way at a time. Nothing is faster than the longer of the two.
Gmail is asked about each message by itself, and has at most 5,000 threads; with latency at most 100, and Zendesk,
where a page waits for the one before, at most 500 tickets.
Aims: ÷(a+b) ≤ 2; ≥ 60,000 events/s of GitHub and Jira into sqlite at 0 ms; 5,000 issues at 100 ms in less than 2 s
(Jira) and 3.5 s (GitHub); ≤ 64 MB, and flat.";

impl Row {
    fn larger_than(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.cases > other.cases
    }

    fn kind(&self) -> (&str, Engine, u64, usize) {
        (&self.tool, self.engine, self.latency_ms, self.streams)
    }
}
