//! What Gmail's answers mean. Start with [`page`].

use super::contract::{HISTORY, MESSAGE, MESSAGES, PROFILE};
use super::refusal::is_answered_by_absence;
use super::wire::{self, Field, HistoryId, Record, Stub};
use super::{SIDE_BY_SIDE, Step, left, plan};
use crate::answer::Answer;
use crate::connector::{Page, Place, Sweep, Window};
use crate::error::ReadError;
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Token};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::{BTreeMap, BTreeSet};

const INBOX: &str = "INBOX";
const SENT: &str = "SENT";
/// Labels of what is not mail that came or went. Mail in the trash is: it did come.
const NO_MAIL: [&str; 4] = ["CHAT", "DRAFT", "SCHEDULED", "SPAM"];
const TRASH: &str = "TRASH";
/// How ids of labels begin that people made.
const MADE: &str = "Label_";

/// Gmail knows no status; where a thread waits follows from its mail.
const RECEIVED: &str = "received";
const ANSWERED: &str = "answered";
const ARCHIVED: &str = "archived";
const STATUSES: [(&str, &str, Stage); 3] = [
    (RECEIVED, "Waiting for us", Stage::ToDo),
    (ANSWERED, "Waiting for them", Stage::InProgress),
    (ARCHIVED, "Archived", Stage::Done),
];

/// What a round of answers comes to.
pub(super) fn page(at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError> {
    let steps: Vec<_> = plan(at).collect();
    if steps.len() != answers.len() {
        return Err(ReadError::Count(answers.len(), steps.len()));
    }
    let mut next = at.clone();
    next.pending.drain(..at.pending.len().min(SIDE_BY_SIDE));
    let follows = at.windows.iter().any(|window| window.operation == HISTORY.name);
    let mut reader =
        Reader { page: Page::new(next), follows, cases: BTreeMap::new(), people: BTreeSet::new() };
    for (step, answer) in steps.into_iter().zip(answers) {
        match step {
            Step::Profile(nth) => reader.profile(answer, nth)?,
            Step::Labels => reader.labels(answer)?,
            Step::Messages(nth, _) => reader.messages(answer, nth)?,
            Step::Message(asked) => reader.message(answer, asked.cases.first())?,
            Step::History(nth, window) => reader.history(answer, nth, window)?,
        }
    }
    Ok(reader.finish())
}

/// Turns wire structs into a page.
struct Reader {
    page: Page,
    /// Whether the sweep reads history: what it finds is how things stand now.
    follows: bool,
    cases: BTreeMap<Opaque, Case>,
    people: BTreeSet<Opaque>,
}

impl Reader {
    /// The list is begun only now: whatever changes from here on stands in the history after this point.
    fn profile(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let profile: wire::Profile = answer.json()?;
        // A reading that had to start over goes on from where its first beginning stood.
        self.page.next.bookmark.get_or_insert(profile.history_id.0.to_string());
        self.go_on_with(nth, Window::new(&MESSAGES, "", None));
        Ok(())
    }

    fn labels(&mut self, answer: &Answer) -> Result<(), ReadError> {
        let labels: wire::Labels = answer.json()?;
        let made = labels.labels.into_iter().filter(|label| is_made(&label.id));
        let named =
            made.map(|label| Named { kind: Kind::Label, id: label.id, name: label.name, stage: None });
        self.page.names.extend(named);
        Ok(())
    }

    fn messages(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let listed: wire::Listed = answer.json()?;
        listed.messages.iter().for_each(|message| self.look_up(&message.id));
        self.page.next.turn(nth, place(listed.next_page_token));
        Ok(())
    }

    fn message(&mut self, answer: &Answer, asked: Option<&String>) -> Result<(), ReadError> {
        // Deleted since it was listed.
        if is_answered_by_absence(answer) {
            return Ok(());
        }
        let message: wire::Message = answer.json()?;
        if asked.map(String::as_str) != Some(message.id.as_str()) {
            return Err(ReadError::Missing("the message that was asked for"));
        }
        let has = |label: &str| message.label_ids.iter().any(|it| it.as_str() == label);
        if !is_mail(&message.label_ids) {
            return Ok(());
        }
        let headers = &message.payload.headers;
        let in_reply = headers.iter().any(|header| header.name == Field::Parent);
        let (activity, to, status) = match (has(SENT), in_reply) {
            (true, true) => (Activity::Replied, ANSWERED, ANSWERED),
            (true, false) => (Activity::Sent, ANSWERED, ANSWERED),
            (false, _) => (Activity::Received, RECEIVED, if has(INBOX) { RECEIVED } else { ARCHIVED }),
        };
        let mut from = message.payload.headers.into_iter().filter(|header| header.name == Field::From);
        // A message has one sender; of two it cannot be said who it was.
        let resource = match (from.next(), from.next()) {
            (Some(header), None) => header.value.0,
            _ => None,
        };
        self.people.extend(resource.clone());
        let at = message.internal_date.0;
        self.page.events.push(Event {
            case: message.thread_id.clone(),
            activity,
            resource,
            at,
            from: None,
            to: Some(Opaque::known(to)),
            source: message.id,
            turn: 0,
        });
        self.case(message.thread_id, at, Some(status));
        Ok(())
    }

    fn history(&mut self, answer: &Answer, nth: usize, window: &Window) -> Result<(), ReadError> {
        if is_answered_by_absence(answer) {
            self.start_from_the_whole(nth);
            return Ok(());
        }
        let told: wire::History = answer.json()?;
        let since = window.since.parse().unwrap_or_default();
        for record in told.history {
            self.record(record, since)?;
        }
        let place = place(told.next_page_token);
        if place == Place::End {
            self.page.next.bookmark = Some(told.history_id.0.to_string());
        }
        self.page.next.turn(nth, place);
        Ok(())
    }

    /// Gmail has forgotten what came after the bookmark: its mail is all there, its label changes are not.
    fn start_from_the_whole(&mut self, nth: usize) {
        let shown = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let next = &mut self.page.next;
        let since = next.reached.map_or("the last scan".to_owned(), shown);
        let until = shown(next.began);
        next.skip(&format!(
            "Gmail has forgotten its history: label changes between {since} and {until} are unknown"
        ));
        self.go_on_with(nth, Window::new(&PROFILE, "", None));
    }

    fn go_on_with(&mut self, nth: usize, window: Window) {
        if let Some(place) = self.page.next.windows.get_mut(nth) {
            *place = window;
        }
    }

    fn record(&mut self, record: Record, since: u64) -> Result<(), ReadError> {
        let arrived: BTreeSet<_> = record.messages_added.iter().map(|it| it.message.id.clone()).collect();
        let mut told = Changes { reader: self, id: record.id, since };
        for change in record.messages_added {
            if is_mail(&change.message.label_ids) {
                told.reader.look_up(&change.message.id);
            }
        }
        for change in record.labels_added {
            for label in change.label_ids {
                match label.as_str() {
                    // How a message came in is no change of it.
                    INBOX if arrived.contains(&change.message.id) => {}
                    INBOX => {
                        told.event(&change.message, Activity::Unarchived, Some(label), Some(RECEIVED))?
                    }
                    // What was scheduled has gone out.
                    SENT => told.reader.look_up(&change.message.id),
                    _ if is_made(&label) => {
                        told.event(&change.message, Activity::Labelled, Some(label), None)?
                    }
                    _ => {}
                }
            }
        }
        for change in record.labels_removed {
            for label in change.label_ids {
                match label.as_str() {
                    INBOX => told.event(&change.message, Activity::Archived, Some(label), Some(ARCHIVED))?,
                    // It came, but was kept from sight.
                    it if it == TRASH || NO_MAIL.contains(&it) => told.reader.look_up(&change.message.id),
                    _ if is_made(&label) => {
                        told.event(&change.message, Activity::Unlabelled, Some(label), None)?
                    }
                    _ => {}
                }
            }
        }
        for change in record.messages_deleted {
            // A draft is deleted whenever it is saved again.
            if is_mail(&change.message.label_ids) {
                told.event(&change.message, Activity::Deleted, None, None)?;
            }
        }
        Ok(())
    }

    fn look_up(&mut self, message: &Opaque) {
        let question = left(&MESSAGE, Some(message.to_string()));
        if !self.page.next.pending.contains(&question) {
            self.page.next.pending.push(question);
        }
    }

    /// How a thread stands by what was read of it at this moment. In a sweep that follows the history that is the
    /// moment of reading, or a label change, which has no other, would outlive the mail that came after it.
    fn case(&mut self, thread: Opaque, at: DateTime<Utc>, status: Option<&'static str>) {
        let updated_at = if self.follows { at.max(self.page.next.began) } else { at };
        let status = status.map(Opaque::known);
        let fresh = |id: Opaque| Case {
            key: id.clone(),
            id,
            created_at: at,
            updated_at,
            status: None,
            assignee: None,
            priority: None,
        };
        let case = self.cases.entry(thread).or_insert_with_key(|id| fresh(id.clone()));
        case.created_at = case.created_at.min(at);
        if updated_at >= case.updated_at {
            case.updated_at = updated_at;
            case.status = status.or(case.status.take());
        }
    }

    fn finish(mut self) -> Page {
        let person = |id: Opaque| Named { kind: Kind::Person, name: Name::new(id.as_str()), id, stage: None };
        self.page.names.extend(self.people.into_iter().map(person));
        self.page.names.extend(STATUSES.iter().map(|(id, name, stage)| Named {
            kind: Kind::Status,
            id: Opaque::known(id),
            name: Name::new(name),
            stage: Some(*stage),
        }));
        self.page.cases = self.cases.into_values().collect();
        self.page.next.cases += self.page.cases.len() as u64;
        self.page
    }
}

/// One record of the history, and where the history was begun.
struct Changes<'a> {
    reader: &'a mut Reader,
    id: HistoryId,
    since: u64,
}

