//! What to ask each tool, and what its answers mean.
//!
//! Start with [`Connector`]: four questions, all pure. Nothing in this crate does I/O, knows a host, a clock or
//! a token; `scanner` is the one that sends. A request can only be built from an [`Operation`] of the
//! connector's [`Contract`], so the contract is the list of everything that can ever be sent.
//!
//! To add a tool: a folder with `mod.rs` (the connector), `wire.rs` (the fields that are read, nothing else) and
//! the questions as files; then the two lines marked below. `docs/adding-a-connector.md` walks through one.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

mod action;
mod answer;
mod connector;
mod contract;
mod document;
mod error;
mod event;
mod fields;
mod graphql;
mod ticket;

mod github; // a tool's first line
mod gmail;
mod jira;
mod linear;
mod salesforce;
mod zendesk;

pub use action::{Action, Draft};
pub use answer::Answer;
pub use connector::{Account, Connector, Cursor, Page, Pending, Place, Site, Stream, Sweep, Window};
pub use contract::{Body, Contract, Method, OAuth, Operation, Reads, Request, Revoke, Scope, SignIn, Value};
pub use error::{Allowance, BadStream, ReadError, Refusal, Undeclared, Wait};
pub use event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Timestamp, Withdrawn};
pub use fields::{Field, Unseen};
pub use ticket::{
    BadTicket, Opened, Part, Prose, Ticket, TicketDesk, TicketField, TicketKind, TicketOutcome, TicketRefusal,
};

/// Every tool there is.
pub static ALL: &[&dyn Connector] = &[
    &github::GitHub, // and its second
    &gmail::Gmail,
    &jira::Jira,
    &linear::Linear,
    &salesforce::Salesforce,
    &zendesk::STRICT,
    &zendesk::DETAILED,
];

/// The connector of a tool, by the name people type (`github`, `jira`).
pub fn find(tool: &str) -> Option<&'static dyn Connector> {
    ALL.iter().copied().find(|connector| connector.contract().tool == tool)
}

/// Every tool that takes tickets. Nothing that scans looks in here.
pub static DESKS: &[&dyn TicketDesk] = &[&jira::Tickets];

/// Where a tool takes tickets, if it does.
pub fn tickets(tool: &str) -> Option<&'static dyn TicketDesk> {
    DESKS.iter().copied().find(|desk| desk.tool() == tool)
}
