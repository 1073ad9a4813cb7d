//! What the history of cases means: changes by the row, and differences between states.

use super::id::Sid;
use super::place::{self, Place};
use super::read::Reader;
use super::wire::{self, Column, Field, Value};
use crate::answer::Answer;
use crate::error::ReadError;
use crate::event::{Activity, Event, Opaque};

/// What happened, from, to.
type Meaning = (Activity, Option<Opaque>, Option<Opaque>);

impl Reader {
    pub(super) fn history(&mut self, nth: usize, answer: &Answer) -> Result<(), ReadError> {
        let token = |row: &wire::Change| place::after(&place::moment(row.created_date.0), &row.id);
        for row in self.rows(nth, answer, token)? {
            for (activity, from, to) in self.meaning(&row) {
                self.page.events.push(Event {
                    case: row.case_id.opaque(),
                    activity,
                    resource: row.created_by_id.as_ref().map(Sid::opaque),
                    at: row.created_date.0,
                    from,
                    to,
                    source: row.id.opaque(),
                    turn: 0,
                });
            }
        }
        Ok(())
    }

    /// The events a history row stands for. What the states tell is not told twice.
    fn meaning(&self, row: &wire::Change) -> Vec<Meaning> {
        let picked = |value: &Value| match value {
            Value::Text(text) => text.id(),
            Value::True | Value::Nothing => None,
        };
        let (from, to) = (picked(&row.old_value), picked(&row.new_value));
        match row.field {
            Field::Status if self.is_untracked(Column::Status) => vec![],
            Field::Status => vec![(Activity::StatusChanged, from, to)],
            Field::Priority => vec![(Activity::PriorityChanged, from, to)],
            Field::Type => vec![(Activity::TypeChanged, from, to)],
            Field::Origin | Field::Reason => vec![(Activity::Edited, None, None)],
            Field::IsEscalated if is_true(&row.new_value) => vec![(Activity::Escalated, None, None)],
            Field::Owner | Field::OwnerAccepted | Field::OwnerAssignment | Field::OwnerEscalated => {
                self.owners(row.field, owner(&row.old_value), owner(&row.new_value))
            }
            Field::IsEscalated | Field::Other => vec![],
        }
    }

    /// An owner's change is told by two rows, one with names and one with ids. The first is nobody's to keep.
    fn owners(&self, field: Field, from: Option<Sid>, to: Option<Sid>) -> Vec<Meaning> {
        if from.is_none() && to.is_none() {
            return vec![];
        }
        let (from, to) = (from.map(|it| it.opaque()), to.map(|it| it.opaque()));
        let assigned = match to {
            _ if self.is_untracked(Column::OwnerId) => None,
            Some(_) => Some((Activity::Assigned, from, to)),
            None => Some((Activity::Unassigned, from, None)),
        };
        let escalated = (field == Field::OwnerEscalated).then_some((Activity::Escalated, None, None));
        assigned.into_iter().chain(escalated).collect()
    }

    /// Each state beside the one before it: a change of status, of owner, or the state a case began with.
    pub(super) fn states(&mut self, nth: usize, answer: &Answer, before: Place) -> Result<(), ReadError> {
        let token = |row: &wire::State| {
            let at = place::moment(row.last_modified_date.0);
            place::after_state(&at, &row.id, &row.case_id, row.owner_id.as_ref(), &row.status)
        };
        let mut before = before;
        for row in self.rows(nth, answer, token)? {
            let (status, owner) = (row.status.id(), row.owner_id.as_ref().map(Sid::opaque));
            let known = before.case == row.case_id.as_str();
            let at = place::moment(row.last_modified_date.0);
            if known && at >= before.since {
                let id = |text: &Option<String>| text.clone().and_then(Opaque::new);
                self.differs(&row, Activity::StatusChanged, id(&before.status), &status);
                self.differs(&row, Activity::Assigned, id(&before.owner), &owner);
            }
            let text = |id: Option<Opaque>| id.map(|id| id.to_string());
            (before.case, before.status, before.owner) =
                (row.case_id.as_str().to_owned(), text(status), text(owner));
        }
        Ok(())
    }

    fn differs(&mut self, row: &wire::State, activity: Activity, from: Option<Opaque>, to: &Option<Opaque>) {
        let column = match activity {
            Activity::StatusChanged => Column::Status,
            _ => Column::OwnerId,
        };
        if from == *to || !self.is_untracked(column) {
            return;
        }
        self.page.events.push(Event {
            case: row.case_id.opaque(),
            activity,
            resource: row.last_modified_by_id.as_ref().map(Sid::opaque),
            at: row.last_modified_date.0,
            from,
            to: to.clone(),
            source: row.id.opaque(),
            turn: 0,
        });
    }

    fn is_untracked(&self, column: Column) -> bool {
        self.page.next.carried.iter().any(|it| it == column.word())
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::True => true,
        Value::Text(text) => text.text() == Some("true"),
        Value::Nothing => false,
    }
}

fn owner(value: &Value) -> Option<Sid> {
    match value {
        Value::Text(text) => Sid::of_owner(text.text()?),
        Value::True | Value::Nothing => None,
    }
}
