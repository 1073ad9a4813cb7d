//! The client that writes. This module is private and so is what it lets out with, [`Leave`]: nothing outside of
//! `ticket` can name the desk, and nothing else can make a leave.

use super::{Setting, TicketError};
use crate::keeper::{Keeper, UnderWay};
use crate::scan::egress::Egress;
use crate::scan::failure::Failure;
use crate::store::Connection;
use crate::store::random_id;
use twinflow_connectors::{
    Answer, Connector, Draft, Opened, Part, ReadError, Refusal, Request, TicketDesk, TicketField, TicketKind,
    TicketOutcome, TicketRefusal, Undeclared,
};

/// The right to send something else than a scan may.
#[derive(Debug)]
pub(crate) struct Leave(());

/// Where the tickets of one connection are opened.
pub(super) struct Desk {
    egress: Egress,
    connector: &'static dyn Connector,
    pub(super) tickets: &'static dyn TicketDesk,
}

/// What came of the one attempt.
pub(super) enum Sent {
    Opened(Opened),
    /// Nothing was made, and why.
    Refused(TicketError),
    Unclear,
}

impl Desk {
    pub(super) async fn of(setting: Setting<'_>, connection: &Connection) -> Result<Self, TicketError> {
        let connector = twinflow_connectors::find(&connection.tool);
        let desk = connector.zip(twinflow_connectors::tickets(&connection.tool));
        let (connector, tickets) = desk.ok_or_else(|| TicketError::NoDesk(connection.tool.clone()))?;
        let egress = way_out(setting, connector, connection).await?;
        Ok(Self { egress: egress.beside(&Leave(()), tickets.operations()), connector, tickets })
    }

    pub(super) fn address(&self, draft: &Draft) -> String {
        self.egress.address(draft)
    }

    /// The kinds of ticket that a project takes.
    pub(super) async fn kinds(&self, project: &str) -> Result<Vec<TicketKind>, Failure> {
        let ask = |from| self.tickets.ask_kinds(project, from);
        self.whole(ask, |answer| self.tickets.kinds(answer)).await
    }

    /// What is on the screen where such a ticket is made.
    pub(super) async fn fields(&self, project: &str, kind: &TicketKind) -> Result<Vec<TicketField>, Failure> {
        let ask = |from| self.tickets.ask_fields(project, &kind.id, from);
        self.whole(ask, |answer| self.tickets.fields(answer)).await
    }

    /// The ticket that carries the marker.
    pub(super) async fn find(&self, project: &str, marker: &str) -> Result<Option<Opened>, Failure> {
        let answer = self.ask(&self.tickets.ask_marked(project, marker)?).await?;
        Ok(self.tickets.marked(&answer)?)
    }

    /// The one write, once.
    pub(super) async fn open(&self, draft: Draft) -> Sent {
        let answer = match self.egress.deliver(Leave(()), draft).await {
            Ok(answer) => answer,
            Err(error) if error.is_before_sending() => return Sent::Refused(TicketError::Unsent(error)),
            Err(_) => return Sent::Unclear,
        };
        match self.tickets.outcome(&answer) {
            TicketOutcome::Opened(opened) => Sent::Opened(opened),
            TicketOutcome::Unclear => Sent::Unclear,
            TicketOutcome::Refused(refusal) => Sent::Refused(self.why(refusal)),
        }
    }

    fn why(&self, refusal: TicketRefusal) -> TicketError {
        match refusal {
            TicketRefusal::Fields(fields) => TicketError::Fields(fields),
            TicketRefusal::Other(Refusal::SlowDown(wait)) => TicketError::SlowDown(wait),
            TicketRefusal::Other(Refusal::Unauthorised | Refusal::Forbidden) => {
                TicketError::NoScope(self.tickets.action().scope.name)
            }
            TicketRefusal::Other(refusal) => TicketError::Refused(refusal),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let answer = self.egress.send(request).await?;
        match self.connector.refusal(&answer) {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Ok(answer),
        }
    }

    /// A list that comes in parts.
    async fn whole<T>(
        &self,
        ask: impl Fn(u64) -> Result<Request, Undeclared>,
        read: impl Fn(&Answer) -> Result<Part<T>, ReadError>,
    ) -> Result<Vec<T>, Failure> {
        let (mut all, mut from) = (vec![], 0);
        loop {
            let part = read(&self.ask(&ask(from)?).await?)?;
            all.extend(part.items);
            match part.rest {
                // A list that does not get on is read no further.
                Some(rest) if rest > from => from = rest,
                Some(_) => return Err(Failure::Loop),
                None => return Ok(all),
            }
        }
    }
}

/// Opens the credential of this one connection and pins its way out, as a scan does.
async fn way_out(
    setting: Setting<'_>,
    connector: &'static dyn Connector,
    connection: &Connection,
) -> Result<Egress, TicketError> {
    let contract = connector.contract();
    let keeper = Keeper {
        store: setting.store.clone(),
        vault: setting.vault.clone(),
        tenant: setting.tenant,
        allowed: setting.allowed.clone(),
        clock: setting.clock.clone(),
        owner: random_id(&mut rand::rng()).to_string(),
        under_way: UnderWay::default(),
    };
    let credential = keeper.open(connection, contract).await?.credential;
    let pin = setting.allowed.pin(&credential.base_url(&connection.base_url), contract)?;
    Egress::new(contract, pin, credential.authorization(), setting.bounds).map_err(TicketError::Unsent)
}
