//! Which jobs are run, and how often.

use crate::database::{Database, Engine};
use crate::job::{Figures, Job, Role};
use crate::pretend::{Pretend, Tool};
use crate::table::{self, Row};
use anyhow::Result;

/// Measures scans of pretend tools beside what no scan can beat
#[derive(clap::Parser, Debug)]
#[command(name = "scan", max_term_width = 100)]
pub(crate) struct Args {
    /// How many issues a repository or project has
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [5_000, 50_000])]
    cases: Vec<u64>,
    /// Milliseconds each answer takes
    #[arg(long, value_name = "MS,…", value_delimiter = ',', default_values_t = [0, 100])]
    latency: Vec<u64>,
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_values = ["sqlite", "postgres"])]
    engine: Vec<Engine>,
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_values = ["github", "jira"])]
    tool: Vec<Tool>,
    /// Runs of each job without latency, of which the fastest counts; with latency there is one
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Repositories followed side by side in the last measurement; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u8).range(..=100))]
    repositories: u8,
    /// Issues each of those has
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    cases_each: u64,
    /// 2,000 issues only, one run, five repositories: whether it works
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

/// Streams a scan follows at a time, as `twinflow scan` does unless told otherwise.
const SIDE_BY_SIDE: usize = 4;

pub(crate) async fn run(args: &Args) -> Result<()> {
    let (cases, runs) = if args.quick { (&[2_000][..], 1) } else { (&args.cases[..], args.runs) };
    let mut rows = vec![];
    for &latency in &args.latency {
        for &cases in cases {
            let pretend = Pretend::start(cases, latency, 1).await?;
            for &tool in &args.tool {
                rows.extend(measure(args, &pretend, tool, if latency == 0 { runs } else { 1 }).await?);
            }
        }
    }
    let side_by_side = if args.quick { args.repositories.min(5) } else { args.repositories };
    if let Some(latency) = args.latency.iter().copied().find(|it| *it > 0 && side_by_side > 0) {
        let pretend = Pretend::start(args.cases_each, latency, side_by_side).await?;
        rows.extend(measure(args, &pretend, Tool::Github, 1).await?);
    }
    if args.json { table::json(&rows) } else { table::print(&rows) }
}

async fn measure(args: &Args, pretend: &Pretend, tool: Tool, runs: u32) -> Result<Vec<Row>> {
    // The pretend tool remembers what it has rendered: the first to ask would pay for it.
    let download = Job::new(Role::Download, pretend, tool, SIDE_BY_SIDE);
    remark(pretend, tool, "warming up");
    let warm = download.run()?;
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
        let same = scans.iter().chain(&inserts).all(|it| it.events == warm.events);
        anyhow::ensure!(same, "not every run met the same events");
        rows.push(Row::new(pretend, tool, engine, SIDE_BY_SIDE, scans, downloads.clone(), inserts));
    }
    Ok(rows)
}

async fn job(role: Role, pretend: &Pretend, tool: Tool, engine: Engine) -> Result<Figures> {
    let database = Database::fresh(engine, role).await?;
    let job = Job { database: Some(database.place()), ..Job::new(role, pretend, tool, SIDE_BY_SIDE) };
    job.run()
}

fn remark(pretend: &Pretend, tool: Tool, doing: &str) {
    let Pretend { cases, latency, repositories, .. } = pretend;
    eprintln!("{tool}, {repositories} × {cases} cases, {latency} ms: {doing}");
}
