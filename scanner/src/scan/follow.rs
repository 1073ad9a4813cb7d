//! One stream from where it was left to its end: asked → read → kept, page by page. All control flow of a scan
//! is here: retries, waits, checkpoints, stopping. Nothing per tool is.

mod backfill;
mod census;
mod pace;

use super::Scanner;
use super::access::Access;
use super::failure::{Circumstances, Failure, Verdict};
use super::masks::Masks;
use super::spans;
use super::watch::{Doing, Progress};
use crate::failpoint::failpoint;
use crate::metrics;
use crate::store::{self, Asked, Claim, Connection, ErrorClass, FollowedStream, Kept, Left, StoreError};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use pace::Pace;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{Instrument as _, Span};
use twinflow_connectors::{
    Answer, Connector, Cursor, Kind, Named, Opaque, Operation, Page, Refusal, Stream, Sweep, Wait,
};

/// How a stream ended in this scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// Read to its end, but something in it could not be.
    Partial(Vec<String>),
    /// It had cases, and now shows none.
    SuspiciousEmpty,
    Deferred {
        until: DateTime<Utc>,
        why: String,
    },
    /// This stream cannot be read; others may.
    Failed(ErrorClass, String),
    /// Nothing of the connection can be read.
    Stopped(ErrorClass, String),
    /// Told to stop; goes on from the page it kept.
    Interrupted,
    /// Another worker has the scan.
    Yielded,
}

/// Pages in a row that bring nothing to keep before a tool is taken to be going in circles. Some have long stretches of
/// what is not followed.
const EMPTY_PAGES: u32 = 1_000;

/// A wait that is shorter is over before anybody could read of it.
const WORTH_A_NOTE: Duration = Duration::from_secs(1);
/// Halved so often, every page holds one case.
const SMALLEST: u8 = 63;
/// Rounds after which a stream that still has something to ask about, and has shown no case, counts as empty.
const GLANCES: u32 = 8;

pub(super) struct Follower<'a> {
    scanner: &'a Scanner,
    connector: &'static dyn Connector,
    access: &'a Access<'a>,
    claim: &'a Claim,
    connection: &'a Connection,
    stream: Stream,
    /// Of the last sweep that was done.
    mark: Option<DateTime<Utc>>,
    bookmark: Option<String>,
    progress: Progress,
    /// Of the page that is being got; what was got already has been counted with it.
    cost: Mutex<Cost>,
    /// When the tool's limit starts anew, if only the reserve is left of it.
    low: Mutex<Option<Wait>>,
    /// What is left of the tool's limit, as its last answer said.
    left: Mutex<Option<Left>>,
    pace: Pace,
    seen: Seen,
    masks: &'a Masks,
    written: HashMap<(Kind, Opaque), Named>,
    /// Whether what is read is a census.
    counting: bool,
}

/// The answers of a round that have come, by the place of their questions.
type Answers = BTreeMap<usize, Answer>;

/// A page that was read, and what it took.
struct Turn {
    page: Page,
    cost: Cost,
    asked_at: DateTime<Utc>,
    span: Span,
}

#[derive(Clone, Default)]
struct Cost {
    asked: Asked,
    waited: Duration,
}

impl Cost {
    fn add(&mut self, more: Self) {
        for (operation, amount) in more.asked {
            let sum = self.asked.entry(operation).or_default();
            sum.requests += amount.requests;
            sum.bytes += amount.bytes;
        }
        self.waited += more.waited;
    }
}

impl<'a> Follower<'a> {
    pub(super) fn new(
        scanner: &'a Scanner,
        access: &'a Access<'a>,
        claim: &'a Claim,
        connection: &'a Connection,
        masks: &'a Masks,
        stream: Stream,
    ) -> Self {
        Self {
            scanner,
            connector: access.connector,
            access,
            claim,
            connection,
            stream,
            mark: None,
            bookmark: None,
            progress: Progress::default(),
            cost: Mutex::default(),
            low: Mutex::default(),
            left: Mutex::default(),
            pace: Pace::default(),
            seen: Seen::default(),
            masks,
            written: HashMap::new(),
            counting: false,
        }
    }

    /// Reads the stream to its end, or to what stops it.
    pub(super) async fn follow(&mut self, followed: &FollowedStream) -> End {
        let read = match self.claim.backfill {
            None => self.read_on(followed.cursor.clone(), followed.cases).await,
            Some(window) => self.read_again(window).await,
        };
        let end = match read {
            Ok(end) | Err(end) => end,
        };
        self.ended(end).await
    }

