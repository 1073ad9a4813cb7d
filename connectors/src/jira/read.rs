//! What Jira's answers mean.

use super::{CHANGELOGS, TOGETHER, parts, wire};
use crate::answer::Answer;
use crate::connector::{Page, Pending, Place, Sweep};
use crate::error::ReadError;
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Token};
use std::collections::BTreeMap;

/// Turns wire structs into a page.
pub(super) struct Reader {
    page: Page,
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

    pub(super) fn statuses(&mut self, answer: &Answer) -> Result<(), ReadError> {
        answer.json::<Vec<wire::Status>>()?.into_iter().for_each(|it| drop(self.status(it)));
        Ok(())
    }

    pub(super) fn search(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let found: wire::Found = answer.json()?;
        let issues: Vec<_> = found.issues.iter().map(|issue| issue.id.as_str().to_owned()).collect();
        let before = self.page.cases.len();
        for issue in found.issues {
            self.issue(issue);
        }
        self.go_on(nth, place(found.next_page_token, found.is_last)?, before);
        self.histories_later(issues);
        Ok(())
    }

    /// The change logs of two pages are asked for together, which leaves room for one more search in each round.
    fn histories_later(&mut self, issues: Vec<String>) {
        let next = &mut self.page.next;
        let most = usize::try_from(next.size(TOGETHER)).unwrap_or(usize::MAX);
        let fresh = |left: &&mut Pending| left.operation == CHANGELOGS.name && left.page.is_none();
        match next.pending.last_mut().filter(fresh) {
            Some(left) if left.cases.len() + issues.len() <= most => left.cases.extend(issues),
            _ if issues.is_empty() => {}
            _ => {
                let operation = CHANGELOGS.name.to_owned();
                next.pending.push(Pending { operation, cases: issues, page: None });
            }
        }
    }

    pub(super) fn census(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let counted: wire::Counted = answer.json()?;
        self.page.present.extend(counted.issues.into_iter().map(|issue| issue.id));
        self.page.next.turn(nth, place(counted.next_page_token, counted.is_last)?);
        Ok(())
    }

    /// Where the nth window goes on. The first page of a first sweep tells whether more pages follow, and what they
    /// are divided into.
    fn go_on(&mut self, nth: usize, place: Place, before: usize) {
        let next = &mut self.page.next;
        let cases = self.page.cases.get(before..).unwrap_or_default();
        if next.upto.is_none() {
            next.saw(cases);
            return next.turn(nth, place);
        }
        next.cases += cases.len() as u64;
        let whole = next.windows.get(nth).filter(|it| it.until.is_none() && place != Place::End).cloned();
        match (whole, cases.first(), cases.last()) {
            (Some(whole), Some(first), Some(last)) => {
                next.windows = parts(&whole, first.created_at, last.created_at, next.began);
            }
            _ => next.turn(nth, place),
        }
    }

    fn issue(&mut self, issue: wire::Issue) {
        let fields = issue.fields;
        let creator = fields.creator.and_then(|person| self.person(person));
        let assignee = fields.assignee.and_then(|person| self.person(person));
        let status = fields.status.map(|status| self.status(status));
        let priority = fields.priority.map(|priority| self.priority(priority));
        self.page.events.push(Event {
            case: issue.id.clone(),
            activity: Activity::Created,
            resource: creator,
            at: fields.created.0,
            from: None,
            to: None,
            source: issue.id.clone(),
            turn: 0,
        });
        self.page.cases.push(Case {
            id: issue.id,
            key: issue.key,
            created_at: fields.created.0,
            updated_at: fields.updated.0,
            status,
            assignee,
            priority,
        });
    }

    pub(super) fn changelogs(&mut self, answer: &Answer, asked: &Pending) -> Result<(), ReadError> {
        let answered: wire::Changelogs = answer.json()?;
        for log in answered.issue_change_logs {
            for history in log.change_histories {
                self.history(&log.issue_id, history)?;
            }
        }
        if let Some(token) = answered.next_page_token.and_then(Token::text) {
            self.page.next.pending.push(Pending { page: Some(token), ..asked.clone() });
        }
        Ok(())
    }

    fn history(&mut self, case: &Opaque, history: wire::History) -> Result<(), ReadError> {
        let author = history.author.and_then(|person| self.person(person));
        // One history may change a field twice, and which other items come with it is not documented: an event
        // is known by the field and its turn among the items of that field.
        let mut turns = BTreeMap::new();
        for item in history.items {
            let Some(field) = item.field_id else { continue };
            let Some((activity, from, to)) = meaning(field, item) else { continue };
            let next: &mut i32 = turns.entry(field).or_default();
            let turn = std::mem::replace(next, *next + 1);
            let source = format!("{}:{turn}", history.id);
            self.page.events.push(Event {
                case: case.clone(),
                activity,
                resource: author.clone(),
                at: history.created.0,
                from,
                to,
                source: Opaque::new(source).ok_or(ReadError::Missing("a usable history id"))?,
                turn,
            });
        }
        Ok(())
    }

    fn person(&mut self, person: wire::Person) -> Option<Opaque> {
        let id = person.account_id.0?;
        if let Some(name) = person.display_name {
            self.name(Kind::Person, &id, name, None);
        }
        Some(id)
    }

    fn status(&mut self, status: wire::Status) -> Opaque {
        let stage = status.status_category.and_then(|category| match category.key.as_str() {
            "new" => Some(Stage::ToDo),
            "indeterminate" => Some(Stage::InProgress),
            "done" => Some(Stage::Done),
            _ => None,
        });
        self.name(Kind::Status, &status.id, status.name, stage);
        status.id
    }

    fn priority(&mut self, priority: wire::Priority) -> Opaque {
        self.name(Kind::Priority, &priority.id, priority.name, None);
        priority.id
    }

    fn name(&mut self, kind: Kind, id: &Opaque, name: Name, stage: Option<Stage>) {
        self.names.insert((kind, id.clone()), Named { kind, id: id.clone(), name, stage });
    }
}

/// Where a list goes on after a page.
fn place(token: Option<Token>, is_last: bool) -> Result<Place, ReadError> {
    match token.and_then(Token::text) {
        Some(token) if !is_last => Ok(Place::After(token)),
        _ if is_last => Ok(Place::End),
        _ => Err(ReadError::Missing("nextPageToken or isLast")),
    }
}

/// The event a change-log item stands for, if it is one of the followed fields.
fn meaning(field: wire::Field, item: wire::Item) -> Option<(Activity, Option<Opaque>, Option<Opaque>)> {
    let (from, to) = (item.from.0, item.to.0);
    Some(match field {
        wire::Field::Status => (Activity::StatusChanged, from, to),
        wire::Field::Assignee if to.is_none() => (Activity::Unassigned, from, to),
        wire::Field::Assignee => (Activity::Assigned, from, to),
        wire::Field::Priority => (Activity::PriorityChanged, from, to),
        // Labels have no ids; their names stand in the strings, which are not read.
        wire::Field::Labels => (Activity::Labelled, None, None),
        wire::Field::Resolution => (Activity::ResolutionChanged, from, to),
        wire::Field::IssueType => (Activity::TypeChanged, from, to),
        wire::Field::Project => (Activity::Moved, from, to),
        wire::Field::Other => return None,
    })
}
