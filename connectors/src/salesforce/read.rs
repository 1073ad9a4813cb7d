//! What rows mean: cases, changes, names, and where their lists go on.

use super::contract::{
    CASES_CHANGED, CASES_CHANGED_PLAIN, CASES_CREATED, CASES_CREATED_PLAIN, FIELDS, HISTORY, OLDEST, QUEUES,
    STATES, STATUSES, USERS,
};
use super::id::Sid;
use super::place::{self, Place};
use super::{FROM_THE_FIRST, PAGE, PARTS, refusal, wire};
use crate::answer::Answer;
use crate::connector::{self, Page, Pending, Sweep, Window, slices};
use crate::contract::Operation;
use crate::error::ReadError;
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

const PRIORITY_HIDDEN: &str = "the field Priority is hidden from this user";
const HISTORY_HIDDEN: &str = "the history of cases is hidden from this user";
const TRACKING_HIDDEN: &str =
    "whether the org tracks the history of Status and Case Owner is hidden from this user";

/// Turns rows into a page.
pub(super) struct Reader {
    pub(super) page: Page,
    names: BTreeMap<(Kind, Opaque), Named>,
}

impl Reader {
    pub(super) fn new(next: Sweep) -> Self {
        Self { page: Page::new(next), names: BTreeMap::new() }
    }

    pub(super) fn finish(mut self) -> Page {
        self.page.names = self.names.into_values().collect();
        self.page
    }

    pub(super) fn left(&mut self, left: &Pending, answer: &Answer) -> Result<(), ReadError> {
        match left.operation.as_str() {
            it if it == FIELDS.name => self.fields(left, answer),
            it if it == OLDEST.name => self.oldest(answer),
            it if it == STATUSES.name => self.statuses(answer),
            _ => Err(ReadError::Missing("a question")),
        }
    }

    pub(super) fn window(&mut self, nth: usize, window: &Window, answer: &Answer) -> Result<(), ReadError> {
        let place = Place::of(window).ok_or(ReadError::Missing("a place"))?;
        if refusal::is_hidden(answer) {
            self.without(nth, window);
            return Ok(());
        }
        match window.operation.as_str() {
            it if it == CASES_CREATED.name || it == CASES_CREATED_PLAIN.name => {
                self.cases(nth, answer, |case| place::after(&place::moment(case.created_date.0), &case.id))
            }
            it if it == CASES_CHANGED.name || it == CASES_CHANGED_PLAIN.name => {
                self.cases(nth, answer, |case| place::after(&place::moment(case.system_modstamp.0), &case.id))
            }
            it if it == HISTORY.name => self.history(nth, answer),
            it if it == STATES.name => self.states(nth, answer, place),
            it if it == USERS.name => {
                let rows = self.rows(nth, answer, |user: &wire::User| place::after(&place.at, &user.id))?;
                rows.into_iter().for_each(|user| self.called(Kind::Person, &user.id, user.name));
                Ok(())
            }
            it if it == QUEUES.name => {
                let rows =
                    self.rows(nth, answer, |queue: &wire::Queue| place::after(&place.at, &queue.id))?;
                rows.into_iter().for_each(|queue| self.called(Kind::Group, &queue.id, queue.developer_name));
                Ok(())
            }
            _ => Err(ReadError::Missing("a question")),
        }
    }

    /// The rows of a page, after its window was turned: to its end if these are all, else behind the last of them.
    pub(super) fn rows<T: DeserializeOwned + 'static>(
        &mut self,
        nth: usize,
        answer: &Answer,
        token: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, ReadError> {
        let rows: wire::Rows<T> = answer.json()?;
        let full = rows.records.len() as u64 >= self.page.next.size(PAGE);
        let place = match rows.records.last() {
            Some(last) if full || !rows.done => connector::Place::After(token(last)),
            None if !rows.done => return Err(ReadError::Missing("records, though there are more")),
            _ => connector::Place::End,
        };
        self.page.next.turn(nth, place);
        Ok(rows.records)
    }

    /// Goes on where the org or the user's permissions do not let a question through.
    fn without(&mut self, nth: usize, window: &Window) {
        let plain: [(&Operation, &Operation); 2] =
            [(&CASES_CREATED, &CASES_CREATED_PLAIN), (&CASES_CHANGED, &CASES_CHANGED_PLAIN)];
        if let Some((_, plain)) = plain.iter().find(|(full, _)| full.name == window.operation) {
            if let Some(window) = self.page.next.windows.get_mut(nth) {
                window.operation = plain.name.to_owned();
            }
            return self.skip_once(PRIORITY_HIDDEN);
        }
        if window.operation == HISTORY.name {
            self.skip_once(HISTORY_HIDDEN);
        }
        if window.operation == STATES.name {
            for column in self.page.next.carried.clone() {
                self.skip_once(&format!(
                    "the history of {column} is not tracked in this org; an administrator switches it on in Setup, \
                     Object Manager, Case, Set History Tracking"
                ));
            }
        }
        self.page.next.turn(nth, connector::Place::End);
    }

