//! Nothing but what the vault sealed opens: neither arbitrary bytes nor an edited genuine value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use std::sync::LazyLock;
use twinflow_vault::{KeySet, OpenError, Owner, Vault};
use uuid::Uuid;

const OWNER: Owner = Owner {
    tenant: Uuid::from_u128(1),
    connection: Uuid::from_u128(2),
    table: "credentials",
    column: "access_token",
};

static GENUINE: LazyLock<(Vault, Vec<u8>)> = LazyLock::new(|| {
    let keys = "primary 01010101 37c1e2f4a9b0d85c6e1f20943b7a8d5ce6f1029384756afbcd1e2f304152637f";
    let vault = Vault::new(KeySet::parse(keys).unwrap());
    let sealed = vault.seal(&OWNER, &SecretString::from("a credential"), &mut rand::rng()).unwrap();
    (vault, sealed.into_bytes())
});

/// "Whole, but not text" would be as bad as a text.
fn opens(bytes: &[u8]) -> bool {
    !matches!(GENUINE.0.open(&OWNER, bytes), Err(error) if error != OpenError::NotText)
}

/// The genuine value, with some bytes changed from a place on that the first byte of the input names.
fn edit(input: &[u8]) -> Vec<u8> {
    let mut bytes = GENUINE.1.clone();
    if let Some((at, changes)) = input.split_first() {
        let at = usize::from(*at) % bytes.len();
        bytes.resize(bytes.len().max(at + changes.len()), 0);
        bytes[at..].iter_mut().zip(changes).for_each(|(byte, change)| *byte ^= change);
    }
    bytes
}

fuzz_target!(|input: &[u8]| {
    assert!(!opens(input));
    let edited = edit(input);
    assert_eq!(opens(&edited), edited == GENUINE.1);
});
