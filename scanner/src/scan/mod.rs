//! One scan, in a straight line: due → claimed → opened → asked → read → kept → settled.
//!
//! A row of `scans` makes it due; [`Scanner::run`] claims it, opens the credential, follows every stream and
//! settles the row. `follow.rs` is the middle of it, `failure.rs` decides what a failure means, `egress` is the
//! only way out, `queue.rs` hands scans to workers.

mod access;
pub mod after;
pub mod bells;
pub mod egress;
pub mod failure;
mod follow;
mod masks;
pub mod queue;
pub mod schedule;
pub mod scheduler;
mod spans;
pub mod watch;
pub mod worker;

use crate::clock::Clock;
use crate::failpoint::failpoint;
use crate::keeper::UnderWay;
use crate::metrics;
use crate::store::{Claim, Claiming, Connection, ErrorClass, Outcome, State, Store, StoreError, Whom};
use access::Access;
use chrono::TimeDelta;
use egress::{Allowed, Bounds};
use follow::{End, Follower};
use futures::{FutureExt as _, StreamExt as _};
use masks::Masks;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::Instrument as _;
use twinflow_vault::Vault;
use uuid::Uuid;
use watch::{StopCord, Watch};

/// Everything a scan needs, handed in.
#[derive(Clone)]
pub struct Scanner {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub tenant: Uuid,
    pub allowed: Allowed,
    pub clock: Clock,
    pub watch: Arc<dyn Watch>,
    pub stop: StopCord,
    /// Who claims: unique per process.
    pub owner: String,
    /// Whether whoever claimed before is known to be dead.
    pub takeover: bool,
    pub bounds: Bounds,
    /// Streams of a connection followed at a time.
    pub streams_side_by_side: usize,
    /// The longest wait that is sat out before a scan is deferred.
    pub patience: Duration,
    /// How much of a tool's limit is left to others that use it, in percent.
    pub reserve: u8,
    /// How old the last census of a stream may be before another is taken.
    pub census_every: TimeDelta,
    /// How long a claim holds without a page; longer than any request may take.
    pub lease: Duration,
    /// Whether scans are taken up before they are due.
    pub anyway: bool,
    /// What holds where nobody waits for the scan to end.
    pub background: Option<Background>,
}

/// What holds for scans in the background.
#[derive(Clone, Copy, Debug)]
pub struct Background {
    /// Scans of one tenant at a time.
    pub per_tenant: i64,
    /// How often a scan may end its worker, without a page kept between, until it is quarantined.
    pub crashes: i64,
}

/// How soon a worker learns that its claim was taken from it.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// What a scan says that failed by a fault of ours.
const PANICKED: &str =
    "it failed by a fault of this program; the log says where, and a newer version may not";
/// How long it is tried to note how a scan ended while the database is away.
const AWAY_AT_MOST: Duration = Duration::from_secs(600);

