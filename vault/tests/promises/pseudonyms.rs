//! Pseudonyms are stable, a tenant's own, and outlive the keys that sealed their key.

use crate::given::{NEW, OLD, vault, vault_of_two};
use std::collections::BTreeSet;
use twinflow_vault::pseudonym_owner;
use uuid::Uuid;

const TENANT: Uuid = Uuid::from_u128(1);

#[test]
fn the_same_id_has_the_same_pseudonym_and_no_two_share_one() {
    let vault = vault(OLD);
    let sealed = vault.new_pseudonym_key(TENANT, &mut rand::rng()).unwrap();
    let first = vault.pseudonyms(TENANT, sealed.as_bytes()).unwrap();
    let again = vault.pseudonyms(TENANT, sealed.as_bytes()).unwrap();
    let ids = || (0..1000).map(|nth| format!("person{nth}@example.org"));
    let made: BTreeSet<_> = ids().map(|id| first.of(&id)).collect();
    assert_eq!(made.len(), 1000);
    for (id, pseudonym) in ids().map(|id| (id.clone(), again.of(&id))) {
        assert!(
            made.contains(&pseudonym) && !pseudonym.contains(&id) && pseudonym.len() == 28,
            "{pseudonym}"
        );
    }
    assert_eq!(format!("{first:?}"), "Pseudonyms(***)");
}

#[test]
fn another_tenant_can_neither_open_the_key_nor_make_the_same_pseudonyms() {
    let vault = vault(OLD);
    let sealed = vault.new_pseudonym_key(TENANT, &mut rand::rng()).unwrap();
    assert!(vault.pseudonyms(Uuid::from_u128(2), sealed.as_bytes()).is_err());
    let own = vault.pseudonyms(TENANT, sealed.as_bytes()).unwrap().of("anna");
    let other = vault.new_pseudonym_key(Uuid::from_u128(2), &mut rand::rng()).unwrap();
    assert_ne!(vault.pseudonyms(Uuid::from_u128(2), other.as_bytes()).unwrap().of("anna"), own);
}

#[test]
fn pseudonyms_stay_when_the_root_key_is_rotated() {
    let sealed = vault(OLD).new_pseudonym_key(TENANT, &mut rand::rng()).unwrap();
    let before = vault(OLD).pseudonyms(TENANT, sealed.as_bytes()).unwrap().of("anna");
    let both = vault_of_two(NEW, OLD);
    let resealed =
        both.reseal(&pseudonym_owner(TENANT), sealed.as_bytes(), &mut rand::rng()).unwrap().unwrap();
    assert_eq!(vault(NEW).pseudonyms(TENANT, resealed.as_bytes()).unwrap().of("anna"), before);
}
