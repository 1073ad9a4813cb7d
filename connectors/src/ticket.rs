//! Tickets that a person asks for: [`TicketDesk`] is to the one write what [`Connector`](crate::Connector) is to
//! reading, as pure, and found by another way, [`tickets`](crate::tickets).

use crate::action::{Action, Draft};
use crate::answer::Answer;
use crate::contract::{Operation, Request};
use crate::error::{BadStream, ReadError, Refusal, Undeclared};
use crate::event::{Name, Opaque};
use zeroize::Zeroizing;

/// Where a tool takes tickets.
pub trait TicketDesk: Sync {
    /// The tool's name in its contract.
    fn tool(&self) -> &'static str;

    /// What it does: the only write.
    fn action(&self) -> &'static Action;

    /// What is asked around it. Plain reads, but no part of what a scan may ask.
    fn operations(&self) -> &'static [&'static Operation];

    /// The project a person named, in its one spelling.
    fn project(&self, name: &str) -> Result<String, BadStream>;

    /// Which kinds of ticket a project takes, from the given one on.
    fn ask_kinds(&self, project: &str, from: u64) -> Result<Request, Undeclared>;

    fn kinds(&self, answer: &Answer) -> Result<Part<TicketKind>, ReadError>;

    /// Which fields such a ticket has when it is made, from the given one on.
    fn ask_fields(&self, project: &str, kind: &Opaque, from: u64) -> Result<Request, Undeclared>;

    fn fields(&self, answer: &Answer) -> Result<Part<TicketField>, ReadError>;

    /// The ticket, ready to be sent.
    fn draft(&self, ticket: &Ticket<'_>) -> Result<Draft, BadTicket>;

    /// What the answer to a draft means.
    fn outcome(&self, answer: &Answer) -> TicketOutcome;

    /// Asks for the tickets that carry a marker.
    fn ask_marked(&self, project: &str, marker: &str) -> Result<Request, Undeclared>;

    /// The first of them.
    fn marked(&self, answer: &Answer) -> Result<Option<Opened>, ReadError>;
}

/// What a person typed, to be handed on and then forgotten: wiped when it is dropped, and not shown by `Debug`.
#[derive(Clone)]
pub struct Prose(Zeroizing<String>);

impl Prose {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Prose {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl std::fmt::Debug for Prose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prose(…)")
    }
}

/// A ticket to be opened.
#[derive(Clone, Debug)]
pub struct Ticket<'a> {
    pub project: &'a str,
    pub kind: &'a Opaque,
    pub summary: &'a Prose,
    pub description: Option<&'a Prose>,
    pub labels: &'a [String],
    /// Goes with it as a property, so that it is known whose it is.
    pub key: &'a str,
}

/// A ticket that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub id: Opaque,
    /// What people call it: `SHOP-12`.
    pub key: Opaque,
}

/// A kind of ticket: bug, task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketKind {
    pub id: Opaque,
    pub name: Name,
    /// It can only stand under another ticket.
    pub subtask: bool,
}

/// A field of a ticket as it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketField {
    pub id: Opaque,
    pub name: Name,
    /// It has to be filled in, and nothing fills it in by itself.
    pub required: bool,
}

/// Some of a list, and where the rest begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<T> {
    pub items: Vec<T>,
    pub rest: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketOutcome {
    Opened(Opened),
    /// The tool said no: nothing was made.
    Refused(TicketRefusal),
    /// It may have been made, or not.
    Unclear,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketRefusal {
    /// Because of these fields, by their ids.
    Fields(Vec<Opaque>),
    Other(Refusal),
}

/// A ticket that cannot be one. What was typed is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTicket {
    #[error("a summary is one line of 1 to {0} characters")]
    Summary(usize),
    #[error("a description has at most {0} characters")]
    Description(usize),
    #[error("a label has 1 to {0} characters and no spaces")]
    Label(usize),
    #[error(transparent)]
    Undeclared(#[from] Undeclared),
}
