//! What Linear may be asked, word for word.

use super::wire;
use crate::contract::{Body, Contract, Method, OAuth, Operation, Reads, Revoke, Scope, SignIn};
use crate::event::Kind;

/// What stands for all teams in the place of a key.
pub(super) const THE_WORKSPACE: &str = "workspace";
pub(super) const STREAM: &str = "a team's key (like ENG), or `workspace` for all teams";

/// An operation that sends one document to the only endpoint there is.
macro_rules! asks {
    ($name:literal, $why:literal, $variables:expr, [$($read:ty),+], $($document:literal),+) => {
        Operation {
            name: $name,
            why: $why,
            method: Method::Post,
            path: "/graphql",
            query: &[],
            body: Body::GraphQl { document: concat!($(include_str!($document)),+), variables: &$variables },
            reads: &[$(Reads::of::<wire::Reply<$read>>()),+],
        }
    };
}

pub(super) static ISSUES_TEAM: Operation = asks!(
    "issues_team",
    "who did what to which issue of a team, when",
    ["team", "first", "after", "from", "to", "since"],
    [wire::IssuesData],
    "issues_team.graphql",
    "issue.graphql",
    "entry.graphql"
);

pub(super) static ISSUES_WORKSPACE: Operation = asks!(
    "issues_workspace",
    "who did what to which issue of any team, when",
    ["first", "after", "from", "to", "since"],
    [wire::IssuesData],
    "issues_workspace.graphql",
    "issue.graphql",
    "entry.graphql"
);

pub(super) static CENSUS_TEAM: Operation = asks!(
    "census_team",
    "which issues of a team there still are, by their ids alone; asked now and then",
    ["team", "first", "after"],
    [wire::CensusData],
    "census_team.graphql"
);

pub(super) static CENSUS_WORKSPACE: Operation = asks!(
    "census_workspace",
    "which issues of any team there still are, by their ids alone; asked now and then",
    ["first", "after"],
    [wire::CensusData],
    "census_workspace.graphql"
);

pub(super) static HISTORY: Operation = asks!(
    "history",
    "the rest of a long issue's history",
    ["id", "after"],
    [wire::HistoryData],
    "history.graphql",
    "entry.graphql"
);

pub(super) static TEAM: Operation = asks!(
    "team",
    "whether there is such a team, and since when there can be issues",
    ["team"],
    [wire::TeamData],
    "team.graphql"
);

pub(super) static WORKSPACE: Operation =
    asks!("workspace", "since when there can be issues", [], [wire::WorkspaceData], "workspace.graphql");

static STATES: Operation = asks!(
    "states",
    "what the statuses are called and which of them mean done",
    ["after"],
    [wire::Dictionary],
    "states.graphql"
);

static LABELS: Operation =
    asks!("labels", "what the labels are called", ["after"], [wire::Dictionary], "labels.graphql");

static USERS: Operation =
    asks!("users", "what people are called", ["after"], [wire::Dictionary], "users.graphql");

static TEAMS: Operation =
    asks!("teams", "what the teams are called", ["after"], [wire::Dictionary], "teams.graphql");

pub(super) static VIEWER: Operation =
    asks!("viewer", "whose token this is; asked when connecting", [], [wire::ViewerData], "viewer.graphql");

/// The lists of names, and what they name. Issues and their histories tell ids alone.
pub(super) static DICTIONARIES: [(&Operation, Kind); 4] =
    [(&STATES, Kind::Status), (&LABELS, Kind::Label), (&USERS, Kind::Person), (&TEAMS, Kind::Group)];

pub(super) static CONTRACT: Contract = Contract {
    tool: "linear",
    title: "Linear",
    base_url: "https://api.linear.app",
    hosts_under: &[],
    stream: STREAM,
    sign_ins: &[
        SignIn::OAuth(OAuth {
            authorize: "https://linear.app/oauth/authorize",
            token: "https://api.linear.app/oauth/token",
            revoke: Revoke::Post("https://api.linear.app/oauth/revoke"),
            separator: ",",
            extra: &[("prompt", "consent"), ("actor", "user")],
            pkce: true,
            secret: false,
            json: false,
            app: "Linear, Settings, Administration, API, OAuth applications: a new application with this \
                  program's callback URL; only its client id is needed",
        }),
        SignIn::Token { what: "OAuth access token" },
    ],
    scopes: &[Scope {
        name: "read",
        why: "issues' states, people, histories and times; Linear has none narrower",
    }],
    operations: &[
        &ISSUES_TEAM,
        &ISSUES_WORKSPACE,
        &CENSUS_TEAM,
        &CENSUS_WORKSPACE,
        &HISTORY,
        &TEAM,
        &WORKSPACE,
        &STATES,
        &LABELS,
        &USERS,
        &TEAMS,
        &VIEWER,
    ],
    complaints: &[Reads::of::<wire::Complaint>(), Reads::of::<wire::Reply<wire::TeamData>>()],
    stored: &[
        "issue id, identifier, status, assignee, priority, times of creation and last update",
        "who created it; who changed its status, assignee, priority, labels, team, project, cycle or parent, archived or deleted it, when, from which id to which",
        "who changed its estimate, due date or description, and when; the values that are sent with it are not decoded",
        "that an issue is no longer shown: deleted for good, moved away or hidden; which of them Linear does not say",
        "people's ids and displayed names; names of statuses, labels, teams and integrations",
    ],
    never: &[
        "titles, also those in histories, and what is made from them: branch names and URLs",
        "descriptions, documents and summaries",
        "comments, reactions, attachments and customer requests",
        "names of projects, cycles and milestones",
        "e-mail addresses and avatars",
    ],
};