impl Changes<'_> {
    /// A change that has no time of its own: it happened by the time this sweep began, in the order of the
    /// history.
    fn event(
        &mut self,
        message: &Stub,
        activity: Activity,
        label: Option<Opaque>,
        status: Option<&'static str>,
    ) -> Result<(), ReadError> {
        let at = self.reader.page.next.began;
        let name = label.as_ref().map_or("", Opaque::as_str);
        let source = format!("{}:{}:{}:{name}", self.id.0, activity.word(), message.id);
        let (from, to) = match activity {
            Activity::Labelled => (None, label),
            Activity::Unlabelled => (label, None),
            _ => (None, status.map(Opaque::known)),
        };
        self.reader.page.events.push(Event {
            case: message.thread_id.clone(),
            activity,
            resource: None,
            at,
            from,
            to,
            source: Opaque::new(source).ok_or(ReadError::Missing("usable ids of a change"))?,
            turn: i32::try_from(self.id.0.saturating_sub(self.since)).unwrap_or(i32::MAX),
        });
        self.reader.case(message.thread_id.clone(), at, status);
        Ok(())
    }
}

fn place(token: Option<Token>) -> Place {
    token.and_then(Token::text).map_or(Place::End, Place::After)
}

fn is_made(label: &Opaque) -> bool {
    label.as_str().starts_with(MADE)
}

fn is_mail(labels: &[Opaque]) -> bool {
    !labels.iter().any(|label| NO_MAIL.contains(&label.as_str()))
}
