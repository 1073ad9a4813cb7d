//! What can be typed. `twinflow --help` reads like a manual because it is the only one of the commands.

mod bars;
mod connect;
mod connections;
mod consent;
mod contract;
mod demo;
mod disconnect;
mod doctor;
mod events;
mod format;
mod pretend;
mod report;
mod scan;
mod scans;
mod sign_in;
mod ticket;
mod tools;
mod vault;
mod work;

pub(crate) use format::remark;

use crate::config::{Settings, about_the_server};
use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

/// Says where work waits, from workflow metadata alone.
///
/// TwinFlow asks GitHub, Gmail, Jira, Linear, Salesforce and Zendesk who did what to which case, when, and which status
/// it moved to. It never asks for a title, a text or a comment: `twinflow contract` prints every request it can make.
#[derive(Parser, Debug)]
#[command(
    name = "twinflow",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done and complete; 1 failed, and what to do is said; 2 the command line is wrong;\n\
                  3 partial or suspiciously empty: something was not read; 4 deferred: the tool asked for a pause;\n\
                  130 interrupted: the next scan goes on from there.\n\n\
                  Start with: twinflow demo"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show it at work: pretend tools on loopback, a scan, what it found
    Demo(demo::Args),
    /// Connect a tool: check the credential, seal it, note what to follow
    #[command(subcommand)]
    Connect(tools::Tool),
    /// Give a connection a new credential, when the old one has run out
    Renew(connect::Renew),
    /// End a connection: give back what the tool granted, destroy the credential
    Disconnect(disconnect::Args),
    /// List the connections and what they follow
    Connections(connections::Args),
    /// Read what is new from the tools, until caught up
    Scan(scan::Args),
    /// List scans: what ran, what it read, what failed and why
    Scans(scans::Args),
    /// Run scans in the background as they come due: one of any number of workers
    Worker(work::WorkerArgs),
    /// Open scans when their schedules say so, and hand them to the workers
    Scheduler(work::SchedulerArgs),
    /// Run in the background all there is: with the embedded database, the one process
    Serve(work::ServeArgs),
    /// Print the event log
    Events(events::Args),
    /// Say where work waits: cycle times, time per status, hand-overs, reopenings
    Report(report::Args),
    /// Create a ticket, the one thing that is ever written, and only when you say so
    #[command(subcommand)]
    Ticket(ticket::Action),
    /// Print what each tool may be asked and what is kept
    Contract(contract::Args),
    /// Check that everything is in order
    Doctor(doctor::Args),
    /// Make and rotate the keys that seal credentials
    #[command(subcommand)]
    Vault(vault::Action),
    /// Bring a Postgres database to this version; --database-url logs in as the role that owns it
    Migrate,
    /// Run the pretend tools on loopback, to try connecting and scanning by hand
    Pretend(pretend::Args),
    /// Print completions for a shell
    #[command(
        after_help = "Example: twinflow completions bash > ~/.local/share/bash-completion/completions/twinflow"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// How a command ended, if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Failed,
    NotAll,
    Deferred,
    Interrupted,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(match end {
            End::Done => 0,
            End::Failed => 1,
            End::NotAll => 3,
            End::Deferred => 4,
            End::Interrupted => 130,
        })
    }
}

pub async fn run(cli: Cli) -> ExitCode {
    let traces = match cli.settings.allowed().and_then(|_| cli.settings.traces()) {
        Ok(traces) => traces,
        Err(error) => {
            format::remark(format_args!("twinflow: {error}; for more, try `twinflow --help`"));
            return ExitCode::from(2);
        }
    };
    crate::log::start(cli.settings.log, cli.settings.log_format, traces.as_ref());
    let ended = ended(dispatch(cli).await);
    if let Some(traces) = traces {
        traces.flush().await;
    }
    ended
}

fn ended(how: Result<End>) -> ExitCode {
    match how {
        Ok(end) => end.into(),
        Err(error) if is_broken_pipe(&error) => End::Done.into(),
        Err(error) => {
            format::remark(format_args!("twinflow: {error:#}"));
            End::Failed.into()
        }
    }
}

async fn dispatch(cli: Cli) -> Result<End> {
    let settings = &cli.settings;
    match cli.command {
        Command::Demo(args) => demo::run(settings, &args).await,
        Command::Pretend(args) => pretend::run(&args).await,
        Command::Connect(tool) => connect::run(settings, tool).await,
        Command::Renew(args) => connect::renew_one(settings, &args).await,
        Command::Disconnect(args) => disconnect::run(settings, &args).await,
        Command::Connections(args) => connections::run(settings, &args).await,
        Command::Scan(args) => scan::run(settings, &args).await,
        Command::Scans(args) => scans::run(settings, &args).await,
        Command::Worker(args) => work::worker(settings, &args).await,
        Command::Scheduler(args) => work::scheduler(settings, &args).await,
        Command::Serve(args) => work::serve(settings, &args).await,
        Command::Events(args) => events::run(settings, &args).await,
        Command::Report(args) => report::run(settings, &args).await,
        Command::Ticket(action) => ticket::run(settings, action).await,
        Command::Contract(args) => contract::run(&args),
        Command::Doctor(args) => doctor::run(settings, &args).await,
        Command::Vault(action) => vault::run(settings, action).await,
        Command::Migrate => migrate(settings).await,
        Command::Completions { shell } => {
            // By way of a buffer: clap_complete panics where it cannot write.
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "twinflow", &mut script);
            std::io::stdout().lock().write_all(&script)?;
            Ok(End::Done)
        }
    }
}

async fn migrate(settings: &Settings) -> Result<End> {
    let Some(url) = &settings.database_url else {
        anyhow::bail!("the embedded database migrates itself; say which Postgres with --database-url");
    };
    crate::store::migrate_server(url).await.map_err(about_the_server)?;
    format::print("The database is at this program's version.")?;
    Ok(End::Done)
}

/// `twinflow events | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(broken)
            || matches!(cause.downcast_ref::<csv::Error>().map(csv::Error::kind), Some(csv::ErrorKind::Io(it)) if broken(it))
            || cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind)
                == Some(std::io::ErrorKind::BrokenPipe)
    })
}
