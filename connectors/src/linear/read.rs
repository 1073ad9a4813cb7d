//! Turns wire structs into a page.

use super::contract::{HISTORY, TEAM};
use super::{A_DAY, WINDOWS, facets, list, text, wire};
use crate::answer::Answer;
use crate::connector::{Page, Pending, Place, Stream, Sweep, Window, slices};
use crate::contract::Operation;
use crate::error::ReadError;
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Timestamp, Withdrawn};
use crate::graphql::data;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

pub(super) struct Reader {
    page: Page,
    names: BTreeMap<(Kind, Opaque), Named>,
    /// An entry that was changed since may have told something else when it was read before.
    doubt: DateTime<Utc>,
}

impl Reader {
    pub(super) fn new(next: Sweep) -> Self {
        let since =
            next.windows.iter().filter(|it| it.until.is_none()).find_map(|it| Timestamp::parse(&it.since));
        // A first sweep that had to be started over may have read what is young before.
        let doubt = since.map_or(next.began - A_DAY, |since| since.0);
        Self { page: Page::new(next), names: BTreeMap::new(), doubt }
    }

    pub(super) fn issues(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let issues = data::<wire::IssuesData>(answer)?.issues;
        // Not `saw`: the list is in the order of creation, and tells nothing of what has been reached.
        self.page.next.cases += issues.nodes.len() as u64;
        for issue in issues.nodes {
            self.issue(issue)?;
        }
        self.page.next.turn(nth, issues.page_info.next()?.map_or(Place::End, Place::After));
        Ok(())
    }

    pub(super) fn census(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let issues = data::<wire::CensusData>(answer)?.issues;
        self.page.present.extend(issues.nodes.into_iter().map(|issue| issue.id));
        self.page.next.turn(nth, issues.page_info.next()?.map_or(Place::End, Place::After));
        Ok(())
    }

    fn issue(&mut self, issue: wire::Issue) -> Result<(), ReadError> {
        let creator = issue.creator.map(|who| who.id).or_else(|| self.bot(issue.bot_actor));
        self.page.events.push(Event {
            case: issue.id.clone(),
            activity: Activity::Created,
            resource: creator,
            at: issue.created_at.0,
            from: None,
            to: None,
            source: issue.id.clone(),
            turn: 0,
        });
        self.entries(&issue.id, issue.history)?;
        self.page.cases.push(Case {
            id: issue.id,
            key: issue.identifier,
            created_at: issue.created_at.0,
            updated_at: issue.updated_at.0,
            status: Some(issue.state.id),
            assignee: issue.assignee.map(|who| who.id),
            priority: facets::priority(issue.priority),
        });
        Ok(())
    }

    pub(super) fn history(&mut self, answer: &Answer, asked: &Pending) -> Result<(), ReadError> {
        let data = answer.json::<wire::Reply<wire::HistoryData>>()?.data;
        if data.is_none() && !answer.mentions("\"errors\"") {
            return Err(ReadError::Missing("data"));
        }
        let Some(issue) = data.and_then(|data| data.issue) else {
            // Deleted for good since its page was read; in the trash it would still be shown.
            self.page.next.skip("an issue vanished before its whole history was read");
            return Ok(());
        };
        if asked.cases.first().is_none_or(|id| id != issue.id.as_str()) {
            return Err(ReadError::Missing("the issue that was asked for"));
        }
        self.entries(&issue.id, issue.history)
    }

    fn entries(&mut self, case: &Opaque, history: wire::Connection<wire::Entry>) -> Result<(), ReadError> {
        for entry in history.nodes {
            self.entry(case, entry)?;
        }
        if let Some(page) = history.page_info.next()? {
            let (operation, cases) = (HISTORY.name.to_owned(), vec![case.as_str().to_owned()]);
            self.page.next.pending.push(Pending { operation, cases, page: Some(page) });
        }
        Ok(())
    }

