//! A sealed value that is not the one that was sealed does not open.

use crate::given::{IMPOSTOR, NEW, OLD, OWNER, seal, text, vault, vault_of_two};
use proptest::collection::vec;
use proptest::prelude::*;
use secrecy::SecretString;
use twinflow_vault::{KeyId, MAX_PLAINTEXT, NotSealed, OVERHEAD, OpenError, Sealed, TooLong};

fn key_id(bytes: [u8; 4]) -> KeyId {
    KeyId::from(bytes)
}

#[test]
fn every_flipped_bit_is_refused_by_what_it_hit() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "a credential of 34 bytes, or so___");
    let mut refused = 0;
    for bit in 0..sealed.as_bytes().len() * 8 {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = vault.open(&OWNER, &bytes).unwrap_err();
        let expected = match bit / 8 {
            0 => matches!(error, OpenError::NotSealed(NotSealed::UnknownVersion)),
            1 => matches!(error, OpenError::NotSealed(NotSealed::UnknownSuite { .. })),
            2..6 => matches!(error, OpenError::UnknownKey { .. }),
            6..70 => matches!(error, OpenError::WrongKey { .. }),
            _ => matches!(error, OpenError::Damaged),
        };
        assert!(expected, "bit {bit}: {error:?}");
        refused += 1;
    }
    assert_eq!(refused, 8 * (OVERHEAD + 34));
}

#[test]
fn every_truncation_is_refused() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "a credential");
    for length in 0..sealed.as_bytes().len() {
        assert!(vault.open(&OWNER, &sealed.as_bytes()[..length]).is_err(), "{length} bytes were enough");
        assert!(
            vault.open(&OWNER, &sealed.as_bytes()[length + 1..]).is_err(),
            "the first {length} were not missed"
        );
    }
}

#[test]
fn every_byte_more_is_refused() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "a credential");
    for byte in 0..=u8::MAX {
        let longer = [sealed.as_bytes(), &[byte]].concat();
        assert_eq!(vault.open(&OWNER, &longer).unwrap_err(), OpenError::Damaged);
        assert!(vault.open(&OWNER, &[&[byte], sealed.as_bytes()].concat()).is_err());
    }
}

#[test]
fn the_header_of_one_value_does_not_open_the_text_of_another() {
    let vault = vault(OLD);
    let (one, other) = (seal(&vault, &OWNER, "one"), seal(&vault, &OWNER, "two"));
    for cut in [7, 38, 70, 82, 85] {
        let spliced = [&one.as_bytes()[..cut], &other.as_bytes()[cut..]].concat();
        assert!(vault.open(&OWNER, &spliced).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_value_of_another_version_or_suite_is_refused_and_says_so() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "a credential").into_bytes();
    for other in (0..=u8::MAX).filter(|other| *other != 1) {
        let (mut version, mut suite) = (sealed.clone(), sealed.clone());
        (version[0], suite[1]) = (other, other);
        let unknown_suite = NotSealed::UnknownSuite { suite: other };
        assert_eq!(vault.open(&OWNER, &version).unwrap_err(), NotSealed::UnknownVersion.into());
        assert_eq!(vault.open(&OWNER, &suite).unwrap_err(), unknown_suite.into());
        assert_eq!(Sealed::try_from(version).unwrap_err(), NotSealed::UnknownVersion);
        assert_eq!(Sealed::try_from(suite).unwrap_err(), unknown_suite);
    }
}

#[test]
fn a_value_relabelled_with_another_known_key_is_refused() {
    let vault = vault_of_two(OLD, NEW);
    let mut sealed = seal(&vault, &OWNER, "a credential").into_bytes();
    sealed[2..6].copy_from_slice(&[0x0b; 4]);
    assert_eq!(vault.open(&OWNER, &sealed).unwrap_err(), OpenError::WrongKey { id: key_id([0x0b; 4]) });
}

#[test]
fn a_value_under_a_key_that_is_not_here_names_that_key() {
    let sealed = seal(&vault(OLD), &OWNER, "a credential");
    let error = vault(NEW).open(&OWNER, sealed.as_bytes()).unwrap_err();
    assert_eq!(error, OpenError::UnknownKey { id: key_id([0x0a; 4]) });
    assert!(error.to_string().contains("0a0a0a0a"));
}

#[test]
fn other_bytes_under_a_known_key_id_are_told_from_damage() {
    let sealed = seal(&vault(OLD), &OWNER, "a credential");
    let error = vault(IMPOSTOR).open(&OWNER, sealed.as_bytes()).unwrap_err();
    assert_eq!(error, OpenError::WrongKey { id: key_id([0x0a; 4]) });
}

#[test]
fn plain_text_is_refused_whatever_it_looks_like() {
    let long = "x".repeat(500);
    for plain in
        ["", "ghp_abcdef", "{\"access_token\":\"a\"}", "\u{1}", "\u{1}\u{1}", "\u{1}\u{1}short", &long]
    {
        let error = vault(OLD).open(&OWNER, plain.as_bytes()).unwrap_err();
        assert!(matches!(error, OpenError::NotSealed(_)), "{plain:?}: {error:?}");
        assert!(Sealed::try_from(plain.as_bytes().to_vec()).is_err(), "{plain:?}");
    }
}

#[test]
fn a_text_of_64_kib_is_sealed_and_one_byte_more_is_not() {
    let (vault, longest) = (vault(OLD), "x".repeat(MAX_PLAINTEXT));
    assert_eq!(MAX_PLAINTEXT, 65_536);
    let sealed = seal(&vault, &OWNER, &longest);
    assert_eq!(text(&vault.open(&OWNER, sealed.as_bytes()).unwrap()), longest);

    let too_long = TooLong { bytes: MAX_PLAINTEXT + 1 };
    let refused = vault.seal(&OWNER, &SecretString::from(longest + "x"), &mut rand::rng());
    assert_eq!(refused.unwrap_err(), too_long);
    let longer = [sealed.as_bytes(), b"x"].concat();
    assert_eq!(vault.open(&OWNER, &longer).unwrap_err(), too_long.into());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_sealed_opens_and_has_its_length_plus_98(plain in ".{0,300}") {
        let vault = vault(OLD);
        let sealed = seal(&vault, &OWNER, &plain);
        prop_assert_eq!(sealed.as_bytes().len(), plain.len() + 98);
        prop_assert_eq!(sealed.key_id(), key_id([0x0a; 4]));
        let opened = vault.open(&OWNER, sealed.as_bytes()).unwrap();
        prop_assert_eq!(text(&opened), &plain);
        prop_assert_eq!(Sealed::try_from(sealed.as_bytes().to_vec()).unwrap(), sealed);
    }

    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(bytes in vec(any::<u8>(), 0..400), dressed in any::<bool>()) {
        let mut bytes = bytes;
        if dressed && bytes.len() >= 6 {
            bytes[..6].copy_from_slice(&[1, 1, 0x0a, 0x0a, 0x0a, 0x0a]);
        }
        let vault = vault(OLD);
        prop_assert!(vault.open(&OWNER, &bytes).is_err());
        if let Ok(sealed) = Sealed::try_from(bytes.clone()) {
            prop_assert_eq!(sealed.as_bytes(), &bytes[..]);
            prop_assert_eq!(&sealed.key_id().to_be_bytes()[..], &bytes[2..6]);
        }
    }
}
