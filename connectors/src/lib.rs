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

mod answer;
mod connector;
mod contract;
mod error;
mod event;

mod github; // a tool's first line
mod jira;

pub use answer::Answer;
pub use connector::{Account, Connector, Cursor, Page, Pending, Place, Site, Stream, Sweep, Window};
pub use contract::{Body, Contract, Method, OAuth, Operation, Reads, Request, Revoke, Scope, SignIn, Value};
pub use error::{Allowance, BadStream, ReadError, Refusal, Undeclared, Wait};
pub use event::{Activity, Case, Event, Kind, Name, Named, Opaque, Stage, Timestamp, Withdrawn};

/// Every tool there is.
pub static ALL: &[&dyn Connector] = &[
    &github::GitHub, // and its second
    &jira::Jira,
];

/// The connector of a tool, by the name people type (`github`, `jira`).
pub fn find(tool: &str) -> Option<&'static dyn Connector> {
    ALL.iter().copied().find(|connector| connector.contract().tool == tool)
}
