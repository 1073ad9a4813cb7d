//! Keys, an owner and plain texts to start from. None of the keys protects anything.

use secrecy::{ExposeSecret, SecretString};
use twinflow_vault::{KeySet, Owner, Sealed, Vault};
use uuid::Uuid;

pub(crate) const OLD: &str = "0a0a0a0a 37c1e2f4a9b0d85c6e1f20943b7a8d5ce6f1029384756afbcd1e2f304152637f";
pub(crate) const NEW: &str = "0b0b0b0b 91d8b7c6a5f4e3d2c1b0af9e8d7c6b5a49382716f5e4d3c2b1a09f8e7d6c5b4b";
/// The id of [`OLD`] over other bytes.
pub(crate) const IMPOSTOR: &str = "0a0a0a0a 5be0cd19137e2179a54ff53a5f1d36f1510e527fade682d19b05688c2b3e6c1f";

pub(crate) const OWNER: Owner = Owner {
    tenant: Uuid::from_u128(0x11),
    connection: Uuid::from_u128(0x22),
    table: "credentials",
    column: "access_token",
};

pub(crate) fn keys(text: &str) -> KeySet {
    KeySet::parse(text).unwrap()
}

pub(crate) fn vault(key: &str) -> Vault {
    Vault::new(keys(&format!("primary {key}")))
}

pub(crate) fn vault_of_two(primary: &str, former: &str) -> Vault {
    Vault::new(keys(&format!("primary {primary}\nformer {former}")))
}

pub(crate) fn seal(vault: &Vault, owner: &Owner, plain: &str) -> Sealed {
    vault.seal(owner, &SecretString::from(plain), &mut rand::rng()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test compares what came out with what went in")]
pub(crate) fn text(plain: &SecretString) -> &str {
    plain.expose_secret()
}
