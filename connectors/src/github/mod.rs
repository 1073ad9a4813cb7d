//! GitHub issues, by GraphQL alone: the REST API sends titles and bodies with everything.
//!
//! One stream is one repository. Issues come in order of their last update, so that a sweep which is cut short
//! goes on behind the last page it kept, and an issue updated meanwhile moves to the tail and is met again.
//! Each issue brings its first 50 timeline items; what is longer is drained beside the following pages.
//! The timeline is asked for whole each time, not since the mark: an issue transferred into the repository
//! brings a history that is older than the mark.
//!
//! <https://docs.github.com/en/graphql/reference/objects#issue>,
//! <https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>

mod refusal;
mod wire;

use crate::answer::Answer;
use crate::connector::{Account, Connector, Cursor, Page, Pending, Place, Stream, Sweep, Window};
use crate::contract::{Body, Contract, Method, Operation, Reads, Request, Scope, SignIn, Value};
use crate::error::{BadStream, ReadError, Refusal, Undeclared};
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Token};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::collections::BTreeMap;

pub(crate) struct GitHub;

/// Issues a page brings before anything is halved.
const PAGE: u64 = 50;
/// Timelines drained beside one page of issues. GitHub's secondary limits allow 100 requests at once for all
/// that use the same token; this leaves nine tenths of them.
const SIDE_BY_SIDE: usize = 8;
/// How far behind the mark a sweep starts: what GitHub shows late is met again.
const OVERLAP: TimeDelta = TimeDelta::minutes(2);
const OPEN: &str = "open";

static ISSUES: Operation = Operation {
    name: "issues",
    why: "who did what to which issue, when",
    method: Method::Post,
    path: "/graphql",
    query: &[],
    body: Body::GraphQl {
        document: concat!(include_str!("issues.graphql"), include_str!("happening.graphql")),
        variables: &["owner", "name", "first", "after", "since"],
    },
    reads: &[Reads::of::<wire::Reply<wire::IssuesData>>()],
};

static TIMELINE: Operation = Operation {
    name: "timeline",
    why: "the rest of a long issue's history",
    method: Method::Post,
    path: "/graphql",
    query: &[],
    body: Body::GraphQl {
        document: concat!(include_str!("timeline.graphql"), include_str!("happening.graphql")),
        variables: &["id", "after"],
    },
    reads: &[Reads::of::<wire::Reply<wire::TimelineData>>()],
};

static VIEWER: Operation = Operation {
    name: "viewer",
    why: "whose token this is; asked when connecting",
    method: Method::Post,
    path: "/graphql",
    query: &[],
    body: Body::GraphQl { document: include_str!("viewer.graphql"), variables: &[] },
    reads: &[Reads::of::<wire::Reply<wire::ViewerData>>()],
};

static CONTRACT: Contract = Contract {
    tool: "github",
    title: "GitHub",
    base_url: "https://api.github.com",
    hosts_under: &[],
    stream: "a repository, as OWNER/NAME",
    sign_ins: &[SignIn::Token {
        what: "fine-grained personal access token, for the selected repositories only",
    }],
    scopes: &[
        Scope { name: "Issues: read", why: "the issues' states, people and times" },
        Scope { name: "Metadata: read", why: "GitHub adds it to every fine-grained token" },
    ],
    operations: &[&ISSUES, &TIMELINE, &VIEWER],
    complaints: &[Reads::of::<wire::Complaint>()],
    stored: &[
        "issue id, number, state, times of creation and last update",
        "who opened, closed, reopened, assigned, labelled, locked, transferred it or marked it a duplicate, and when",
        "people's ids and logins, labels' ids and names",
    ],
    never: &[
        "titles, also those in rename events",
        "bodies and comments",
        "pull requests, commits and code",
        "milestones and projects",
        "URLs",
        "everything of the REST API",
    ],
};

enum Step<'a> {
    Issues(usize, &'a Window),
    Timeline(&'a Pending),
}

/// What `ask` asks and `read` reads, in the same order.
fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    // Timelines first where many are left: they would pile up faster than they are drained.
    let room = at.pending.len() <= SIDE_BY_SIDE;
    let open = at.windows.iter().enumerate().filter(move |(_, it)| room && !it.is_done());
    open.map(|(nth, window)| Step::Issues(nth, window))
        .chain(at.pending.iter().take(SIDE_BY_SIDE).map(Step::Timeline))
}

