//! A value opens for its owner alone.

use crate::given::{OLD, OWNER, seal, text, vault};
use twinflow_vault::{OpenError, Owner};
use uuid::Uuid;

#[test]
fn a_value_moved_to_another_tenant_does_not_open() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "a credential");
    let neighbour = Owner { tenant: Uuid::from_u128(0x12), ..OWNER };
    let error = vault.open(&neighbour, sealed.as_bytes()).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "the tenant is part of the key: {error:?}");
}

#[test]
fn a_value_moved_to_another_connection_table_or_column_does_not_open() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "a credential");
    let elsewhere = [
        Owner { connection: Uuid::from_u128(0x23), ..OWNER },
        Owner { table: "connections", ..OWNER },
        Owner { column: "refresh_token", ..OWNER },
    ];
    for owner in elsewhere {
        assert_eq!(vault.open(&owner, sealed.as_bytes()).unwrap_err(), OpenError::Damaged, "{owner:?}");
    }
}

#[test]
fn of_256_ways_to_move_16_values_only_the_16_that_stay_open() {
    let vault = vault(OLD);
    let owners: Vec<Owner> = (0..16u128)
        .map(|mask| Owner {
            tenant: Uuid::from_u128(mask & 1),
            connection: Uuid::from_u128(mask & 2),
            table: if mask & 4 == 0 { "credentials" } else { "connections" },
            column: if mask & 8 == 0 { "access_token" } else { "refresh_token" },
        })
        .collect();
    let (mut opened, mut refused) = (0, 0);
    for from in &owners {
        let sealed = seal(&vault, from, "a credential");
        for to in &owners {
            match vault.open(to, sealed.as_bytes()) {
                Ok(plain) => {
                    assert_eq!((from, text(&plain)), (to, "a credential"));
                    opened += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!((opened, refused), (16, 240));
}

#[test]
fn owners_that_read_the_same_when_joined_are_different_owners() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &Owner { table: "ab", column: "c", ..OWNER }, "a credential");
    for (table, column) in [("a", "bc"), ("abc", ""), ("", "abc")] {
        assert!(
            vault.open(&Owner { table, column, ..OWNER }, sealed.as_bytes()).is_err(),
            "{table:?} {column:?}"
        );
    }
}

#[test]
fn tenant_and_connection_are_not_interchangeable() {
    let vault = vault(OLD);
    let sealed = seal(&vault, &OWNER, "a credential");
    let swapped = Owner { tenant: OWNER.connection, connection: OWNER.tenant, ..OWNER };
    assert!(vault.open(&swapped, sealed.as_bytes()).is_err());
}
