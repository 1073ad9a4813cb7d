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

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use twinflow_connectors::{Case, Cursor, Named};
    use twinflow_vault::{KeySet, Vault};
    use uuid::Uuid;

    /// Who is assignee of a case of this account's, and what they are called, once masked.
    fn masked(whom: Whom, account: &str, person: &str) -> (String, String) {
        let vault = Vault::new(KeySet::generate(&mut rand::rng()).expect("random"));
        let sealed = vault.new_pseudonym_key(Uuid::nil(), &mut rand::rng()).expect("short");
        let pseudonyms = vault.pseudonyms(Uuid::nil(), sealed.as_bytes()).expect("sealed here");
        let connection = Connection {
            account_id: account.into(),
            pseudonymise: whom,
            ..crate::insight::tests::connection()
        };
        let id = || Opaque::new(person).expect("an id");
        let sweep = twinflow_connectors::find("github").expect("a tool");
        let stream = sweep.stream("acme/shop").expect("a stream");
        let (cases, names) = (
            vec![Case {
                id: id(),
                key: id(),
                created_at: DateTime::UNIX_EPOCH,
                updated_at: DateTime::UNIX_EPOCH,
                status: Some(id()),
                assignee: Some(id()),
                priority: None,
            }],
            vec![Named { kind: Kind::Person, id: id(), name: Name::new("Anna"), stage: None }],
        );
        let next = sweep.begin(&stream, &Cursor::default(), DateTime::UNIX_EPOCH);
        let (events, revised, withdrawn, present) = (vec![], vec![], vec![], vec![]);
        let mut page = Page { cases, names, events, revised, withdrawn, present, total: None, next };
        Masks::of(&connection, pseudonyms).put_on(&mut page);
        assert_eq!(page.cases[0].status, Some(id()), "a status is no person");
        let assignee = page.cases[0].assignee.clone().expect("one");
        assert_eq!(assignee, page.names[0].id);
        (assignee.as_str().to_owned(), page.names[0].name.as_str().to_owned())
    }

    #[test]
    fn outsiders_are_those_whose_address_is_of_another_domain_than_the_accounts() {
        let at = |person| masked(Whom::Outsiders, "me@acme.example", person);
        assert_eq!(at("anna@ACME.example"), ("anna@ACME.example".to_owned(), "Anna".to_owned()));
        for outside in ["anna@other.example", "anna@acme.example.evil.example", "x@y@other.example"] {
            let (id, name) = at(outside);
            assert!(id.starts_with("p_") && id == name, "{outside} is kept as {id}, {name}");
        }
        assert!(masked(Whom::Outsiders, "no address", "anna@acme.example").0.starts_with("p_"));
        assert!(masked(Whom::Everybody, "me@acme.example", "anna@acme.example").0.starts_with("p_"));
        assert_eq!(masked(Whom::Nobody, "me@acme.example", "x@other.example").0, "x@other.example");
    }
}
