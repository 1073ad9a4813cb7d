//! Opens a ticket: the one write of the product, and only ever by a person's hand. [`preview`] shows to the letter what
//! would be sent, [`Preview::confirm`] says yes, [`create`] sends it, once.
//!
//! Tools know no idempotency key, so a row of `tickets` is ours: whoever moves it to *sending* sends, and nobody after
//! that. Where the answer stays out, the ticket is *unknown* and searched for by its marker, a label; it is never sent
//! again. The row holds which ticket it became, and nothing of what was typed. So the key alone says what is the same
//! ticket: another text under a known key is not noticed, and not sent.
//!
//! # What a scan cannot do
//!
//! A scan sends questions:
//!
//! ```
//! use twinflow::scan::egress::Egress;
//! use twinflow_connectors::{Operation, Request};
//! async fn ask(egress: &Egress, request: &Request) { let _ = egress.send(request).await; }
//! fn make(operation: &'static Operation) { let _ = operation.request(&[]); }
//! use twinflow::ticket::Preview;
//! fn see(preview: &Preview) { let _ = preview.text(); }
//! ```
//!
//! What its way out takes is no write:
//!
//! ```compile_fail,E0308
//! use twinflow::scan::egress::Egress;
//! use twinflow_connectors::{Draft, Request};
//! async fn ask(egress: &Egress, draft: &Draft) { let _ = egress.send(draft).await; }
//! ```
//!
//! What it asks by makes no write, and what writes makes no question:
//!
//! ```compile_fail,E0599
//! use twinflow_connectors::Operation;
//! fn make(operation: &'static Operation) { let _ = operation.draft(&[]); }
//! ```
//! ```compile_fail,E0599
//! use twinflow_connectors::Action;
//! fn make(action: &'static Action) { let _ = action.request(&[]); }
//! ```
//!
//! The way out has a second door, for which it has no key, and it cannot name who has:
//!
//! ```compile_fail,E0624
//! use twinflow::scan::egress::Egress;
//! use twinflow_connectors::Draft;
//! async fn send(egress: &Egress, draft: Draft) { let _ = egress.deliver(todo!(), draft).await; }
//! ```
//! ```compile_fail,E0603
//! use twinflow::ticket::desk::Desk;
//! fn see(desk: &Desk) {}
//! ```
//!
//! Nor is there a yes that nobody said:
//!
//! ```compile_fail,E0423
//! use twinflow::ticket::{Confirmed, Preview};
//! fn yes(preview: Preview) -> Confirmed { Confirmed(preview) }
//! ```

mod desk;
mod error;

pub(crate) use desk::Leave;
pub use error::TicketError;

use crate::clock::Clock;
use crate::keeper::KeepError;
use crate::scan::egress::{Allowed, Bounds};
use crate::scan::failure::Failure;
use crate::store::{Connection, NewTicket, Store, Ticket, TicketEnd, TicketState};
use desk::{Desk, Sent};
use std::sync::Arc;
use std::time::Duration;
use twinflow_connectors::{Draft, Method, Name, Prose, Refusal, TicketField, TicketKind};
use twinflow_vault::Vault;
use uuid::Uuid;

/// Where and as whom a ticket is opened.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds the vault")]
pub struct Setting<'a> {
    pub store: &'a Arc<dyn Store>,
    pub vault: &'a Arc<Vault>,
    pub tenant: Uuid,
    pub allowed: &'a Allowed,
    pub clock: &'a Clock,
    pub bounds: Bounds,
}

/// What a person wants.
#[derive(Debug)]
pub struct Wish<'a> {
    pub connection: &'a Connection,
    pub project: &'a str,
    /// The type's name or id.
    pub kind: &'a str,
    pub summary: &'a Prose,
    pub description: Option<&'a Prose>,
    pub labels: &'a [String],
    /// Makes the same ticket of however many clicks.
    pub key: Uuid,
    /// Whether a marker goes with it, if the project takes labels.
    pub marked: bool,
}

/// A ticket as it would be sent.
#[expect(missing_debug_implementations, reason = "holds what was typed")]
pub struct Preview {
    desk: Desk,
    draft: Draft,
    row: NewTicket,
}

/// A ticket that a person has seen and said yes to. There is no other way to one than [`Preview::confirm`].
#[expect(missing_debug_implementations, reason = "holds what was typed")]
pub struct Confirmed(Preview);

impl Preview {
    pub fn method(&self) -> Method {
        self.draft.action().method
    }

