//! Nothing that can be printed says a secret.

use crate::given::{OLD, OWNER, keys, seal, vault};
use std::collections::HashSet;
use std::ffi::OsString;
use twinflow_vault::{KeyId, KeySource, NotSealed, OpenError, TooLong, VARIABLE};

const KEY: &str = "37c1e2f4a9b0d85c6e1f20943b7a8d5ce6f1029384756afbcd1e2f304152637f";

#[test]
fn debug_output_shows_key_ids_and_no_keys() {
    let text = format!("primary {OLD}");
    let source = KeySource::find(None, |name| (name == VARIABLE).then(|| OsString::from(&text))).unwrap();
    assert!(OLD.ends_with(KEY));
    for shown in [
        format!("{:?}", keys(&text)),
        format!("{:#?}", vault(OLD)),
        format!("{:?}", source),
        format!("{:?}", source.load().unwrap()),
    ] {
        assert!(!shown.contains(&KEY[..4]) && !shown.contains("55, 193"), "{shown}");
    }
    assert_eq!(format!("{:?}", keys(&text)), "KeySet { primary: 0a0a0a0a ***, former: [] }");
}

#[test]
fn a_sealed_or_opened_value_is_not_printed() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "canary");
    assert_eq!(format!("{sealed:?}"), "Sealed(104 bytes under key 0a0a0a0a)");
    assert!(!format!("{:?}", vault.open(&OWNER, sealed.as_bytes()).unwrap()).contains("canary"));
}

#[test]
fn a_plain_value_stored_by_mistake_is_not_quoted() {
    let (long, dressed) = ("canary ".repeat(40), format!("\u{1}{}", "canary ".repeat(40)));
    for plain in ["canary", &long, &dressed] {
        let error = vault(OLD).open(&OWNER, plain.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn every_refusal_is_one_sentence_of_its_own_that_says_what_to_do() {
    let id = KeyId::from([0x0a; 4]);
    let errors = [
        OpenError::NotSealed(NotSealed::TooShort { bytes: 5 }),
        OpenError::NotSealed(NotSealed::UnknownVersion),
        OpenError::NotSealed(NotSealed::UnknownSuite { suite: 2 }),
        OpenError::NotSealed(NotSealed::TooLong(TooLong { bytes: 70_000 })),
        OpenError::UnknownKey { id },
        OpenError::WrongKey { id },
        OpenError::Damaged,
        OpenError::NotText,
    ];
    let sentences: HashSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(sentences.len(), errors.len());
    for sentence in sentences {
        assert!(sentence.contains(": ") && !sentence.contains(['.', '\n']), "{sentence}");
    }
}
