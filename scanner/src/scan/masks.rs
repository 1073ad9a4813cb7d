//! Pseudonyms in place of people, between what is read and what is kept.

use crate::store::{Connection, Whom};
use twinflow_connectors::{Activity, Kind, Name, Opaque, Page};
use twinflow_vault::Pseudonyms;

/// Who of a connection's people is kept under a pseudonym, and what makes those.
pub(super) struct Masks(Option<(Pseudonyms, Wearers)>);

enum Wearers {
    All,
    /// Whoever's address is not in this domain.
    Outside(String),
}

impl Masks {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn of(connection: &Connection, pseudonyms: Pseudonyms) -> Self {
        let domain =
            || [&connection.account_id, &connection.account_name].into_iter().find_map(|it| domain_of(it));
        match connection.pseudonymise {
            Whom::Nobody => Self::NONE,
            Whom::Everybody => Self(Some((pseudonyms, Wearers::All))),
            // Of an account without an address nobody is known to be inside.
            Whom::Outsiders => Self(Some((pseudonyms, Wearers::Outside(domain().unwrap_or_default())))),
        }
    }

    pub(super) fn put_on(&self, page: &mut Page) {
        let Some((pseudonyms, wearers)) = &self.0 else { return };
        let mask = |id: &Opaque| {
            let wears = match wearers {
                Wearers::All => true,
                Wearers::Outside(inside) => domain_of(id.as_str()).is_some_and(|domain| domain != *inside),
            };
            if wears { Opaque::new(pseudonyms.of(id.as_str())) } else { None }
        };
        let put_on = |id: &mut Option<Opaque>| {
            if let Some(masked) = id.as_ref().and_then(mask) {
                *id = Some(masked);
            }
        };
        for event in page.events.iter_mut().chain(&mut page.revised) {
            put_on(&mut event.resource);
            if matches!(event.activity, Activity::Assigned | Activity::Unassigned) {
                put_on(&mut event.from);
                put_on(&mut event.to);
            }
        }
        page.cases.iter_mut().for_each(|case| put_on(&mut case.assignee));
        for named in page.names.iter_mut().filter(|named| named.kind == Kind::Person) {
            if let Some(masked) = mask(&named.id) {
                named.name = Name::new(masked.as_str());
                named.id = masked;
            }
        }
    }
}

/// What follows the last `@`, in small letters.
fn domain_of(address: &str) -> Option<String> {
    address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase())
}
