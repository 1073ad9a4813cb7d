//! `twinflow contract`

use super::{End, format};
use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use twinflow_connectors::{ALL, Body, Connector, Contract, OAuth, Operation, Revoke, SignIn};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Which tool [default: all]
    tool: Option<String>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// In short, for people
    Table,
    /// Everything, with the exact text of every request
    Json,
    /// Everything, for a document
    Markdown,
}

pub(super) fn run(args: &Args) -> Result<End> {
    let connectors: Vec<&dyn Connector> = match &args.tool {
        None => ALL.to_vec(),
        Some(tool) => match twinflow_connectors::find(tool) {
            Some(connector) => vec![connector],
            None => {
                let known: Vec<_> = ALL.iter().map(|connector| connector.contract().tool).collect();
                bail!("no tool is called {tool:?}; there are {}", known.join(", "))
            }
        },
    };
    let contracts: Vec<&Contract> = connectors.iter().map(|connector| connector.contract()).collect();
    match args.format {
        Format::Table => {
            format::print(contracts.iter().map(|it| in_short(it)).collect::<Vec<_>>().join("\n"))?
        }
        Format::Json => format::json(&contracts.iter().map(|it| as_json(it)).collect::<Vec<_>>())?,
        Format::Markdown => {
            format::print(contracts.iter().map(|it| markdown(it)).collect::<Vec<_>>().join("\n"))?
        }
    }
    Ok(End::Done)
}

/// For people, also before they connect.
pub(super) fn in_short(contract: &Contract) -> String {
    let mut text = format!("{}: {}\n", contract.title, credentials(contract));
    let mut section = |heading: &str, lines: Vec<String>| {
        text += &format!("\n  {heading}\n");
        lines.iter().for_each(|line| text += &format!("    {line}\n"));
    };
    if let Some(oauth) = contract.oauth() {
        section("To connect by consent, register an app", vec![oauth.app.to_owned()]);
    }
    section("Scopes", contract.scopes.iter().map(|it| format!("{}: {}", it.name, it.why)).collect());
    let asks = contract.operations.iter().map(|it| format!("{} {}: {}", it.method.word(), it.path, it.why));
    section("Asks, and can ask nothing else", asks.collect());
    section("Keeps", contract.stored.iter().map(|it| (*it).to_owned()).collect());
    section("Never asks for", contract.never.iter().map(|it| (*it).to_owned()).collect());
    text
}

fn as_json(contract: &Contract) -> Value {
    let operations = contract.operations.iter().map(|operation| {
        json!({
            "name": operation.name,
            "why": operation.why,
            "method": operation.method.word(),
            "path": operation.path,
            "query": operation.query.iter().map(|(key, value)| json!({ "name": key, "value": value })).collect::<Vec<_>>(),
            "body": body(operation),
        })
    });
    json!({
        "tool": contract.tool,
        "base_url": contract.base_url,
        "stream": contract.stream,
        "credential": credentials(contract),
        "oauth": contract.oauth().map(oauth_json),
        "scopes": contract.scopes.iter().map(|it| json!({ "name": it.name, "why": it.why })).collect::<Vec<_>>(),
        "operations": operations.collect::<Vec<_>>(),
        "stored": contract.stored,
        "never": contract.never,
    })
}

fn oauth_json(oauth: &OAuth) -> Value {
    let revoke = match oauth.revoke {
        Revoke::Post(url) => json!({ "method": "POST", "url": url }),
        Revoke::Delete(url) => json!({ "method": "DELETE", "url": url }),
        Revoke::ByHand(what) => json!({ "by_hand": what }),
    };
    json!({
        "app": oauth.app,
        "authorize": oauth.authorize,
        "token": oauth.token,
        "revoke": revoke,
        "pkce": oauth.pkce,
        "client_secret": oauth.secret,
    })
}

/// The ways in, in words.
pub(super) fn credentials(contract: &Contract) -> String {
    let ways = contract.sign_ins.iter().map(|way| match way {
        SignIn::Token { what } | SignIn::Basic { what, .. } => *what,
        SignIn::OAuth(_) => "OAuth 2.0, by consent",
    });
    ways.collect::<Vec<_>>().join("; or ")
}

fn body(operation: &Operation) -> Value {
    match &operation.body {
        Body::None => Value::Null,
        Body::GraphQl { document, variables } => json!({ "graphql": document, "variables": variables }),
        Body::Json(template) => json!({ "json": template }),
    }
}

fn markdown(contract: &Contract) -> String {
    let mut text = format!(
        "## {}\n\nCredential: {}. A stream is {}.\n",
        contract.title,
        credentials(contract),
        contract.stream
    );
    text.push_str("\n| Scope | Why |\n| --- | --- |\n");
    contract.scopes.iter().for_each(|it| text += &format!("| `{}` | {} |\n", it.name, it.why));
    let mut list = |heading: &str, items: &[&str]| {
        text += &format!("\n{heading}\n\n");
        items.iter().for_each(|item| text += &format!("- {item}\n"));
    };
    list("Kept:", contract.stored);
    list("Never asked for:", contract.never);
    for operation in contract.operations {
        text.push_str(&operation_markdown(operation));
    }
    text
}

fn operation_markdown(operation: &Operation) -> String {
    let query: Vec<_> = operation.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut text =
        format!("\n### `{} {}{query}`\n\n{}.\n", operation.method.word(), operation.path, operation.why);
    let (kind, body) = match operation.body {
        Body::None => return text,
        Body::GraphQl { document, .. } => ("graphql", document),
        Body::Json(template) => ("json", template),
    };
    text += &format!("\n```{kind}\n{}\n```\n", body.trim());
    text
}