    /// Notes what was spent on a page that was not got, and shows how it ended.
    async fn ended(&mut self, mut end: End) -> End {
        let Cost { asked, waited } = std::mem::take(&mut *self.cost());
        let requests: u64 = asked.values().map(|amount| amount.requests).sum();
        self.progress.requests += requests;
        if requests > 0 && end != End::Yielded {
            let spent = self.scanner.store.spend(self.claim, &self.stream.name, &asked, waited).await;
            if let Err(error) = spent {
                end = self.end_of(&Failure::Store(error), u32::MAX, 0);
            }
        }
        if end != End::Yielded {
            let why = Some(end.why()).filter(|why| !why.is_empty());
            self.note(&store::Doing { why, ..self.doing(end.word()) }).await;
        }
        self.progress.now = Doing::Ended { word: end.word(), why: end.why() };
        let (Progress { pages, cases, events, requests, .. }, span) = (&self.progress, Span::current());
        span.record("state", end.word()).record("pages", pages).record("requests", requests);
        span.record("cases", cases).record("events", events);
        self.show();
        end
    }

    /// The loop. The next page is fetched while this one is stored.
    async fn read_on(&mut self, mut cursor: Cursor, cases: i64) -> Result<End, End> {
        self.mark = cursor.mark;
        self.bookmark.clone_from(&cursor.bookmark);
        self.pace = Pace::since(self.scanner.clock.now());
        let sweep = self.connector.begin(&self.stream, &cursor, self.scanner.clock.now());
        let mut turn = self.turn_unless_stopped(sweep).await?;
        loop {
            self.pace.read(&turn.page);
            let next = self.bounded(turn.page.next.clone());
            cursor = cursor.after(next.clone());
            let names = self.unwritten(&turn.page.names);
            let (kept, fetched) = {
                let this = &*self;
                tokio::join!(this.keep(&cursor, &turn, &names), this.turn_unless_done(&next))
            };
            self.kept(kept?, &turn, names);
            match fetched? {
                Some(following) => turn = following,
                None if next.cases == 0 && cases > 0 && self.shows_nothing().await? => {
                    return Ok(End::SuspiciousEmpty);
                }
                None => return self.whole_or_partial().await,
            }
            self.seen.notice(&turn.page).map_err(|failure| self.end_of(&failure, 1, 0))?;
        }
    }

    /// Whether a stream that had cases shows none at all: nothing changed is one thing, nothing there another. A first
    /// sweep is begun with the smallest pages, until it shows a case, and nothing of it is kept.
    async fn shows_nothing(&self) -> Result<bool, End> {
        let mut sweep = self.connector.begin(&self.stream, &Cursor::default(), self.scanner.clock.now());
        sweep.halved = SMALLEST;
        for _ in 0..GLANCES {
            let Turn { page, cost, .. } = self.turn_unless_stopped(sweep).await?;
            self.cost().add(cost);
            // One that had to start over is no first sweep any more.
            if !page.cases.is_empty() || !page.events.is_empty() || page.next.halved < SMALLEST {
                return Ok(false);
            }
            if page.next.is_done() {
                break;
            }
            sweep = page.next;
        }
        Ok(true)
    }

    /// Read to its end; complete if nothing was skipped, in this run of the scan or one before it was cut short.
    async fn whole_or_partial(&self) -> Result<End, End> {
        let skipped = self.scanner.store.skipped(self.claim.scan, &self.stream.name).await;
        let skipped = skipped.map_err(|error| self.end_of(&Failure::Store(error), 1, 0))?;
        Ok(if skipped.is_empty() { End::Complete } else { End::Partial(reasons(&skipped)) })
    }

    async fn turn_unless_done(&self, sweep: &Sweep) -> Result<Option<Turn>, End> {
        if sweep.is_done() {
            return Ok(None);
        }
        self.turn_unless_stopped(sweep.clone()).await.map(Some)
    }

    /// A page on its way is let go when the cord is pulled: nothing of it is kept yet, and it is asked for again.
    async fn turn_unless_stopped(&self, sweep: Sweep) -> Result<Turn, End> {
        let span = spans::page(self.tool());
        tokio::select! {
            biased;
            () = self.scanner.stop.pulled() => Err(End::Interrupted),
            turn = self.turn(sweep).instrument(span) => turn,
        }
    }

