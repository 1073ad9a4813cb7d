//! `twinflow contract diff`: what a newer contract allows beyond an older one.
//!
//! A document comes to a set of permissions, each a line of its own; comparing is a difference of sets. So nothing
//! counts as a widening by being listed here: whatever is not in the old set does.

use super::document::{Decoded, Document, Operation, Tool, VERSION};
use crate::cli::{End, format};
use anyhow::{Result, anyhow, bail};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// An older contract, as `twinflow contract --format json` prints it
    old: PathBuf,
    /// A newer one [default: this program's]
    new: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What changed, a line each.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Changes {
    wider: Vec<String>,
    narrower: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<End> {
    let old = read(&args.old)?;
    let new = match &args.new {
        Some(path) => read(path)?,
        None => Document::of(twinflow_connectors::ALL)?,
    };
    let changes = between(&old, &new);
    if args.json {
        format::json(&changes)?;
    } else {
        format::print(in_words(&changes))?;
    }
    Ok(if changes.wider.is_empty() { End::Done } else { End::Failed })
}

fn read(path: &Path) -> Result<Document> {
    let shown = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| anyhow!("{shown} cannot be read: {}", error.kind()))?;
    let no_contract = || format!("{shown} is no contract; `twinflow contract --format json` prints one");
    let document: Document = match serde_json::from_str(&text) {
        Ok(document) => document,
        // serde_json names the problem in its text alone; nothing else has it.
        Err(error) if error.to_string().starts_with("unknown field") => {
            bail!("{shown} was made by a newer program: it says something that this one does not know")
        }
        Err(_) => return Err(anyhow!(no_contract())),
    };
    if document.version != VERSION {
        bail!(
            "{shown} is a contract of version {}; this program compares version {VERSION}",
            document.version
        );
    }
    Ok(document)
}

fn in_words(changes: &Changes) -> String {
    if *changes == Changes::default() {
        return "The same.".to_owned();
    }
    let mut text = String::new();
    for (heading, lines) in [("Wider (breaking):", &changes.wider), ("Narrower:", &changes.narrower)] {
        if !lines.is_empty() {
            text += &format!("{heading}\n");
            lines.iter().for_each(|line| text += &format!("  {}\n", line.replace('\n', "\n      ")));
        }
    }
    text
}

fn between(old: &Document, new: &Document) -> Changes {
    let (was, is) = (permissions(old), permissions(new));
    let lines = |some: &BTreeMap<String, String>, other: &BTreeMap<String, String>| -> Vec<String> {
        let changed = some.iter().filter(|(what, exactly)| other.get(*what) != Some(exactly));
        changed.map(|(what, exactly)| line(what, exactly, other.get(what))).collect()
    };
    let (refused, refuses) = (refusals(old, new), refusals(new, old));
    let mut changes = Changes { wider: lines(&is, &was), narrower: vec![] };
    // What only changed has its line above.
    changes
        .narrower
        .extend(was.keys().filter(|what| !is.contains_key(*what)).map(|what| line(what, "", None)));
    let never = |it: &String| format!("{it} (never asked for)");
    changes.wider.extend(refused.difference(&refuses).map(|it| format!("no longer promised: {}", never(it))));
    changes.narrower.extend(refuses.difference(&refused).map(|it| format!("newly promised: {}", never(it))));
    changes
}

/// With what was added to a longer text.
fn line(what: &str, exactly: &str, before: Option<&String>) -> String {
    let Some(before) = before else { return what.to_owned() };
    let known: BTreeSet<_> = before.lines().map(str::trim).collect();
    let added: Vec<_> = exactly.lines().map(str::trim).filter(|line| !known.contains(line)).collect();
    if added.is_empty() {
        format!("{what}, changed")
    } else {
        format!("{what}, changed:\n{}", added.join("\n"))
    }
}

/// What is allowed, and exactly how where the words alone do not say it.
fn permissions(document: &Document) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for tool in &document.tools {
        all.extend(
            of_tool(tool).into_iter().map(|(what, exactly)| (format!("{}: {what}", tool.tool), exactly)),
        );
    }
    all
}

fn of_tool(tool: &Tool) -> Vec<(String, String)> {
    let mut all = vec![("the tool".to_owned(), String::new())];
    let mut allow = |what: String| all.push((what, String::new()));
    allow(format!("host {}", tool.base_url));
    tool.hosts_under.iter().for_each(|it| allow(format!("hosts under {it}")));
    tool.scopes.iter().for_each(|it| allow(format!("scope {}", it.name)));
    tool.stored.iter().for_each(|it| allow(format!("keeps {it}")));
    for way in &tool.sign_ins {
        allow(format!("sign-in by {}: {}", way.way, way.what));
        way.details.iter().for_each(|(key, value)| allow(format!("sign-in by {}: {key} {value}", way.way)));
    }
    tool.complaints.iter().flat_map(of_field).for_each(|it| allow(format!("refusals decode {it}")));
    tool.operations.iter().for_each(|it| all.extend(of_operation(it)));
    if let Some(write) = &tool.write {
        all.push((format!("writes {} {}", write.method, write.path), write.body.text.clone()));
        all.push((format!("writes by {} with scope {}", write.only_by, write.scope.name), String::new()));
        write.asks_around.iter().for_each(|it| all.extend(of_operation(it)));
    }
    all
}

fn of_operation(operation: &Operation) -> Vec<(String, String)> {
    let name = &operation.name;
    let mut all = vec![(format!("{name} asks {} {}", operation.method, operation.path), String::new())];
    all.extend(
        operation
            .query
            .iter()
            .map(|it| (format!("{name} has query {}={}", it.name, it.value), String::new())),
    );
    if let Some(body) = &operation.body {
        let text = format!("{}\nvariables: {}", body.text, body.variables.join(", "));
        all.push((format!("{name} has a body in {}", body.language), text));
    }
    let fields = operation.fields.iter().flat_map(of_field);
    all.extend(fields.map(|it| (format!("{name} decodes {it}"), String::new())));
    all
}

fn of_field(field: &Decoded) -> impl Iterator<Item = String> {
    field.takes.iter().map(|takes| format!("{} as {} ({takes})", field.path, field.kind))
}

/// What is never asked for, of the tools that both have: a tool that is gone needs no promises any more.
fn refusals(document: &Document, other: &Document) -> BTreeSet<String> {
    let shared = |tool: &&Tool| other.tools.iter().any(|it| it.tool == tool.tool);
    let of = |tool: &Tool| tool.never.iter().map(|it| format!("{}: {it}", tool.tool)).collect::<Vec<_>>();
    document.tools.iter().filter(shared).flat_map(of).collect()
}
