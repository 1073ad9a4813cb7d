//! Every question there is. Each query stands in a file of its own.

use super::wire;
use crate::contract::{Body, Contract, Method, OAuth, Operation, Reads, Revoke, Scope, SignIn};

/// A query that also shows what lies in the recycle bin, so that a deleted case is seen to be deleted.
const QUERY_ALL: &str = "/services/data/v61.0/queryAll";
const QUERY: &str = "/services/data/v61.0/query";

macro_rules! query {
    ($(#[$doc:meta])* $name:ident, $called:literal, $path:expr, $why:literal, $soql:expr, $row:ty) => {
        $(#[$doc])*
        pub(super) static $name: Operation = Operation {
            name: $called,
            why: $why,
            method: Method::Get,
            path: $path,
            query: &[("q", $soql)],
            body: Body::None,
            reads: &[Reads::of::<wire::Rows<$row>>()],
        };
    };
}

query!(
    CASES_CREATED,
    "cases_created",
    QUERY_ALL,
    "how the cases stand, by their time of creation; of a first scan",
    include_str!("cases_created.soql"),
    wire::Case
);
query!(
    CASES_CREATED_PLAIN,
    "cases_created_plain",
    QUERY_ALL,
    "the same where Priority is hidden from the user",
    include_str!("cases_created_plain.soql"),
    wire::Case
);
query!(
    CASES_CHANGED,
    "cases_changed",
    QUERY_ALL,
    "which cases changed, and how they stand",
    include_str!("cases_changed.soql"),
    wire::Case
);
query!(
    CASES_CHANGED_PLAIN,
    "cases_changed_plain",
    QUERY_ALL,
    "the same where Priority is hidden from the user",
    include_str!("cases_changed_plain.soql"),
    wire::Case
);
query!(
    HISTORY,
    "history",
    QUERY_ALL,
    "who changed which of a few fields, when, from which value to which; rows of other fields stay where they are",
    include_str!("history.soql"),
    wire::Change
);
query!(
    STATES,
    "states",
    QUERY_ALL,
    "how changed cases stood, where the org does not track the history of Status or of the owner",
    include_str!("states.soql"),
    wire::State
);
query!(
    FIELDS,
    "fields",
    QUERY,
    "whether the org tracks the history of Status and of the owner",
    include_str!("fields.soql"),
    wire::FieldDefinition
);
query!(
    OLDEST,
    "oldest",
    QUERY_ALL,
    "when the oldest case was created, so that a first scan can be read in parts side by side",
    "SELECT CreatedDate FROM Case ORDER BY CreatedDate LIMIT 1",
    wire::Created
);
query!(
    STATUSES,
    "statuses",
    QUERY,
    "what the statuses are called and which of them mean closed",
    "SELECT ApiName, MasterLabel, IsClosed, IsDefault FROM CaseStatus",
    wire::Status
);
query!(
    USERS,
    "users",
    QUERY,
    "what the people are called whose ids stand in cases and their history",
    include_str!("users.soql"),
    wire::User
);
query!(
    QUEUES,
    "queues",
    QUERY,
    "what the queues are called that own cases nobody has taken",
    include_str!("queues.soql"),
    wire::Queue
);

pub(super) static RESOURCES: Operation = Operation {
    name: "resources",
    why: "whose token this is; asked when connecting. Of the addresses that come, the user's own is looked at",
    method: Method::Get,
    path: "/services/data/v61.0/",
    query: &[],
    body: Body::None,
    reads: &[Reads::of::<wire::Resources>()],
};

/// Lists that a window may be of.
pub(super) static LISTS: [&Operation; 8] = [
    &CASES_CREATED,
    &CASES_CREATED_PLAIN,
    &CASES_CHANGED,
    &CASES_CHANGED_PLAIN,
    &HISTORY,
    &STATES,
    &USERS,
    &QUEUES,
];

/// What an org may lack, or hide from the user: the scan goes on without.
pub(super) static OPTIONAL: [&Operation; 5] = [&FIELDS, &STATES, &STATUSES, &USERS, &QUEUES];

pub(super) static CONTRACT: Contract = Contract {
    tool: "salesforce",
    title: "Salesforce",
    base_url: "https://{instance}.my.salesforce.com",
    hosts_under: &[".my.salesforce.com", ".salesforce.com", ".force.com"],
    stream: "`cases`: all cases the user may see",
    sign_ins: &[
        SignIn::OAuth(OAuth {
            authorize: "https://login.salesforce.com/services/oauth2/authorize",
            token: "https://login.salesforce.com/services/oauth2/token",
            revoke: Revoke::Post("https://login.salesforce.com/services/oauth2/revoke"),
            separator: " ",
            extra: &[],
            pkce: true,
            secret: false,
            json: false,
            app: "an External Client App: Setup, External Client App Manager, New; switch on OAuth with PKCE, without \
                  the secret, with rotating refresh tokens, and let in the integration user alone",
        }),
        SignIn::Token { what: "OAuth access token of an integration user" },
    ],
    scopes: &[
        Scope {
            name: "api",
            why: "queries. Salesforce has no scope that only reads: that the user may not write is up to a permission \
                  set of an integration user with API Enabled, Read and View All on Case, nothing else, and \
                  field-level security that hides Subject, Description, Comments, the Supplied and the Contact fields",
        },
        Scope { name: "refresh_token", why: "scans that run while nobody is signed in" },
    ],
    operations: &[
        &CASES_CREATED,
        &CASES_CREATED_PLAIN,
        &CASES_CHANGED,
        &CASES_CHANGED_PLAIN,
        &HISTORY,
        &STATES,
        &FIELDS,
        &OLDEST,
        &STATUSES,
        &USERS,
        &QUEUES,
        &RESOURCES,
    ],
    complaints: &[Reads::of::<Vec<wire::Complaint>>()],
    stored: &[
        "case id, number, status, owner, priority, times of creation and last change",
        "who created it; who changed its status, owner, priority or type, when, from which value to which; who changed its origin or reason, without the values; who escalated it; when it was deleted, and into which case it was merged",
        "ids and names of users and queues; labels of statuses and priorities",
    ],
    never: &[
        "Subject, Description, Comments, custom fields",
        "SuppliedName, SuppliedEmail, SuppliedPhone, SuppliedCompany; ContactPhone, ContactMobile, ContactEmail, ContactFax",
        "case comments, e-mails, feeds, attachments, accounts and contacts",
        "history rows of other fields, and the names in the rows of an owner's change",
    ],
};