    /// Asks until the page is read, or until the verdict says to leave it.
    async fn turn(&self, mut sweep: Sweep) -> Result<Turn, End> {
        let (asked_at, span) = (self.scanner.clock.now(), Span::current());
        let (mut tries, mut fewest) = (0, 1);
        let mut renewed = false;
        let mut answers = Answers::new();
        loop {
            let held = self.still(&sweep);
            if held.began != sweep.began {
                sweep = held;
                answers.clear();
            }
            let (answered, renewals) = (answers.len(), self.access.renewals());
            let mut failure = match self.round(&sweep, &mut answers).await {
                Ok(page) => {
                    let cost = std::mem::take(&mut *self.cost());
                    return Ok(Turn { page, cost, asked_at, span });
                }
                Err(failure) => failure,
            };
            // A round that got some answers more has not failed again, only not finished.
            let no_further = u32::from(answers.len() <= answered);
            tries = fewest.max(tries + no_further);
            let mut at = self.circumstances(tries, sweep.halved);
            at.renewable = !renewed && self.access.is_renewable();
            if failure.verdict(at) == Verdict::Renew {
                match self.access.renew(renewals).await {
                    Ok(()) => {
                        renewed = true;
                        continue;
                    }
                    Err(not_renewed) => failure = not_renewed,
                }
            }
            let pause = match failure.verdict(at) {
                Verdict::Again { after, why } => Some((after, why)),
                Verdict::Smaller { after, why } => {
                    sweep.halve();
                    answers.clear();
                    Some((after, why))
                }
                Verdict::StartOver { .. } => {
                    sweep = self.started_over(&sweep);
                    answers.clear();
                    // Once is enough: whatever comes now is not the first failure.
                    fewest = 2;
                    None
                }
                ending => return Err(End::of(&failure, ending)),
            };
            if let Some((after, why)) = pause {
                self.wait(after, why).await;
                self.cost().waited += after;
                metrics::waited(self.tool(), after);
            }
        }
    }

    /// One round: ask side by side what has no answer yet, see whether the tool refused, read.
    async fn round(&self, sweep: &Sweep, answers: &mut Answers) -> Result<Page, Failure> {
        if let Some(resets) = self.low().take() {
            return Err(Failure::Reserve(resets));
        }
        let asked = self.connector.ask(&self.stream, sweep)?;
        let open: Vec<_> = asked.iter().enumerate().filter(|(nth, _)| !answers.contains_key(nth)).collect();
        open.iter().for_each(|(_, request)| self.count(request.operation(), 1, 0));
        let send = async |(nth, request)| (nth, self.access.egress.send(request).await);
        let mut failed = None;
        for (nth, answer) in join_all(open.into_iter().map(send)).await {
            if let (Ok(answer), Some(request)) = (&answer, asked.get(nth)) {
                self.count(request.operation(), 0, answer.bytes());
            }
            match answer.map(|answer| (self.connector.refusal(&answer), answer)) {
                Ok((None, answer)) => {
                    self.mind_the_reserve(&answer);
                    answers.insert(nth, answer);
                }
                Ok((Some(refusal), _)) => {
                    if matches!(refusal, Refusal::SlowDown(_)) {
                        metrics::slow_down(self.tool());
                    }
                    failed = Some(Failure::Refused(refusal));
                }
                Err(error) => failed = failed.or(Some(Failure::Unsent(error))),
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        // If they cannot be read they are all asked for again: which one it is, the reader does not say.
        let answers: Vec<_> = std::mem::take(answers).into_values().collect();
        let mut page = self.connector.read(&self.stream, sweep, &answers)?;
        self.masks.put_on(&mut page);
        Ok(page)
    }

    /// Notes when an answer shows that what is left of the tool's limit is the part meant for others.
    fn mind_the_reserve(&self, answer: &Answer) {
        let Some(left) = self.connector.allowance(answer) else { return };
        *self.left() = Some(Left { remaining: left.remaining, limit: left.limit });
        let reserve = left.limit.saturating_mul(self.scanner.reserve.into()) / 100;
        if left.remaining < reserve {
            *self.low() = Some(left.resets);
        }
    }

    fn left(&self) -> MutexGuard<'_, Option<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn low(&self) -> MutexGuard<'_, Option<Wait>> {
        self.low.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, cursor: &Cursor, turn: &Turn, names: &[Named]) -> Result<u64, End> {
        failpoint!("answered");
        let page = &turn.page;
        let kept = Kept {
            stream: &self.stream.name,
            cursor,
            read_at: self.scanner.clock.now(),
            cases: &page.cases,
            events: &page.events,
            revised: &page.revised,
            withdrawn: &page.withdrawn,
            names,
            asked: &turn.cost.asked,
            waited: turn.cost.waited,
            skipped: &page.next.skipped,
            doing: &store::Doing { ends: self.pace.ends(self.scanner.clock.now()), ..self.doing("reading") },
        };
        let new = self.stored(|| self.scanner.store.keep(self.claim, &kept)).await?;
        failpoint!("kept");
        Ok(new)
    }

    /// Tries again while the database is busy.
    async fn stored<T, F>(&self, store: impl Fn() -> F) -> Result<T, End>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut tries = 0;
        loop {
            let failure = match store().await {
                Ok(done) => return Ok(done),
                Err(error) => Failure::Store(error),
            };
            tries += 1;
            match failure.verdict(self.circumstances(tries, 0)) {
                Verdict::Again { after, why } => self.wait(after, why).await,
                ending => return Err(End::of(&failure, ending)),
            }
        }
    }

    fn kept(&mut self, new: u64, turn: &Turn, names: Vec<Named>) {
        self.written.extend(names.into_iter().map(|named| ((named.kind, named.id.clone()), named)));
        self.progress.cases += turn.page.cases.len() as u64;
        self.progress.events += (turn.page.events.len() + turn.page.revised.len()) as u64;
        self.progress.new += new;
        self.progress.pages += 1;
        let requests = turn.cost.asked.values().map(|amount| amount.requests).sum::<u64>();
        self.progress.requests += requests;
        let (cases, events) = (turn.page.cases.len(), turn.page.events.len());
        turn.span.record("cases", cases).record("events", events).record("requests", requests);
        let took = self.scanner.clock.now() - turn.asked_at;
        metrics::page_kept(self.tool(), took.to_std().unwrap_or_default());
        self.show();
    }

    fn tool(&self) -> &'static str {
        self.connector.contract().tool
    }

