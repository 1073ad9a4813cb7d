//! Pseudonyms: names that say nothing, the same for the same id, and to be made by nobody without the tenant's key.
//!
//! That key is random, drawn once per tenant and stored sealed like a credential. It is not derived from a root key,
//! or rotating that would give everybody another pseudonym.

use crate::format::{Owner, Sealed, TooLong};
use crate::seal::{OpenError, Vault};
use hkdf::Hkdf;
use rand::CryptoRng;
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Makes one tenant's pseudonyms.
pub struct Pseudonyms {
    key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(***)")
    }
}

/// RFC 4648's alphabet, in small letters.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl Pseudonyms {
    /// `p_` and the first 128 bits of HMAC-SHA-256, in base32: too many for two ids ever to share one.
    #[must_use]
    pub fn of(&self, id: &str) -> String {
        // The first step of HKDF is HMAC, with the salt as its key (RFC 5869, section 2.2).
        let (mac, _) = Hkdf::<Sha256>::extract(Some(&*self.key), id.as_bytes());
        let bit =
            |nth: usize| mac.get(nth / 8).is_some_and(|byte| nth < 128 && byte >> (7 - nth % 8) & 1 == 1);
        let digit = |nth: usize| (0..5).fold(0, |five, step| five << 1 | usize::from(bit(nth * 5 + step)));
        let digits = (0..26).filter_map(|nth| DIGITS.get(digit(nth)).copied().map(char::from));
        ["p", "_"].into_iter().flat_map(str::chars).chain(digits).collect()
    }
}

/// What a tenant's sealed pseudonym key is bound to.
#[must_use]
pub fn pseudonym_owner(tenant: Uuid) -> Owner {
    Owner { tenant, connection: Uuid::nil(), table: "tenants", column: "pseudonym_key" }
}

impl Vault {
    /// A tenant's new pseudonym key, sealed.
    pub fn new_pseudonym_key<R: CryptoRng + ?Sized>(
        &self,
        tenant: Uuid,
        rng: &mut R,
    ) -> Result<Sealed, TooLong> {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        self.seal_bytes(&pseudonym_owner(tenant), &*key, rng)
    }

    /// What the sealed key makes.
    pub fn pseudonyms(&self, tenant: Uuid, sealed: &[u8]) -> Result<Pseudonyms, OpenError> {
        let opened = self.open_bytes(&pseudonym_owner(tenant), sealed)?;
        let mut key = Zeroizing::new([0; 32]);
        if opened.len() != key.len() {
            return Err(OpenError::Damaged);
        }
        key.copy_from_slice(&opened);
        Ok(Pseudonyms { key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_the_hmac_of_the_id() {
        // RFC 4231, test case 2, has the key "Jefe"; HMAC pads it with zeros, as here.
        let mut key = Zeroizing::new([0; 32]);
        key[..4].copy_from_slice(b"Jefe");
        let made = Pseudonyms { key }.of("what do ya want for nothing?");
        // base32 of 5bdcc146bf60754e6a042426089575c7
        assert_eq!(made, "p_lpomcrv7mb2u42qeeqtarflvy4");
    }
}
