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
//! Of a deleted issue nothing tells: now and then a census asks for the ids of all that are left, in pages of thousands.
//!
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/>,
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/> (bulk fetch changelogs)

mod read;
mod refusal;
mod ticket;
mod wire;

pub(crate) use ticket::Tickets;

use crate::answer::Answer;
use crate::connector::{
    Account, Connector, Cursor, Page, Pending, Place, Site, Stream, Sweep, Window, slices,
};
use crate::contract::{
    Body, Contract, Method, OAuth, Operation, Reads, Request, Revoke, Scope, SignIn, Value,
};
use crate::error::{Allowance, BadStream, ReadError, Refusal, Undeclared};
use crate::event::Name;
use chrono::{DateTime, TimeDelta, Utc};
use read::Reader;
use std::collections::BTreeMap;

pub(crate) struct Jira;

/// Issues a page brings before anything is halved.
const PAGE: u64 = 100;
/// Issues whose change logs are asked for at once; there may be 1,000.
const TOGETHER: u64 = 2 * PAGE;
/// The same of bare ids.
const CENSUS_PAGE: u64 = 5_000;
const SIDE_BY_SIDE: usize = 8;
/// What the search index shows late, and clocks that differ.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);
const LONGEST_OVERLAP: TimeDelta = TimeDelta::days(1);
/// How near a bound may come to what was read: the tool's clock and ours differ.
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// Page tokens expire after seven days.
const TOKEN_KEEPS: TimeDelta = TimeDelta::days(6);
const THE_WHOLE_SITE: &str = "site";
/// Bounds that no issue's creation lies beyond.
const BEFORE_ALL: &str = "1970-01-01 00:00";
const AFTER_ALL: &str = "2199-12-31 00:00";
/// Parts a first sweep is read in. More than are read at a time, so that a busy month does not hold up the rest.
const MOST_PARTS: u32 = 24;
/// More than any time zone is behind UTC.
const AHEAD_OF_UTC: TimeDelta = TimeDelta::hours(13);
/// Searches asked at a time. The change logs of what they find take the rest of a round.
const SEARCHES: usize = 5;

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

static BACKFILL_PROJECT: Operation = Operation {
    name: "backfill_project",
    why: "the issues of a project by their time of creation, for a first scan in parts",
    method: Method::Post,
    path: "/rest/api/3/search/jql",
    query: &[],
    body: Body::Json(include_str!("backfill_project.json")),
    reads: &[Reads::of::<wire::Found>()],
};

static BACKFILL_SITE: Operation = Operation {
    name: "backfill_site",
    why: "the issues of the site by their time of creation, for a first scan in parts",
    method: Method::Post,
    path: "/rest/api/3/search/jql",
    query: &[],
    body: Body::Json(include_str!("backfill_site.json")),
    reads: &[Reads::of::<wire::Found>()],
};

static CENSUS_PROJECT: Operation = Operation {
    name: "census_project",
    why: "which issues of a project there still are, by their ids alone; asked now and then",
    method: Method::Post,
    path: "/rest/api/3/search/jql",
    query: &[],
    body: Body::Json(include_str!("census_project.json")),
    reads: &[Reads::of::<wire::Counted>()],
};

