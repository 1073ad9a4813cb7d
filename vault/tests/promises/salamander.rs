//! AES-GCM does not bind a ciphertext to one key: whoever knows two keys can build a value that is genuine under
//! both. This builds one, with both keys known under one id, and shows that the vault takes it under one alone.
//!
//! Header and associated data are written here a second time, from the description in `format.rs`.

use crate::given::{IMPOSTOR, OLD, OWNER, text, vault};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::Sha512;
use twinflow_vault::{KeyId, OpenError};

const ID: [u8; 4] = [0x0a; 4];
const SALT: [u8; 32] = [0x51; 32];
const NONCE: [u8; 12] = [0x4e; 12];

fn root(key: &str) -> Vec<u8> {
    let digits = &key[9..];
    (0..64).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn derive(key: &str, purpose: &[u8]) -> [u8; 32] {
    let info = [purpose, &ID, OWNER.tenant.as_bytes()].concat();
    let mut derived = [0; 32];
    Hkdf::<Sha512>::new(Some(&SALT), &root(key)).expand(&info, &mut derived).unwrap();
    derived
}

fn header(commitment: &[u8; 32]) -> Vec<u8> {
    [&[1, 1], &ID[..], &SALT, commitment, &NONCE].concat()
}

fn bound(header: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 6] = [
        b"twinflow/vault/v1",
        header,
        OWNER.tenant.as_bytes(),
        OWNER.connection.as_bytes(),
        OWNER.table.as_bytes(),
        OWNER.column.as_bytes(),
    ];
    parts.map(|part| [&u32::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat()).concat()
}

/// Multiplication in GCM's field: the first bit is the lowest power.
fn times(x: u128, y: u128) -> u128 {
    let (mut product, mut shifted) = (0, y);
    for bit in (0..128).rev() {
        product ^= if x >> bit & 1 == 1 { shifted } else { 0 };
        shifted = shifted >> 1 ^ if shifted & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

/// x to the power of 2¹²⁸ - 2.
fn inverse(x: u128) -> u128 {
    let (mut inverse, mut power) = (1 << 127, x);
    for _ in 1..128 {
        power = times(power, power);
        inverse = times(inverse, power);
    }
    inverse
}

/// What AES-GCM makes of one derived key before it sees any text.
struct Gcm {
    aes: Aes256,
    h: u128,
    /// GHASH after the associated data.
    state: u128,
}

impl Gcm {
    fn new(key: &[u8; 32], bound: &[u8]) -> Self {
        let aes = Aes256::new(key.into());
        let mut gcm = Self { h: encrypt(&aes, 0), aes, state: 0 };
        for block in bound.chunks(16) {
            let mut padded = [0; 16];
            padded[..block.len()].copy_from_slice(block);
            gcm.state = times(gcm.state ^ u128::from_be_bytes(padded), gcm.h);
        }
        gcm
    }

    /// Block 1 masks the tag, 2 and 3 the two blocks of text.
    fn keystream(&self, block: u32) -> u128 {
        let counter = [&NONCE[..], &block.to_be_bytes()].concat();
        encrypt(&self.aes, u128::from_be_bytes(counter.try_into().unwrap()))
    }

    fn tag(&self, one: u128, two: u128, lengths: u128) -> u128 {
        let after_one = times(self.state ^ one, self.h);
        let after_two = times(after_one ^ two, self.h);
        self.keystream(1) ^ times(after_two ^ lengths, self.h)
    }
}

fn encrypt(aes: &Aes256, block: u128) -> u128 {
    let mut bytes = block.to_be_bytes().into();
    aes.encrypt_block(&mut bytes);
    u128::from_be_bytes(bytes.into())
}

fn opens_raw(key: &[u8; 32], bound: &[u8], body: &[u8], tag: u128) -> bool {
    let (mut text, tag) = (body.to_vec(), tag.to_be_bytes());
    let cipher = Aes256Gcm::new(key.into());
    cipher.decrypt_inout_detached(&NONCE.into(), bound, text.as_mut_slice().into(), &tag.into()).is_ok()
}

#[test]
fn a_value_that_is_genuine_under_two_keys_opens_under_the_one_it_names_alone() {
    let header = header(&derive(OLD, b"tf-vault-commit"));
    let bound = bound(&header);
    let (key_a, key_b) = (derive(OLD, b"tf-vault-key"), derive(IMPOSTOR, b"tf-vault-key"));
    let (a, b) = (Gcm::new(&key_a, &bound), Gcm::new(&key_b, &bound));
    let lengths = ((bound.len() as u128 * 8) << 64) | (32 * 8);

    // The tags differ by a multiple of the second block that the first one decides: solve for the second, and
    // try first blocks until the second turns out to be text.
    let slope = inverse(times(a.h, a.h) ^ times(b.h, b.h));
    let (first, second) = (0..)
        .map(|attempt| format!("salamander{attempt:06}"))
        .map(|text| u128::from_be_bytes(text.as_bytes().try_into().unwrap()) ^ a.keystream(2))
        .map(|first| (first, times(a.tag(first, 0, lengths) ^ b.tag(first, 0, lengths), slope)))
        .find(|(_, second)| std::str::from_utf8(&(second ^ a.keystream(3)).to_be_bytes()).is_ok())
        .unwrap();
    let (body, tag) = ([first.to_be_bytes(), second.to_be_bytes()].concat(), a.tag(first, second, lengths));
    assert!(
        opens_raw(&key_a, &bound, &body, tag) && opens_raw(&key_b, &bound, &body, tag),
        "not a salamander"
    );

    let value = [&header[..], &body, &tag.to_be_bytes()].concat();
    assert!(text(&vault(OLD).open(&OWNER, &value).unwrap()).starts_with("salamander"));
    let refused = vault(IMPOSTOR).open(&OWNER, &value).unwrap_err();
    assert_eq!(refused, OpenError::WrongKey { id: KeyId::from(ID) });
}

/// A value under [`OLD`], genuine but for a commitment and a text that the vault would not write.
fn forge(commitment: &[u8; 32], text: &[u8]) -> Vec<u8> {
    let (header, mut body) = (header(commitment), text.to_vec());
    let cipher = Aes256Gcm::new(&derive(OLD, b"tf-vault-key").into());
    let bound = bound(&header);
    let tag = cipher.encrypt_inout_detached(&NONCE.into(), &bound, body.as_mut_slice().into()).unwrap();
    [&header[..], &body, &tag].concat()
}

#[test]
fn a_right_tag_does_not_make_up_for_a_wrong_commitment() {
    let mut commitment = derive(OLD, b"tf-vault-commit");
    assert!(vault(OLD).open(&OWNER, &forge(&commitment, b"a credential")).is_ok());
    commitment[0] ^= 1;
    let refused = vault(OLD).open(&OWNER, &forge(&commitment, b"a credential")).unwrap_err();
    assert_eq!(refused, OpenError::WrongKey { id: KeyId::from(ID) });
}

#[test]
fn whole_bytes_that_are_not_text_are_refused_as_such() {
    let value = forge(&derive(OLD, b"tf-vault-commit"), b"\xff\xfe");
    assert_eq!(vault(OLD).open(&OWNER, &value).unwrap_err(), OpenError::NotText);
}
