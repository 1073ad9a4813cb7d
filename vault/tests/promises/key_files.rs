//! How a key file reads, and what is refused in one.

use crate::given::{NEW, OLD, OWNER, keys, seal, text};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;
use twinflow_vault::{KeyFileError, KeyId, KeySet, Vault, Weakness};

const HEX: &str = "37c1e2f4a9b0d85c6e1f20943b7a8d5ce6f1029384756afbcd1e2f304152637f";
const BASE64: &str = "N8Hi9Kmw2FxuHyCUO3qNXObxApOEdWr7zR4vMEFSY38=";

fn refused(text: &str) -> KeyFileError {
    KeySet::parse(text).unwrap_err()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_key_is_the_same_in_hex_of_either_case_and_in_base64() {
    let sealed = seal(&Vault::new(keys(&format!("primary 0a0a0a0a {HEX}"))), &OWNER, "a credential");
    for key in [BASE64, &HEX.to_uppercase()] {
        let vault = Vault::new(keys(&format!("primary 0A0A0A0A {key}")));
        assert_eq!(text(&vault.open(&OWNER, sealed.as_bytes()).unwrap()), "a credential");
    }
}

#[test]
fn comments_empty_lines_spaces_and_line_ends_do_not_matter() {
    let read = keys(&format!("# made today\r\n\r\n \tformer\t{OLD} # until spring\r\n\n  primary  {NEW}"));
    assert_eq!(read.ids().collect::<Vec<_>>(), [KeyId::from([0x0b; 4]), KeyId::from([0x0a; 4])]);
}

#[test]
fn a_file_without_a_key_or_without_a_primary_one_is_refused() {
    assert_eq!(refused(""), KeyFileError::NoKey);
    assert_eq!(refused("# nothing\n\n"), KeyFileError::NoKey);
    assert_eq!(refused(&format!("former {OLD}")), KeyFileError::NoPrimary);
}

#[test]
fn what_clashes_with_an_earlier_line_names_both_lines() {
    let two_primaries = format!("primary {OLD}\n\nprimary {NEW}");
    let same_id = format!("primary {OLD}\nformer 0A0A0A0A {}", &NEW[9..]);
    let same_key = format!("primary {OLD}\n#\n#\nformer 0b0b0b0b {BASE64}");
    assert_eq!(refused(&two_primaries), KeyFileError::TwoPrimaries { line: 3, first: 1 });
    assert_eq!(refused(&same_id), KeyFileError::SameId { line: 2, first: 1 });
    assert_eq!(refused(&same_key), KeyFileError::SameKey { line: 4, first: 1 });
}

#[test]
fn a_line_of_another_shape_is_refused_by_its_number() {
    let line = 2;
    for (entry, error) in [
        (HEX, KeyFileError::UnknownWord { line }),
        (&format!("Primary {NEW}"), KeyFileError::UnknownWord { line }),
        (&format!("retired {NEW}"), KeyFileError::UnknownWord { line }),
        ("former", KeyFileError::NotThreeWords { line }),
        ("former 0b0b0b0b", KeyFileError::NotThreeWords { line }),
        (&format!("former {NEW} more"), KeyFileError::NotThreeWords { line }),
        (&format!("former b0b0b0b {HEX}"), KeyFileError::NotAKeyId { line }),
        (&format!("former 00b0b0b0b {HEX}"), KeyFileError::NotAKeyId { line }),
        (&format!("former +b0b0b0b {HEX}"), KeyFileError::NotAKeyId { line }),
        (&format!("former 0b0b0b0g {HEX}"), KeyFileError::NotAKeyId { line }),
        (&format!("former {HEX} 0b0b0b0b"), KeyFileError::NotAKeyId { line }),
    ] {
        assert_eq!(refused(&format!("primary {OLD}\n{entry}")), error, "{entry}");
    }
}

#[test]
fn a_key_of_another_length_or_alphabet_is_refused() {
    let line = 1;
    let key = |key: &str| refused(&format!("primary 0b0b0b0b {key}"));
    for short in ["00", "hunter2", &HEX[..62], &HEX[..44], &BASE64[..42]] {
        assert_eq!(key(short), KeyFileError::ShortKey { line }, "{short}");
    }
    let (a_comma, two_dashes) = (BASE64.replace('N', ","), BASE64.replace("Hi", "--"));
    let (spare_bits, one_more) = (BASE64.replace("8=", "9="), format!("{HEX}00"));
    for wrong in [&one_more, &a_comma, &two_dashes, &spare_bits, &BASE64[..43], &HEX.replace('f', "g")] {
        assert_eq!(key(wrong), KeyFileError::NotAKey { line }, "{wrong}");
    }
}

#[test]
fn a_key_that_anybody_could_guess_is_refused() {
    let ascending: Vec<u8> = (0..32).collect();
    let descending: Vec<u8> = (0..32).rev().collect();
    let wrapping: Vec<u8> = (0..32u8).map(|at| at.wrapping_mul(17).wrapping_add(240)).collect();
    let example = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    let gcm_example = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    for (key, weakness) in [
        (hex(&[0; 32]), Weakness::Constant),
        (hex(&[0xa7; 32]), Weakness::Constant),
        (hex(&ascending), Weakness::Counting),
        (hex(&descending), Weakness::Counting),
        (hex(&wrapping), Weakness::Counting),
        (gcm_example.into(), Weakness::Repeating),
        (hex(b"correct horse battery staple 123"), Weakness::Text),
        (example.into(), Weakness::Example),
        (format!("01{}", "00".repeat(31)), Weakness::Example),
    ] {
        assert_eq!(
            refused(&format!("primary 0b0b0b0b {key}")),
            KeyFileError::WeakKey { line: 1, weakness },
            "{key}"
        );
    }
}

#[test]
fn every_refusal_is_a_sentence_of_its_own() {
    let (line, first) = (2, 1);
    let errors = [
        KeyFileError::NoKey,
        KeyFileError::NoPrimary,
        KeyFileError::TwoPrimaries { line, first },
        KeyFileError::UnknownWord { line },
        KeyFileError::NotThreeWords { line },
        KeyFileError::NotAKeyId { line },
        KeyFileError::ShortKey { line },
        KeyFileError::NotAKey { line },
        KeyFileError::WeakKey { line, weakness: Weakness::Constant },
        KeyFileError::SameId { line, first },
        KeyFileError::SameKey { line, first },
    ];
    let sentences: HashSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(sentences.len(), errors.len());
}

#[test]
fn generated_keys_differ_and_read_back_from_their_text() {
    let (one, other) =
        (KeySet::generate(&mut rand::rng()).unwrap(), KeySet::generate(&mut rand::rng()).unwrap());
    assert_ne!(*one.render(), *other.render());
    let again = keys(&one.render());
    let sealed = seal(&Vault::new(one), &OWNER, "a credential");
    assert_eq!(text(&Vault::new(again).open(&OWNER, sealed.as_bytes()).unwrap()), "a credential");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_keys_read_back_from_their_text(bytes in vec(any::<[u8; 36]>(), 1..6), primary in any::<proptest::sample::Index>()) {
        let lines: String = bytes.iter().enumerate().map(|(at, bytes)| {
            let word = if at == primary.index(bytes.len()) { "primary" } else { "former" };
            format!("{word} {} {}\n", hex(&bytes[..4]), hex(&bytes[4..]))
        }).collect();
        if let Ok(read) = KeySet::parse(&lines) {
            let again = keys(&read.render());
            prop_assert_eq!(read.ids().collect::<Vec<_>>(), again.ids().collect::<Vec<_>>());
            prop_assert_eq!(&*read.render(), &*again.render());
        }
    }

    #[test]
    fn no_refusal_quotes_the_file_and_none_panics(
        words in vec(prop_oneof![Just("primary".into()), Just("former".into()), "[0-9a-f]{8}", "[0-9a-f]{62,66}", "[A-Za-z0-9+/]{40,46}={0,2}", "\\PC{0,20}"], 0..5),
        ends in "[ \t\n\r#]{1,2}",
    ) {
        let file = words.join(&ends);
        if let Err(error) = KeySet::parse(&file) {
            let said = format!("{error} {error:?}");
            for word in words.iter().filter(|word| word.len() >= 8) {
                prop_assert!(!said.contains(word.as_str()), "{said}");
            }
        }
    }
}
