//! Jira Cloud issues: `search/jql` says which changed, `changelog/bulkfetch` what happened to them.
//!
//! One stream is one project, or the whole site. A page of issues is followed by their change logs, which are
//! asked for beside the next page. Jira has no time filter on change logs, so an issue that changed brings its
//! whole history again; the event ids make that free of duplicates.
//!
//! JQL compares `updated` to the minute and in the time zone of the user's profile, so the mark is written
//! relative to now (`-75m`) with an overlap, and a sweep whose bound has come too near to what it had reached starts
//! over from there.
//!
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/>,
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/> (bulk fetch changelogs)

mod refusal;
mod wire;

use crate::answer::Answer;
use crate::connector::{Account, Connector, Cursor, Page, Pending, Place, Site, Stream, Sweep, Window};
use crate::contract::{
    Body, Contract, Method, OAuth, Operation, Reads, Request, Revoke, Scope, SignIn, Value,
};
use crate::error::{BadStream, ReadError, Refusal, Undeclared};
use crate::event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Token};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

pub(crate) struct Jira;

/// Issues a page brings before anything is halved.
const PAGE: u64 = 100;
const SIDE_BY_SIDE: usize = 4;
/// What the search index shows late, and clocks that differ.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);
/// How near a bound may come to what was read: the tool's clock and ours differ.
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// Page tokens expire after seven days.
const TOKEN_KEEPS: TimeDelta = TimeDelta::days(6);
const THE_WHOLE_SITE: &str = "site";
const FROM_THE_FIRST: &str = "1970-01-01";

static SEARCH_PROJECT: Operation = Operation {
    name: "search_project",
    why: "which issues of a project changed, and how they stand",
    method: Method::Post,
    path: "/rest/api/3/search/jql",
    query: &[],
    body: Body::Json(include_str!("search_project.json")),
    reads: &[Reads::of::<wire::Found>()],
};

static SEARCH_SITE: Operation = Operation {
    name: "search_site",
    why: "which issues of the site changed, and how they stand",
    method: Method::Post,
    path: "/rest/api/3/search/jql",
    query: &[],
    body: Body::Json(include_str!("search_site.json")),
    reads: &[Reads::of::<wire::Found>()],
};

static CHANGELOGS: Operation = Operation {
    name: "changelogs",
    why: "who changed which of seven fields, when, from which id to which",
    method: Method::Post,
    path: "/rest/api/3/changelog/bulkfetch",
    query: &[],
    body: Body::Json(include_str!("changelogs.json")),
    reads: &[Reads::of::<wire::Changelogs>()],
};

static STATUSES: Operation = Operation {
    name: "statuses",
    why: "what the statuses are called and which of them mean done",
    method: Method::Get,
    path: "/rest/api/3/status",
    query: &[],
    body: Body::None,
    reads: &[Reads::of::<Vec<wire::Status>>()],
};

static MYSELF: Operation = Operation {
    name: "myself",
    why: "whose token this is; asked when connecting",
    method: Method::Get,
    path: "/rest/api/3/myself",
    query: &[],
    body: Body::None,
    reads: &[Reads::of::<wire::Person>()],
};

/// Asked of Atlassian's gateway, before a site is chosen.
/// <https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/>
static SITES: Operation = Operation {
    name: "sites",
    why: "which sites a fresh grant opens, and with which scopes; asked when connecting by consent",
    method: Method::Get,
    path: "/oauth/token/accessible-resources",
    query: &[],
    body: Body::None,
    reads: &[Reads::of::<Vec<wire::Resource>>()],
};

/// The scope that keeps a connection alive; it belongs to no site.
const OFFLINE: &str = "offline_access";

