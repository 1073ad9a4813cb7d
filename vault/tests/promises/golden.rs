//! Values that must open for ever. Those of version 1 were written by another program, in another language and
//! with another cryptographic library, from the description in `format.rs`: they prove that as well.
//!
//! Never edit these files. A new format gets new ones beside them.

use crate::given::{keys, text};
use twinflow_vault::{Owner, Vault};
use uuid::Uuid;

const TENANT: Uuid = Uuid::from_u128(0x6f1c1f5e_0c1b_4b0e_9d3a_2f6f0f3c9a11);
const CONNECTION: Uuid = Uuid::from_u128(0xb2a7c9d4_58e6_4c3f_8a21_7d5e9b0c4f62);

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn values_sealed_by_version_1_open() {
    let vault = Vault::new(keys(include_str!("golden/v1.keys")));
    let mut opened = 0;
    for line in include_str!("golden/v1.sealed").lines().skip(1) {
        let (stored, plain) = line.split_once('|').unwrap();
        let [table, column, sealed] = stored.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let owner = Owner { tenant: TENANT, connection: CONNECTION, table, column };
        assert_eq!(text(&vault.open(&owner, &unhex(sealed)).unwrap()), plain);
        opened += 1;
    }
    assert_eq!(opened, 5);
}
