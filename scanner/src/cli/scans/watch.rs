//! `twinflow scans watch`: looks at scans again and again, and shows what changed. How long a scan
//! takes yet is said of a first one alone, and only where the tool tells how much there is to read.

use super::super::bars::Bars;
use super::super::{End, format, scan};
use super::list::{took, until};
use super::pick::{UNDER_WAY, by_id};
use super::show::{self, Shown};
use crate::clock::Clock;
use crate::store::{Doing, Scan, State, Store, StoreError, WantedScans};
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Ends when all of them are over, quarantined, or wait for a person, with the exit code that `twinflow scan` \
        would have ended with.\nCtrl-C ends the watching with 130; the scans go on."
)]
pub(super) struct Args {
    /// Which: scans by the first letters of their ids, or connections by name [default: all that are not over]
    which: Vec<String>,
    /// Go on when they are over, and follow what begins then
    #[arg(long)]
    forever: bool,
    /// How often to look, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Print one JSON document in a line for every change
    #[arg(long)]
    json: bool,
}

/// Scans under way that are followed at most.
const MOST: i64 = 1_000;

pub(super) async fn run(store: &dyn Store, clock: &Clock, args: &Args) -> Result<End> {
    let bars = if args.json { None } else { Bars::of_output() };
    let mut watched = Watched { store, args, bars, connections: vec![], scans: BTreeMap::new() };
    tokio::select! {
        biased;
        told = tokio::signal::ctrl_c() => told.map(|()| End::Interrupted).map_err(Into::into),
        ended = watched.follow(clock) => ended,
    }
}

struct Watched<'a> {
    store: &'a dyn Store,
    args: &'a Args,
    bars: Option<Bars>,
    /// Whose scans; all, where there are none.
    connections: Vec<Uuid>,
    /// As they were shown last.
    scans: BTreeMap<Uuid, Option<Shown>>,
}

/// How a scan stands at a moment.
#[derive(Serialize)]
struct Change<'a> {
    at: DateTime<Utc>,
    #[serde(flatten)]
    shown: &'a Shown,
}

