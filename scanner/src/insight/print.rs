//! The report for people: plain text of at most [`WIDTH`] columns, without colours.

use super::{CaseCount, StatusTime, ToolReport};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Row, Table, Width};
use std::time::Duration;

const WIDTH: u16 = 100;
/// Where there is no figure.
const NONE: &str = "–";

/// The reports under each other, and how to read them.
pub fn render(reports: &[ToolReport]) -> String {
    if reports.iter().all(empty) {
        let tools: Vec<_> = reports.iter().map(heading).collect();
        let what = if tools.is_empty() {
            "no tool is connected".to_owned()
        } else {
            format!("nothing was read from {}", tools.join(", "))
        };
        return format!("No cases yet: {what}. After the first scan it says here where work waits.\n");
    }
    let mut text = reports.iter().map(section).collect::<Vec<_>>().join("\n");
    text.push_str("\nTotals count finished visits and those still running, medians finished ones only.\n");
    text.push_str("Times are calendar times: a day has 24 hours, weekends are in it.\n");
    text
}

fn empty(report: &ToolReport) -> bool {
    report.cases.all() == 0
}

fn heading(report: &ToolReport) -> String {
    if report.connection == report.tool {
        report.tool.clone()
    } else {
        format!("{} ({})", report.connection, report.tool)
    }
}

fn section(report: &ToolReport) -> String {
    let title = heading(report);
    if empty(report) {
        return format!("{title}\nNo cases yet: nothing was read from it.\n");
    }
    let CaseCount { open, done, gone } = report.cases;
    let gone = if gone > 0 { format!(", {gone} no longer shown") } else { String::new() };
    let title = format!("{title} · {} · {open} open, {done} done{gone}", count(report.cases.all(), "case"));
    let mut parts = vec![title + "\n" + &lines(&figures(report))];
    if !report.statuses.is_empty() {
        parts.push(lines(&statuses(&report.statuses)));
    }
    if !report.notes.is_empty() {
        parts.push(lines(&notes(&report.notes)));
    }
    parts.join("\n\n") + "\n"
}

/// A table's lines without the blanks behind them.
fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table
}

/// What it is, the figure, how much stands behind it.
fn figures(report: &ToolReport) -> Table {
    let mut table = table();
    let (cycle, first) = (&report.cycle_time, &report.first_assignment);
    let (hands, reopens) = (&report.hand_overs, &report.reopens);
    let cycle_time = cycle.median.zip(cycle.p85).map_or(NONE.to_owned(), |(median, p85)| {
        format!("median {}, 85 of 100 within {}", human(median), human(p85))
    });
    let per_case = hands.mean.map_or(NONE.to_owned(), |mean| {
        format!("{mean:.1} per case, {} of cases have any", percent(hands.share_with_any))
    });
    let reopened = reopens.rate.map_or(NONE.to_owned(), |rate| {
        format!("{}, {}", percent(Some(rate)), count(reopens.reopened, "case"))
    });
    table.add_rows([
        vec!["Cycle time".to_owned(), cycle_time, n(cycle.n, "done case")],
        vec!["First assigned".to_owned(), after(first.median), n(first.n, "assigned case")],
        vec!["Hand-overs".to_owned(), per_case, n(hands.n, "case")],
        vec!["Reopened".to_owned(), reopened, format!("{} ever done", n(reopens.n, "case"))],
        slowest(report.slowest_step.as_ref()),
        vec!["Events".to_owned(), events(report), n(report.events.n, "event")],
    ]);
    constrain(&mut table, 1, ColumnConstraint::UpperBoundary(Width::Fixed(60)));
    table
}

fn slowest(step: Option<&StatusTime>) -> Vec<String> {
    let (text, visits) = step.map_or((NONE.to_owned(), 0), |step| {
        let text = format!("{}: {} of all time", step.name, percent(step.share));
        (text, step.visits + step.running_cases)
    });
    vec!["Slowest step".to_owned(), text, n(visits, "visit")]
}

fn events(report: &ToolReport) -> String {
    let mut counts: Vec<_> = report.events.by_activity.iter().collect();
    counts.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let counts = counts.into_iter().map(|(word, n)| format!("{n} {}", word.replace('_', " ")));
    Some(counts.collect::<Vec<_>>().join(", ")).filter(|it| !it.is_empty()).unwrap_or(NONE.to_owned())
}

fn statuses(statuses: &[StatusTime]) -> Table {
    let mut table = table();
    let rule = LineStyle::none().fill('─');
    table.load_style(NOTHING.header_separator(rule));
    table.set_header(["Status", "Stage", "Total time", "Share", "Median visit", "Visits", "Still there"]);
    for it in statuses {
        let still = match it.running_cases {
            0 => NONE.to_owned(),
            cases => format!("{}, {}", count(cases, "case"), human(it.running)),
        };
        table.add_row(Row::from([
            it.name.clone(),
            stage(it),
            human(it.total),
            percent(it.share),
            it.median.map_or(NONE.to_owned(), human),
            it.visits.to_string(),
            still,
        ]));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    constrain(&mut table, 1, ColumnConstraint::ContentWidth);
    table
}

/// Done work waits for nobody; what is counted is how long reopened cases had been there.
fn stage(status: &StatusTime) -> String {
    match status.stage {
        None => "not known".to_owned(),
        Some(_) if status.done() => "done, reopened".to_owned(),
        Some(stage) => stage.replace('_', " "),
    }
}

fn notes(notes: &[String]) -> Table {
    let mut table = table();
    table.add_rows(notes.iter().map(|note| ["Note".to_owned(), note.clone()]));
    constrain(&mut table, 0, ColumnConstraint::ContentWidth);
    table
}

fn constrain(table: &mut Table, column: usize, constraint: ColumnConstraint) {
    if let Some(column) = table.column_mut(column) {
        column.set_constraint(constraint);
    }
}

fn after(duration: Option<Duration>) -> String {
    duration.map_or(NONE.to_owned(), |it| format!("median {} after it was created", human(it)))
}

fn n(n: usize, what: &str) -> String {
    format!("n = {}", count(n, what))
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn percent(share: Option<f64>) -> String {
    match share {
        None => NONE.to_owned(),
        Some(share) if share > 0.0 && share < 0.01 => "<1 %".to_owned(),
        Some(share) => format!("{:.0} %", share * 100.0),
    }
}

/// The two largest units: `3 d 4 h`, `52 min`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {smaller}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => two(hours, "h", minutes, "min"),
        // Beside a hundred days, hours are noise.
        86_400..8_640_000 => two(days, "d", hours, "h"),
        _ => format!("{days} d"),
    }
}
