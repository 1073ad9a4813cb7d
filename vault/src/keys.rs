//! Root keys: the one that seals, and those that only open.

use rand::CryptoRng;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The name of a root key: four random bytes, written as eight hex digits. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// As in bytes 2 to 6 of a sealed value.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl From<[u8; 4]> for KeyId {
    fn from(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }
}

/// A key id is exactly eight hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is eight hex digits, such as 1a2b3c4d")]
pub struct NotAKeyId;

impl FromStr for KeyId {
    type Err = NotAKeyId;

    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok().filter(|_| digits).ok_or(NotAKeyId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One root key. Boxed, so that moving it leaves no copy of its bytes behind.
pub(crate) struct Key {
    pub(crate) id: KeyId,
    bytes: Box<Zeroizing<[u8; 32]>>,
}

impl Key {
    pub(crate) fn new(id: KeyId, bytes: Box<Zeroizing<[u8; 32]>>) -> Result<Self, Weakness> {
        Weakness::find(&bytes).map_or(Ok(Self { id, bytes }), Err)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ***", self.id)
    }
}

/// The keys of one installation: one `primary`, which seals, and any number of `former` ones, which only open.
/// Its text form is that of a key file: [`KeySet::parse`] says how it reads.
pub struct KeySet {
    primary: Key,
    former: Vec<Key>,
}

impl KeySet {
    pub(crate) fn new(primary: Key, former: Vec<Key>) -> Self {
        Self { primary, former }
    }

    /// A new primary key with a new id and no former ones. Fails only when `rng` is not random.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Result<Self, Weakness> {
        let (mut id, mut bytes) = ([0; 4], Box::new(Zeroizing::new([0; 32])));
        rng.fill_bytes(&mut id);
        rng.fill_bytes(&mut **bytes);
        Ok(Self::new(Key::new(KeyId(id), bytes)?, Vec::new()))
    }

    /// The ids of all keys, the primary first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.all().map(|key| key.id)
    }

    pub(crate) fn primary(&self) -> &Key {
        &self.primary
    }

    pub(crate) fn former(&self) -> &[Key] {
        &self.former
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&Key> {
        self.all().find(|key| key.id == id)
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.primary).chain(&self.former)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("primary", &self.primary).field("former", &self.former).finish()
    }
}

/// Why 32 bytes are not a key. Random ones fail these tests less than once in 10¹³ draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    #[error("all 32 bytes are equal")]
    Constant,
    #[error("its bytes count up or down")]
    Counting,
    #[error("its second half repeats the first")]
    Repeating,
    #[error("it is 32 characters of text, not 32 random bytes")]
    Text,
    #[error("it is an example key printed in a standard")]
    Example,
}

impl Weakness {
    fn find(key: &[u8; 32]) -> Option<Self> {
        let step = key[1].wrapping_sub(key[0]);
        if key.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step) {
            return Some(if step == 0 { Self::Constant } else { Self::Counting });
        }
        let checks = [
            (key[..16] == key[16..], Self::Repeating),
            (key.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')), Self::Text),
            (EXAMPLES.contains(key), Self::Example),
        ];
        checks.into_iter().find(|(found, _)| *found).map(|(_, weakness)| weakness)
    }
}

/// 256-bit AES keys that people copy from standards. Those that repeat, count or are constant (FIPS 197,
/// RFC 8439, GCM test cases 13 to 18) are refused for that already.
const EXAMPLES: [[u8; 32]; 3] = [
    // NIST SP 800-38A, F.1.5
    [
        0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77,
        0x81, //
        0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
    ],
    // RFC 8452, C.2
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    // RFC 7748, 6.1
    [
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66,
        0x45, //
        0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
    ],
];