    pub fn url(&self) -> String {
        self.desk.address(&self.draft)
    }

    /// The body, to the byte.
    pub fn text(&self) -> &str {
        self.draft.text()
    }

    /// The label by which it is found again, should the answer stay out.
    pub fn marker(&self) -> Option<&str> {
        self.row.marker.as_deref()
    }

    pub fn confirm(self) -> Confirmed {
        Confirmed(self)
    }
}

/// Asks what the project takes, and shows what would be sent. Changes nothing.
pub async fn preview(setting: Setting<'_>, wish: Wish<'_>) -> Result<Preview, TicketError> {
    let desk = Desk::of(setting, wish.connection).await?;
    let project = desk.tickets.project(wish.project)?;
    let about = |failure| match failure {
        Failure::Refused(Refusal::Unauthorised) => TicketError::Unauthorised,
        Failure::Refused(Refusal::Gone | Refusal::Forbidden) => TicketError::NoProject(project.clone()),
        other => TicketError::Unasked(other),
    };
    let kind = chosen(desk.kinds(&project).await.map_err(about)?, &project, wish.kind)?;
    let screen = desk.fields(&project, &kind).await.map_err(about)?;
    let takes_labels = fits(&screen, &kind, &wish)?;
    let marker = (wish.marked && takes_labels).then(|| marker(wish.key));
    let labels: Vec<_> = marker.iter().chain(wish.labels).cloned().collect();
    let draft = desk.tickets.draft(&twinflow_connectors::Ticket {
        project: &project,
        kind: &kind.id,
        summary: wish.summary,
        description: wish.description,
        labels: &labels,
        key: &wish.key.to_string(),
    })?;
    let row = NewTicket { id: wish.key, connection: wish.connection.id, project, marker };
    Ok(Preview { desk, draft, row })
}

