//! What a person does about scans: `twinflow scans retry`, `cancel` and `purge`. [`plan`] decides, for each scan by
//! itself, what that comes to; only then is anything done.

use super::super::connections::Standing;
use super::super::{End, format};
use super::pick::{Filter, UNDER_WAY, by_id};
use crate::store::{Backfill, ErrorClass, Rank, Scan, State, Store, WantedScans, random_id};
use anyhow::{Result, bail};
use serde::Serialize;
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "What waits or is quarantined is due at once, and goes on from the page it kept. Of scans that are over, the newest \
        of each connection is followed by a new one. `twinflow scans watch` looks on."
)]
pub(super) struct Retry {
    /// Which, by the first letters of their ids
    ids: Vec<String>,
    /// All that are quarantined
    #[arg(long)]
    quarantined: bool,
    #[command(flatten)]
    filter: Filter,
    /// Only of connections to this tool
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Whoever runs them writes nothing more. The connections' schedules go on; `twinflow connections pause` stops them."
)]
pub(super) struct Cancel {
    /// Which, by the first letters of their ids
    ids: Vec<String>,
    /// Whatever this connection has under way, by its name
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args, Debug)]
#[command(
    after_help = "They end as failed. What they kept stays, and the next scan of each connection goes on from the cursor that is stored: \
        the page that ended the worker is asked for again."
)]
pub(super) struct Purge {
    /// Which, by the first letters of their ids
    ids: Vec<String>,
    /// All that are quarantined
    #[arg(long)]
    quarantined: bool,
    /// Only of this connection, by its name
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only of connections to this tool
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
    /// Only with this kind of error
    #[arg(long, value_name = "CLASS", value_enum, hide_possible_values = true)]
    error: Option<ErrorClass>,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args, Clone, Copy, Debug)]
