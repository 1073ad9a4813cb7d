//! Creates a Jira issue. Jira knows no idempotency key, so a label made from one goes with the issue: where it stays
//! unclear whether an issue was created, the label is searched for.
//!
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/#api-rest-api-3-issue-post>

mod wire;

use super::{Jira, refusal};
use crate::action::{Action, Draft, Fill};
use crate::answer::Answer;
use crate::connector::Connector as _;
use crate::contract::{Body, Method, Operation, Reads, Request, Scope, Value};
use crate::error::{BadStream, ReadError, Refusal, Undeclared};
use crate::event::Opaque;
use crate::ticket::{
    BadTicket, Opened, Part, Ticket, TicketDesk, TicketField, TicketKind, TicketOutcome, TicketRefusal,
};

pub(crate) struct Tickets;

/// What Jira takes, in characters.
const LONGEST_SUMMARY: usize = 255;
const LONGEST_DESCRIPTION: usize = 32_767;
const LONGEST_LABEL: usize = 255;

static CREATE_ISSUE: Action = Action {
    name: "create_issue",
    why: "creates one issue, when a person has seen it and said yes",
    method: Method::Post,
    path: "/rest/api/3/issue",
    body: include_str!("create_issue.json"),
    scope: Scope { name: "write:jira-work", why: "creates the issues that a person confirms" },
    reads: &[Reads::of::<wire::Issue>(), Reads::of::<wire::Complaint>()],
};

static KINDS: Operation = Operation {
    name: "issue_types",
    why: "which types of issue can be created in a project",
    method: Method::Get,
    path: "/rest/api/3/issue/createmeta/{project}/issuetypes",
    query: &[("startAt", "{from}"), ("maxResults", "200")],
    body: Body::None,
    reads: &[Reads::of::<wire::Kinds>()],
};

static FIELDS: Operation = Operation {
    name: "fields",
    why: "which fields such an issue must and can have when it is created",
    method: Method::Get,
    path: "/rest/api/3/issue/createmeta/{project}/issuetypes/{kind}",
    query: &[("startAt", "{from}"), ("maxResults", "200")],
    body: Body::None,
    reads: &[Reads::of::<wire::Fields>()],
};

static MARKED: Operation = Operation {
    name: "marked",
    why: "whether an issue was created, when that stayed unclear",
    method: Method::Post,
    path: "/rest/api/3/search/jql",
    query: &[],
    body: Body::Json(include_str!("marked.json")),
    reads: &[Reads::of::<wire::Marked>()],
};

static AROUND: &[&Operation] = &[&KINDS, &FIELDS, &MARKED];

impl TicketDesk for Tickets {
    fn tool(&self) -> &'static str {
        Jira.contract().tool
    }

    fn action(&self) -> &'static Action {
        &CREATE_ISSUE
    }

    fn operations(&self) -> &'static [&'static Operation] {
        AROUND
    }

    fn project(&self, name: &str) -> Result<String, BadStream> {
        let stream = Jira.stream(name).ok().filter(|it| it.name != super::THE_WHOLE_SITE);
        let bad = || BadStream { given: name.to_owned(), expected: "a project's key (like SHOP)" };
        stream.map(|it| it.name).ok_or_else(bad)
    }

    fn ask_kinds(&self, project: &str, from: u64) -> Result<Request, Undeclared> {
        KINDS.request(&[("project", Value::Text(project)), ("from", Value::Number(from))])
    }

    fn kinds(&self, answer: &Answer) -> Result<Part<TicketKind>, ReadError> {
        let kinds: wire::Kinds = answer.json()?;
        let known = |kind: wire::Kind| TicketKind { id: kind.id, name: kind.name, subtask: kind.subtask };
        Ok(part(kinds.start_at, kinds.total, kinds.issue_types.into_iter().map(known)))
    }

    fn ask_fields(&self, project: &str, kind: &Opaque, from: u64) -> Result<Request, Undeclared> {
        let kind = Value::Text(kind.as_str());
        FIELDS.request(&[("project", Value::Text(project)), ("kind", kind), ("from", Value::Number(from))])
    }

    fn fields(&self, answer: &Answer) -> Result<Part<TicketField>, ReadError> {
        let fields: wire::Fields = answer.json()?;
        let known = |field: wire::Field| TicketField {
            id: field.field_id,
            name: field.name,
            required: field.required && !field.has_default_value,
        };
        Ok(part(fields.start_at, fields.total, fields.fields.into_iter().chain(fields.results).map(known)))
    }

    fn draft(&self, ticket: &Ticket<'_>) -> Result<Draft, BadTicket> {
        let summary = ticket.summary.as_str();
        if summary.trim().is_empty() || summary.contains(char::is_control) || longer(summary, LONGEST_SUMMARY)
        {
            return Err(BadTicket::Summary(LONGEST_SUMMARY));
        }
        let description = ticket.description.map(|it| it.as_str());
        if description.is_some_and(|it| longer(it, LONGEST_DESCRIPTION)) {
            return Err(BadTicket::Description(LONGEST_DESCRIPTION));
        }
        let odd = |label: &String| {
            label.is_empty()
                || label.contains(|c: char| c.is_whitespace() || c.is_control())
                || longer(label, LONGEST_LABEL)
        };
        if ticket.labels.iter().any(odd) {
            return Err(BadTicket::Label(LONGEST_LABEL));
        }
        let labels = if ticket.labels.is_empty() { Fill::Nothing } else { Fill::List(ticket.labels) };
        Ok(CREATE_ISSUE.draft(&[
            ("project", Fill::Text(ticket.project)),
            ("kind", Fill::Text(ticket.kind.as_str())),
            ("summary", Fill::Text(summary)),
            ("description", description.map_or(Fill::Nothing, Fill::Document)),
            ("labels", labels),
            ("key", Fill::Text(ticket.key)),
        ])?)
    }

    fn outcome(&self, answer: &Answer) -> TicketOutcome {
        match (answer.status(), refusal::of(answer)) {
            // Whoever answers with something else may have created it all the same.
            (200..300, _) => {
                answer.json_after::<wire::Issue>(&CREATE_ISSUE).map_or(TicketOutcome::Unclear, |issue| {
                    TicketOutcome::Opened(Opened { id: issue.id, key: issue.key })
                })
            }
            (300..400 | 408 | 500.., _) => TicketOutcome::Unclear,
            (400 | 422, _) => {
                let fields = answer.json_after::<wire::Complaint>(&CREATE_ISSUE).unwrap_or_default().errors.0;
                TicketOutcome::Refused(TicketRefusal::Fields(fields))
            }
            (_, refused) => {
                TicketOutcome::Refused(TicketRefusal::Other(refused.unwrap_or(Refusal::Rejected)))
            }
        }
    }

    fn ask_marked(&self, project: &str, marker: &str) -> Result<Request, Undeclared> {
        MARKED.request(&[("project", Value::Text(project)), ("marker", Value::Text(marker))])
    }

    /// Who clones an issue clones its labels: the first is ours.
    fn marked(&self, answer: &Answer) -> Result<Option<Opened>, ReadError> {
        let found: wire::Marked = answer.json()?;
        Ok(found.issues.into_iter().next().map(|issue| Opened { id: issue.id, key: issue.key }))
    }
}

fn longer(text: &str, longest: usize) -> bool {
    text.chars().nth(longest).is_some()
}

fn part<T>(start: u64, total: u64, items: impl Iterator<Item = T>) -> Part<T> {
    let items: Vec<_> = items.collect();
    let read = start + items.len() as u64;
    Part { rest: Some(read).filter(|_| read < total && !items.is_empty()), items }
}
