//! The bytes of a sealed value. They are stored for years, so this file may gain formats but not change one.
//!
//! ```text
//!  0   1  format version = 1
//!  1   1  suite = 1: HKDF-SHA512, AES-256-GCM
//!  2   4  key id, big endian
//!  6  32  salt, fresh for every value
//! 38  32  key commitment
//! 70  12  nonce, fresh for every value
//! 82      ciphertext, then its 16-byte tag
//! ```
//!
//! The commitment is here because AES-GCM alone does not bind a ciphertext to one key: one ciphertext can be
//! built that opens, to different texts, under two.

use crate::KeyId;
use std::fmt;
use uuid::Uuid;

const VERSION: u8 = 1;
const SUITE: u8 = 1;
const CONTEXT: &[u8] = b"twinflow/vault/v1";

pub(crate) const HEADER: usize = 82;
const TAG: usize = 16;

/// What a sealed value is longer than its plain text, in bytes.
pub const OVERHEAD: usize = HEADER + TAG;

/// The longest text the vault seals: 64 KiB. Tokens are far shorter; what is longer is not a credential.
pub const MAX_PLAINTEXT: usize = 64 * 1024;

/// Whose a value is. The vault opens it for exactly this owner: all four parts are authenticated, and the
/// tenant also goes into the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    pub tenant: Uuid,
    pub connection: Uuid,
    pub table: &'static str,
    pub column: &'static str,
}

impl Owner {
    /// The associated data. Every part carries its length, so that no two owners read the same when joined.
    pub(crate) fn bind(&self, header: &[u8]) -> Vec<u8> {
        let parts: [&[u8]; 6] = [
            CONTEXT,
            header,
            self.tenant.as_bytes(),
            self.connection.as_bytes(),
            self.table.as_bytes(),
            self.column.as_bytes(),
        ];
        parts
            .iter()
            .flat_map(|part| (part.len() as u32).to_be_bytes().into_iter().chain(part.iter().copied()))
            .collect()
    }
}

/// A sealed value as it is stored. Having one says that it looks sealed; only [`Vault::open`](crate::Vault::open)
/// says that it is whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    bytes: Vec<u8>,
    key_id: KeyId,
}

impl Sealed {
    pub(crate) fn new(bytes: Vec<u8>, key_id: KeyId) -> Self {
        Self { bytes, key_id }
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The key it was sealed under, read from the header.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }
}

impl TryFrom<Vec<u8>> for Sealed {
    type Error = NotSealed;

    fn try_from(bytes: Vec<u8>) -> Result<Self, NotSealed> {
        let key_id = Parts::parse(&bytes)?.key_id;
        Ok(Self { bytes, key_id })
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes under key {})", self.bytes.len(), self.key_id)
    }
}

/// Why bytes are not a sealed value. None of these quotes a byte that could be part of a plain secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    #[error(
        "the stored value has {bytes} bytes, and a sealed one has at least {OVERHEAD}: it was cut off or never sealed; renew the credential"
    )]
    TooShort { bytes: usize },
    #[error(
        "the stored value does not begin as sealed values of version {VERSION} do: it was never sealed, which is refused, or a newer TwinFlow sealed it; upgrade, or renew the credential"
    )]
    UnknownVersion,
    #[error(
        "the stored value names cipher suite {suite}, and this TwinFlow knows only suite {SUITE}: upgrade, or renew the credential if nothing newer sealed it"
    )]
    UnknownSuite { suite: u8 },
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// A text longer than [`MAX_PLAINTEXT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a credential of {bytes} bytes is longer than the {MAX_PLAINTEXT} bytes (64 KiB) that the vault seals: check that it is a credential"
)]
pub struct TooLong {
    pub bytes: usize,
}

impl TooLong {
    pub(crate) fn check(text: &[u8]) -> Result<(), Self> {
        if text.len() > MAX_PLAINTEXT { Err(Self { bytes: text.len() }) } else { Ok(()) }
    }
}

/// The header of a value about to be sealed, with room for the rest.
pub(crate) fn header(
    key_id: KeyId,
    salt: &[u8; 32],
    commitment: &[u8; 32],
    nonce: &[u8; 12],
    text: usize,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OVERHEAD + text);
    bytes.extend([VERSION, SUITE]);
    bytes.extend(key_id.to_be_bytes());
    bytes.extend(salt);
    bytes.extend(commitment);
    bytes.extend(nonce);
    bytes
}

/// A sealed value taken apart. Nothing in it has been verified.
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) key_id: KeyId,
    pub(crate) salt: &'a [u8; 32],
    pub(crate) commitment: &'a [u8; 32],
    pub(crate) nonce: &'a [u8; 12],
    pub(crate) body: &'a [u8],
    pub(crate) tag: &'a [u8; TAG],
}

impl<'a> Parts<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, NotSealed> {
        match bytes {
            [] | [VERSION] | [VERSION, SUITE, ..] => {}
            [VERSION, suite, ..] => return Err(NotSealed::UnknownSuite { suite: *suite }),
            _ => return Err(NotSealed::UnknownVersion),
        }
        let parts = Self::split(bytes).ok_or(NotSealed::TooShort { bytes: bytes.len() })?;
        TooLong::check(parts.body)?;
        Ok(parts)
    }

    /// Cuts the bytes as the table above says; `None` when there are too few.
    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (header, sealed) = bytes.split_at_checked(HEADER)?;
        let (body, tag) = sealed.split_last_chunk()?;
        let (_version_and_suite, fields) = header.split_at_checked(2)?;
        let (key_id, fields) = fields.split_first_chunk()?;
        let (salt, fields) = fields.split_first_chunk()?;
        let (commitment, fields) = fields.split_first_chunk()?;
        let (nonce, _) = fields.split_first_chunk()?;
        Some(Self { header, key_id: KeyId::from(*key_id), salt, commitment, nonce, body, tag })
    }
}
