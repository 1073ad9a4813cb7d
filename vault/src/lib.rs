//! Seals the credentials of connections, and opens them again for their owner alone.
//!
//! Start with [`Vault`]: `seal`, `open`, `reseal`. Every value is bound to its [`Owner`] (tenant, connection,
//! table, column), so a row copied anywhere else does not open. Keys come from a [`KeySource`] as a [`KeySet`]:
//! one key that seals, any number that only open.
//!
//! ```
//! use secrecy::SecretString;
//! use twinflow_vault::{KeySet, Owner, Vault};
//! use uuid::Uuid;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = rand::rng();
//! let vault = Vault::new(KeySet::generate(&mut rng)?);
//! let owner = Owner {
//!     tenant: Uuid::new_v4(),
//!     connection: Uuid::new_v4(),
//!     table: "credentials",
//!     column: "access_token",
//! };
//! let sealed = vault.seal(&owner, &SecretString::from("a token"), &mut rng)?;
//! let opened: SecretString = vault.open(&owner, sealed.as_bytes())?;
//!
//! let neighbour = Owner { tenant: Uuid::new_v4(), ..owner };
//! assert!(vault.open(&neighbour, sealed.as_bytes()).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Rotation
//!
//! 1. Add the new key as `former` to every process; only then make it `primary` and the old one `former`.
//!    Two steps, so that no process meets a value under a key it has not heard of. A process whose [`Vault::of`] knows
//!    where its keys came from reads them again when it does; where that is the environment, it has to be restarted.
//! 2. [`Vault::reseal`] every row; it answers `None` for those already under the primary key.
//! 3. Drop the old key when no row names it ([`Sealed::key_id`], or bytes 2 to 6 in SQL) and no backup does.
//!
//! # What is absent on purpose
//!
//! * **A plain-text mode.** A value that was not sealed is refused, whoever stored it.
//! * **A way to print or serialise a secret.** Both of these must not compile:
//!
//! ```compile_fail,E0277
//! fn print(shown: impl std::fmt::Display) {}
//! print(secrecy::SecretString::from("a token"));
//! ```
//!
//! ```compile_fail,E0277
//! fn send(shown: impl serde::Serialize) {}
//! send(secrecy::SecretString::from("a token"));
//! ```
//!
//! ```compile_fail,E0277
//! fn print(shown: impl std::fmt::Display) {}
//! print(twinflow_vault::KeySet::generate(&mut rand::rng()).unwrap());
//! ```
//!
//! * **A fallback.** A value whose key is here but does not fit is an error of its own, not a reason to try others.
//! * **A promise about memory.** Keys and plain values are overwritten when dropped, as far as safe Rust reaches:
//!   the hash function's working state on the stack is not. Nothing is locked into memory; a process that
//!   wants no core dumps must say so itself.

mod format;
mod keyfile;
mod keys;
mod pseudonym;
mod ring;
mod seal;
mod source;

pub use format::{MAX_PLAINTEXT, NotSealed, OVERHEAD, Owner, Sealed, TooLong};
pub use keyfile::KeyFileError;
pub use keys::{KeyId, KeySet, NotAKeyId, Weakness};
pub use pseudonym::{Pseudonyms, pseudonym_owner};
pub use seal::{OpenError, Vault};
pub use source::{
    CREDENTIAL_NAME, CREDENTIALS_DIRECTORY, CreateError, KeySource, SourceError, VARIABLE, create_key_file,
};
