//! Histories that are rewritten while they are young, and what happens while pages are read.

use super::{ANA, BEN, linear, minutes, stage, with};
use crate::stage::{Happening, Round, Stage, now, pages, story, told, truth};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashSet;
use twinflow_connectors::{Activity, Cursor, Event, Kind, Page};
use twinflow_fixtures::{Linear, Reason, Stage as At, What, Who};

/// Several scans of one stream, and all that they brought.
struct Log {
    stage: Stage,
    cursor: Cursor,
    rounds: Vec<Round>,
}

impl Log {
    async fn of(stage: Stage) -> Self {
        let mut log = Self { stage, cursor: Cursor::default(), rounds: vec![] };
        log.scan(now()).await;
        log
    }

    /// The pages of this scan alone.
    async fn scan(&mut self, at: DateTime<Utc>) -> usize {
        let before = self.rounds.len();
        self.stage.service.set_now(at);
        let sweep = linear().begin(&self.stage.stream, &self.cursor, at);
        self.rounds.extend(self.stage.sweep(sweep).await);
        self.cursor = self.cursor.after(self.rounds.last().unwrap().page.next.clone());
        before
    }

    fn happens(&self, at: DateTime<Utc>, who: Who, what: What) {
        assert!(self.stage.service.add_event(0, at, who, what));
    }

    fn told(&self) -> Vec<Happening> {
        told(pages(&self.rounds))
    }

    /// What is told of the first case from `now` on: activity, from, to.
    fn news(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let case = self.stage.service.cases()[0].clone().unwrap();
        let news = self.told().into_iter().filter(|it| it.0 == case && it.3 >= now());
        news.map(|it| (it.1, it.4, it.5)).collect()
    }
}

/// The ids of the statuses, by name.
fn status(rounds: &[Round], name: &str, team: &str) -> String {
    let teams = pages(rounds)
        .flat_map(|page| &page.names)
        .find(|it| it.kind == Kind::Group && it.name.as_str() == team);
    assert!(teams.is_some(), "the team has a name");
    let mut all: Vec<_> = pages(rounds)
        .flat_map(|page| &page.names)
        .filter(|it| it.kind == Kind::Status && it.name.as_str() == name)
        .map(|it| it.id.to_string())
        .collect();
    all.sort();
    all.dedup();
    all.pop().unwrap()
}