impl Connector for GitHub {
    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn stream(&self, name: &str) -> Result<Stream, BadStream> {
        let part = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (1..=100).contains(&text.len()) && text.chars().all(fits)
        };
        match name.split_once('/') {
            Some((owner, repository)) if part(owner) && part(repository) => {
                Ok(Stream { name: name.to_owned() })
            }
            _ => Err(BadStream { given: name.to_owned(), expected: "a repository, as OWNER/NAME" }),
        }
    }

    fn probe(&self) -> Result<Request, Undeclared> {
        VIEWER.request(&[])
    }

    fn account(&self, answer: &Answer) -> Result<Account, ReadError> {
        let viewer = data::<wire::ViewerData>(answer)?.viewer;
        // Only classic tokens have scopes that a header lists; each of them lets in more than issues.
        let scopes = answer.header("x-oauth-scopes").unwrap_or_default();
        let beyond = scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned);
        let name = viewer.login.unwrap_or_else(|| Name::new(viewer.id.as_str()));
        Ok(Account { id: viewer.id, name, beyond: beyond.collect() })
    }

    fn begin(&self, _: &Stream, at: &Cursor, now: DateTime<Utc>) -> Sweep {
        at.sweep.clone().unwrap_or_else(|| {
            let since = at.mark.map_or(DateTime::UNIX_EPOCH, |mark| mark - OVERLAP);
            let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
            Sweep::new(now, vec![Window::new(&ISSUES, since, None)], vec![])
        })
    }

    fn ask(&self, stream: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared> {
        let (owner, name) = stream.name.split_once('/').unwrap_or((&stream.name, ""));
        plan(at)
            .map(|step| match step {
                Step::Issues(_, window) => ISSUES.request(&[
                    ("owner", Value::Text(owner)),
                    ("name", Value::Text(name)),
                    ("first", Value::Number(at.size(PAGE))),
                    ("after", window.after().into()),
                    ("since", Value::Text(&window.since)),
                ]),
                Step::Timeline(pending) => TIMELINE.request(&[
                    ("id", pending.cases.first().map(String::as_str).into()),
                    ("after", pending.page.as_deref().into()),
                ]),
            })
            .collect()
    }

    fn read(&self, stream: &Stream, at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError> {
        let steps: Vec<_> = plan(at).collect();
        if steps.len() != answers.len() {
            return Err(ReadError::Count(answers.len(), steps.len()));
        }
        let mut next = at.clone();
        next.pending.drain(..at.pending.len().min(SIDE_BY_SIDE));
        let mut reader = Reader { stream, page: Page::new(next), names: BTreeMap::new() };
        for (step, answer) in steps.into_iter().zip(answers) {
            match step {
                Step::Issues(nth, _) => reader.issues(answer, nth)?,
                Step::Timeline(pending) => reader.timeline(answer, pending)?,
            }
        }
        Ok(reader.finish())
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal::of(answer)
    }
}

/// Turns wire structs into a page.
struct Reader<'a> {
    stream: &'a Stream,
    page: Page,
    names: BTreeMap<Opaque, (Kind, Name)>,
}

impl Reader<'_> {
    fn issues(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let issues =
            data::<wire::IssuesData>(answer)?.repository.ok_or(ReadError::Missing("data.repository"))?.issues;
        for issue in issues.nodes {
            self.issue(issue)?;
        }
        self.page.next.saw(&self.page.cases);
        let place = next(issues.page_info)?.map_or(Place::End, Place::After);
        self.page.next.turn(nth, place);
        Ok(())
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
        if let Some(page) = next(issue.timeline_items.page_info)? {
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

    fn timeline(&mut self, answer: &Answer, pending: &Pending) -> Result<(), ReadError> {
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
        if let Some(page) = next(timeline.page_info)? {
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

    fn finish(mut self) -> Page {
        let named = self.names.into_iter().map(|(id, (kind, name))| Named { kind, id, name, stage: None });
        self.page.names = named.chain(statuses()).collect();
        self.page
    }
}

fn data<'a, T: serde::Deserialize<'a>>(answer: &'a Answer) -> Result<T, ReadError> {
    answer.json::<wire::Reply<T>>()?.data.ok_or(ReadError::Missing("data"))
}

fn next(info: wire::PageInfo) -> Result<Option<String>, ReadError> {
    match (info.has_next_page, info.end_cursor.and_then(Token::text)) {
        (false, _) => Ok(None),
        (true, Some(token)) => Ok(Some(token)),
        (true, None) => Err(ReadError::Missing("pageInfo.endCursor")),
    }
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
