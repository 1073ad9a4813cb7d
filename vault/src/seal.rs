//! Sealing and opening. Every value has a key of its own, derived from a root key, a fresh salt and the tenant:
//! a nonce would have to repeat together with a 256-bit salt to do harm, and no root key wears out.

use crate::format::{HEADER, NotSealed, Owner, Parts, Sealed, TooLong, header};
use crate::keys::{Key, KeyId, KeySet};
use crate::ring::Ring;
use crate::source::{KeySource, SourceError};
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha512;
use std::mem;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

/// Seals credentials under the primary key of its [`KeySet`], and opens what any of its keys sealed. One that knows where
/// its keys came from looks there again before it seals, and before it says that it does not have a key.
#[derive(Debug)]
pub struct Vault {
    ring: Ring,
}

/// Why a value did not open. Each is a different thing to do for the person who runs TwinFlow, so none falls
/// back to another, and none says anything about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    NotSealed(#[from] NotSealed),
    #[error(
        "the stored value was sealed under key {id}, which this process does not have: add it to the key file as a `former` key"
    )]
    UnknownKey { id: KeyId },
    #[error(
        "the stored value was sealed under key {id}, which this process was not given when it started: give it that key as a `former` one, and restart it"
    )]
    NotGivenAtStart { id: KeyId },
    #[error(
        "key {id} did not seal this value for this owner: put back the bytes that belong to key {id} if they were changed; if not, the row was altered or comes from another tenant, so renew the credential"
    )]
    WrongKey { id: KeyId },
    #[error(
        "the stored value was damaged, or moved here from another row: restore it from a backup, or renew the credential"
    )]
    Damaged,
    #[error("the stored value is whole, but not text: renew the credential")]
    NotText,
}

impl From<TooLong> for OpenError {
    fn from(error: TooLong) -> Self {
        Self::NotSealed(error.into())
    }
}

impl Vault {
    #[must_use]
    pub fn new(keys: KeySet) -> Self {
        Self { ring: Ring::fixed(keys) }
    }

    /// By the keys that are there, now and later: a process that runs on takes up what is changed there.
    pub fn of(source: KeySource) -> Result<Self, SourceError> {
        Ok(Self { ring: Ring::of(source)? })
    }

