//! One case's history, read from its events.
//!
//! Logs have gaps, and clocks differ between a tool's servers. So time only ever moves forward here: what claims
//! to have happened before the step ahead of it took no time.

use crate::store::{KnownCase, LoggedEvent, Names};
use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::time::Duration;
use twinflow_connectors::{Activity, Stage};

#[derive(Debug)]
pub(super) struct Story<'a> {
    /// Statuses it left, and how long it was there; for a done case, up to when it became done.
    pub(super) visits: Vec<(&'a str, Duration)>,
    /// Where an open case is that is not gone, and since when.
    pub(super) running: Option<(&'a str, DateTime<Utc>)>,
    pub(super) done: bool,
    /// From created to done; unknown when the log does not say when that was.
    pub(super) cycle: Option<Duration>,
    pub(super) ever_done: bool,
    pub(super) reopened: bool,
    /// Hand-overs.
    pub(super) passed: usize,
    pub(super) first_assigned: Option<Duration>,
    /// A status change is missing: the next one leaves another status, or the case stands in another one.
    pub(super) gap: bool,
}

impl<'a> Story<'a> {
    pub(super) fn read(case: &'a KnownCase, events: &'a [LoggedEvent], names: &Names) -> Self {
        let path = Path::walk(case, events, names);
        let holders = Holders::of(case, events);
        // The case as it was read last is right about where it stands, the log about how it came there.
        let differs = case.status.is_some() && case.status.as_deref() != path.status;
        let done = case.status.as_deref().map_or(path.done.is_some(), |status| is_done(names, status));
        let agrees = !differs || (done && path.done.is_some());
        let became_done = path.done.filter(|_| done);
        let mut visits = path.visits;
        visits.truncate(became_done.as_ref().map_or(usize::MAX, |it| it.visits));
        Self {
            visits,
            running: path
                .status
                .filter(|_| agrees && !done && case.gone_at.is_none())
                .map(|status| (status, path.since)),
            done,
            cycle: became_done.and_then(|it| it.at).map(|at| between(case.created_at, at)),
            ever_done: path.ever_done || done,
            reopened: path.reopened,
            passed: holders.passed,
            first_assigned: holders.first.map(|at| between(case.created_at, at)),
            gap: path.gap || !agrees,
        }
    }
}

/// Whether the case stands elsewhere afterwards. Mail has no statuses: who wrote last says who is waited for.
fn moves_status(event: &LoggedEvent) -> bool {
    use Activity::{Archived, Received, Replied, Sent, StatusChanged, Unarchived};
    let mail = [Received, Sent, Replied, Archived, Unarchived].iter().any(|it| event.activity == it.word());
    event.activity == StatusChanged.word() || (mail && event.to.is_some())
}

/// A walk through the statuses.
#[derive(Debug)]
struct Path<'a> {
    status: Option<&'a str>,
    since: DateTime<Utc>,
    visits: Vec<(&'a str, Duration)>,
    /// Where it is done now.
    done: Option<BecameDone>,
    ever_done: bool,
    reopened: bool,
    gap: bool,
}

#[derive(Debug)]
struct BecameDone {
    /// Visits before that.
    visits: usize,
    /// A case that was done from the start has none: when the work was done, the log does not say.
    at: Option<DateTime<Utc>>,
}

impl<'a> Path<'a> {
    fn walk(case: &'a KnownCase, events: &'a [LoggedEvent], names: &Names) -> Self {
        let mut changes: Vec<_> = events.iter().filter(|it| moves_status(it)).collect();
        // Of one moment in an order that does not change from one database to another.
        changes.sort_by(|a, b| (a.at, a.turn, &a.activity).cmp(&(b.at, b.turn, &b.activity)));
        // Where no change says what it left, the first one says where the case began.
        let left = changes.iter().find_map(|it| it.from.as_deref());
        let came_to = || changes.first().and_then(|it| it.to.as_deref());
        let start = left.or_else(came_to).or(case.status.as_deref());
        let done = start.is_some_and(|status| is_done(names, status));
        let mut path = Self {
            status: start,
            since: case.created_at,
            visits: Vec::new(),
            done: done.then_some(BecameDone { visits: 0, at: None }),
            ever_done: done,
            reopened: false,
            gap: false,
        };
        let mut changes = VecDeque::from(changes);
        while let Some(change) = path.next_of(&mut changes) {
            path.take(change, names);
        }
        path
    }

    /// GitHub counts whole seconds, so changes can share an instant: the one that leaves where the case stands
    /// goes first, then the one that does not say what it leaves.
    fn next_of(&self, changes: &mut VecDeque<&'a LoggedEvent>) -> Option<&'a LoggedEvent> {
        let at = changes.front()?.at;
        let tied = changes.iter().take_while(|it| it.at == at).enumerate();
        let fit = tied.min_by_key(|(_, it)| match it.from.as_deref() {
            from if from == self.status => 0,
            None => 1,
            Some(_) => 2,
        });
        let place = fit.map_or(0, |(place, _)| place);
        changes.remove(place)
    }

    fn take(&mut self, change: &'a LoggedEvent, names: &Names) {
        let Some(to) = change.to.as_deref() else {
            self.gap = true;
            return;
        };
        let done = is_done(names, to);
        // Closing again with another reason says "from open" on GitHub, though the issue was closed: no gap.
        self.gap |=
            change.from.is_some() && change.from.as_deref() != self.status && !(done && self.done.is_some());
        if Some(to) == self.status {
            return;
        }
        let at = change.at.max(self.since);
        if let Some(left) = self.status.replace(to) {
            self.visits.push((left, between(self.since, at)));
        }
        self.since = at;
        if !done {
            self.reopened |= self.done.take().is_some();
        } else if self.done.is_none() {
            self.ever_done = true;
            self.done = Some(BecameDone { visits: self.visits.len(), at: Some(at) });
        }
    }
}

/// Who holds the work.
#[derive(Debug, Default)]
struct Holders<'a> {
    /// The last ones who did; still them after they were unassigned and nobody followed.
    team: Vec<&'a str>,
    joined: Option<DateTime<Utc>>,
    first: Option<DateTime<Utc>>,
    passed: usize,
}

impl<'a> Holders<'a> {
    fn of(case: &KnownCase, events: &'a [LoggedEvent]) -> Self {
        let mut holders = Self::default();
        for event in events {
            let assigned = event.activity == Activity::Assigned.word();
            if !assigned && event.activity != Activity::Unassigned.word() {
                continue;
            }
            if let Some(from) = event.from.as_deref() {
                holders.held(from, assigned, case.created_at);
            }
            if let Some(to) = event.to.as_deref().filter(|_| assigned) {
                holders.assigned(to, event);
            }
        }
        holders
    }

    /// An event names who had it before. If that is the first one hears of anybody, they had it from the start:
    /// Jira logs changes, and whom a case is created with is none.
    fn held(&mut self, from: &'a str, reassigned: bool, created: DateTime<Utc>) {
        self.first.get_or_insert(created);
        if self.team.is_empty() || (reassigned && !self.team.contains(&from)) {
            self.team = vec![from];
        }
    }

    /// On GitHub several people can hold an issue. Who is assigned at the same moment is one team.
    fn assigned(&mut self, to: &'a str, event: &LoggedEvent) {
        self.first.get_or_insert(event.at);
        if self.team.contains(&to) {
            return;
        }
        if event.from.is_none() && self.joined == Some(event.at) {
            self.team.push(to);
            return;
        }
        self.passed += usize::from(!self.team.is_empty());
        self.team = vec![to];
        self.joined = Some(event.at);
    }
}

fn is_done(names: &Names, status: &str) -> bool {
    names.stage(status) == Some(Stage::Done)
}

/// No time at all when the end lies before the start.
pub(super) fn between(start: DateTime<Utc>, end: DateTime<Utc>) -> Duration {
    (end - start).to_std().unwrap_or_default()
}
