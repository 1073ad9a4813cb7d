//! What the event log says: where cases wait, how long they take, how often they change hands.
//!
//! Start with [`Insight`]: it is fed one case at a time and keeps only what medians need, a duration per visit
//! to a status. [`story`] reads a single case; [`report`] is what comes out; [`print`](mod@print) is the report
//! for people. Everything here is a pure value: no database, no clock.
//!
//! Times are calendar times, nights and weekends included: the log does not know when people work.

pub mod print;
#[cfg(test)]
mod print_tests;
mod report;
mod story;
#[cfg(test)]
mod story_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use report::{
    CaseCount, EventCount, FirstAssignment, HandOvers, Reopens, Spread, StatusTime, ToolReport, percentile,
};

use crate::store::{Connection, KnownCase, LoggedEvent, Names};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use story::Story;
use twinflow_connectors::{Kind, Stage};

/// The cases of one connection, taken in one after the other.
#[derive(Debug)]
pub struct Insight<'a> {
    connection: &'a Connection,
    names: &'a Names,
    cases: CaseCount,
    cycles: Vec<Duration>,
    steps: BTreeMap<String, Step>,
    passed: usize,
    cases_passed: usize,
    ever_done: usize,
    reopened: usize,
    first_assigned: Vec<Duration>,
    activities: BTreeMap<String, usize>,
    unstaged: BTreeSet<String>,
    undated: usize,
    gaps: usize,
}

/// What is known of one status.
#[derive(Debug, Default)]
struct Step {
    /// How long each finished visit took.
    visits: Vec<Duration>,
    /// Since when each open case that is in it now has been there.
    running: Vec<DateTime<Utc>>,
}

impl<'a> Insight<'a> {
    /// The names are needed from the start: they say which statuses mean done.
    pub const fn new(connection: &'a Connection, names: &'a Names) -> Self {
        Self {
            connection,
            names,
            cases: CaseCount { open: 0, done: 0, gone: 0 },
            cycles: Vec::new(),
            steps: BTreeMap::new(),
            passed: 0,
            cases_passed: 0,
            ever_done: 0,
            reopened: 0,
            first_assigned: Vec::new(),
            activities: BTreeMap::new(),
            unstaged: BTreeSet::new(),
            undated: 0,
            gaps: 0,
        }
    }

    /// Takes in a case and all of its events.
    pub fn case(&mut self, case: &KnownCase, events: &[LoggedEvent]) {
        let story = Story::read(case, events, self.names);
        self.count(&story, case.gone_at.is_some());
        let statuses = story.visits.iter().map(|(status, _)| *status).chain(case.status.as_deref());
        let unstaged = statuses.filter(|status| self.names.stage(status).is_none());
        self.unstaged.extend(unstaged.map(str::to_owned));
        for (status, took) in story.visits {
            self.steps.entry(status.to_owned()).or_default().visits.push(took);
        }
        if let Some((status, since)) = story.running {
            self.steps.entry(status.to_owned()).or_default().running.push(since);
        }
        self.cycles.extend(story.cycle);
        self.first_assigned.extend(story.first_assigned);
        for event in events {
            *self.activities.entry(event.activity.clone()).or_default() += 1;
        }
    }

    /// What is gone is not open; what was done before stays done.
    fn count(&mut self, story: &Story<'_>, gone: bool) {
        *match (story.done, gone) {
            (true, _) => &mut self.cases.done,
            (false, true) => &mut self.cases.gone,
            (false, false) => &mut self.cases.open,
        } += 1;
        self.passed += story.passed;
        self.cases_passed += usize::from(story.passed > 0);
        self.ever_done += usize::from(story.ever_done);
        self.reopened += usize::from(story.reopened);
        self.undated += usize::from(story.done && story.cycle.is_none());
        self.gaps += usize::from(story.gap);
    }

    /// What they say together, with open cases counted up to `now`.
    pub fn report(self, now: DateTime<Utc>) -> ToolReport {
        let notes = self.notes();
        let cases = self.cases.all();
        let statuses = times(self.steps, self.names, now);
        let slowest_step = statuses.iter().find(|it| !it.done() && !it.total.is_zero()).cloned();
        let first = Spread::of(self.first_assigned);
        ToolReport {
            connection: self.connection.name.clone(),
            tool: self.connection.tool.clone(),
            as_of: now,
            cases: self.cases,
            cycle_time: Spread::of(self.cycles),
            statuses,
            slowest_step,
            hand_overs: HandOvers {
                n: cases,
                total: self.passed,
                mean: ratio(self.passed, cases),
                cases_with_any: self.cases_passed,
                share_with_any: ratio(self.cases_passed, cases),
            },
            reopens: Reopens {
                n: self.ever_done,
                reopened: self.reopened,
                rate: ratio(self.reopened, self.ever_done),
            },
            first_assignment: FirstAssignment { n: first.n, median: first.median },
            events: EventCount { n: self.activities.values().sum(), by_activity: self.activities },
            notes,
        }
    }

    /// What a reader must know to trust the figures as far as they go, and no further.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.unstaged.is_empty() {
            let names = self.unstaged.iter().take(5).map(|id| self.names.name(Kind::Status, id));
            let names = names.collect::<Vec<_>>().join(", ");
            let more = self.unstaged.len().saturating_sub(5);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            notes.push(format!(
                "Whether these statuses mean done is not known; they count as not done: {names}{more}."
            ));
        }
        if self.undated > 0 {
            let cases = cases(self.undated);
            notes.push(format!("When {cases} became done is not in the log; cycle times leave it out."));
        }
        if self.gaps > 0 {
            let cases = cases(self.gaps);
            notes.push(format!(
                "A status change is missing from the history of {cases}; times there are estimates."
            ));
        }
        notes
    }
}

fn cases(n: usize) -> String {
    if n == 1 { "1 case".to_owned() } else { format!("{n} cases") }
}

/// The longest first; equal ones by id, so that the same log always gives the same report.
fn times(steps: BTreeMap<String, Step>, names: &Names, now: DateTime<Utc>) -> Vec<StatusTime> {
    let mut times: Vec<_> = steps.into_iter().map(|(id, step)| time(id, step, names, now)).collect();
    let all = sum(times.iter().map(|it| it.total));
    for it in &mut times {
        it.share = (!all.is_zero()).then(|| it.total.as_secs_f64() / all.as_secs_f64());
    }
    times.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.status.cmp(&b.status)));
    times
}

fn time(id: String, step: Step, names: &Names, now: DateTime<Utc>) -> StatusTime {
    let running = sum(step.running.iter().map(|since| story::between(*since, now)));
    let finished = sum(step.visits.iter().copied());
    StatusTime {
        name: names.name(Kind::Status, &id).to_owned(),
        stage: names.stage(&id).map(Stage::word),
        status: id,
        visits: step.visits.len(),
        median: Spread::of(step.visits).median,
        running_cases: step.running.len(),
        running,
        total: finished.saturating_add(running),
        share: None,
    }
}

fn sum(durations: impl Iterator<Item = Duration>) -> Duration {
    durations.fold(Duration::ZERO, Duration::saturating_add)
}

/// Nothing of nothing is no figure.
fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