#[tokio::test]
async fn a_change_told_from_a_to_b_is_from_a_to_c_after_the_next_scan() {
    let stage = stage(3).await;
    assert!(stage.service.add_event(0, now() - TimeDelta::hours(1), BEN, What::Move(At::ToDo)));
    assert!(stage.service.add_event(0, now(), ANA, What::Move(At::InProgress)));
    let mut log = Log::of(stage).await;
    let id = |name: &str| Some(status(&log.rounds, name, "SHOP"));
    let (todo, doing, done) = (id("Todo"), id("In Progress"), id("Done"));
    assert_eq!(log.news(), [("status_changed".to_owned(), todo.clone(), doing)]);
    log.happens(minutes(7), ANA, What::Move(At::Done(Reason::Completed)));
    log.scan(minutes(8)).await;
    assert_eq!(log.news(), [("status_changed".to_owned(), todo, done)]);
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn what_came_back_to_where_it_was_is_told_no_longer() {
    let stage = stage(3).await;
    for what in [What::Move(At::ToDo), What::Unassign, What::Unlabel(1), What::Unlabel(2), What::Unlabel(3)] {
        assert!(stage.service.add_event(0, now() - TimeDelta::hours(1), BEN, what));
    }
    for what in [What::Move(At::Blocked), What::Assign(2), What::Label(1), What::Label(2), What::Lock] {
        assert!(stage.service.add_event(0, now(), ANA, what));
    }
    let mut log = Log::of(stage).await;
    let told: Vec<_> = log.news().into_iter().map(|it| it.0).collect();
    assert_eq!(told, ["archived", "assigned", "labelled", "labelled", "status_changed"]);
    log.happens(minutes(2), ANA, What::Label(3));
    for what in [What::Move(At::ToDo), What::Unassign, What::Unlabel(1), What::Unlabel(2)] {
        log.happens(minutes(4), ANA, what);
    }
    log.scan(minutes(5)).await;
    let told: Vec<_> = log.news().into_iter().map(|it| it.0).collect();
    assert_eq!(told, ["archived", "labelled"]);
    assert_eq!(log.told(), truth(&log.stage));
    log.happens(minutes(6), ANA, What::Unlock);
    log.happens(minutes(6), ANA, What::Unlabel(3));
    log.scan(minutes(20)).await;
    assert_eq!(log.news(), []);
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn a_person_who_lost_a_case_within_minutes_is_told_as_such_and_the_gain_is_not() {
    let stage = stage(3).await;
    assert!(stage.service.add_event(0, now() - TimeDelta::hours(1), BEN, What::Assign(3)));
    assert!(stage.service.add_event(0, now(), ANA, What::Assign(2)));
    let mut log = Log::of(stage).await;
    assert_eq!(log.news()[0].0, "assigned");
    log.happens(minutes(3), ANA, What::Unassign);
    log.scan(minutes(4)).await;
    let news = log.news();
    assert_eq!(news.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["unassigned"]);
    assert!(news[0].1.is_some() && news[0].2.is_none());
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn however_often_scans_fall_into_the_minutes_in_which_an_entry_is_open_the_log_is_right() {
    let mut log = Log::of(stage(4).await).await;
    let stages = [At::ToDo, At::InProgress, At::InReview, At::Blocked, At::InProgress, At::ToDo];
    for minute in 1..60 {
        let at = minutes(minute);
        let who = if minute % 13 < 9 { ANA } else { BEN };
        let nth = usize::try_from(minute).unwrap();
        log.happens(at, who, What::Move(stages[nth % stages.len()]));
        log.happens(at, who, if nth % 3 == 0 { What::Unlabel(1) } else { What::Label(1) });
        if minute % 4 == 0 {
            log.scan(at).await;
        }
        if minute % 20 == 0 {
            assert_eq!(log.told(), truth(&log.stage), "minute {minute}");
        }
    }
    log.scan(minutes(75)).await;
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn what_can_still_be_rewritten_goes_out_as_revised_and_the_rest_as_it_is() {
    let stage = stage(6).await;
    let long_ago = now() - TimeDelta::days(9);
    assert!(stage.service.add_event(0, long_ago, ANA, What::Lock));
    assert!(stage.service.add_event(1, now() - TimeDelta::minutes(5), ANA, What::Lock));
    let rounds = stage.sweep(stage.begin()).await;
    let archived = |events: &dyn Fn(&Page) -> Vec<DateTime<Utc>>| -> Vec<_> {
        pages(&rounds).flat_map(events).collect()
    };
    let of = |events: &[Event]| -> Vec<DateTime<Utc>> {
        events.iter().filter(|it| it.activity == Activity::Archived).map(|it| it.at).collect()
    };
    assert!(archived(&|page| of(&page.events)).contains(&long_ago));
    assert_eq!(archived(&|page| of(&page.revised)), [now() - TimeDelta::minutes(5)]);
}

#[tokio::test]
async fn whatever_happens_while_pages_are_read_is_known_after_the_next_scan() {
    let mut log = Log { stage: stage(130).await, cursor: Cursor::default(), rounds: vec![] };
    let service = &log.stage.service;
    let mut at = linear().begin(&log.stage.stream, &log.cursor, now());
    at.halved = 3;
    let known: Vec<String> = service.cases().into_iter().flatten().collect();
    let mut added = HashSet::new();
    for nth in 0_i64.. {
        let round = log.stage.round(at).await;
        at = round.page.next.clone();
        log.rounds.push(round);
        if at.is_done() {
            break;
        }
        let moment = now() + TimeDelta::seconds(nth);
        added.insert(service.add_case(moment));
        let case = usize::try_from(nth * 37 % 130).unwrap();
        assert!(service.update_case(case, moment));
        assert!(service.add_event(129 - case, moment, Who::Robot, What::Label(2)));
    }
    assert!(added.len() > 3);
    let met: HashSet<_> =
        pages(&log.rounds).flat_map(|page| &page.cases).map(|case| case.id.as_str()).collect();
    assert!(known.iter().all(|id| met.contains(id.as_str())), "none jumped out of the pages to come");
    log.cursor = log.cursor.after(at);
    assert_eq!(log.cursor.mark, Some(now()));
    log.scan(minutes(10)).await;
    assert_eq!(log.told(), truth(&log.stage));
}

#[tokio::test]
async fn issues_in_the_archive_and_in_the_trash_are_read_too() {
    let mut world = Linear::new(&story(5), "SHOP");
    world.trash(0, now() - TimeDelta::hours(5), ANA, true);
    world.trash(1, now() - TimeDelta::hours(5), ANA, true);
    world.trash(1, now() - TimeDelta::hours(2), ANA, false);
    let stage = with(world).await;
    assert!(stage.service.add_event(2, now() - TimeDelta::hours(3), ANA, What::Lock));
    let rounds = stage.sweep(stage.begin()).await;
    assert_eq!(told(pages(&rounds)), truth(&stage));
    let words: Vec<_> = told(pages(&rounds)).into_iter().map(|it| it.1).collect();
    let count = |word: &str| words.iter().filter(|it| *it == word).count();
    assert_eq!((count("deleted"), count("restored")), (2, 1));
    assert!(count("archived") >= 1);
}

#[tokio::test]
async fn estimates_and_due_dates_are_told_without_their_values() {
    let stage = stage(5).await;
    for (nth, what) in [What::Sprint, What::Milestone, What::Link].into_iter().enumerate() {
        assert!(stage.service.add_event(nth + 1, now() - TimeDelta::hours(2), ANA, what));
    }
    let rounds = stage.sweep(stage.begin()).await;
    let events = told(pages(&rounds));
    let of = |word: &str| events.iter().filter(|it| it.1 == word).cloned().collect::<Vec<_>>();
    for bare in ["estimate_changed", "due_date_changed"] {
        assert!(!of(bare).is_empty() && of(bare).iter().all(|it| it.4.is_none() && it.5.is_none()), "{bare}");
    }
    for moved in ["planned", "moved", "parent_changed"] {
        assert!(of(moved).iter().any(|it| it.5.is_some()), "{moved}");
    }
}

#[tokio::test]
async fn what_linear_shows_ten_minutes_late_is_found_by_the_next_scan() {
    let mut log = Log::of(stage(20).await).await;
    log.happens(minutes(-10), ANA, What::Move(At::Blocked));
    let before = log.scan(minutes(5)).await;
    assert_eq!(log.told(), truth(&log.stage));
    assert!(log.rounds[before..].iter().any(|round| !round.page.cases.is_empty()));
}
