//! The statements about tickets, which both engines accept. Compiled twice, as `shared.rs` is; `super` is the engine.

use super::Engine;
use crate::store::{NewTicket, Result, Ticket, TicketEnd, TicketState, Tickets};
use async_trait::async_trait;
use uuid::Uuid;

/// A ticket with its connection's name; ends in WHERE.
macro_rules! tickets {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.connection_id, c.name AS connection_name, t.project, t.state, t.marker, t.issue_id,
                 t.issue_key, t.created_at, t.settled_at
             FROM tickets t JOIN connections c ON c.tenant_id = t.tenant_id AND c.id = t.connection_id
             WHERE t.tenant_id = $1",
            $rest
        )
    };
}

#[async_trait]
impl Tickets for Engine {
    async fn prepare_ticket(&self, ticket: &NewTicket) -> Result<()> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO tickets (tenant_id, id, connection_id, project, state, marker, created_at)
             VALUES ($1, $2, $3, $4, 'prepared', $5, $6) ON CONFLICT (tenant_id, id) DO NOTHING",
        )
        .bind(tx.tenant)
        .bind(ticket.id)
        .bind(ticket.connection)
        .bind(&ticket.project)
        .bind(&ticket.marker)
        .bind(tx.now)
        .execute(tx.rows())
        .await?;
        tx.commit().await
    }

    async fn begin_ticket(&self, ticket: &NewTicket) -> Result<bool> {
        let mut tx = self.write().await?;
        // While nothing can have been made, it may still become another than it was.
        let taken = sqlx::query(
            "UPDATE tickets SET state = 'sending', connection_id = $3, project = $4, marker = $5, created_at = $6,
                 settled_at = NULL
             WHERE tenant_id = $1 AND id = $2 AND state IN ('prepared', 'refused')
                 AND EXISTS (SELECT 1 FROM connections c WHERE c.tenant_id = $1 AND c.id = $3
                     AND c.disconnected_at IS NULL)",
        )
        .bind(tx.tenant)
        .bind(ticket.id)
        .bind(ticket.connection)
        .bind(&ticket.project)
        .bind(&ticket.marker)
        .bind(tx.now)
        .execute(tx.rows())
        .await?;
        tx.commit().await?;
        Ok(taken.rows_affected() == 1)
    }

    async fn settle_ticket(&self, id: Uuid, end: &TicketEnd) -> Result<()> {
        let mut tx = self.write().await?;
        let (state, opened) = match end {
            TicketEnd::Created(opened) => (TicketState::Created, Some(opened)),
            TicketEnd::Unknown => (TicketState::Unknown, None),
            TicketEnd::Refused => (TicketState::Refused, None),
        };
        sqlx::query(
            "UPDATE tickets SET state = $3, issue_id = $4, issue_key = $5, settled_at = $6
             WHERE tenant_id = $1 AND id = $2 AND state IN ('sending', 'unknown')",
        )
        .bind(tx.tenant)
        .bind(id)
        .bind(state.word())
        .bind(opened.map(|it| it.id.as_str()))
        .bind(opened.map(|it| it.key.as_str()))
        .bind(tx.now)
        .execute(tx.rows())
        .await?;
        tx.commit().await
    }

    async fn ticket(&self, id: Uuid) -> Result<Option<Ticket>> {
        let mut tx = self.read().await?;
        let row = sqlx::query_as(tickets!(" AND t.id = $2"));
        Ok(row.bind(tx.tenant).bind(id).fetch_optional(tx.rows()).await?)
    }

    async fn tickets(&self, limit: i64) -> Result<Vec<Ticket>> {
        let mut tx = self.read().await?;
        let rows = sqlx::query_as(tickets!(" ORDER BY t.created_at DESC, t.id LIMIT $2"));
        Ok(rows.bind(tx.tenant).bind(limit).fetch_all(tx.rows()).await?)
    }
}
