//! Which jobs are run, and how often.

use crate::database::{Database, Engine};
use crate::job::{Figures, Job, Role};
use crate::pretend::Pretend;
use crate::table::{self, Row};
use anyhow::Result;
use std::collections::BTreeSet;

/// Measures scans of pretend tools beside what no scan can beat
#[derive(clap::Parser, Debug)]
#[command(name = "scan", max_term_width = 100)]
pub(crate) struct Args {
    /// How many cases a tool has: issues, tickets, threads of mail
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [5_000, 50_000])]
    cases: Vec<u64>,
    /// Milliseconds each answer takes
    #[arg(long, value_name = "MS,…", value_delimiter = ',', default_values_t = [0, 100])]
    latency: Vec<u64>,
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_values = ["sqlite", "postgres"])]
    engine: Vec<Engine>,
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_values = SIX)]
    tool: Vec<String>,
    /// Runs of each job without latency, of which the fastest counts; with latency there is one
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// GitHub's repositories followed side by side in the last measurement; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u8).range(..=100))]
    repositories: u8,
    /// Issues each of those has
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    cases_each: u64,
    /// 2,000 cases only, one run, five repositories: whether it works
    #[arg(long)]
    quick: bool,
    /// Print JSON with every run instead of a table
    #[arg(long)]
    json: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// Be one of the measured processes
    #[arg(long, hide = true)]
    pub(crate) job: Option<String>,
}

const SIX: [&str; 6] = ["github", "gmail", "jira", "linear", "salesforce", "zendesk"];

/// Streams a scan follows at a time, as `twinflow scan` does unless told otherwise.
const SIDE_BY_SIDE: usize = 4;

pub(crate) async fn run(args: &Args) -> Result<()> {
    let (cases, runs) = if args.quick { (&[2_000][..], 1) } else { (&args.cases[..], args.runs) };
    let mut rows = vec![];
    for &latency in &args.latency {
        let runs = if latency == 0 { runs } else { 1 };
        let sizes =
            |tool: &str| cases.iter().map(|&cases| bearable(tool, cases, latency)).collect::<BTreeSet<_>>();
        let all: BTreeSet<_> = args.tool.iter().flat_map(|tool| sizes(tool)).collect();
        for cases in all {
            let pretend = Pretend::start(cases, latency, 1).await?;
            for tool in args.tool.iter().filter(|tool| sizes(tool).contains(&cases)) {
                rows.extend(measure(args, &pretend, tool, runs).await?);
            }
        }
    }
    let side_by_side = if args.quick { args.repositories.min(5) } else { args.repositories };
    let some_wait = args.latency.iter().copied().find(|it| *it > 0 && side_by_side > 0);
    if let Some(latency) = some_wait.filter(|_| args.tool.iter().any(|it| it == "github")) {
        let pretend = Pretend::start(args.cases_each, latency, side_by_side).await?;
        rows.extend(measure(args, &pretend, "github", 1).await?);
    }
    if args.json { table::json(&rows) } else { table::print(&rows) }
}

/// How many of the cases a tool gets. Gmail is asked about one message at a time, and Zendesk's pages wait for one
/// another: more cases would take longer than all the rest, and tell nothing more.
fn bearable(tool: &str, cases: u64, latency: u64) -> u64 {
    match (tool, latency) {
        ("gmail", 0) => cases.min(5_000),
        ("gmail", _) => cases.min(100),
        ("zendesk" | "zendesk_detailed", 1..) => cases.min(500),
        _ => cases,
    }
}

async fn measure(args: &Args, pretend: &Pretend, tool: &str, runs: u32) -> Result<Vec<Row>> {
    // The pretend tool remembers what it has rendered: the first to ask would pay for it.
    let download = Job::new(Role::Download, pretend, tool, SIDE_BY_SIDE)?;
    remark(pretend, tool, "warming up");
    download.run()?;
    let timed = pretend.latency == 0;
    let mut downloads = vec![];
    for _ in 0..runs {
        remark(pretend, tool, "download");
        downloads.push(download.run()?);
    }
    let mut rows = vec![];
    for &engine in &args.engine {
        let (mut scans, mut inserts) = (vec![], vec![]);
        for _ in 0..runs {
            remark(pretend, tool, &format!("scan into {engine}"));
            let scan = job(Role::Scan, pretend, tool, engine).await?;
            // Said at once, so that a measurement cut short has not been for nothing.
            remark(pretend, tool, &format!("{:.2} s for {} pages", scan.wall_seconds, scan.pages));
            scans.push(scan);
            if timed {
                remark(pretend, tool, &format!("insert into {engine}"));
                inserts.push(job(Role::Insert, pretend, tool, engine).await?);
            }
        }
        // A download counts what it meets twice, where windows overlap: what is stored is there once.
        let kept: BTreeSet<_> = scans.iter().chain(&inserts).map(|it| it.events).collect();
        anyhow::ensure!(kept.len() == 1, "{tool}: not every run kept the same events: {kept:?}");
        rows.push(Row::new(pretend, &download, engine, scans, downloads.clone(), inserts));
    }
    Ok(rows)
}

async fn job(role: Role, pretend: &Pretend, tool: &str, engine: Engine) -> Result<Figures> {
    let database = Database::fresh(engine, role).await?;
    let job = Job { database: Some(database.place()), ..Job::new(role, pretend, tool, SIDE_BY_SIDE)? };
    job.run()
}

fn remark(pretend: &Pretend, tool: &str, doing: &str) {
    let Pretend { cases, latency, .. } = pretend;
    eprintln!("{tool}, {cases} cases, {latency} ms: {doing}");
}