    /// Of one thing that several windows lack.
    fn skip_once(&mut self, why: &str) {
        if !self.page.next.skipped.contains_key(why) {
            self.page.next.skip(why);
        }
    }

    /// What the org does not track is told by the states its cases went through.
    fn fields(&mut self, left: &Pending, answer: &Answer) -> Result<(), ReadError> {
        if refusal::is_hidden(answer) {
            self.skip_once(TRACKING_HIDDEN);
            return Ok(());
        }
        let fields = answer.json::<wire::Rows<wire::FieldDefinition>>()?.records;
        let tracked = |column: &wire::Column| {
            fields.iter().any(|it| it.qualified_api_name == *column && it.is_field_history_tracked)
        };
        let untracked = wire::Column::FOLLOWED.iter().filter(|column| !tracked(column));
        self.page.next.carried = untracked.map(|column| column.word().to_owned()).collect();
        if !self.page.next.carried.is_empty() {
            let since = left.page.as_deref().unwrap_or(FROM_THE_FIRST);
            self.page.next.windows.push(Window::new(&STATES, since, None));
        }
        Ok(())
    }

    fn oldest(&mut self, answer: &Answer) -> Result<(), ReadError> {
        let oldest = answer.json::<wire::Rows<wire::Created>>()?.records.into_iter().next();
        let began = self.page.next.began;
        let from = oldest.map_or(began, |case| case.created_date.0.min(began));
        for operation in [&CASES_CREATED, &HISTORY] {
            for (since, until) in slices(from, began, PARTS) {
                let window = Window::new(operation, place::moment(since), until.map(place::moment));
                self.page.next.windows.push(window);
            }
        }
        Ok(())
    }

    fn statuses(&mut self, answer: &Answer) -> Result<(), ReadError> {
        if refusal::is_hidden(answer) {
            return Ok(());
        }
        for status in answer.json::<wire::Rows<wire::Status>>()?.records {
            let stage = match status {
                wire::Status { is_closed: true, .. } => Stage::Done,
                wire::Status { is_default: true, .. } => Stage::ToDo,
                _ => Stage::InProgress,
            };
            let id = status.api_name.id();
            if let Some((id, name)) = id.zip(status.master_label.or(status.api_name.name())) {
                self.name(Kind::Status, id, name, Some(stage));
            }
        }
        Ok(())
    }

    fn cases(
        &mut self,
        nth: usize,
        answer: &Answer,
        token: impl Fn(&wire::Case) -> String,
    ) -> Result<(), ReadError> {
        for case in self.rows(nth, answer, token)? {
            self.case(case)?;
        }
        Ok(())
    }

    fn case(&mut self, case: wire::Case) -> Result<(), ReadError> {
        let id = case.id.opaque();
        let event = |activity, at| Event {
            case: id.clone(),
            activity,
            resource: None,
            at,
            from: None,
            to: None,
            source: id.clone(),
            turn: 0,
        };
        let resource = case.created_by_id.map(|it| it.opaque());
        self.page.events.push(Event { resource, ..event(Activity::Created, case.created_date.0) });
        let changed = case.system_modstamp.0;
        if case.is_deleted {
            let source = Opaque::new(format!("{id}:{}", changed.timestamp_millis()));
            let (source, to) =
                (source.ok_or(ReadError::Missing("Id"))?, case.master_record_id.map(|it| it.opaque()));
            self.page.events.push(Event { source, to, ..event(Activity::Deleted, changed) });
        }
        let priority = case.priority.id();
        if let Some((id, name)) = priority.clone().zip(case.priority.name()) {
            self.name(Kind::Priority, id, name, None);
        }
        self.page.next.cases += 1;
        self.page.next.upto = self.page.next.upto.max(Some(changed));
        self.page.cases.push(Case {
            key: case.case_number.id().unwrap_or(id.clone()),
            id,
            created_at: case.created_date.0,
            updated_at: changed,
            status: case.status.id(),
            assignee: case.owner_id.map(|it| it.opaque()),
            priority,
        });
        Ok(())
    }

    fn called(&mut self, kind: Kind, id: &Sid, name: Option<Name>) {
        let name = name.unwrap_or_else(|| Name::new(id.as_str()));
        self.name(kind, id.opaque(), name, None);
    }

    fn name(&mut self, kind: Kind, id: Opaque, name: Name, stage: Option<Stage>) {
        self.names.insert((kind, id.clone()), Named { kind, id, name, stage });
    }
}
