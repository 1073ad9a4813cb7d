//! Turns wire structs into a page: what all lists have in common. `clocks.rs` and `changes.rs` hold one list each.

use super::contract;
use super::wire::{Agents, Entry, Groups, Meta};
use crate::answer::Answer;
use crate::connector::{Page, Pending, Place, Sweep};
use crate::contract::Operation;
use crate::error::ReadError;
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Id, name and stage of every status. An account's own statuses are kinds of these.
const STATUSES: [(&str, &str, Stage); 7] = [
    ("new", "New", Stage::ToDo),
    ("open", "Open", Stage::InProgress),
    ("pending", "Pending", Stage::InProgress),
    ("hold", "On-hold", Stage::InProgress),
    ("solved", "Solved", Stage::Done),
    ("closed", "Closed", Stage::Done),
    ("deleted", "Deleted", Stage::Done),
];

const PRIORITIES: [(&str, &str); 4] =
    [("low", "Low"), ("normal", "Normal"), ("high", "High"), ("urgent", "Urgent")];

pub(super) struct Reader {
    pub(super) page: Page,
    /// The tickets of this page, each once.
    touched: BTreeMap<Opaque, Case>,
    /// The newest moment of each list that goes on, and of each that is at its end.
    going_on: Vec<Option<DateTime<Utc>>>,
    ended: Vec<Option<DateTime<Utc>>>,
}

impl Reader {
    pub(super) fn new(at: &Sweep) -> Self {
        let next = Sweep { pending: vec![], ..at.clone() };
        Self { page: Page::new(next), touched: BTreeMap::new(), going_on: vec![], ended: vec![] }
    }

    /// Where a list goes on, and the newest moment on its page.
    pub(super) fn turn(&mut self, nth: usize, place: Place, newest: Option<DateTime<Utc>>) {
        let lists = if place == Place::End { &mut self.ended } else { &mut self.going_on };
        lists.push(newest);
        self.page.next.turn(nth, place);
    }

    /// Notes that a ticket moved; to be called in the order of time. Its case tells of no more than that and its status:
    /// the store keeps the earliest time of creation, the latest of change, and the last status there was.
    pub(super) fn touch(&mut self, ticket: &Opaque, at: DateTime<Utc>, status: Option<&'static str>) {
        let status = status.map(Opaque::known);
        let case = self.touched.entry(ticket.clone()).or_insert_with(|| Case {
            id: ticket.clone(),
            key: ticket.clone(),
            created_at: at,
            updated_at: at,
            status: None,
            assignee: None,
            priority: None,
        });
        case.status = status.or(case.status.take());
        case.created_at = case.created_at.min(at);
        case.updated_at = case.updated_at.max(at);
    }

    pub(super) fn agents(&mut self, answer: &Answer) -> Result<(), ReadError> {
        let answered: Agents = answer.json()?;
        self.entries(Kind::Person, answered.users);
        self.leave(&contract::AGENTS, answered.meta)
    }

    pub(super) fn groups(&mut self, answer: &Answer) -> Result<(), ReadError> {
        let answered: Groups = answer.json()?;
        self.entries(Kind::Group, answered.groups);
        self.leave(&contract::GROUPS, answered.meta)
    }

    fn entries(&mut self, kind: Kind, entries: Vec<Entry>) {
        let named = entries.into_iter().map(|it| Named { kind, id: it.id.0, name: it.name, stage: None });
        self.page.names.extend(named);
    }

    /// The rest of a dictionary is asked for beside the next page.
    fn leave(&mut self, operation: &Operation, meta: Meta) -> Result<(), ReadError> {
        if let Place::After(cursor) = meta.place()? {
            let operation = operation.name.to_owned();
            self.page.next.pending.push(Pending { operation, cases: vec![], page: Some(cursor) });
        }
        Ok(())
    }

    pub(super) fn page(mut self, detailed: bool) -> Page {
        // No further than the list that is furthest behind.
        let behind = self.going_on.into_iter().min().or_else(|| self.ended.into_iter().max()).flatten();
        self.page.next.reached = self.page.next.reached.max(behind);
        self.page.cases = self.touched.into_values().collect();
        self.page.next.cases += self.page.cases.len() as u64;
        if !self.page.cases.is_empty() {
            let status = |(id, name, stage)| named(Kind::Status, id, name, Some(stage));
            self.page.names.extend(STATUSES.map(status));
        }
        if detailed && !self.page.cases.is_empty() {
            self.page.names.extend(PRIORITIES.map(|(id, name)| named(Kind::Priority, id, name, None)));
        }
        self.page
    }
}

fn named(kind: Kind, id: &'static str, name: &str, stage: Option<Stage>) -> Named {
    Named { kind, id: Opaque::known(id), name: Name::new(name), stage }
}

/// An event that nobody is known to have caused, from nothing to nothing.
pub(super) fn happened(case: Opaque, activity: Activity, at: DateTime<Utc>, source: Opaque) -> Event {
    Event { case, activity, resource: None, at, from: None, to: None, source, turn: 0 }
}