/// A census a week, unless a person says otherwise.
pub const CENSUS_EVERY: TimeDelta = TimeDelta::days(7);

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Scanner {
    /// Runs a scan to its end. `None` when it is not ours to run: done already, or another worker's.
    pub async fn run(&self, scan: Uuid) -> Result<Option<Outcome>, StoreError> {
        match self.claim(scan).await? {
            Some(claim) => self.run_claimed(&claim).await,
            None => Ok(None),
        }
    }

    /// Takes the right to run a scan, if it is due and nobody else has it.
    pub(crate) async fn claim(&self, scan: Uuid) -> Result<Option<Claim>, StoreError> {
        let claim = self.store.claim(scan, &self.claiming()).await?;
        if let Some(claim) = &claim {
            tracing::info!(%scan, tenant = %self.tenant, epoch = claim.epoch, "claimed");
            failpoint!("claimed");
        }
        Ok(claim)
    }

    /// From the claim to the end. `None` when it went to another worker meanwhile, or was stopped by a person.
    pub(crate) async fn run_claimed(&self, claim: &Claim) -> Result<Option<Outcome>, StoreError> {
        let (_under_way, span, tool) = (metrics::under_way(), spans::scan(claim), OnceLock::new());
        let refreshes = UnderWay::default();
        let reading = self.read_while_ours(claim, &refreshes, &tool).instrument(span.clone());
        let read = AssertUnwindSafe(reading).catch_unwind().await;
        // The program may end after this, and what a refresh brings is not to be lost.
        refreshes.ended().await;
        let ended = match read {
            Ok(read) => self.settled(claim, read).await,
            Err(_) => self.panicked(claim).await,
        };
        let outcome = match ended {
            Err(StoreError::Fenced) => {
                tracing::warn!(scan = %claim.scan, tenant = %self.tenant, epoch = claim.epoch, "fenced");
                return Ok(None);
            }
            ended => ended?,
        };
        if let Some(outcome) = &outcome {
            span.record("state", outcome.state.word());
            if outcome.state.is_over() {
                metrics::scan_ended(outcome.state, tool.get().map_or("", String::as_str));
            }
            tracing::info!(scan = %claim.scan, tenant = %self.tenant, state = outcome.state.word(), "settled");
        }
        failpoint!("settled");
        Ok(outcome)
    }

    async fn settled(
        &self,
        claim: &Claim,
        read: Result<Option<Outcome>, StoreError>,
    ) -> Result<Option<Outcome>, StoreError> {
        let outcome = self.outcome(claim, read)?;
        failpoint!("read");
        self.while_away(|| self.settle(claim, &outcome)).await?;
        Ok(Some(outcome))
    }

    fn claiming(&self) -> Claiming<'_> {
        Claiming {
            takeover: self.takeover,
            anyway: self.anyway,
            per_tenant: self.background.map(|it| it.per_tenant),
            crashes: self.background.map(|it| it.crashes),
            ..Claiming::new(&self.owner, self.lease)
        }
    }

    async fn read_while_ours(
        &self,
        claim: &Claim,
        refreshes: &UnderWay,
        tool: &OnceLock<String>,
    ) -> Result<Option<Outcome>, StoreError> {
        tokio::select! {
            outcome = self.read(claim, refreshes, tool) => outcome,
            fenced = self.hold_on(claim) => fenced.map(|()| None),
        }
    }

    /// What is due is due by the database's clock, whatever this machine's says.
    async fn settle(&self, claim: &Claim, outcome: &Outcome) -> Result<(), StoreError> {
        let Some(until) = outcome.until else { return self.store.settle(claim, outcome).await };
        let ahead = self.clock.now() - self.store.now().await?;
        self.store.settle(claim, &Outcome { until: Some(until - ahead), ..outcome.clone() }).await
    }

    /// What reading came to, and what follows from it where nobody waits.
    fn outcome(
        &self,
        claim: &Claim,
        read: Result<Option<Outcome>, StoreError>,
    ) -> Result<Outcome, StoreError> {
        let outcome = match read {
            Ok(outcome) => outcome.ok_or(StoreError::Fenced)?,
            Err(StoreError::Fenced) => return Err(StoreError::Fenced),
            Err(error) => failed(ErrorClass::Database, error.to_string()),
        };
        Ok(match self.background {
            None => outcome,
            Some(_) => after::after(outcome, claim.tries, self.clock.now(), self.clock.chance()),
        })
    }

    /// A fault of ours, and one scan's alone.
    async fn panicked(&self, claim: &Claim) -> Result<Option<Outcome>, StoreError> {
        tracing::error!(scan = %claim.scan, tenant = %self.tenant, "panicked");
        let Some(background) = self.background else {
            let outcome = failed(ErrorClass::Crash, PANICKED.to_owned());
            self.while_away(|| self.settle(claim, &outcome)).await?;
            return Ok(Some(outcome));
        };
        let pause = after::pause(claim.crashes, self.clock.chance());
        self.while_away(|| self.store.crashed(claim, pause, Some(background.crashes))).await.map(|_| None)
    }

    /// Tries again while the database is away: what a scan came to is not to be lost.
    async fn while_away<T, F>(&self, note: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let patience = self.clock.now() + AWAY_AT_MOST;
        loop {
            match note().await {
                Err(StoreError::Busy(_)) if self.clock.now() < patience => {
                    self.clock.sleep(Duration::from_secs(1)).await;
                }
                noted => return noted,
            }
        }
    }

    /// Renews the claim through waits that are longer than a lease; ends only when it is lost.
    async fn hold_on(&self, claim: &Claim) -> Result<(), StoreError> {
        loop {
            tokio::time::sleep((claim.lease / 3).min(HEARTBEAT)).await;
            match self.store.renew(claim).await {
                Ok(()) | Err(StoreError::Busy(_)) => {}
                Err(StoreError::Fenced) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(
        &self,
        claim: &Claim,
        refreshes: &UnderWay,
        tool: &OnceLock<String>,
    ) -> Result<Option<Outcome>, StoreError> {
        let Some(connection) = self.store.connection_of(claim.connection).await? else {
            return Ok(None);
        };
        let tool = tool.get_or_init(|| connection.tool.clone());
        tracing::Span::current().record("tool", tool.as_str());
        let access = match Access::open(self, &connection, refreshes).await {
            Ok(access) => access,
            Err((class, why)) => return Ok(Some(failed(class, why))),
        };
        let masks = match self.masks(&connection).await? {
            Ok(masks) => masks,
            Err(why) => return Ok(Some(failed(ErrorClass::Settings, why))),
        };
        let streams = self.store.streams(connection.id).await?;
        let (mut ends, mut followers) = (vec![], vec![]);
        for followed in streams {
            match access.connector.stream(&followed.name) {
                Ok(stream) => {
                    let follower = Follower::new(self, &access, claim, &connection, &masks, stream);
                    followers.push((follower, followed));
                }
                Err(bad) => ends.push((followed.name, End::Failed(ErrorClass::Settings, bad.to_string()))),
            }
        }
        let reading = followers.into_iter().map(|(mut follower, followed)| async move {
            let end = follower.follow(&followed).instrument(spans::stream(tool)).await;
            (follower, followed, end)
        });
        let read = self.side_by_side(reading.collect()).await;
        // After all have been read: what was moved from one stream to another is known there by now.
        let counting = read.into_iter().map(|(mut follower, followed, end)| async move {
            let counts = end == End::Complete && claim.backfill.is_none();
            let end = if counts { follower.take_census(&followed).await } else { end };
            (followed.name, end)
        });
        ends.extend(self.side_by_side(counting.collect()).await);
        let outcome = settlement(ends);
        if self.background.is_some() && outcome.as_ref().is_some_and(is_locked_out) {
            self.pause(&connection, &access.sealed().await).await?;
        }
        Ok(outcome)
    }

    /// Lets a connection wait for a person whose credential its tool no longer takes: otherwise its schedule would ask
    /// again and again. Not so if it got another credential meanwhile.
    async fn pause(&self, connection: &Connection, sealed: &[u8]) -> Result<(), StoreError> {
        let why = format!(
            "its credential is no longer accepted; give it a new one with `twinflow renew {}`",
            connection.name
        );
        // What the keeper has said already is more exact.
        if self.while_away(|| self.store.connection(&connection.name)).await?.paused.is_none()
            && self.while_away(|| self.store.pause(connection.id, &self.owner, sealed, &why)).await?
        {
            tracing::warn!(connection = %connection.id, "paused");
        }
        Ok(())
    }

    async fn side_by_side<F: Future>(&self, streams: Vec<F>) -> Vec<F::Output> {
        futures::stream::iter(streams).buffer_unordered(self.streams_side_by_side).collect().await
    }

    /// What makes this connection's pseudonyms; without it nothing is read, for it would be kept as it came.
    async fn masks(&self, connection: &Connection) -> Result<Result<Masks, String>, StoreError> {
        if connection.pseudonymise == Whom::Nobody {
            return Ok(Ok(Masks::NONE));
        }
        let Some(sealed) = self.store.pseudonym_key().await? else {
            return Ok(Err(
                "the key of the pseudonyms is missing; restore the database from a backup".to_owned()
            ));
        };
        let pseudonyms = self.vault.pseudonyms(self.tenant, &sealed).map_err(|error| error.to_string());
        Ok(pseudonyms.map(|pseudonyms| Masks::of(connection, pseudonyms)))
    }
}

/// Whether nothing can be read until a person gives a new credential.
fn is_locked_out(outcome: &Outcome) -> bool {
    outcome.state == State::Failed && outcome.error == Some(ErrorClass::Credential)
}

fn failed(class: ErrorClass, why: String) -> Outcome {
    Outcome { state: State::Failed, reasons: vec![why], until: None, error: Some(class) }
}

/// What the streams' ends come to. Never complete when anything was lost; `None` when another worker goes on.
fn settlement(mut ends: Vec<(String, End)>) -> Option<Outcome> {
    ends.sort_by(|(a, _), (b, _)| a.cmp(b));
    let any = |test: fn(&End) -> bool| ends.iter().any(|(_, end)| test(end));
    if any(|end| *end == End::Yielded) {
        return None;
    }
    let lost = ends.iter().filter(|(_, end)| matches!(end, End::Failed(..) | End::Stopped(..))).count();
    if ends.is_empty() {
        return Some(failed(ErrorClass::Settings, "the connection follows nothing".to_owned()));
    }
    let state = if any(|end| matches!(end, End::Stopped(..))) || (lost > 0 && lost == ends.len()) {
        State::Failed
    } else if any(|end| *end == End::Interrupted) {
        State::Queued
    } else if any(|end| matches!(end, End::Deferred { .. })) {
        State::Deferred
    } else if lost > 0 || any(|end| matches!(end, End::Partial(_))) {
        State::Partial
    } else if any(|end| *end == End::SuspiciousEmpty) {
        State::SuspiciousEmpty
    } else {
        State::Complete
    };
    let until = ends.iter().filter_map(|(_, end)| match end {
        End::Deferred { until, .. } => Some(*until),
        _ => None,
    });
    let until = until.max().filter(|_| state == State::Deferred);
    let why = |(name, end): &(String, End)| {
        let why = end.why();
        (!why.is_empty()).then(|| format!("{name}: {why}"))
    };
    let reasons = ends.iter().filter_map(why).collect();
    Some(Outcome { state, reasons, until, error: class_of(state, &ends) })
}

/// The kind of what is worst, of what led to this state.
fn class_of(state: State, ends: &[(String, End)]) -> Option<ErrorClass> {
    let led_here = |end: &End| match state {
        State::Failed => matches!(end, End::Failed(..) | End::Stopped(..)),
        State::Complete | State::Queued => false,
        _ => true,
    };
    let stopped = ends.iter().find(|(_, end)| matches!(end, End::Stopped(..)));
    let worst = || ends.iter().filter(|(_, end)| led_here(end)).filter_map(|(_, end)| end.class()).min();
    match stopped {
        Some((_, end)) if state == State::Failed => end.class(),
        _ => worst(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};

    fn settled(ends: &[End]) -> Option<State> {
        let named = ends.iter().enumerate().map(|(n, end)| (format!("s{n}"), end.clone())).collect();
        settlement(named).map(|outcome| outcome.state)
    }

    #[test]
    fn nothing_lost_is_the_only_way_to_complete() {
        let lost = [
            End::Partial(vec!["x".into()]),
            End::SuspiciousEmpty,
            End::Deferred { until: DateTime::UNIX_EPOCH, why: "x".into() },
            End::Failed(ErrorClass::Unavailable, "x".into()),
            End::Stopped(ErrorClass::Credential, "x".into()),
            End::Interrupted,
            End::Yielded,
        ];
        for end in lost {
            assert_ne!(settled(&[End::Complete, end.clone()]), Some(State::Complete), "{end:?}");
        }
        assert_eq!(settled(&[End::Complete, End::Complete]), Some(State::Complete));
    }

    #[test]
    fn one_lost_stream_of_two_is_partial_and_both_is_failed() {
        let failed = End::Failed(ErrorClass::Permission, "gone".into());
        assert_eq!(settled(&[End::Complete, failed.clone()]), Some(State::Partial));
        assert_eq!(settled(&[failed.clone(), failed]), Some(State::Failed));
    }

    #[test]
    fn a_deferred_scan_says_until_the_latest_of_its_streams() {
        let at = |hours| DateTime::UNIX_EPOCH + TimeDelta::hours(hours);
        let ends =
            [3, 5, 4].map(|hours| (hours.to_string(), End::Deferred { until: at(hours), why: "x".into() }));
        let outcome = settlement(ends.to_vec());
        assert_eq!(outcome.and_then(|outcome| outcome.until), Some(at(5)));
    }
}
