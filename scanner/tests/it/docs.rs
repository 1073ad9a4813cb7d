//! The documents speak of what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn documents() -> Vec<(String, String)> {
    let mut paths = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    let more = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(more.filter(|path| path.extension().is_some_and(|it| it == "md")));
    paths.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_path_a_document_names_is_there() {
    let mut named = 0;
    for (document, text) in documents() {
        let is_path = |it: &&str| {
            ["connectors/", "vault/", "scanner/", "fixtures/", "migrations/", "fuzz/", "docs/", "deploy/"]
                .iter()
                .any(|folder| it.starts_with(folder))
        };
        for path in quoted(&text).filter(is_path) {
            assert!(root().join(path).exists(), "{document} names {path}");
            named += 1;
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let local = !link.starts_with("http") && !link.starts_with('#');
            assert!(!local || root().join(link).exists(), "{document} links to {link}");
        }
    }
    assert!(named > 20);
}

#[test]
fn every_command_the_readme_names_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().map(str::trim).chain(quoted(&readme));
    let commands: BTreeSet<_> = lines
        .filter_map(|line| line.strip_prefix("twinflow "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| !word.starts_with('-'))
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let help = Command::new(env!("CARGO_BIN_EXE_twinflow")).args([command, "--help"]).output().unwrap();
        assert!(help.status.success(), "README.md names twinflow {command}");
    }
}

#[test]
fn every_recipe_a_document_names_is_there() {
    let justfile = fs::read_to_string(root().join("justfile")).unwrap();
    for (document, text) in documents() {
        let recipes =
            quoted(&text).filter_map(|it| it.strip_prefix("just ")).filter_map(|it| it.split(' ').next());
        for recipe in recipes {
            let there = justfile.lines().any(|line| line.split([' ', ':']).next() == Some(recipe));
            assert!(there, "{document} names just {recipe}");
        }
    }
}
