//! What was changed on tickets, by whom: the export of ticket events, for the detailed connector alone.
//!
//! It is paged by time: a page tells the second it ends with, and the next one begins with that second. What happened
//! in it comes twice, under the same ids. A page's `next_page` is not followed; the time is all that is taken.
//!
//! <https://developer.zendesk.com/documentation/ticketing/managing-tickets/using-the-incremental-export-api/>

use super::reader::{Reader, happened};
use super::wire::{Change, ChangeType, Tag, Update, Updates, Value};
use crate::answer::Answer;
use crate::connector::{Place, Window};
use crate::error::ReadError;
use crate::event::{Activity, Event, Opaque};

/// A page with fewer is the last, where it does not say so itself.
const WHOLE_PAGE: usize = 1_000;

const STATUSES: [&str; 7] = ["new", "open", "pending", "hold", "solved", "closed", "deleted"];
const PRIORITIES: [&str; 4] = ["low", "normal", "high", "urgent"];
const TYPES: [&str; 4] = ["question", "incident", "problem", "task"];

impl Reader {
    pub(super) fn changes(&mut self, answer: &Answer, nth: usize, asked: &Window) -> Result<(), ReadError> {
        let answered: Updates = answer.json()?;
        let newest = answered.ticket_events.iter().map(|update| update.timestamp.0).max();
        let last = answered.end_of_stream.unwrap_or(answered.ticket_events.len() < WHOLE_PAGE);
        let place = if last {
            Place::End
        } else {
            let ends = answered.end_time.ok_or(ReadError::Missing("end_time"))?.0.timestamp();
            Place::After(self.next_second(asked, ends).to_string())
        };
        for update in answered.ticket_events {
            self.update(update)?;
        }
        self.turn(nth, place, newest);
        Ok(())
    }

    /// The second a page ends with; the one after it, where the page held nothing else.
    fn next_second(&mut self, asked: &Window, ends: i64) -> i64 {
        let began = asked.after().unwrap_or(&asked.since).parse().unwrap_or(0);
        if ends > began {
            return ends;
        }
        self.page.next.skip("more changes within one second than Zendesk shows on a page");
        began.saturating_add(1)
    }

    fn update(&mut self, update: Update) -> Result<(), ReadError> {
        let (ticket, at) = (update.ticket_id.0, update.timestamp.0);
        self.touch(&ticket, at, None);
        let resource = update.updater_id.id();
        let mut turn = 0;
        for (nth, change) in update.child_events.into_iter().enumerate() {
            let id =
                change.id.as_ref().map_or_else(|| format!("{}-{nth}", update.id.0), |id| id.0.to_string());
            if let Some(status) = change.status.as_ref().and_then(|it| it.word(&STATUSES)) {
                self.touch(&ticket, at, Some(status));
            }
            if change.is_beyond_us() {
                self.page.next.skip("a status, priority or type that this version does not know");
            }
            for meaning in meanings(change) {
                let Meaning { activity, from, to, nth } = meaning;
                let source = match activity {
                    Activity::Created => Some(ticket.clone()),
                    _ => Opaque::new(format!("{id}.{nth}")),
                };
                let source = source.ok_or(ReadError::Missing("a usable id of a change"))?;
                let event = happened(ticket.clone(), activity, at, source);
                self.page.events.push(Event { resource: resource.clone(), from, to, turn, ..event });
                turn += 1;
            }
        }
        Ok(())
    }
}

/// What a change stands for, in the words of the event log.
struct Meaning {
    activity: Activity,
    from: Option<Opaque>,
    to: Option<Opaque>,
    /// Its place among the tags of one change.
    nth: usize,
}

/// What a ticket is created with is told like a change from nothing; only that it is new goes without saying.
fn meanings(change: Change) -> Vec<Meaning> {
    let created = change.event_type == Some(ChangeType::Create);
    if !created && change.event_type != Some(ChangeType::Change) {
        return vec![];
    }
    let before = if created { Value::Nothing } else { change.previous_value };
    let mut all = vec![];
    let mut say = |activity, from, to, nth| all.push(Meaning { activity, from, to, nth });
    if created {
        say(Activity::Created, None, None, 0);
    }
    if let Some(after) = &change.status {
        match (before.word(&STATUSES), after.word(&STATUSES)) {
            (_, None) => {}
            (None, Some("new")) if created => {}
            (from, to) => say(status_activity(from, to), known(from), known(to), 0),
        }
    }
    if let Some(after) = &change.assignee_id {
        match (before.id(), after.id()) {
            (None, None) => {}
            (from, None) => say(Activity::Unassigned, from, None, 0),
            (from, to) => say(Activity::Assigned, from, to, 0),
        }
    }
    if let Some(after) = &change.group_id
        && (before.id().is_some() || after.id().is_some())
    {
        say(Activity::Moved, before.id(), after.id(), 0);
    }
    let worded = [
        (change.priority, Activity::PriorityChanged, &PRIORITIES),
        (change.kind, Activity::TypeChanged, &TYPES),
    ];
    for (after, activity, words) in worded {
        let Some(after) = after else { continue };
        match (before.word(words), after.word(words)) {
            (None, None) => {}
            (from, to) => say(activity, known(from), known(to), 0),
        }
    }
    let ids = |tags: Option<Vec<Tag>>| tags.into_iter().flatten().filter_map(|tag| tag.0).enumerate();
    ids(change.added_tags).for_each(|(nth, tag)| say(Activity::Labelled, None, Some(tag), nth));
    ids(change.removed_tags).for_each(|(nth, tag)| say(Activity::Unlabelled, Some(tag), None, nth));
    all
}

/// A deleted ticket is one of a status of its own.
fn status_activity(from: Option<&str>, to: Option<&str>) -> Activity {
    match (from, to) {
        (_, Some("deleted")) => Activity::Deleted,
        (Some("deleted"), _) => Activity::Restored,
        _ => Activity::StatusChanged,
    }
}

fn known(word: Option<&'static str>) -> Option<Opaque> {
    word.map(Opaque::known)
}

impl Change {
    /// Whether a followed field became something that is not among its words.
    fn is_beyond_us(&self) -> bool {
        let followed = matches!(self.event_type, Some(ChangeType::Create | ChangeType::Change));
        let fields =
            [(&self.status, &STATUSES[..]), (&self.priority, &PRIORITIES[..]), (&self.kind, &TYPES[..])];
        let odd = |(field, words): (&Option<Value>, &[&'static str])| {
            field.as_ref().is_some_and(|it| *it != Value::Nothing && it.word(words).is_none())
        };
        followed && fields.into_iter().any(odd)
    }
}
