//! `twinflow connections`: what there is to scan, when it is, and how that is changed.

mod list;
mod schedule;

use super::{End, format};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::{Connection, Planned, Scan, State, Store};
use anyhow::{Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

// The list's arguments, flattened in, would be a group of the same name.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: list::Args,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// List the connections, what they follow and when they are scanned; the same as no word at all
    List(list::Args),
    /// Scan these connections no more, until they are resumed; what runs stops after what it kept
    Pause(Which),
    /// Scan paused connections again: their scans go on, and their schedules are due at once
    Resume(Which),
    /// Show when a connection is scanned, or choose it
    Schedule(schedule::Args),
}

#[derive(clap::Args, Debug)]
struct Which {
    /// Which connections, by name
    #[arg(required = true)]
    connections: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let clock = Clock::system();
    let store = settings.open_store(clock.clone()).await?;
    match &args.action {
        None => list::run(&*store, &args.list).await,
        Some(Action::List(args)) => list::run(&*store, args).await,
        Some(Action::Pause(which)) => rest(&*store, which).await,
        Some(Action::Resume(which)) => wake(&*store, which).await,
        Some(Action::Schedule(args)) => schedule::run(&*store, clock.now(), args).await,
    }
}

/// What became of a connection.
#[derive(Serialize)]
struct Changed<'a> {
    connection: &'a str,
    paused: bool,
    /// Whether it was not so before.
    changed: bool,
}

async fn rest(store: &dyn Store, which: &Which) -> Result<End> {
    let mut done = vec![];
    for connection in chosen(store, which).await? {
        done.push((connection.name, store.rest(connection.id).await?));
    }
    say(which, &done, true, |name, changed| match changed {
        true => format!("{name} is paused; `twinflow connections resume {name}` lets it go on."),
        false => format!("{name} was paused already."),
    })
}

async fn wake(store: &dyn Store, which: &Which) -> Result<End> {
    let (mut done, mut waits) = (vec![], BTreeMap::new());
    for connection in chosen(store, which).await? {
        let changed = store.wake(connection.id).await?;
        let why = match &connection.paused {
            Some(why) => Some(format!("waits for a person: {why}")),
            None => store.last_scan(connection.id).await?.and_then(|scan| holds_up(&scan)),
        };
        waits.extend(why.map(|why| (connection.name.clone(), why)));
        done.push((connection.name, changed));
    }
    say(which, &done, false, |name, changed| match (changed, waits.get(name)) {
        (true, Some(why)) => format!("{name} is resumed, but {why}"),
        (true, None) => format!("{name} is resumed, and due at once."),
        (false, _) => format!("{name} was not paused."),
    })
}

/// What keeps a connection from being scanned at once.
fn holds_up(scan: &Scan) -> Option<String> {
    match (scan.state, scan.until) {
        (State::Quarantined, _) => {
            Some("its last scan is quarantined; see `twinflow scans quarantined`".to_owned())
        }
        (State::Waiting, Some(until)) => {
            Some(format!("its scan waits until {}; `twinflow scans retry` does not", format::moment(until)))
        }
        _ => None,
    }
}

fn say(
    which: &Which,
    done: &[(String, bool)],
    paused: bool,
    sentence: impl Fn(&str, bool) -> String,
) -> Result<End> {
    if which.json {
        let changed = |(connection, changed): &'_ (String, bool)| (connection.clone(), *changed);
        let done: Vec<_> = done.iter().map(changed).collect();
        let shown =
            done.iter().map(|(connection, changed)| Changed { connection, paused, changed: *changed });
        format::json(&shown.collect::<Vec<_>>())?;
    } else {
        done.iter().try_for_each(|(name, changed)| format::print(sentence(name, *changed)))?;
    }
    Ok(End::Done)
}

/// All of them are there, before anything is done to one.
async fn chosen(store: &dyn Store, which: &Which) -> Result<Vec<Connection>> {
    let mut chosen = vec![];
    for name in &which.connections {
        let connection = store.connection(name).await?;
        if connection.disconnected_at.is_some() {
            bail!(disconnected(&connection));
        }
        chosen.push(connection);
    }
    Ok(chosen)
}

fn disconnected(connection: &Connection) -> String {
    let Connection { name, tool, .. } = connection;
    format!("{name:?} is disconnected; connect it again with `twinflow connect {tool}`")
}

/// How the connections stand: which of them may be scanned.
pub(super) struct Standing(BTreeMap<Uuid, (Connection, Option<Planned>)>);

impl Standing {
    pub(super) async fn load(store: &dyn Store) -> Result<Self> {
        let mut planned: BTreeMap<_, _> =
            store.planned().await?.into_iter().map(|planned| (planned.connection_id, planned)).collect();
        let connections = store.connections().await?.into_iter();
        Ok(Self(connections.map(|it| (it.id, (it.clone(), planned.remove(&it.id)))).collect()))
    }

    /// Why a connection is not to be scanned at all, in a sentence.
    pub(super) fn refusal(&self, connection: Uuid) -> Option<String> {
        let (connection, planned) = self.0.get(&connection)?;
        let name = &connection.name;
        if connection.disconnected_at.is_some() {
            return Some(disconnected(connection));
        }
        let rests = planned.as_ref().is_some_and(|planned| planned.paused_at.is_some());
        rests.then(|| format!("{name:?} is paused; `twinflow connections resume {name}` lets it go on"))
    }

    /// The same, or what a person has to do first.
    pub(super) fn in_the_way(&self, connection: Uuid) -> Option<String> {
        let waits = || {
            let (connection, _) = self.0.get(&connection)?;
            let why = connection.paused.as_ref()?;
            Some(format!("{:?} waits for a person: {why}", connection.name))
        };
        self.refusal(connection).or_else(waits)
    }
}