    /// The names this scan has not written yet; most pages bring the same few.
    fn unwritten(&self, names: &[Named]) -> Vec<Named> {
        let written = |named: &&Named| self.written.get(&(named.kind, named.id.clone())) != Some(*named);
        names.iter().filter(written).cloned().collect()
    }

    /// The sweep itself, or a fresh one if it has waited too long.
    fn still(&self, sweep: &Sweep) -> Sweep {
        if self.counting {
            return sweep.clone();
        }
        let cursor = Cursor { mark: self.mark, bookmark: self.bookmark.clone(), sweep: Some(sweep.clone()) };
        self.connector.begin(&self.stream, &cursor, self.scanner.clock.now())
    }

    /// A fresh sweep from what this one had reached.
    fn started_over(&self, sweep: &Sweep) -> Sweep {
        if self.counting {
            return self.fresh_census().unwrap_or_else(|| sweep.clone());
        }
        // A list may have been read to its end before another had come far: what changed since is still to be read.
        let mark = self.mark.max(sweep.reached.map(|reached| reached.min(sweep.began)));
        let from = Cursor { mark, bookmark: self.bookmark.clone(), sweep: None };
        self.connector.begin(&self.stream, &from, self.scanner.clock.now()).in_place_of(sweep)
    }

    async fn wait(&self, wait: Duration, why: String) {
        let until = self.scanner.clock.now() + wait;
        if wait >= WORTH_A_NOTE {
            let doing = store::Doing { why: Some(why.clone()), until: Some(until), ..self.doing("waiting") };
            self.note(&doing).await;
        }
        let waiting = Progress { now: Doing::Waiting { until, why }, ..self.progress.clone() };
        self.scanner.watch.progress(&self.connection.name, &self.stream.name, &waiting);
        self.scanner.clock.sleep(wait).await;
    }

    fn doing(&self, now: &str) -> store::Doing {
        let (seen, total) = self.pace.far().unzip();
        store::Doing { now: now.to_owned(), left: *self.left(), seen, total, ..store::Doing::default() }
    }

    /// For who looks on from elsewhere; nothing depends on it.
    async fn note(&self, doing: &store::Doing) {
        let _ = self.scanner.store.note(self.claim, &self.stream.name, doing).await;
    }

    fn count(&self, operation: &Operation, requests: u64, bytes: usize) {
        let mut cost = self.cost();
        let amount = cost.asked.entry(operation.name.to_owned()).or_default();
        amount.requests += requests;
        amount.bytes += bytes as u64;
    }

