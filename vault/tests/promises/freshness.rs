//! Salt and nonce are drawn anew for every value. The check itself is checked on an rng that is stuck.

use crate::given::{OLD, OWNER, seal, vault};
use rand::{TryCryptoRng, TryRng};
use secrecy::SecretString;
use std::collections::HashSet;
use std::convert::Infallible;
use twinflow_vault::{KeySet, Sealed, Weakness};

/// An rng that always says the same.
struct Stuck;

impl TryRng for Stuck {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0x5a5a_5a5a)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0x5a5a_5a5a_5a5a_5a5a)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0x5a);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}

/// Which of salt and nonce two or more values share.
fn reused(values: &[Sealed]) -> Vec<&'static str> {
    let repeats = |from: usize, to: usize| {
        let distinct: HashSet<&[u8]> = values.iter().map(|value| &value.as_bytes()[from..to]).collect();
        distinct.len() < values.len()
    };
    [("salt", repeats(6, 38)), ("nonce", repeats(70, 82))]
        .into_iter()
        .filter_map(|(name, repeated)| repeated.then_some(name))
        .collect()
}

#[test]
fn no_two_of_a_thousand_values_share_a_salt_or_a_nonce() {
    let vault = vault(OLD);
    let values: Vec<Sealed> = (0..1000).map(|_| seal(&vault, &OWNER, "the same credential")).collect();
    assert_eq!(reused(&values), Vec::<&str>::new());
}

#[test]
fn the_check_above_notices_an_rng_that_is_stuck() {
    let (vault, plain) = (vault(OLD), SecretString::from("the same credential"));
    let values: Vec<Sealed> = (0..2).map(|_| vault.seal(&OWNER, &plain, &mut Stuck).unwrap()).collect();
    assert_eq!(reused(&values), ["salt", "nonce"]);
    assert_eq!(values[0], values[1]);
}

#[test]
fn salt_and_nonce_are_what_the_rng_gave() {
    let sealed = vault(OLD).seal(&OWNER, &SecretString::from("a credential"), &mut Stuck).unwrap();
    assert_eq!(sealed.as_bytes()[6..38], [0x5a; 32]);
    assert_eq!(sealed.as_bytes()[70..82], [0x5a; 12]);
}

#[test]
fn equal_texts_of_one_owner_do_not_look_equal() {
    let vault = vault(OLD);
    let (one, other) =
        (seal(&vault, &OWNER, "the same credential"), seal(&vault, &OWNER, "the same credential"));
    for (from, to) in [(6, 38), (38, 70), (70, 82), (82, 101), (101, 117)] {
        assert_ne!(one.as_bytes()[from..to], other.as_bytes()[from..to], "bytes {from} to {to}");
    }
}

#[test]
fn no_key_is_made_from_an_rng_that_is_stuck() {
    assert_eq!(KeySet::generate(&mut Stuck).unwrap_err(), Weakness::Constant);
}
