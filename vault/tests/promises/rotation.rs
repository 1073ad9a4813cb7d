//! One key follows another without a value ever being unreadable.

use crate::given::{IMPOSTOR, NEW, OLD, OWNER, seal, text, vault, vault_of_two};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use twinflow_vault::{KeyId, KeySource, OpenError, Owner, VARIABLE, Vault};
use uuid::Uuid;

#[test]
fn a_key_is_added_promoted_and_removed_while_every_value_stays_readable() {
    let before = vault(OLD);
    let added = vault_of_two(OLD, NEW);
    let promoted = vault_of_two(NEW, OLD);
    let after = vault(NEW);

    let sealed = seal(&before, &OWNER, "a credential");
    assert_eq!(text(&added.open(&OWNER, sealed.as_bytes()).unwrap()), "a credential");
    assert_eq!(text(&promoted.open(&OWNER, sealed.as_bytes()).unwrap()), "a credential");

    let resealed = promoted.reseal(&OWNER, sealed.as_bytes(), &mut rand::rng()).unwrap().unwrap();
    assert_eq!(resealed.key_id(), KeyId::from([0x0b; 4]));
    assert_eq!(text(&added.open(&OWNER, resealed.as_bytes()).unwrap()), "a credential");
    assert_eq!(text(&after.open(&OWNER, resealed.as_bytes()).unwrap()), "a credential");
    let forgotten = OpenError::UnknownKey { id: KeyId::from([0x0a; 4]) };
    assert_eq!(after.open(&OWNER, sealed.as_bytes()).unwrap_err(), forgotten);
}

#[test]
fn a_value_under_the_primary_key_is_not_sealed_again() {
    let vault = vault_of_two(NEW, OLD);
    let sealed = seal(&vault, &OWNER, "a credential");
    assert_eq!(vault.reseal(&OWNER, sealed.as_bytes(), &mut rand::rng()), Ok(None));
}

#[test]
fn what_does_not_open_is_not_sealed_again() {
    let sealed = seal(&vault(OLD), &OWNER, "a credential");
    let reseal = |vault: twinflow_vault::Vault, owner: &Owner, bytes: &[u8]| {
        vault.reseal(owner, bytes, &mut rand::rng()).unwrap_err()
    };
    let id = KeyId::from([0x0a; 4]);
    let neighbour = Owner { tenant: Uuid::from_u128(0x12), ..OWNER };
    let mut damaged = sealed.as_bytes().to_vec();
    damaged[82] ^= 1;

    assert_eq!(reseal(vault(NEW), &OWNER, sealed.as_bytes()), OpenError::UnknownKey { id });
    assert_eq!(reseal(vault_of_two(NEW, IMPOSTOR), &OWNER, sealed.as_bytes()), OpenError::WrongKey { id });
    assert_eq!(reseal(vault_of_two(NEW, OLD), &neighbour, sealed.as_bytes()), OpenError::WrongKey { id });
    assert_eq!(reseal(vault_of_two(NEW, OLD), &OWNER, &damaged), OpenError::Damaged);
    assert!(matches!(reseal(vault_of_two(NEW, OLD), &OWNER, b"plain"), OpenError::NotSealed(_)));
}

#[test]
fn a_vault_says_which_keys_it_knows_the_primary_first() {
    let vault = vault_of_two(NEW, OLD);
    let (old, new) = (KeyId::from([0x0a; 4]), KeyId::from([0x0b; 4]));
    assert_eq!(vault.key_ids().collect::<Vec<_>>(), [new, old]);
    assert!(vault.knows(new) && vault.knows(old));
    assert!(!vault.knows(KeyId::from([0x0c; 4])));
}

#[test]
fn a_process_that_runs_on_takes_up_the_keys_that_its_file_holds_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let write = |keys: String| {
        let _ = fs::remove_file(&file);
        fs::write(&file, keys).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
    };
    write(format!("primary {OLD}"));
    let running = Vault::of(KeySource::file(&file)).unwrap();
    write(format!("primary {NEW}\nformer {OLD}"));
    let resealed = seal(&vault(NEW), &OWNER, "a credential");
    assert_eq!(text(&running.open(&OWNER, resealed.as_bytes()).unwrap()), "a credential");
    assert_eq!(seal(&running, &OWNER, "another").key_id(), KeyId::from([0x0b; 4]));

    write(format!("primary {OLD}"));
    let sealing = Vault::of(KeySource::file(&file)).unwrap();
    write(format!("primary {NEW}\nformer {OLD}"));
    let sealed = seal(&sealing, &OWNER, "a third");
    assert_eq!(sealed.key_id(), KeyId::from([0x0b; 4]), "the newest primary key seals");
}

#[test]
fn who_was_given_its_keys_when_it_started_is_told_to_restart() {
    let variable = |name: &str| (name == VARIABLE).then(|| OsString::from(format!("primary {OLD}")));
    let running = Vault::of(KeySource::find(None, variable).unwrap()).unwrap();
    let refused = running.open(&OWNER, seal(&vault(NEW), &OWNER, "a credential").as_bytes()).unwrap_err();
    assert_eq!(refused, OpenError::NotGivenAtStart { id: KeyId::from([0x0b; 4]) });
    assert!(refused.to_string().contains("restart"), "{refused}");
}
