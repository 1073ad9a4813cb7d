//! What GitHub's answers mean.

use super::{ISSUES_BY_AGE, NEWEST_FIRST, OPEN, TIMELINE, wire};
use crate::answer::Answer;
use crate::connector::{Page, Pending, Place, Stream, Sweep, Window};
use crate::error::ReadError;
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Timestamp};
use crate::graphql::data;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Turns wire structs into a page.
pub(super) struct Reader<'a> {
    stream: &'a Stream,
    page: Page,
    names: BTreeMap<Opaque, (Kind, Name)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(stream: &'a Stream, next: Sweep) -> Self {
        Self { stream, page: Page::new(next), names: BTreeMap::new() }
    }

    pub(super) fn issues(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let issues = listed(data::<wire::IssuesData>(answer)?.repository)?;
        let before = self.page.cases.len();
        for issue in issues.nodes {
            self.issue(issue)?;
        }
        self.page.next.saw(self.page.cases.get(before..).unwrap_or_default());
        self.page.next.turn(nth, issues.page_info.next()?.map_or(Place::End, Place::After));
        Ok(())
    }

    pub(super) fn issues_by_age(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let issues = listed(data::<wire::IssuesByAgeData>(answer)?.repository)?;
        let (count, mut came_to) = (issues.nodes.len() as u64, None);
        for issue in issues.nodes {
            came_to = Some(issue.created_at.0);
            self.issue(issue)?;
        }
        self.page.next.cases += count;
        self.page.total = issues.total_count.map(u64::from).or(self.page.total);
        self.approach(nth, came_to, issues.page_info.next()?.map_or(Place::End, Place::After));
        Ok(())
    }

    pub(super) fn census(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let issues = listed(data::<wire::CensusData>(answer)?.repository)?;
        self.page.present.extend(issues.nodes.into_iter().map(|issue| issue.id));
        self.page.next.turn(nth, issues.page_info.next()?.map_or(Place::End, Place::After));
        Ok(())
    }

    /// A first sweep that is longer than a page reads from both ends, and is done when they have met or one has gone
    /// all the way.
    fn approach(&mut self, nth: usize, came_to: Option<DateTime<Utc>>, place: Place) {
        let next = &mut self.page.next;
        if let (Some(place), Some(came_to)) = (next.carried.get_mut(nth), came_to) {
            *place = came_to.to_rfc3339();
        }
        let ends: Vec<_> = next.carried.iter().map(|text| Timestamp::parse(text)).collect();
        let met =
            matches!(ends.as_slice(), [Some(from_oldest), Some(from_newest)] if from_oldest > from_newest);
        let all = place == Place::End;
        next.turn(nth, place);
        if met || all {
            next.windows.iter_mut().for_each(|window| window.page = Place::End);
        } else if next.windows.len() == 1 {
            next.windows.push(Window::new(&ISSUES_BY_AGE, NEWEST_FIRST, None));
            next.carried.push(String::new());
        }
    }

    fn issue(&mut self, issue: wire::Issue) -> Result<(), ReadError> {
        let key = Opaque::new(format!("{}#{}", self.stream.name, issue.number));
        let author = issue.author.map(|who| self.person(who));
        self.page.events.push(Event {
            case: issue.id.clone(),
            activity: Activity::Created,
            resource: author,
            at: issue.created_at.0,
            from: None,
            to: None,
            source: issue.id.clone(),
            turn: 0,
        });
        self.happenings(&issue.id, issue.timeline_items.nodes);
        if let Some(page) = issue.timeline_items.page_info.next()? {
            self.drain_later(issue.id.as_str(), page);
        }
        self.page.cases.push(Case {
            key: key.ok_or(ReadError::Missing("a usable issue number"))?,
            id: issue.id,
            created_at: issue.created_at.0,
            updated_at: issue.updated_at.0,
            status: Some(status(issue.state.as_str(), issue.state_reason.as_ref())),
            assignee: None,
            priority: None,
        });
        Ok(())
    }

    pub(super) fn timeline(&mut self, answer: &Answer, pending: &Pending) -> Result<(), ReadError> {
        let case =
            pending.cases.first().cloned().and_then(Opaque::new).ok_or(ReadError::Missing("a case"))?;
        let node = data::<wire::TimelineData>(answer)?.node;
        if node.as_ref().and_then(|node| node.id.as_ref()).is_some_and(|id| *id != case) {
            return Err(ReadError::Missing("the issue that was asked for"));
        }
        // The issue was deleted or moved out of sight since its page was read.
        let Some(timeline) = node.and_then(|node| node.timeline_items) else {
            self.page.next.skip("an issue vanished before its whole history was read");
            return Ok(());
        };
        self.happenings(&case, timeline.nodes);
        if let Some(page) = timeline.page_info.next()? {
            self.drain_later(case.as_str(), page);
        }
        Ok(())
    }

    fn drain_later(&mut self, case: &str, page: String) {
        let operation = TIMELINE.name.to_owned();
        self.page.next.pending.push(Pending { operation, cases: vec![case.to_owned()], page: Some(page) });
    }

    fn happenings(&mut self, case: &Opaque, happenings: Vec<wire::Happening>) {
        for happening in happenings {
            let resource = happening.actor.map(|who| self.person(who));
            let assignee = happening.assignee.map(|who| self.person(who));
            let label = happening.label.map(|label| self.label(label));
            let (activity, from, to) = match happening.kind.as_str() {
                "AssignedEvent" => (Activity::Assigned, None, assignee),
                "UnassignedEvent" => (Activity::Unassigned, assignee, None),
                "LabeledEvent" => (Activity::Labelled, None, label),
                "UnlabeledEvent" => (Activity::Unlabelled, label, None),
                "ClosedEvent" => {
                    let to = status("CLOSED", happening.state_reason.as_ref());
                    (Activity::StatusChanged, Some(Opaque::known(OPEN)), Some(to))
                }
                "ReopenedEvent" => (Activity::StatusChanged, None, Some(Opaque::known(OPEN))),
                "LockedEvent" => (Activity::Locked, None, None),
                "UnlockedEvent" => (Activity::Unlocked, None, None),
                "TransferredEvent" => (Activity::Moved, None, None),
                "MarkedAsDuplicateEvent" => (Activity::DuplicateMarked, None, None),
                "UnmarkedAsDuplicateEvent" => (Activity::DuplicateUnmarked, None, None),
                // Only these were asked for.
                _ => {
                    self.page.next.skip("an issue's history has items of a kind that was not asked for");
                    continue;
                }
            };
            let (case, source) = (case.clone(), happening.id);
            self.page.events.push(Event {
                case,
                activity,
                resource,
                at: happening.created_at.0,
                from,
                to,
                source,
                turn: 0,
            });
        }
    }

    fn person(&mut self, who: wire::Who) -> Opaque {
        if let Some(login) = who.login {
            self.names.insert(who.id.clone(), (Kind::Person, login));
        }
        who.id
    }

    fn label(&mut self, label: wire::Label) -> Opaque {
        self.names.insert(label.id.clone(), (Kind::Label, label.name));
        label.id
    }

    pub(super) fn finish(mut self) -> Page {
        let named = self.names.into_iter().map(|(id, (kind, name))| Named { kind, id, name, stage: None });
        self.page.names = named.chain(statuses()).collect();
        self.page
    }
}

fn listed<C>(repository: Option<wire::Repository<C>>) -> Result<C, ReadError> {
    Ok(repository.ok_or(ReadError::Missing("data.repository"))?.issues)
}

/// GitHub knows two states and a reason; a status here is the reason of a closed issue.
const STATUSES: &[(&str, &str, Stage)] = &[
    (OPEN, "Open", Stage::ToDo),
    ("completed", "Completed", Stage::Done),
    ("not_planned", "Not planned", Stage::Done),
    ("duplicate", "Duplicate", Stage::Done),
];

fn status(state: &str, reason: Option<&Opaque>) -> Opaque {
    let id = match (state, reason.map(Opaque::as_str)) {
        ("CLOSED", Some("NOT_PLANNED")) => "not_planned",
        ("CLOSED", Some("DUPLICATE")) => "duplicate",
        ("CLOSED", _) => "completed",
        _ => OPEN,
    };
    Opaque::known(id)
}

fn statuses() -> impl Iterator<Item = Named> {
    STATUSES.iter().map(|(id, name, stage)| Named {
        kind: Kind::Status,
        id: Opaque::known(id),
        name: Name::new(name),
        stage: Some(*stage),
    })
}
