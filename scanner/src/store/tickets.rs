//! Tickets as they are kept: how far each got, and which one it became. There is no room for what was typed.

use super::Result;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use twinflow_connectors::Opened;
use uuid::Uuid;

/// A part of [`Store`](super::Store). Every method is one transaction.
#[async_trait]
pub trait Tickets {
    /// Notes a ticket that is to be made, unless there is one with this id.
    async fn prepare_ticket(&self, ticket: &NewTicket) -> Result<()>;
    /// Takes the right to send it, which nobody else then has; whether it was there to take. It is not, once a
    /// ticket may have been made, nor after the connection has ended.
    async fn begin_ticket(&self, ticket: &NewTicket) -> Result<bool>;
    /// Notes what came of it. A ticket that was created stays so.
    async fn settle_ticket(&self, id: Uuid, end: &TicketEnd) -> Result<()>;
    async fn ticket(&self, id: Uuid) -> Result<Option<Ticket>>;
    /// Newest first.
    async fn tickets(&self, limit: i64) -> Result<Vec<Ticket>>;
}

/// A ticket that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTicket {
    /// The idempotency key.
    pub id: Uuid,
    pub connection: Uuid,
    pub project: String,
    /// The label it will be found again by, where it can have one.
    pub marker: Option<String>,
}

/// A ticket that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Ticket {
    /// The idempotency key.
    #[serde(rename = "key")]
    pub id: Uuid,
    #[serde(skip)]
    pub connection_id: Uuid,
    #[sqlx(rename = "connection_name")]
    pub connection: String,
    pub project: String,
    pub state: TicketState,
    pub marker: Option<String>,
    pub issue_id: Option<String>,
    pub issue_key: Option<String>,
    /// When it was last asked for.
    pub created_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
}

/// How a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum TicketState {
    /// Nothing was sent yet.
    Prepared,
    /// It was, or is being, sent; what came of it is not known yet.
    Sending,
    Created,
    /// It was sent, and whether a ticket was made could not be found out. It is never sent again.
    Unknown,
    /// The tool said no: nothing was made.
    Refused,
}

impl TicketState {
    pub const ALL: &'static [Self] =
        &[Self::Prepared, Self::Sending, Self::Created, Self::Unknown, Self::Refused];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Sending => "sending",
            Self::Created => "created",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }

    /// Whether there may be a ticket by now.
    pub const fn may_exist(self) -> bool {
        matches!(self, Self::Sending | Self::Created | Self::Unknown)
    }
}

/// What came of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketEnd {
    Created(Opened),
    Unknown,
    Refused,
}
