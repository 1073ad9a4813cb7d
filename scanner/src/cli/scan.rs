//! `twinflow scan`

mod background;

use super::bars::Bars;
use super::connections::Standing;
use super::{End, format, scans};
use crate::config::{Opened, Settings};
use crate::metrics;
use crate::scan::egress::Bounds;
use crate::scan::watch::{Nobody, StopCord, Watch};
use crate::scan::{CENSUS_EVERY, Scanner, queue};
use crate::store::{Connection, Scan, State, random_id};
use anyhow::{Result, anyhow, bail};
use chrono::TimeDelta;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

/// A fifth of every limit stays with the customer's other integrations.
pub(super) const RESERVE: u8 = 20;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Ctrl-C stops after the page that is being kept; the next scan goes on from there. What a worker in the background \
        has under way already is followed to its end; Ctrl-C leaves that alone."
)]
pub(super) struct Args {
    /// Which connections, by name [default: all]
    connections: Vec<String>,
    /// The longest wait that is sat out, in seconds; what asks for more is deferred
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// How much of a tool's limit is left to others that use it, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = RESERVE, value_parser = clap::value_parser!(u8).range(0..=95))]
    reserve: u8,
    /// Streams of a connection followed at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    side_by_side: u8,
    /// Count the cases there still are, whenever that was done last
    #[arg(long)]
    census: bool,
    /// After how many days the cases there still are are counted again
    #[arg(long, value_name = "DAYS", default_value_t = CENSUS_EVERY.num_days(), value_parser = clap::value_parser!(i64).range(1..=3650), conflicts_with = "census")]
    census_every: i64,
    /// Ask also tools that asked for a pause which is not over
    #[arg(long)]
    anyway: bool,
    /// Leave them to the workers that run in the background; `twinflow scans watch` looks on
    #[arg(long, conflicts_with_all = ["patience", "reserve", "side_by_side", "census", "census_every", "anyway"])]
    background: bool,
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: metrics::PortArgs,
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let _port = args.port.open().await?;
    let opened = settings.open().await?;
    let wanted = wanted(&opened, &args.connections).await?;
    if wanted.is_empty() && !args.json {
        let none = opened.store.connections().await?.is_empty();
        format::print(match none {
            true => {
                "No connections yet. Add one with `twinflow connect`; `twinflow connect --help` lists the tools."
            }
            false => "Every connection is paused or disconnected; `twinflow connections` lists them.",
        })?;
        return Ok(End::Done);
    }
    if args.background {
        return background::hand_over(settings, &opened, &wanted, args.json).await;
    }
    let _lock = settings.lock_scans()?;
    let stop = StopCord::default();
    let scanner = Scanner {
        patience: Duration::from_secs(args.patience),
        reserve: args.reserve,
        streams_side_by_side: args.side_by_side.into(),
        census_every: TimeDelta::days(if args.census { 0 } else { args.census_every }),
        anyway: args.anyway,
        ..scanner(settings, &opened, stop.clone(), settings.is_embedded())?
    };
    let listening = tokio::spawn(listen(stop));
    let (resting, due) = if args.anyway { (vec![], wanted) } else { resting(&opened, wanted).await? };
    let mut done = run_scans(scanner, &due).await?;
    listening.abort();
    done.extend(resting);
    opened.store.close().await;
    if args.json {
        format::json(&done)?
    } else {
        scans::print(&done)?
    }
    for scan in done.iter().filter(|scan| scan.state == State::Running) {
        settings.remark(&format!(
            "{}: another worker runs its scan and goes on; `twinflow scans watch` looks on.",
            scan.connection
        ));
    }
    Ok(end(&done))
}

/// Ctrl-C or SIGTERM stops after the page that is being kept; a second one at once.
async fn listen(stop: StopCord) -> std::io::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    for said in 0.. {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        if said > 0 {
            std::process::exit(130);
        }
        stop.pull();
    }
    Ok(())
}

/// Connections whose tool asked for a pause that is not over, as the scan that says so; and the others.
async fn resting(opened: &Opened, wanted: Vec<Connection>) -> Result<(Vec<Scan>, Vec<Connection>)> {
    let (mut resting, mut due) = (vec![], vec![]);
    for connection in wanted {
        let last = opened.store.last_scan(connection.id).await?;
        let until = last.as_ref().and_then(|scan| scan.until);
        match last {
            Some(scan) if until.is_some_and(|until| until > opened.clock.now()) => resting.push(scan),
            _ => due.push(connection),
        }
    }
    Ok((resting, due))
}

/// The ones that are named; otherwise all that are neither over nor paused by a person.
async fn wanted(opened: &Opened, names: &[String]) -> Result<Vec<Connection>> {
    let standing = Standing::load(&*opened.store).await?;
    if names.is_empty() {
        let all = opened.store.connections().await?;
        return Ok(all.into_iter().filter(|it| standing.refusal(it.id).is_none()).collect());
    }
    let mut wanted = vec![];
    for name in names.iter().collect::<BTreeSet<_>>() {
        let connection = opened.store.connection(name).await?;
        if let Some(why) = standing.refusal(connection.id) {
            bail!(why);
        }
        wanted.push(connection);
    }
    Ok(wanted)
}

/// A scanner with everything at its default.
pub(crate) fn scanner(
    settings: &Settings,
    opened: &Opened,
    stop: StopCord,
    takeover: bool,
) -> Result<Scanner> {
    let watch: Arc<dyn Watch> = if settings.quiet { Arc::new(Nobody) } else { Arc::new(Bars::new()) };
    Ok(Scanner {
        store: opened.store.clone(),
        vault: opened.vault.clone(),
        tenant: opened.tenant,
        allowed: settings.allowed()?,
        clock: opened.clock.clone(),
        watch,
        stop,
        owner: owner(),
        takeover,
        bounds: Bounds::default(),
        streams_side_by_side: 4,
        patience: Duration::from_secs(300),
        reserve: RESERVE,
        census_every: CENSUS_EVERY,
        lease: Duration::from_secs(60),
        anyway: false,
        background: None,
    })
}

/// Who claims: no two processes are the same, nor is one after a restart.
pub(super) fn owner() -> String {
    format!("{}-{}", std::process::id(), random_id(&mut rand::rng()))
}

/// Scans these connections, each anew or from where a scan was cut short, until all of them are settled, whoever runs
/// them.
pub(crate) async fn run_scans(scanner: Scanner, wanted: &[Connection]) -> Result<Vec<Scan>> {
    let store = scanner.store.clone();
    let connections: Vec<Uuid> = wanted.iter().map(|connection| connection.id).collect();
    let mut results = queue::run_all(Arc::new(scanner), &connections)
        .await
        .map_err(|error| anyhow!("the queue failed: {error}"))?;
    let mut done = vec![];
    // In the order of the connections, whichever was done first.
    for connection in connections {
        if let Some(scan) = results.remove(&connection).transpose()? {
            done.extend(store.scan(scan).await?);
        }
    }
    Ok(done)
}

pub(crate) fn end(scans: &[Scan]) -> End {
    let any = |states: &[State]| scans.iter().any(|scan| states.contains(&scan.state));
    if any(&[State::Failed, State::Quarantined, State::Cancelled]) {
        End::Failed
    } else if any(&[State::Queued, State::Running]) {
        End::Interrupted
    } else if any(&[State::Deferred, State::Waiting]) {
        End::Deferred
    } else if any(&[State::Partial, State::SuspiciousEmpty]) {
        End::NotAll
    } else {
        End::Done
    }
}