/// The ticket that was sent under this key before, if one was; there is nothing to confirm then.
pub async fn sent_before(setting: Setting<'_>, wish: &Wish<'_>) -> Result<Option<Ticket>, TicketError> {
    match setting.store.ticket(wish.key).await? {
        Some(ticket) if ticket.state.may_exist() => {
            is_of(&ticket, wish.connection.id, wish.project)?;
            check(setting, wish.key).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Sends it, unless somebody did so before; then, how that ticket stands.
pub async fn create(setting: Setting<'_>, confirmed: Confirmed) -> Result<Ticket, TicketError> {
    let Confirmed(Preview { desk, draft, row }) = confirmed;
    let store = &**setting.store;
    store.prepare_ticket(&row).await?;
    if !store.begin_ticket(&row).await? {
        let ticket = known(store, row.id).await?;
        is_of(&ticket, row.connection, &row.project)?;
        if !ticket.state.may_exist() {
            is_connected(store, row.connection).await?;
        }
        return reconcile(setting, &desk, row.id).await;
    }
    tracing::info!(key = %row.id, "sending a ticket");
    let (end, refused) = match desk.open(draft).await {
        Sent::Opened(opened) => (TicketEnd::Created(opened), None),
        Sent::Refused(why) => (TicketEnd::Refused, Some(why)),
        Sent::Unclear => (TicketEnd::Unknown, None),
    };
    let noted = store.settle_ticket(row.id, &end).await;
    noted.map_err(|why| TicketError::Unnoted { key: row.id, why })?;
    match refused {
        Some(why) => Err(why),
        None => reconcile(setting, &desk, row.id).await,
    }
}

/// Looks again what became of a ticket. Sends nothing.
pub async fn check(setting: Setting<'_>, key: Uuid) -> Result<Ticket, TicketError> {
    let ticket = known(&**setting.store, key).await?;
    if !is_open(&ticket) {
        return Ok(ticket);
    }
    let connections = setting.store.connections().await?;
    let connection = connections.iter().find(|it| it.id == ticket.connection_id);
    let desk = Desk::of(setting, connection.ok_or(TicketError::NoSuchTicket(key))?).await?;
    reconcile(setting, &desk, key).await
}

/// Seconds between two looks, two minutes in all: search shows late what was made.
const WAITS: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];

/// Looks until it is known what became of the ticket: in the row, where whoever sends it writes; and in the tool.
async fn reconcile(setting: Setting<'_>, desk: &Desk, key: Uuid) -> Result<Ticket, TicketError> {
    let mut waits = WAITS.into_iter();
    loop {
        let ticket = known(&**setting.store, key).await?;
        if !is_open(&ticket) {
            tracing::info!(%key, state = ticket.state.word(), "a ticket stands");
            return Ok(ticket);
        }
        let found = match &ticket.marker {
            Some(marker) => desk.find(&ticket.project, marker).await,
            None => Ok(None),
        };
        if let Ok(Some(opened)) = found {
            setting.store.settle_ticket(key, &TicketEnd::Created(opened)).await?;
            continue;
        }
        // Without a marker nothing is searched for; only somebody who is sending it right now is waited for.
        let worth_it = ticket.marker.is_some() || ticket.state == TicketState::Sending;
        match waits.next().filter(|_| worth_it) {
            Some(wait) => setting.clock.sleep(Duration::from_secs(wait)).await,
            None => {
                setting.store.settle_ticket(key, &TicketEnd::Unknown).await?;
                found.map_err(|why| TicketError::Unlooked { key, why })?;
                return known(&**setting.store, key).await;
            }
        }
    }
}

/// Whether more can be found out about it.
fn is_open(ticket: &Ticket) -> bool {
    matches!(ticket.state, TicketState::Sending | TicketState::Unknown)
}

/// A key is that of one ticket, and a ticket is in one project.
fn is_of(ticket: &Ticket, connection: Uuid, project: &str) -> Result<(), TicketError> {
    if ticket.connection_id == connection && ticket.project == project {
        return Ok(());
    }
    let Ticket { id: key, connection, project, .. } = ticket.clone();
    Err(TicketError::OtherTicket { key, connection, project })
}

async fn is_connected(store: &dyn Store, connection: Uuid) -> Result<(), TicketError> {
    let connections = store.connections().await?;
    match connections.into_iter().find(|it| it.id == connection && it.disconnected_at.is_some()) {
        Some(ended) => Err(KeepError::Disconnected(ended.tool).into()),
        None => Ok(()),
    }
}

async fn known(store: &dyn Store, key: Uuid) -> Result<Ticket, TicketError> {
    store.ticket(key).await?.ok_or(TicketError::NoSuchTicket(key))
}

/// The label by which a ticket is found again. Of a digest, since the first digits of some keys are but the time.
fn marker(key: Uuid) -> String {
    use sha2::Digest as _;
    let [a, b, c, d, ..] = <[u8; 32]>::from(sha2::Sha256::digest(key.as_bytes()));
    format!("twinflow-{a:02x}{b:02x}{c:02x}{d:02x}")
}

fn chosen(kinds: Vec<TicketKind>, project: &str, wanted: &str) -> Result<TicketKind, TicketError> {
    let called = |kind: &&TicketKind| kind.name.as_str().to_lowercase() == wanted.to_lowercase();
    let found = kinds.iter().find(|it| it.id.as_str() == wanted).or_else(|| kinds.iter().find(called));
    match found {
        Some(kind) if kind.subtask => Err(TicketError::Subtask(kind.name.clone())),
        Some(kind) => Ok(kind.clone()),
        None => {
            let known = kinds.into_iter().filter(|it| !it.subtask).map(|it| it.name).collect();
            Err(TicketError::NoKind { project: project.to_owned(), kind: wanted.to_owned(), known })
        }
    }
}

/// What is filled in always.
const FILLED_IN: [&str; 3] = ["project", "issuetype", "summary"];

/// Whether the ticket fits on the screen of its type; and whether that takes labels.
fn fits(screen: &[TicketField], kind: &TicketKind, wish: &Wish<'_>) -> Result<bool, TicketError> {
    let has = |id: &str| screen.iter().any(|field| field.id.as_str() == id);
    let needs = |id: &str| screen.iter().any(|field| field.required && field.id.as_str() == id);
    let ours = |field: &&TicketField| {
        FILLED_IN.contains(&field.id.as_str()) || ["description", "labels"].contains(&field.id.as_str())
    };
    let more = screen.iter().filter(|field| field.required && !ours(field));
    let fields: Vec<Name> = more.map(|field| field.name.clone()).collect();
    if !fields.is_empty() {
        return Err(TicketError::WantsMore { kind: kind.name.clone(), fields });
    }
    if wish.description.is_some() && !has("description") {
        return Err(TicketError::NotOnScreen("description"));
    }
    if wish.description.is_none() && needs("description") {
        return Err(TicketError::NeedsDescription);
    }
    if !wish.labels.is_empty() && !has("labels") {
        return Err(TicketError::NotOnScreen("labels"));
    }
    Ok(has("labels"))
}
