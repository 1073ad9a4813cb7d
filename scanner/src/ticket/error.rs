//! Why no ticket was made, a sentence each. None repeats what was typed into the ticket, nor what the tool answered.

use crate::keeper::KeepError;
use crate::scan::egress::{NotAllowed, SendError};
use crate::scan::failure::Failure;
use crate::store::StoreError;
use chrono::SecondsFormat;
use twinflow_connectors::{BadStream, BadTicket, Name, Opaque, Refusal, Wait};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    #[error("{0} takes no tickets from this program; `twinflow contract` shows which tool does")]
    NoDesk(String),
    #[error(transparent)]
    BadProject(#[from] BadStream),
    #[error(transparent)]
    BadTicket(#[from] BadTicket),
    #[error(
        "the tool no longer accepts the credential; give it a new one with `twinflow renew`; nothing was sent"
    )]
    Unauthorised,
    #[error("the project {0} is not there, or this credential may not create issues in it; nothing was sent")]
    NoProject(String),
    #[error("the project {project} has no type {kind:?}; it has {}", names(.known))]
    NoKind { project: String, kind: String, known: Vec<Name> },
    #[error("{} stands only under another ticket, which this program does not do; choose another type", .0.as_str())]
    Subtask(Name),
    #[error(
        "{} also wants what this program does not fill in: {}; choose another type",
        .kind.as_str(), names(.fields)
    )]
    WantsMore { kind: Name, fields: Vec<Name> },
    #[error("a ticket of this type has no {0}; leave it out")]
    NotOnScreen(&'static str),
    #[error("a ticket of this type needs a description")]
    NeedsDescription,
    #[error("the tool could not be asked about the project: {0}; nothing was sent")]
    Unasked(Failure),
    #[error("{0}; nothing was made")]
    Unsent(SendError),
    #[error("the tool does not take {}; nothing was made", fields(.0))]
    Fields(Vec<Opaque>),
    #[error(
        "the tool does not let this credential create issues: it needs the scope {0}, and its account the permission \
         to create issues in the project; give the connection another with `twinflow renew`; nothing was made"
    )]
    NoScope(&'static str),
    #[error("the tool asks to slow down; try again {}, with the same --key if you like; nothing was made", when(.0))]
    SlowDown(Wait),
    #[error("{}; nothing was made", Failure::Refused(.0.clone()))]
    Refused(Refusal),
    #[error(
        "the key {key} is that of a ticket in {project} of {connection}; take another key for another ticket"
    )]
    OtherTicket { key: Uuid, connection: String, project: String },
    #[error("there is no ticket with the key {0}; `twinflow ticket list` shows which there are")]
    NoSuchTicket(Uuid),
    #[error(
        "whether a ticket was made is not known, and the tool could not be asked ({why}); it is not sent again; \
         `twinflow ticket check {key}` looks again"
    )]
    Unlooked { key: Uuid, why: Failure },
    #[error(
        "the ticket was sent, but what came of it could not be noted ({why}); `twinflow ticket check {key}` looks again"
    )]
    Unnoted { key: Uuid, why: StoreError },
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// There is no credential to go on with.
    #[error("{0}; nothing was sent")]
    NoCredential(#[from] KeepError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn names(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn fields(ids: &[Opaque]) -> String {
    match ids {
        [] => "the ticket as it is".to_owned(),
        [one] => format!("what stands in the field {one}"),
        more => {
            let ids: Vec<_> = more.iter().map(Opaque::as_str).collect();
            format!("what stands in the fields {}", ids.join(", "))
        }
    }
}

fn when(wait: &Wait) -> String {
    match wait {
        Wait::For(wait) => format!("in {} s", wait.as_secs()),
        Wait::Until(moment) => format!("after {}", moment.to_rfc3339_opts(SecondsFormat::Secs, true)),
        Wait::Unsaid => "in a minute".to_owned(),
    }
}
