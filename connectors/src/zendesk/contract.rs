//! What is asked of Zendesk: two operations by the strict contract, three more by the detailed one.
//!
//! The contracts share no operation, not even an equal one: what one connection may ask is refused to the other.

use super::wire;
use crate::contract::{Body, Contract, Method, OAuth, Operation, Reads, Revoke, Scope, SignIn};

const WHOSE: Operation = Operation {
    name: "me",
    why: "whose credential this is; asked when connecting",
    method: Method::Get,
    path: "/api/v2/users/me.json",
    query: &[],
    body: Body::None,
    reads: &[Reads::of::<wire::Me>()],
};

const CLOCKS: Operation = Operation {
    name: "ticket_metric_events",
    why: "when which clock of which ticket was started, paused, stopped or ran out; no ticket's text is in it",
    method: Method::Get,
    path: "/api/v2/incremental/ticket_metric_events",
    query: &[("start_time", "{since}"), ("page[size]", "{size}"), ("page[after]", "{page}")],
    body: Body::None,
    reads: &[Reads::of::<wire::Metrics>()],
};

pub(super) static STRICT_ME: Operation = WHOSE;
pub(super) static STRICT_METRICS: Operation = CLOCKS;
pub(super) static DETAILED_ME: Operation = WHOSE;
pub(super) static DETAILED_METRICS: Operation = CLOCKS;

pub(super) static TICKET_EVENTS: Operation = Operation {
    name: "ticket_events",
    why: "who changed a ticket's status, assignee, group, priority, type and tags, when, from what to what; Zendesk \
          sends subjects and other text fields along, which are skipped and never decoded",
    method: Method::Get,
    path: "/api/v2/incremental/ticket_events.json",
    query: &[("start_time", "{since}")],
    body: Body::None,
    reads: &[Reads::of::<wire::Updates>()],
};

pub(super) static AGENTS: Operation = Operation {
    name: "agents",
    why: "what agents and admins are called; customers are not asked for",
    method: Method::Get,
    path: "/api/v2/users",
    query: &[("role[]", "agent"), ("role[]", "admin"), ("page[size]", "{size}"), ("page[after]", "{page}")],
    body: Body::None,
    reads: &[Reads::of::<wire::Agents>()],
};

pub(super) static GROUPS: Operation = Operation {
    name: "groups",
    why: "what the groups are called that tickets are moved between",
    method: Method::Get,
    path: "/api/v2/groups",
    query: &[("page[size]", "{size}"), ("page[after]", "{page}")],
    body: Body::None,
    reads: &[Reads::of::<wire::Groups>()],
};

const SIGN_INS: &[SignIn] = &[
    SignIn::OAuth(OAuth {
        authorize: "{base}/oauth/authorizations/new",
        token: "{base}/oauth/tokens",
        revoke: Revoke::Delete("{base}/api/v2/oauth/tokens/current"),
        separator: " ",
        extra: &[],
        pkce: true,
        secret: false,
        json: true,
        app: "Admin Center, Apps and integrations, APIs, OAuth clients: a public client. Metric events are shown to \
              admins, so an admin has to consent",
    }),
    SignIn::Basic {
        what: "e-mail address and API token (Zendesk retires API tokens on 2027-04-30: prefer OAuth)",
        after_name: "/token",
    },
];

const SCOPES: &[Scope] = &[Scope {
    name: "read",
    why: "Zendesk names no narrower one for metric events; an API token knows no scopes at all and may do whatever \
          its user may",
}];

pub(super) static STRICT: Contract = Contract {
    tool: "zendesk",
    title: "Zendesk",
    base_url: "https://{subdomain}.zendesk.com",
    hosts_under: &[".zendesk.com"],
    stream: "all tickets of the account",
    sign_ins: SIGN_INS,
    scopes: SCOPES,
    operations: &[&STRICT_METRICS, &STRICT_ME],
    // A status code tells each refusal; no body of one is looked into.
    complaints: &[],
    stored: &[
        "ticket id; when the ticket was created and last seen to move",
        "when it became open, pending, on hold or solved, as its clocks tell",
        "when an agent replied, and when a service level was missed",
    ],
    never: &[
        "subject, description, comments, custom fields, tags, attachments: no answer to any of these questions has them",
        "who did something, assignees, priorities, requesters: only the detailed connector can tell",
        "names and descriptions of service level policies, which come along and are skipped",
    ],
};

pub(super) static DETAILED: Contract = Contract {
    tool: "zendesk_detailed",
    title: "Zendesk (detailed)",
    base_url: "https://{subdomain}.zendesk.com",
    hosts_under: &[".zendesk.com"],
    stream: "all tickets of the account",
    sign_ins: SIGN_INS,
    scopes: SCOPES,
    operations: &[&TICKET_EVENTS, &DETAILED_METRICS, &AGENTS, &GROUPS, &DETAILED_ME],
    complaints: &[],
    stored: &[
        "ticket id; when the ticket was created and last seen to move",
        "who changed its status, assignee, group, priority, type or tags, when, from which id or word to which",
        "when an agent replied, and when a service level was missed",
        "ids of those who changed tickets, customers too; names of agents, admins and groups; tags",
    ],
    never: &[
        "subject and text of custom fields: Zendesk sends them with ticket events, and they are skipped undecoded; \
         where they must not even be sent, use the strict connector",
        "comments, descriptions, attachments: their side-loading is not asked for",
        "names of customers; e-mail addresses, telephone numbers, notes and signatures of agents, which come along and \
         are skipped",
    ],
};