static CONTRACT: Contract = Contract {
    tool: "jira",
    title: "Jira",
    base_url: "https://api.atlassian.com/ex/jira/{cloudid}",
    hosts_under: &[],
    stream: "a project's key, or the whole site",
    sign_ins: &[
        SignIn::OAuth(OAuth {
            authorize: "https://auth.atlassian.com/authorize",
            token: "https://auth.atlassian.com/oauth/token",
            // Not documented, but named in the metadata of Atlassian's own server.
            revoke: Revoke::Post("https://auth.atlassian.com/oauth/revoke"),
            separator: " ",
            extra: &[("audience", "api.atlassian.com"), ("prompt", "consent")],
            pkce: false,
            secret: true,
            json: true,
            app: "https://developer.atlassian.com/console/myapps: an OAuth 2.0 integration with these scopes of the \
                  Jira API. It has one callback URL, so give --redirect-port the port that is registered. Atlassian \
                  asks for consent anew once a year. What a person has granted is listed, and can be taken back, at \
                  https://id.atlassian.com/manage-profile/apps",
        }),
        SignIn::Token {
            what: "OAuth 2.0 (3LO) access token, for which read:jira-work and read:jira-user are enough; it ends within the hour",
        },
    ],
    scopes: &[
        Scope { name: "read:jira-work", why: "issues' states, times and change logs; statuses" },
        Scope { name: "read:jira-user", why: "whose token it is" },
        Scope {
            name: "write:jira-work",
            why: "to create a ticket, only when a person asks for one; no scan uses it, and a pasted token does without",
        },
        Scope { name: OFFLINE, why: "to stay connected without asking again; a pasted token does without" },
    ],
    operations: &[&SEARCH_PROJECT, &SEARCH_SITE, &CHANGELOGS, &STATUSES, &MYSELF, &SITES],
    complaints: &[Reads::of::<wire::Complaint>()],
    stored: &[
        "issue id, key, status, assignee, priority, times of creation and last update",
        "who created it; who changed its status, assignee, priority, labels, resolution, type or project, when, from which id to which",
        "people's account ids and display names; names of statuses and priorities",
    ],
    never: &[
        "summary, description, environment, custom fields",
        "comments, attachments, work logs, links",
        "the strings of a change-log item (fromString, toString), also those of labels",
        "e-mail addresses and avatars",
    ],
};

enum Step<'a> {
    Search(usize, &'a Window),
    Left(&'a Pending),
}

/// What `ask` asks and `read` reads, in the same order.
fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    let open = at.windows.iter().enumerate().filter(|(_, it)| !it.is_done());
    open.map(|(nth, window)| Step::Search(nth, window))
        .chain(at.pending.iter().take(SIDE_BY_SIDE).map(Step::Left))
}

impl Connector for Jira {
    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn stream(&self, name: &str) -> Result<Stream, BadStream> {
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let key = (2..=50).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(fits);
        if key || name == THE_WHOLE_SITE {
            return Ok(Stream { name: name.to_owned() });
        }
        Err(BadStream { given: name.to_owned(), expected: "a project's key (like SHOP), or `site` for all" })
    }

    fn probe(&self) -> Result<Request, Undeclared> {
        MYSELF.request(&[])
    }

    fn account(&self, answer: &Answer) -> Result<Account, ReadError> {
        let me: wire::Person = answer.json()?;
        let id = me.account_id.0.ok_or(ReadError::Missing("accountId"))?;
        let name = me.display_name.unwrap_or_else(|| Name::new(id.as_str()));
        Ok(Account { id, name, beyond: vec![] })
    }

    fn sites(&self) -> Result<Option<Request>, Undeclared> {
        SITES.request(&[]).map(Some)
    }