    /// Seals a text of up to 64 KiB for one owner, under the primary key.
    ///
    /// `rng` draws the salt and the nonce; outside tests it is `rand::rng()`.
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        owner: &Owner,
        plain: &SecretString,
        rng: &mut R,
    ) -> Result<Sealed, TooLong> {
        #[expect(clippy::disallowed_methods, reason = "sealing is where a plain credential ends")]
        let plain = plain.expose_secret();
        self.seal_bytes(owner, plain.as_bytes(), rng)
    }

    /// Opens a value for the owner it was sealed for, and for nobody else.
    pub fn open(&self, owner: &Owner, sealed: &[u8]) -> Result<SecretString, OpenError> {
        let mut plain = self.open_bytes(owner, sealed)?;
        match String::from_utf8(mem::take(&mut *plain)) {
            Ok(text) => Ok(SecretString::from(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(OpenError::NotText)
            }
        }
    }

    /// Seals a value again under the primary key: the step of a key rotation.
    ///
    /// `None` when it already names the primary key. Such a value is not opened, so `None` does not say it is whole.
    pub fn reseal<R: CryptoRng + ?Sized>(
        &self,
        owner: &Owner,
        sealed: &[u8],
        rng: &mut R,
    ) -> Result<Option<Sealed>, OpenError> {
        if Parts::parse(sealed)?.key_id == self.ring.keys().primary().id {
            return Ok(None);
        }
        let plain = self.open_bytes(owner, sealed)?;
        Ok(Some(self.seal_bytes(owner, &plain, rng)?))
    }

    /// The ids of all keys, the primary first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + use<> {
        self.ring.keys().ids().collect::<Vec<_>>().into_iter()
    }

    /// Whether values under this key id can be opened; ask it of every stored id before serving anybody.
    #[must_use]
    pub fn knows(&self, id: KeyId) -> bool {
        self.ring.keys().get(id).is_some()
    }

    pub(crate) fn seal_bytes<R: CryptoRng + ?Sized>(
        &self,
        owner: &Owner,
        plain: &[u8],
        rng: &mut R,
    ) -> Result<Sealed, TooLong> {
        TooLong::check(plain)?;
        let (mut salt, mut nonce) = ([0; 32], [0; 12]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);

        let keys = self.ring.newest();
        let root = keys.primary();
        let derived = Derived::new(root, &salt, owner.tenant);
        let mut bytes = header(root.id, &salt, &derived.commitment, &nonce, plain.len());
        let bound = owner.bind(&bytes);
        bytes.extend(plain);
        let tag = encrypt(&derived.key, &nonce, &bound, &mut bytes[HEADER..])?;
        bytes.extend(tag);
        Ok(Sealed::new(bytes, root.id))
    }

    pub(crate) fn open_bytes(&self, owner: &Owner, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let parts = Parts::parse(sealed)?;
        let id = parts.key_id;
        let keys = self.ring.with(id);
        let root = keys.get(id).ok_or_else(|| self.lacks(id))?;
        let derived = Derived::new(root, parts.salt, owner.tenant);
        if !bool::from(derived.commitment.ct_eq(parts.commitment)) {
            return Err(OpenError::WrongKey { id });
        }
        let mut text = Zeroizing::new(parts.body.to_vec());
        decrypt(&derived.key, parts.nonce, &owner.bind(parts.header), &mut text, parts.tag)?;
        Ok(text)
    }

    fn lacks(&self, id: KeyId) -> OpenError {
        match self.ring.needs_a_restart() {
            true => OpenError::NotGivenAtStart { id },
            false => OpenError::UnknownKey { id },
        }
    }
}

/// What one value's salt makes of a root key: the key that encrypts it, and a public value that only this root
/// key, salt and tenant give.
struct Derived {
    key: Zeroizing<[u8; 32]>,
    commitment: [u8; 32],
}

impl Derived {
    fn new(root: &Key, salt: &[u8; 32], tenant: Uuid) -> Self {
        let hkdf = Hkdf::<Sha512>::new(Some(salt), root.bytes());
        let mut derived = Self { key: Zeroizing::new([0; 32]), commitment: [0; 32] };
        expand(&hkdf, [b"tf-vault-key", &root.id.to_be_bytes(), tenant.as_bytes()], &mut derived.key);
        expand(
            &hkdf,
            [b"tf-vault-commit", &root.id.to_be_bytes(), tenant.as_bytes()],
            &mut derived.commitment,
        );
        derived
    }
}

#[expect(clippy::expect_used, reason = "32 bytes are far from the 16,320 that HKDF-SHA512 can give")]
fn expand(hkdf: &Hkdf<Sha512>, purpose: [&[u8]; 3], into: &mut [u8; 32]) {
    hkdf.expand_multi_info(&purpose, into).expect("32 bytes are not too many");
}

/// AES-256-GCM in place; the tag is returned. Its one error is a text too long, which the vault refused before.
fn encrypt(key: &[u8; 32], nonce: &[u8; 12], bound: &[u8], text: &mut [u8]) -> Result<[u8; 16], TooLong> {
    let bytes = text.len();
    let tag = Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), bound, text.into());
    tag.map(Into::into).map_err(|_| TooLong { bytes })
}

/// AES-256-GCM in place. The text is touched only when the tag is right.
fn decrypt(
    key: &[u8; 32],
    nonce: &[u8; 12],
    bound: &[u8],
    text: &mut [u8],
    tag: &[u8; 16],
) -> Result<(), OpenError> {
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(nonce.into(), bound, text.into(), tag.into())
        .map_err(|_| OpenError::Damaged)
}

#[cfg(test)]
mod vectors;