struct How {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn retry(store: &dyn Store, args: &Retry) -> Result<End> {
    let mut filter = args.filter.clone();
    if args.quarantined {
        filter.state.push(State::Quarantined);
    }
    if args.ids.is_empty() && filter.is_empty() && args.tool.is_none() {
        bail!("say which: ids, --quarantined, --state, --error, --connection or --tool");
    }
    let mut chosen = by_ids(store, &args.ids).await?;
    if args.ids.is_empty() {
        let found = store.scans(&filter.wanted(store, i64::MAX).await?).await?;
        chosen.extend(newest_each(found.into_iter().filter(|scan| is_of(scan, args.tool.as_deref()))));
        drop_what_was_followed(store, &mut chosen).await?;
    } else if !filter.is_empty() || args.tool.is_some() {
        bail!("ids say which scans; leave the other choices out");
    }
    act(store, Wish::Retry, chosen, args.how).await
}

pub(super) async fn cancel(store: &dyn Store, args: &Cancel) -> Result<End> {
    let mut chosen = by_ids(store, &args.ids).await?;
    match (&args.connection, args.ids.is_empty()) {
        (None, true) => bail!("say which: ids, or --connection"),
        (None, false) => {}
        (Some(name), _) => {
            let states = [UNDER_WAY.as_slice(), &[State::Quarantined]].concat();
            let connection = Some(store.connection(name).await?.id);
            let wanted = WantedScans { connection, states, ..WantedScans::newest(i64::MAX) };
            chosen.extend(store.scans(&wanted).await?);
        }
    }
    act(store, Wish::Cancel, chosen, args.how).await
}

pub(super) async fn purge(store: &dyn Store, args: &Purge) -> Result<End> {
    let mut chosen = by_ids(store, &args.ids).await?;
    let narrowed = args.connection.is_some() || args.tool.is_some() || args.error.is_some();
    if args.ids.is_empty() {
        if !args.quarantined && !narrowed {
            bail!("say which: ids, --quarantined, --connection, --tool or --error");
        }
        let (state, connection) = (vec![State::Quarantined], args.connection.clone());
        let wanted = Filter { state, connection, error: args.error }.wanted(store, i64::MAX).await?;
        chosen
            .extend(store.scans(&wanted).await?.into_iter().filter(|scan| is_of(scan, args.tool.as_deref())));
    } else if args.quarantined || narrowed {
        bail!("ids say which scans; leave the other choices out");
    }
    act(store, Wish::Purge, chosen, args.how).await
}

async fn by_ids(store: &dyn Store, ids: &[String]) -> Result<Vec<Scan>> {
    let mut scans = vec![];
    for id in ids {
        scans.push(by_id(store, id).await?);
    }
    Ok(scans)
}

fn is_of(scan: &Scan, tool: Option<&str>) -> bool {
    tool.is_none_or(|tool| scan.tool == tool)
}

/// Of each connection what is not over, and the newest of what is; a backfill counts apart.
fn newest_each(newest_first: impl Iterator<Item = Scan>) -> impl Iterator<Item = Scan> {
    let mut met = BTreeSet::new();
    newest_first.filter(move |scan| {
        !scan.state.is_over() || met.insert((scan.connection_id, scan.rank == Rank::Backfill))
    })
}

/// Leaves out what was followed by another scan of its connection: whatever went wrong, that one dealt with it.
async fn drop_what_was_followed(store: &dyn Store, scans: &mut Vec<Scan>) -> Result<()> {
    let mut last = BTreeSet::new();
    for connection in scans.iter().map(|scan| scan.connection_id).collect::<BTreeSet<_>>() {
        last.extend(store.last_scan(connection).await?.map(|scan| scan.id));
    }
    scans.retain(|scan| !scan.state.is_over() || scan.rank == Rank::Backfill || last.contains(&scan.id));
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Retry,
    Cancel,
    Purge,
}

/// What is done about a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Release,
    Open,
    Cancel,
    Purge,
    /// It is as it was wished for already.
    Leave(&'static str),
    Refuse(String),
}

/// `in_the_way` is why its connection may not be scanned.
fn plan(wish: Wish, scan: &Scan, in_the_way: Option<String>) -> Step {
    match (wish, scan.state) {
        (Wish::Cancel, state) if state.is_over() => Step::Refuse("it is over already".to_owned()),
        (Wish::Cancel, _) => Step::Cancel,
        (Wish::Purge, State::Quarantined) => Step::Purge,
        (Wish::Purge, _) => Step::Refuse("it is not quarantined".to_owned()),
        (Wish::Retry, State::Queued | State::Running) => Step::Leave("it is under way already"),
        (Wish::Retry, state) => match in_the_way {
            Some(why) => Step::Refuse(why),
            None if state.is_over() => Step::Open,
            None => Step::Release,
        },
    }
}

/// What came of it for one scan.
#[derive(Debug, Serialize)]
struct Done {
    scan: Uuid,
    connection: String,
    was: State,
    /// `released`, `opened`, `cancelled`, `purged`, `left` or `refused`
    did: &'static str,
    /// The scan that goes on in its place.
    new: Option<Uuid>,
    why: Option<String>,
}

async fn act(store: &dyn Store, wish: Wish, chosen: Vec<Scan>, how: How) -> Result<End> {
    let standing = Standing::load(store).await?;
    let mut done = vec![];
    for scan in &chosen {
        let step = plan(wish, scan, standing.in_the_way(scan.connection_id));
        let (did, new, why) = if how.dry_run { would(step) } else { take(store, scan, step).await? };
        done.push(Done {
            scan: scan.id,
            connection: scan.connection.clone(),
            was: scan.state,
            did,
            new,
            why,
        });
    }
    if how.json {
        format::json(&done)?;
    } else if done.is_empty() {
        format::print("No such scans. `twinflow scans` lists all of them.")?;
    } else {
        done.iter().try_for_each(|done| format::print(said(done, how.dry_run)))?;
    }
    Ok(if done.iter().any(|done| done.did == "refused") { End::Failed } else { End::Done })
}

type Came = (&'static str, Option<Uuid>, Option<String>);

fn would(step: Step) -> Came {
    match step {
        Step::Release => ("released", None, None),
        Step::Open => ("opened", None, None),
        Step::Cancel => ("cancelled", None, None),
        Step::Purge => ("purged", None, None),
        Step::Leave(why) => ("left", None, Some(why.to_owned())),
        Step::Refuse(why) => ("refused", None, Some(why)),
    }
}

async fn take(store: &dyn Store, scan: &Scan, step: Step) -> Result<Came> {
    let done = match step {
        Step::Release => store.release(scan.id).await?,
        Step::Cancel => store.cancel(scan.id).await?,
        Step::Purge => store.purge_scan(scan.id).await?,
        Step::Open => {
            let fresh = random_id(&mut rand::rng());
            let opened = match scan.since {
                None => store.open_scan(scan.connection_id, fresh).await?,
                Some(since) => {
                    let window = Backfill { since, upto: scan.upto };
                    store.open_backfill(scan.connection_id, fresh, window).await?
                }
            };
            let why = (opened != fresh).then(|| "its connection has one under way already".to_owned());
            return Ok((if opened == fresh { "opened" } else { "left" }, Some(opened), why));
        }
        Step::Leave(_) | Step::Refuse(_) => return Ok(would(step)),
    };
    let changed = || "it changed meanwhile; look again with `twinflow scans show`".to_owned();
    Ok(if done { would(step) } else { ("refused", None, Some(changed())) })
}

fn said(done: &Done, dry_run: bool) -> String {
    let would = if dry_run { "would be " } else { "" };
    let what = match (done.did, done.new) {
        ("released", _) => format!("{would}released, due at once"),
        ("opened", Some(new)) => format!("scan {} is queued in its place", format::short(new)),
        ("opened", None) => "a new scan would be queued".to_owned(),
        ("purged", _) => format!("{would}given up, ended as failed"),
        ("left", Some(new)) => format!("left as it is, scan {}", format::short(new)),
        ("left", None) => "left as it is".to_owned(),
        (did, _) => format!("{would}{did}"),
    };
    let why = done.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let was = done.was.word();
    format!("{} {} ({was}): {what}{why}", format::short(done.scan), done.connection)
}