    /// A site may be listed once for each of its products.
    fn read_sites(&self, answer: &Answer) -> Result<Vec<Site>, ReadError> {
        let mut sites = BTreeMap::new();
        for resource in answer.json::<Vec<wire::Resource>>()? {
            let id = resource.id.as_str();
            if !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                return Err(ReadError::Missing("a usable site id"));
            }
            let path = format!("/ex/jira/{id}");
            let url = resource.url.as_str().to_owned();
            let site = Site { name: resource.name, url, path, scopes: vec![OFFLINE.to_owned()] };
            let site: &mut Site = sites.entry(resource.id).or_insert(site);
            site.scopes.extend(resource.scopes.iter().map(|scope| scope.as_str().to_owned()));
        }
        Ok(sites.into_values().collect())
    }

    fn begin(&self, stream: &Stream, at: &Cursor, now: DateTime<Utc>) -> Sweep {
        match &at.sweep {
            Some(cut) if still_good(cut, at.mark, now) => cut.clone(),
            Some(cut) => sweep_from(stream, at.mark.max(cut.reached), now).in_place_of(cut),
            None => sweep_from(stream, at.mark, now),
        }
    }

    fn ask(&self, stream: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared> {
        let search = |window: &Window| {
            let size = Value::Number(at.size(PAGE));
            let (since, page) = (Value::Text(&window.since), Value::from(window.after()));
            if window.operation == SEARCH_SITE.name {
                return SEARCH_SITE.request(&[("since", since), ("size", size), ("page", page)]);
            }
            let project = Value::Text(&stream.name);
            SEARCH_PROJECT.request(&[("project", project), ("since", since), ("size", size), ("page", page)])
        };
        plan(at)
            .map(|step| match step {
                Step::Search(_, window) => search(window),
                Step::Left(left) if left.operation == STATUSES.name => STATUSES.request(&[]),
                Step::Left(left) => CHANGELOGS
                    .request(&[("issues", Value::List(&left.cases)), ("page", left.page.as_deref().into())]),
            })
            .collect()
    }

    fn read(&self, _: &Stream, at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError> {
        let steps: Vec<_> = plan(at).collect();
        if steps.len() != answers.len() {
            return Err(ReadError::Count(answers.len(), steps.len()));
        }
        let mut next = at.clone();
        next.pending.drain(..at.pending.len().min(SIDE_BY_SIDE));
        let mut reader = Reader { page: Page::new(next), names: BTreeMap::new() };
        for (step, answer) in steps.into_iter().zip(answers) {
            match step {
                Step::Search(nth, _) => reader.search(answer, nth)?,
                Step::Left(left) if left.operation == STATUSES.name => {
                    answer.json::<Vec<wire::Status>>()?.into_iter().for_each(|it| drop(reader.status(it)));
                }
                Step::Left(left) => reader.changelogs(answer, left)?,
            }
        }
        reader.page.names = reader.names.into_values().collect();
        Ok(reader.page)
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal::of(answer)
    }
}

/// Whether a sweep can go on. A relative bound moves with the clock: once it has passed what was read, changes in
/// between would not be shown.
fn still_good(cut: &Sweep, mark: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    let since = cut.windows.first().map_or("", |window| window.since.as_str());
    let minutes = since.strip_prefix('-').and_then(|rest| rest.strip_suffix('m')?.parse().ok());
    let bound = minutes.and_then(TimeDelta::try_minutes).map(|minutes| now - minutes);
    let read_up_to = mark.max(cut.reached);
    now - cut.began < TOKEN_KEEPS
        && bound.is_none_or(|bound| read_up_to.is_some_and(|it| bound + MARGIN < it))
}

/// Everything that changed since `from`, after the dictionary of statuses. Priorities have one, too, but it takes
/// a scope that administers Jira; their names come with the issues instead.
fn sweep_from(stream: &Stream, from: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Sweep {
    let since = from.map_or(FROM_THE_FIRST.to_owned(), |from| {
        format!("-{}m", ((now - from).num_minutes() + 1).max(1) + OVERLAP.num_minutes())
    });
    let statuses = Pending { operation: STATUSES.name.to_owned(), cases: vec![], page: None };
    let search = if stream.name == THE_WHOLE_SITE { &SEARCH_SITE } else { &SEARCH_PROJECT };
    Sweep::new(now, vec![Window::new(search, since, None)], vec![statuses])
}

/// Turns wire structs into a page.
struct Reader {
    page: Page,
    names: BTreeMap<(Kind, Opaque), Named>,
}

impl Reader {
    fn search(&mut self, answer: &Answer, nth: usize) -> Result<(), ReadError> {
        let found: wire::Found = answer.json()?;
        let issues: Vec<_> = found.issues.iter().map(|issue| issue.id.as_str().to_owned()).collect();
        for issue in found.issues {
            self.issue(issue);
        }
        self.page.next.saw(&self.page.cases);
        if !issues.is_empty() {
            let operation = CHANGELOGS.name.to_owned();
            self.page.next.pending.push(Pending { operation, cases: issues, page: None });
        }
        let place = match found.next_page_token.and_then(Token::text) {
            Some(token) if !found.is_last => Place::After(token),
            _ if found.is_last => Place::End,
            _ => return Err(ReadError::Missing("nextPageToken or isLast")),
        };
        self.page.next.turn(nth, place);
        Ok(())
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

    fn changelogs(&mut self, answer: &Answer, asked: &Pending) -> Result<(), ReadError> {
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
