//! What the workspace promises about this crate.

use std::fs;
use std::path::Path;

const PRIMITIVES: [&str; 4] = ["aes-gcm", "aes_gcm", "hkdf", "aead"];

fn names_a_primitive(manifest: &Path) -> bool {
    let text = fs::read_to_string(manifest).unwrap();
    let read = |line: &str| line.split('#').next().unwrap_or_default().to_owned();
    text.lines().map(read).any(|line| PRIMITIVES.iter().any(|name| line.contains(name)))
}

#[test]
fn only_the_vault_names_the_ciphers() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifests = fs::read_dir(workspace).unwrap().map(|entry| entry.unwrap().path().join("Cargo.toml"));
    let found: Vec<_> = manifests.filter(|manifest| manifest.is_file()).collect();
    let naming: Vec<_> = found.iter().filter(|manifest| names_a_primitive(manifest)).collect();
    assert!(found.len() >= 4, "only {found:?} were looked at");
    assert_eq!(naming, [&workspace.join("vault/Cargo.toml")]);
}
