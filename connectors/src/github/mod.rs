//! GitHub issues, by GraphQL alone: the REST API sends titles and bodies with everything.
//!
//! One stream is one repository. Issues come in order of their last update, so that a sweep which is cut short
//! goes on behind the last page it kept, and an issue updated meanwhile moves to the tail and is met again.
//! Each issue brings its first 50 timeline items; what is longer is drained beside the following pages.
//! The timeline is asked for whole each time, not since the mark: an issue transferred into the repository
//! brings a history that is older than the mark.
//! Of a deleted or transferred issue nothing tells: now and then a census asks for the ids of all that are left.
//!
//! <https://docs.github.com/en/graphql/reference/objects#issue>,
//! <https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>

mod read;
mod refusal;
mod wire;

use crate::answer::Answer;
use crate::connector::{Account, Connector, Cursor, Page, Pending, Stream, Sweep, Window};
use crate::contract::{Body, Contract, Method, Operation, Reads, Request, Scope, SignIn, Value};
use crate::error::{Allowance, BadStream, ReadError, Refusal, Undeclared};
use crate::event::Name;
use crate::graphql::data;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use read::Reader;

pub(crate) struct GitHub;

/// Issues a page brings before anything is halved.
const PAGE: u64 = 50;
/// The same in a first sweep, which has far more of them to read.
const FIRST_PAGE: u64 = 100;
/// The two ends a first sweep reads from, as an `OrderDirection`.
const OLDEST_FIRST: &str = "ASC";
const NEWEST_FIRST: &str = "DESC";
/// Questions asked at a time. GitHub's secondary limits allow 100 requests at once for all
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
        document: concat!(
            include_str!("issues.graphql"),
            include_str!("issue.graphql"),
            include_str!("happening.graphql")
        ),
        variables: &["owner", "name", "first", "after", "since"],
    },
    reads: &[Reads::of::<wire::Reply<wire::IssuesData>>()],
};

static ISSUES_BY_AGE: Operation = Operation {
    name: "issues_by_age",
    why: "the same for a first scan, from the oldest and from the newest at once",
    method: Method::Post,
    path: "/graphql",
    query: &[],
    body: Body::GraphQl {
        document: concat!(
            include_str!("issues_by_age.graphql"),
            include_str!("issue.graphql"),
            include_str!("happening.graphql")
        ),
        variables: &["owner", "name", "first", "after", "direction"],
    },
    reads: &[Reads::of::<wire::Reply<wire::IssuesByAgeData>>()],
};

static CENSUS: Operation = Operation {
    name: "census",
    why: "which issues there still are, by their ids alone; asked now and then",
    method: Method::Post,
    path: "/graphql",
    query: &[],
    body: Body::GraphQl {
        document: include_str!("census.graphql"),
        variables: &["owner", "name", "first", "after"],
    },
    reads: &[Reads::of::<wire::Reply<wire::CensusData>>()],
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
    operations: &[&ISSUES, &ISSUES_BY_AGE, &TIMELINE, &CENSUS, &VIEWER],
    complaints: &[Reads::of::<wire::Complaint>()],
    stored: &[
        "issue id, number, state, times of creation and last update",
        "how many issues there are, while a first scan reads them",
        "who opened, closed, reopened, assigned, labelled, locked, transferred it or marked it a duplicate, and when",
        "that an issue is no longer shown: deleted, moved away or hidden; which of them GitHub does not say",
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
    IssuesByAge(usize, &'a Window),
    Census(usize, &'a Window),
    Timeline(&'a Pending),
}

/// What `ask` asks and `read` reads, in the same order.
fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    let issues = open(at).map(|(nth, window)| match &window.operation {
        it if it == CENSUS.name => Step::Census(nth, window),
        it if it == ISSUES_BY_AGE.name => Step::IssuesByAge(nth, window),
        _ => Step::Issues(nth, window),
    });
    issues.chain(at.pending.iter().take(timelines(at)).map(Step::Timeline))
}

/// The lists that are read on. Timelines first where many are left: they would pile up faster than they are drained.
fn open(at: &Sweep) -> impl Iterator<Item = (usize, &Window)> {
    let room = at.pending.len() < SIDE_BY_SIDE;
    at.windows.iter().enumerate().filter(move |(_, it)| room && !it.is_done())
}

/// How many timelines are drained beside them.
fn timelines(at: &Sweep) -> usize {
    at.pending.len().min(SIDE_BY_SIDE - open(at).count().min(SIDE_BY_SIDE))
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
            let Some(mark) = at.mark else {
                let oldest_first = vec![Window::new(&ISSUES_BY_AGE, OLDEST_FIRST, None)];
                let carried = vec![String::new()];
                return Sweep { upto: Some(now), carried, ..Sweep::new(now, oldest_first, vec![]) };
            };
            let since = (mark - OVERLAP).to_rfc3339_opts(SecondsFormat::Secs, true);
            Sweep::new(now, vec![Window::new(&ISSUES, since, None)], vec![])
        })
    }

    fn census(&self, _: &Stream, now: DateTime<Utc>) -> Option<Sweep> {
        Some(Sweep::new(now, vec![Window::new(&CENSUS, OLDEST_FIRST, None)], vec![]))
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
                Step::IssuesByAge(_, window) => ISSUES_BY_AGE.request(&[
                    ("owner", Value::Text(owner)),
                    ("name", Value::Text(name)),
                    ("first", Value::Number(at.size(FIRST_PAGE))),
                    ("after", window.after().into()),
                    ("direction", Value::Text(&window.since)),
                ]),
                Step::Census(_, window) => CENSUS.request(&[
                    ("owner", Value::Text(owner)),
                    ("name", Value::Text(name)),
                    ("first", Value::Number(at.size(FIRST_PAGE))),
                    ("after", window.after().into()),
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
        next.pending.drain(..timelines(at));
        let mut reader = Reader::new(stream, next);
        for (step, answer) in steps.into_iter().zip(answers) {
            match step {
                Step::Issues(nth, _) => reader.issues(answer, nth)?,
                Step::IssuesByAge(nth, _) => reader.issues_by_age(answer, nth)?,
                Step::Census(nth, _) => reader.census(answer, nth)?,
                Step::Timeline(pending) => reader.timeline(answer, pending)?,
            }
        }
        Ok(reader.finish())
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal::of(answer)
    }

    fn allowance(&self, answer: &Answer) -> Option<Allowance> {
        refusal::allowance(answer)
    }
}
