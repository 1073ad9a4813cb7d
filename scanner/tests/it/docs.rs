//! The documents speak of what is there.

use clap::Parser as _;
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
            // As whoever shows the document takes it: from where it lies.
            let from = Path::new(&document).parent().unwrap().join(link.split('#').next().unwrap());
            assert!(!local || from.exists(), "{document} links to {link}");
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

/// The words of a command line; what stands between apostrophes is one.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let split = |(nth, part): (usize, &str)| match nth % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    };
    parts.flat_map(split).collect()
}

#[test]
fn every_command_line_for_operators_can_be_typed_as_it_stands() {
    let guide = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let units = fs::read_dir(root().join("deploy/systemd")).unwrap().map(|unit| unit.unwrap().path());
    let units: String = units.map(|unit| fs::read_to_string(unit).unwrap()).collect();
    let started = units.lines().filter_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/"));
    let mut typed = 0;
    for line in
        guide.lines().chain(quoted(&guide)).chain(started).filter(|line| line.starts_with("twinflow "))
    {
        let parsed = twinflow::cli::Cli::try_parse_from(words(line));
        // `twinflow renew` and the like stand for themselves.
        let incomplete = parsed.as_ref().is_err_and(|error| {
            error.kind() == clap::error::ErrorKind::MissingRequiredArgument && words(line).len() == 2
        });
        assert!(parsed.is_ok() || incomplete, "{line}: {}", parsed.unwrap_err());
        typed += 1;
    }
    assert!(typed > 30, "{typed}");
}