static CENSUS_SITE: Operation = Operation {
    name: "census_site",
    why: "which issues of the site there still are, by their ids alone; asked now and then",
    method: Method::Post,
    path: "/rest/api/3/search/jql",
    query: &[],
    body: Body::Json(include_str!("census_site.json")),
    reads: &[Reads::of::<wire::Counted>()],
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
    operations: &[
        &SEARCH_PROJECT,
        &SEARCH_SITE,
        &BACKFILL_PROJECT,
        &BACKFILL_SITE,
        &CENSUS_PROJECT,
        &CENSUS_SITE,
        &CHANGELOGS,
        &STATUSES,
        &MYSELF,
        &SITES,
    ],
    complaints: &[Reads::of::<wire::Complaint>()],
    stored: &[
        "issue id, key, status, assignee, priority, times of creation and last update",
        "who created it; who changed its status, assignee, priority, labels, resolution, type or project, when, from which id to which",
        "that an issue is no longer shown: deleted, moved away or hidden; which of them Jira does not say",
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
    Census(usize, &'a Window),
    Left(&'a Pending),
}

/// What `ask` asks and `read` reads, in the same order.
fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    let open = at.windows.iter().enumerate().filter(|(_, it)| !it.is_done()).take(SEARCHES);
    let counts =
        |window: &Window| [&CENSUS_PROJECT, &CENSUS_SITE].iter().any(|it| it.name == window.operation);
    open.map(
        move |(nth, window)| {
            if counts(window) { Step::Census(nth, window) } else { Step::Search(nth, window) }
        },
    )
    .chain(at.pending.iter().take(left_asked(at)).map(Step::Left))
}

/// How many of the questions left over are asked beside the searches.
fn left_asked(at: &Sweep) -> usize {
    let searches = at.windows.iter().filter(|it| !it.is_done()).count().min(SEARCHES);
    at.pending.len().min(SIDE_BY_SIDE - searches)
}

/// What is left of a first sweep after its first page, in parts: two to three pages each, if the rest is as dense as
/// the page was; the last page of a part is half empty as a rule. JQL takes the bounds in the time zone of the user's
/// profile: whatever that is, it is the same for the end of one part and the beginning of the next, and half a day
/// behind the page's last issue no zone lies ahead of it.
fn parts(whole: &Window, first: DateTime<Utc>, last: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Window> {
    let bound = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M").to_string();
    let pages = (now - last).num_minutes() / (last - first).num_minutes().max(1);
    let count = u32::try_from(pages * 2 / 5).unwrap_or(MOST_PARTS).clamp(2, MOST_PARTS);
    let part = |(since, until): (_, Option<_>)| Window {
        since: bound(since),
        until: Some(until.map_or_else(|| AFTER_ALL.to_owned(), bound)),
        page: Place::First,
        ..whole.clone()
    };
    let mut parts: Vec<_> = slices(last - AHEAD_OF_UTC, now, count).map(part).collect();
    parts.retain(|part| part.until.as_ref() != Some(&part.since));
    parts
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
            // As far behind as the last one came to grief after, so that each lives longer than the one before.
            Some(cut) => {
                let overlap = (now - cut.began).clamp(OVERLAP, LONGEST_OVERLAP);
                sweep_from(stream, at.mark.max(cut.reached), overlap, now).in_place_of(cut)
            }
            None => sweep_from(stream, at.mark, OVERLAP, now),
        }
    }

    fn census(&self, stream: &Stream, now: DateTime<Utc>) -> Option<Sweep> {
        let census = if stream.name == THE_WHOLE_SITE { &CENSUS_SITE } else { &CENSUS_PROJECT };
        Some(Sweep::new(now, vec![Window::new(census, BEFORE_ALL, None)], vec![]))
    }

    fn ask(&self, stream: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared> {
        plan(at)
            .map(|step| match step {
                Step::Search(_, window) => search(stream, window, at.size(PAGE)),
                Step::Census(_, window) => search(stream, window, at.size(CENSUS_PAGE)),
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
        next.pending.drain(..left_asked(at));
        let mut reader = Reader::new(next);
        for (step, answer) in steps.into_iter().zip(answers) {
            match step {
                Step::Search(nth, _) => reader.search(answer, nth)?,
                Step::Census(nth, _) => reader.census(answer, nth)?,
                Step::Left(left) if left.operation == STATUSES.name => reader.statuses(answer)?,
                Step::Left(left) => reader.changelogs(answer, left)?,
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
fn sweep_from(stream: &Stream, from: Option<DateTime<Utc>>, overlap: TimeDelta, now: DateTime<Utc>) -> Sweep {
    let statuses = Pending { operation: STATUSES.name.to_owned(), cases: vec![], page: None };
    let whole_site = stream.name == THE_WHOLE_SITE;
    let Some(from) = from else {
        let backfill = if whole_site { &BACKFILL_SITE } else { &BACKFILL_PROJECT };
        let sweep = Sweep::new(now, vec![Window::new(backfill, BEFORE_ALL, None)], vec![statuses]);
        return Sweep { upto: Some(now), ..sweep };
    };
    let since = format!("-{}m", ((now - from).num_minutes() + 1).max(1) + overlap.num_minutes());
    let search = if whole_site { &SEARCH_SITE } else { &SEARCH_PROJECT };
    Sweep::new(now, vec![Window::new(search, since, None)], vec![statuses])
}

/// One page of a list.
fn search(stream: &Stream, window: &Window, size: u64) -> Result<Request, Undeclared> {
    let searches =
        [&SEARCH_PROJECT, &SEARCH_SITE, &BACKFILL_PROJECT, &BACKFILL_SITE, &CENSUS_PROJECT, &CENSUS_SITE];
    let search = searches.into_iter().find(|it| it.name == window.operation).unwrap_or(&SEARCH_PROJECT);
    search.request(&[
        ("project", Value::Text(&stream.name)),
        ("since", Value::Text(&window.since)),
        ("until", Value::Text(window.until.as_deref().unwrap_or(AFTER_ALL))),
        ("size", Value::Number(size)),
        ("page", window.after().into()),
    ])
}
