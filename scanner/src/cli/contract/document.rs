//! The contracts as one document: everything that may be asked, decoded and kept. Its order is that of the code, its
//! shape has a version, so that two of them can be compared years apart.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use twinflow_connectors::{Body, Connector, Field, OAuth, Reads, Revoke, SignIn, TicketDesk};

/// Raised when the meaning of a key changes; a new key alone does not raise it. A program that does not know a key
/// refuses the document: it cannot tell what that allows.
pub(super) const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: u32,
    pub(super) tools: Vec<Tool>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    pub(super) tool: String,
    pub(super) title: String,
    pub(super) stream: String,
    /// Where it is asked, and whose hosts else may be.
    pub(super) base_url: String,
    pub(super) hosts_under: Vec<String>,
    pub(super) sign_ins: Vec<WayIn>,
    pub(super) scopes: Vec<Scope>,
    pub(super) operations: Vec<Operation>,
    /// The one write, where the tool has it; no part of a scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) write: Option<Write>,
    /// What a refusal is recognised by, whatever was asked.
    pub(super) complaints: Vec<Decoded>,
    pub(super) stored: Vec<String>,
    pub(super) never: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WayIn {
    pub(super) way: String,
    pub(super) what: String,
    /// OAuth's addresses and switches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) details: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) why: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) why: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<Parameter>,
    pub(super) body: Option<Asked>,
    pub(super) fields: Vec<Decoded>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Write {
    pub(super) name: String,
    pub(super) why: String,
    /// The command without which it is not made.
    pub(super) only_by: String,
    pub(super) scope: Scope,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Asked,
    /// What is asked beside it.
    pub(super) asks_around: Vec<Operation>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: String,
}

/// The exact text of a request's body; `{name}` stands for a value.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) language: String,
    pub(super) text: String,
    pub(super) variables: Vec<String>,
}

/// A field that is decoded, by the code's own account.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decoded {
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) takes: Vec<String>,
}

fn owned(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

impl Document {
    pub(super) fn of(connectors: &[&dyn Connector]) -> Result<Self> {
        let tools = connectors.iter().map(|connector| Tool::of(*connector)).collect::<Result<_>>()?;
        Ok(Self { version: VERSION, tools })
    }
}

impl Tool {
    fn of(connector: &dyn Connector) -> Result<Self> {
        let contract = connector.contract();
        let scope =
            |it: &twinflow_connectors::Scope| Scope { name: it.name.to_owned(), why: it.why.to_owned() };
        Ok(Self {
            tool: contract.tool.to_owned(),
            title: contract.title.to_owned(),
            stream: contract.stream.to_owned(),
            base_url: contract.base_url.to_owned(),
            hosts_under: owned(contract.hosts_under),
            sign_ins: contract.sign_ins.iter().map(WayIn::of).collect(),
            scopes: contract.scopes.iter().map(scope).collect(),
            operations: contract.operations.iter().map(|it| Operation::of(it)).collect::<Result<_>>()?,
            write: twinflow_connectors::tickets(contract.tool).map(Write::of).transpose()?,
            complaints: decoded(contract.complaints)?,
            stored: owned(contract.stored),
            never: owned(contract.never),
        })
    }
}

impl WayIn {
    fn of(way: &SignIn) -> Self {
        let what = super::way_in(way).to_owned();
        let (word, details) = match way {
            SignIn::Token { .. } => ("token", BTreeMap::new()),
            SignIn::Basic { .. } => ("basic", BTreeMap::new()),
            SignIn::OAuth(oauth) => ("oauth", of_oauth(oauth)),
        };
        Self { way: word.to_owned(), what, details }
    }
}

fn of_oauth(oauth: &OAuth) -> BTreeMap<String, String> {
    let revoke = match oauth.revoke {
        Revoke::Post(to) => format!("POST {to}"),
        Revoke::Delete(to) => format!("DELETE {to}"),
        Revoke::ByHand(how) => format!("by hand: {how}"),
    };
    let extra: Vec<_> = oauth.extra.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let details = [
        ("authorize", oauth.authorize.to_owned()),
        ("token", oauth.token.to_owned()),
        ("revoke", revoke),
        ("extra", extra.join("&")),
        ("pkce", oauth.pkce.to_string()),
        ("client_secret", oauth.secret.to_string()),
        ("json", oauth.json.to_string()),
        ("app", oauth.app.to_owned()),
    ];
    details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

impl Write {
    fn of(desk: &dyn TicketDesk) -> Result<Self> {
        let action = desk.action();
        Ok(Self {
            name: action.name.to_owned(),
            why: action.why.to_owned(),
            only_by: "twinflow ticket create".to_owned(),
            scope: Scope { name: action.scope.name.to_owned(), why: action.scope.why.to_owned() },
            method: action.method.word().to_owned(),
            path: action.path.to_owned(),
            body: asked("json", action.body, &[]),
            asks_around: desk.operations().iter().map(|it| Operation::of(it)).collect::<Result<_>>()?,
        })
    }
}

fn asked(language: &str, text: &str, variables: &[&str]) -> Asked {
    Asked { language: language.to_owned(), text: text.trim().to_owned(), variables: owned(variables) }
}

impl Operation {
    fn of(operation: &twinflow_connectors::Operation) -> Result<Self> {
        let parameter =
            |(name, value): &(&str, &str)| Parameter { name: (*name).to_owned(), value: (*value).to_owned() };
        Ok(Self {
            name: operation.name.to_owned(),
            why: operation.why.to_owned(),
            method: operation.method.word().to_owned(),
            path: operation.path.to_owned(),
            query: operation.query.iter().map(parameter).collect(),
            body: match operation.body {
                Body::None => None,
                Body::GraphQl { document, variables } => Some(asked("graphql", document, variables)),
                Body::Json(template) => Some(asked("json", template, &[])),
            },
            fields: decoded(operation.reads)?,
        })
    }
}

fn decoded(reads: &[Reads]) -> Result<Vec<Decoded>> {
    let mut all = vec![];
    for reads in reads {
        let fields =
            reads.fields().with_context(|| format!("what {} decodes cannot be told", reads.name()))?;
        all.extend(fields.into_iter().map(|Field { path, kind, takes }| Decoded {
            path,
            kind,
            takes: takes.into_iter().collect(),
        }));
    }
    all.sort_by(|a, b| (&a.path, &a.kind).cmp(&(&b.path, &b.kind)));
    all.dedup();
    Ok(all)
}
