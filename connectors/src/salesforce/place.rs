//! Where a list goes on: after the last record that was read, by its time and id. Salesforce's own `nextRecordsUrl`
//! is never followed: it names a cursor that dies after two days, and an address somebody else chose.

use super::id::{Picked, Sid};
use crate::connector::Window;
use crate::event::Timestamp;
use chrono::{DateTime, SecondsFormat, Utc};

/// Before every record's id.
const BEFORE_ALL: &str = "000000000000000AAA";
/// After every moment that is believed.
const NEVER: &str = "2200-01-01T00:00:00.000Z";

/// A moment as SOQL writes it.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What a question is filled with; each is a moment or an id and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) since: String,
    pub(super) until: String,
    pub(super) at: String,
    pub(super) after: String,
    pub(super) case: String,
    /// How the case stood in the record before, where a record means only a difference.
    pub(super) status: Option<String>,
    pub(super) owner: Option<String>,
}

impl Place {
    /// Reads back what [`Place::token`] wrote; a token that was tampered with is none.
    pub(super) fn of(window: &Window) -> Option<Self> {
        let since = known(&window.since)?;
        let until = window.until.as_deref().map_or(Some(NEVER.to_owned()), known)?;
        let first = Self {
            since: since.clone(),
            until,
            at: since,
            after: BEFORE_ALL.to_owned(),
            case: BEFORE_ALL.to_owned(),
            status: None,
            owner: None,
        };
        let Some(token) = window.after() else { return Some(first) };
        let mut parts = token.split('|');
        let place = Self {
            at: known(parts.next()?)?,
            after: Sid::new(parts.next()?)?.as_str().to_owned(),
            case: parts.next().map_or(Some(first.case), |id| Some(Sid::new(id)?.as_str().to_owned()))?,
            owner: parts.next().and_then(Sid::of_owner).map(|id| id.as_str().to_owned()),
            status: parts.next().filter(|it| !it.is_empty()).map(str::to_owned),
            ..first
        };
        parts.next().is_none().then_some(place)
    }
}

fn known(text: &str) -> Option<String> {
    Timestamp::parse(text).map(|at| moment(at.0))
}

/// The token of the page after this record.
pub(super) fn after(at: &str, id: &Sid) -> String {
    format!("{at}|{}", id.as_str())
}

/// The same where the next page has to know how the case stood.
pub(super) fn after_state(at: &str, id: &Sid, case: &Sid, owner: Option<&Sid>, status: &Picked) -> String {
    let status = status.id().map_or_else(String::new, |it| it.to_string());
    format!("{}|{}|{}|{status}", after(at, id), case.as_str(), owner.map_or("", Sid::as_str))
}