    fn cost(&self) -> MutexGuard<'_, Cost> {
        self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn circumstances(&self, tries: u32, halved: u8) -> Circumstances {
        let clock = &self.scanner.clock;
        Circumstances {
            tries,
            now: clock.now(),
            patience: self.scanner.patience,
            jitter: clock.chance(),
            halved,
            renewable: false,
        }
    }

    fn end_of(&self, failure: &Failure, tries: u32, halved: u8) -> End {
        End::of(failure, failure.verdict(self.circumstances(tries, halved)))
    }

    fn show(&self) {
        self.scanner.watch.progress(&self.connection.name, &self.stream.name, &self.progress);
    }
}

impl End {
    /// Where a failure with this verdict leads, if not on.
    fn of(failure: &Failure, verdict: Verdict) -> Self {
        let class = failure.class();
        match verdict {
            Verdict::Defer { until, why } => Self::Deferred { until, why },
            Verdict::GiveUp { why }
            | Verdict::Again { why, .. }
            | Verdict::Smaller { why, .. }
            | Verdict::StartOver { why } => Self::Failed(class, why),
            Verdict::Stop { why } => Self::Stopped(class, why),
            // Decided before it could be an end.
            Verdict::Renew => Self::Stopped(class, "the tool does not accept the credential".into()),
            Verdict::Yield => Self::Yielded,
        }
    }

    /// The kind of what went wrong.
    pub(super) fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Complete | Self::Interrupted | Self::Yielded => None,
            Self::Partial(_) => Some(ErrorClass::Incomplete),
            Self::SuspiciousEmpty => Some(ErrorClass::Empty),
            Self::Deferred { .. } => Some(ErrorClass::Quota),
            Self::Failed(class, _) | Self::Stopped(class, _) => Some(*class),
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial(_) => "partial",
            Self::SuspiciousEmpty => "suspicious_empty",
            Self::Deferred { .. } => "deferred",
            Self::Failed(..) | Self::Stopped(..) => "failed",
            Self::Interrupted => "interrupted",
            Self::Yielded => "taken over",
        }
    }

    pub(super) fn why(&self) -> String {
        match self {
            Self::Complete | Self::Yielded => String::new(),
            Self::Partial(reasons) => reasons.join("; "),
            Self::SuspiciousEmpty => {
                "it had cases before and now shows none; check what the credential may still see".into()
            }
            Self::Deferred { why, .. } | Self::Failed(_, why) | Self::Stopped(_, why) => why.clone(),
            Self::Interrupted => "stopped; the next scan goes on from here".into(),
        }
    }
}

fn reasons(skipped: &BTreeMap<String, u64>) -> Vec<String> {
    let reason = |(why, times): (&String, &u64)| match times {
        1 => why.clone(),
        _ => format!("{why} ({times} times)"),
    };
    skipped.iter().map(reason).collect()
}

/// What a sweep has met, so that a tool that goes in circles is noticed.
#[derive(Default)]
struct Seen {
    sweep: Option<DateTime<Utc>>,
    places: HashSet<u64>,
    pages: HashSet<u64>,
    empty: u32,
}

impl Seen {
    fn notice(&mut self, page: &Page) -> Result<(), Failure> {
        // A sweep that started over meets the overlap again.
        if self.sweep.replace(page.next.began) != Some(page.next.began) {
            *self = Self { sweep: self.sweep, ..Self::default() };
        }
        let place = digest(|hash| {
            page.next
                .windows
                .iter()
                .for_each(|window| (&window.since, window.is_done(), window.after()).hash(hash));
            page.next.carried.hash(hash);
            page.next.pending.iter().for_each(|left| (&left.cases, &left.page).hash(hash));
        });
        if !page.next.is_done() && !self.places.insert(place) {
            return Err(Failure::Loop);
        }
        let has_events = !page.events.is_empty() || !page.revised.is_empty();
        if page.cases.is_empty() && page.present.is_empty() && !has_events {
            self.empty += u32::from(page.names.is_empty());
            return if self.empty > EMPTY_PAGES { Err(Failure::Loop) } else { Ok(()) };
        }
        self.empty = 0;
        let content = digest(|hash| {
            page.cases.iter().for_each(|case| (&case.id, case.updated_at).hash(hash));
            let events = page.events.iter().chain(&page.revised);
            events.for_each(|event| (&event.source, &event.from, &event.to).hash(hash));
            page.present.hash(hash);
        });
        if self.pages.insert(content) { Ok(()) } else { Err(Failure::Loop) }
    }
}

fn digest(feed: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hash = DefaultHasher::new();
    feed(&mut hash);
    hash.finish()
}
