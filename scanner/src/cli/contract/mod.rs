//! `twinflow contract`: the promise, for people ([`markdown`]), for programs ([`document`]), and what became of it
//! since ([`diff`]).

mod diff;
mod document;
mod markdown;

use super::{End, format};
use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use document::{Document, Tool};
use twinflow_connectors::{ALL, Connector, Contract, SignIn};

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Which tool [default: all]
    tool: Option<String>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Say what a newer contract allows beyond an older one; exits with 1 if anything
    Diff(diff::Args),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// In short, for people
    Table,
    /// Everything, with the exact text of every request and every field that is decoded
    Json,
    /// Everything, for a document
    Markdown,
}

pub(super) fn run(args: &Args) -> Result<End> {
    if let Some(Action::Diff(args)) = &args.action {
        return diff::run(args);
    }
    let document = Document::of(&connectors(args.tool.as_deref())?)?;
    match args.format {
        Format::Table => {
            format::print(document.tools.iter().map(in_short).collect::<Vec<_>>().join("\n"))?;
        }
        Format::Json => format::json(&document)?,
        Format::Markdown => format::print(markdown::of(&document))?,
    }
    Ok(End::Done)
}

fn connectors(tool: Option<&str>) -> Result<Vec<&'static dyn Connector>> {
    let Some(tool) = tool else { return Ok(ALL.to_vec()) };
    let Some(connector) = twinflow_connectors::find(tool) else {
        let known: Vec<_> = ALL.iter().map(|connector| connector.contract().tool).collect();
        bail!("no tool is called {tool:?}; there are {}", known.join(", "))
    };
    Ok(vec![connector])
}

fn in_short(tool: &Tool) -> String {
    let ways: Vec<_> = tool.sign_ins.iter().map(|way| way.what.as_str()).collect();
    let mut text = format!("{}: {}\n", tool.title, ways.join("; or "));
    let mut section = |heading: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        text += &format!("\n  {heading}\n");
        lines.iter().for_each(|line| text += &format!("    {line}\n"));
    };
    let apps = tool.sign_ins.iter().filter_map(|way| way.details.get("app")).cloned();
    section("To connect by consent, register an app", apps.collect());
    section("Scopes", tool.scopes.iter().map(|it| format!("{}: {}", it.name, it.why)).collect());
    let asks = tool.operations.iter().map(|it| {
        let fields = format::count(it.fields.len() as i64, "field", "fields");
        format!("{} {}: {} ({fields} decoded)", it.method, it.path, it.why)
    });
    section("Asks, and can ask nothing else", asks.collect());
    section("Keeps", tool.stored.clone());
    if let Some(write) = &tool.write {
        let made = format!("{} {}: {}; it takes {}", write.method, write.path, write.why, write.scope.name);
        let only =
            format!("Writes, only by `{}` and only when a person says yes; a scan cannot", write.only_by);
        section(&only, vec![made]);
        let around = write.asks_around.iter().map(|it| format!("{} {}: {}", it.method, it.path, it.why));
        section("Asks around that", around.collect());
    }
    section("Never asks for", tool.never.clone());
    text
}

/// The ways in, in words.
pub(super) fn credentials(contract: &Contract) -> String {
    contract.sign_ins.iter().map(way_in).collect::<Vec<_>>().join("; or ")
}

fn way_in(way: &SignIn) -> &str {
    match way {
        SignIn::Token { what } | SignIn::Basic { what, .. } => what,
        SignIn::OAuth(_) => "OAuth 2.0, by consent",
    }
}