    fn entry(&mut self, case: &Opaque, mut entry: wire::Entry) -> Result<(), ReadError> {
        let bot = entry.bot_actor.take();
        let resource = entry.actor_id.take().or_else(|| self.bot(bot));
        let (id, at) = (entry.id.clone(), entry.created_at.0);
        let (rewritten, doubtful) = (entry.updated_at.0 != at, entry.updated_at.0 >= self.doubt);
        let source =
            |name: &str| Opaque::new(format!("{id}:{name}")).ok_or(ReadError::Missing("a usable history id"));
        let told = facets::of(entry);
        if rewritten && doubtful {
            for (name, activity) in facets::lost(&told) {
                self.page.withdrawn.push(Withdrawn { case: case.clone(), activity, source: source(&name)? });
            }
        }
        let events = if rewritten || doubtful { &mut self.page.revised } else { &mut self.page.events };
        for (turn, facet) in (0..).zip(told) {
            events.push(Event {
                case: case.clone(),
                activity: facet.activity,
                resource: resource.clone(),
                at,
                from: facet.from,
                to: facet.to,
                source: source(&facet.name)?,
                turn,
            });
        }
        Ok(())
    }

    /// Since when there can be issues tells a first sweep how to part the time.
    pub(super) fn bounds(
        &mut self,
        answer: &Answer,
        operation: &Operation,
        stream: &Stream,
    ) -> Result<(), ReadError> {
        let workspace = if operation.name == TEAM.name {
            data::<wire::TeamData>(answer)?.organization
        } else {
            data::<wire::WorkspaceData>(answer)?.organization
        };
        let founded = workspace.created_at.0;
        let next = &mut self.page.next;
        if next.windows.is_empty() {
            let (operation, soon) = (list(stream), next.began + A_DAY);
            let slices = slices(founded, next.began, WINDOWS).enumerate();
            let windows = slices.map(|(nth, (from, to))| {
                // Issues that were brought from elsewhere may be older than the workspace.
                let from = if nth == 0 { DateTime::UNIX_EPOCH } else { from };
                Window::new(operation, text(from), Some(text(to.unwrap_or(soon))))
            });
            next.windows = windows.collect();
        }
        Ok(())
    }

    pub(super) fn dictionary(
        &mut self,
        answer: &Answer,
        asked: &Pending,
        kind: Kind,
    ) -> Result<(), ReadError> {
        let words = data::<wire::Dictionary>(answer)?.words;
        for word in words.nodes {
            let stage = word.kind.filter(|_| kind == Kind::Status).and_then(|kind| stage(kind.as_str()));
            self.name(kind, word.id, word.name, stage);
        }
        if kind == Kind::Status {
            for (id, name) in facets::PRIORITIES {
                self.name(Kind::Priority, Opaque::known(id), Name::new(name), None);
            }
        }
        if let Some(page) = words.page_info.next()? {
            self.page.next.pending.push(Pending { page: Some(page), ..asked.clone() });
        }
        Ok(())
    }

    /// Integrations stand in no dictionary.
    fn bot(&mut self, bot: Option<wire::Bot>) -> Option<Opaque> {
        let wire::Bot { id, name } = bot?;
        let id = id?;
        self.name(Kind::Person, id.clone(), name.unwrap_or_else(|| Name::new(id.as_str())), None);
        Some(id)
    }

    fn name(&mut self, kind: Kind, id: Opaque, name: Name, stage: Option<Stage>) {
        self.names.insert((kind, id.clone()), Named { kind, id, name, stage });
    }

    pub(super) fn finish(mut self) -> Page {
        self.page.names = self.names.into_values().collect();
        self.page
    }
}

fn stage(kind: &str) -> Option<Stage> {
    match kind {
        "triage" | "backlog" | "unstarted" => Some(Stage::ToDo),
        "started" => Some(Stage::InProgress),
        "completed" | "canceled" | "duplicate" => Some(Stage::Done),
        _ => None,
    }
}