impl Watched<'_> {
    async fn follow(&mut self, clock: &Clock) -> Result<End> {
        self.choose().await?;
        loop {
            self.look(clock.now()).await?;
            let known = || self.scans.values().flatten().map(|shown| &shown.scan);
            if !self.args.forever && known().all(has_settled) {
                if self.scans.is_empty() && !self.args.json {
                    format::print("Nothing is queued, runs or waits. `twinflow scans` lists what ran.")?;
                }
                return Ok(scan::end(&known().cloned().collect::<Vec<_>>()));
            }
            clock.sleep(Duration::from_secs(self.args.every)).await;
        }
    }

    /// What there is to be followed now.
    async fn choose(&mut self) -> Result<()> {
        for which in &self.args.which {
            let connection = match self.store.connection(which).await {
                Ok(connection) => connection,
                Err(StoreError::NoSuchConnection(_)) => {
                    self.scans.insert(by_id(self.store, which).await?.id, None);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.connections.push(connection.id);
            // Where nothing is under way, how the last one ended.
            self.scans.extend(self.store.last_scan(connection.id).await?.map(|last| (last.id, None)));
        }
        let under_way = self.under_way().await?;
        self.scans.extend(under_way.into_iter().map(|scan| (scan.id, None)));
        Ok(())
    }

    async fn under_way(&self) -> Result<Vec<Scan>> {
        if self.connections.is_empty() && !self.args.which.is_empty() {
            return Ok(vec![]);
        }
        let wanted = WantedScans { states: UNDER_WAY.to_vec(), ..WantedScans::newest(MOST) };
        let mut scans = self.store.scans(&wanted).await?;
        scans.retain(|scan| self.connections.is_empty() || self.connections.contains(&scan.connection_id));
        Ok(scans)
    }

    async fn look(&mut self, now: DateTime<Utc>) -> Result<()> {
        let mut under_way: BTreeMap<_, _> =
            self.under_way().await?.into_iter().map(|scan| (scan.id, scan)).collect();
        if self.args.forever {
            for id in under_way.keys() {
                self.scans.entry(*id).or_default();
            }
        }
        for id in self.scans.keys().copied().collect::<Vec<_>>() {
            let last = self.scans.get(&id).and_then(Option::as_ref);
            if last.is_some_and(|last| last.scan.state.is_over()) {
                continue;
            }
            let scan = match under_way.remove(&id) {
                Some(scan) => Some(scan),
                None => self.store.scan(id).await?,
            };
            // Its connection may have been deleted, with all it read.
            let Some(scan) = scan else {
                self.scans.remove(&id);
                continue;
            };
            let shown = Shown { streams: self.store.scanned(id).await?, scan };
            let changed = last != Some(&shown);
            self.show(&shown, changed, now)?;
            self.scans.insert(id, Some(shown));
        }
        Ok(())
    }

    fn show(&self, shown: &Shown, changed: bool, now: DateTime<Utc>) -> Result<()> {
        match &self.bars {
            Some(bars) => draw(bars, shown, now),
            None if !changed => {}
            None if self.args.json => format::json_line(&Change { at: now, shown })?,
            None => format::print(line(shown, now))?,
        }
        Ok(())
    }
}

/// Whether it does not go on by itself.
fn has_settled(scan: &Scan) -> bool {
    scan.state.is_over() || scan.state == State::Quarantined || scan.rests()
}

/// A bar for the scan, and one for each of its streams.
fn draw(bars: &Bars, shown: &Shown, now: DateTime<Utc>) {
    let scan = &shown.scan;
    let name = format!("{} {}", format::short(scan.id), scan.connection);
    bars.draw(&name, "", standing(scan, now), has_settled(scan));
    for part in &shown.streams {
        let counts = Counts {
            pages: part.pages,
            read: part.events_read,
            new: part.events_new,
            requests: part.requests,
            waited_ms: part.waited_ms,
        };
        let doing = part.doing.as_ref().map(|doing| show::now(doing, now)).unwrap_or_default();
        bars.draw(&name, &part.stream, format!("{counts}  {doing}"), scan.state != State::Running);
    }
}

/// All of it in a line.
fn line(shown: &Shown, now: DateTime<Utc>) -> String {
    let scan = &shown.scan;
    let counts = Counts {
        pages: scan.pages,
        read: scan.events_read,
        new: scan.events_new,
        requests: scan.requests,
        waited_ms: scan.waited_ms,
    };
    let mut line = format!(
        "{} {} {} {}, {counts}",
        format::moment(now),
        format::short(scan.id),
        scan.connection,
        standing(scan, now)
    );
    for part in &shown.streams {
        let speaks = |doing: &&Doing| doing.left.is_some() || doing.total.is_some() || doing.why.is_some();
        if let Some(doing) = part.doing.as_ref().filter(speaks) {
            line += &format!("; {}: {}", part.stream, show::now(doing, now));
        }
    }
    line
}

/// Its state, for how long it runs or ran, and what it waits for.
fn standing(scan: &Scan, now: DateTime<Utc>) -> String {
    let took = Some(took(scan, now)).filter(|took| !took.is_empty());
    let why = scan.reasons.first().filter(|_| scan.state != State::Running).cloned();
    let said = [Some(scan.state.word().to_owned()), took, until(scan, now), why];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

struct Counts {
    pages: i64,
    read: i64,
    new: i64,
    requests: i64,
    waited_ms: i64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pages, read, new, requests, waited_ms } = self;
        let pages = format::count(*pages, "page", "pages");
        let requests = format::count(*requests, "request", "requests");
        write!(f, "{pages}, {read} events ({new} new), {requests}, {} s waited", waited_ms / 1000)
    }
}
