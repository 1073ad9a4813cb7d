//! What a person agrees to before the first scan, and what would be sent to get there.

use super::format;
use crate::config::Settings;
use crate::credential::App;
use crate::oauth::{Attempt, AuthServer};
use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use std::fmt::Write as _;
use twinflow_connectors::{Connector, Contract, Cursor, Request};

/// Shows what will be read, and asks whether that is wanted where there is somebody to ask.
pub(super) fn ask(
    settings: &Settings,
    contract: &Contract,
    account: &str,
    streams: &[String],
    yes: bool,
) -> Result<()> {
    settings.remark(&what_is_read(contract, account, streams));
    match if yes { None } else { format::confirm("Connect it?")? } {
        Some(false) => bail!("not connected; nothing was stored"),
        Some(true) | None => Ok(()),
    }
}

fn what_is_read(contract: &Contract, account: &str, streams: &[String]) -> String {
    let mut text = format!("What will be read of {}, as {account}: {}\n", contract.title, streams.join(", "));
    let mut section = |heading: &str, lines: &[&str]| {
        text += &format!("\n  {heading}\n");
        lines.iter().for_each(|line| text += &format!("    {line}\n"));
    };
    let scopes: Vec<_> = contract.scopes.iter().map(|it| format!("{}: {}", it.name, it.why)).collect();
    section("With", &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    section("Keeps", contract.stored);
    section("Never asks for", contract.never);
    text += &format!("\nEvery request it can make: twinflow contract {}\n", contract.tool);
    text
}

/// Everything that connecting would send.
pub(super) struct DryRun<'a> {
    pub(super) connector: &'static dyn Connector,
    pub(super) base_url: &'a str,
    pub(super) streams: &'a [String],
    /// Where consent is asked for, and the app's id.
    pub(super) consent: Option<(&'a AuthServer<'a>, &'a str)>,
    pub(super) now: DateTime<Utc>,
}

impl DryRun<'_> {
    /// Prints it, and sends nothing.
    pub(super) fn print(&self) -> Result<()> {
        let mut text = "Nothing is sent. Connecting would send this:\n".to_owned();
        if let Some((server, client_id)) = self.consent {
            text += &consent(server, client_id)?;
            if let Some(request) = self.connector.sites()? {
                let origin = url::Url::parse(self.base_url)?.origin().ascii_serialization();
                text += &shown("", &origin, &request)?;
            }
        }
        text += &shown("", self.base_url, &self.connector.probe()?)?;
        for name in self.streams {
            let stream = self.connector.stream(name)?;
            let sweep = self.connector.begin(&stream, &Cursor::default(), self.now);
            for request in self.connector.ask(&stream, &sweep)? {
                text += &shown(&format!("The first page of {name}: "), self.base_url, &request)?;
            }
        }
        format::print(text)
    }
}

fn consent(server: &AuthServer<'_>, client_id: &str) -> Result<String> {
    let app = App { id: client_id.to_owned(), secret: None };
    let oauth = server.oauth();
    let page = server.consent_page(&app, "http://127.0.0.1/callback", &Attempt::new(&mut rand::rng()))?;
    let (address, _) = page.as_str().split_once('?').unwrap_or((page.as_str(), ""));
    let mut text = format!("\nThe consent page, in a browser\n  GET {address}\n");
    for (name, value) in page.query_pairs() {
        let value = match &*name {
            "state" | "code_challenge" => "(random)".into(),
            "redirect_uri" => "http://127.0.0.1:(port)/callback".into(),
            _ => value,
        };
        writeln!(text, "    {name}={value}")?;
    }
    let encoding = if oauth.json { "JSON" } else { "a form" };
    let endpoint = server.endpoint(oauth.token)?;
    writeln!(text, "\nThe code for a token, as {encoding}\n  POST {}", endpoint.as_url())?;
    let mut fields = vec!["grant_type=authorization_code", "code=(from the consent page)"];
    fields.extend(oauth.pkce.then_some("code_verifier=(random)"));
    fields.extend(["redirect_uri=http://127.0.0.1:(port)/callback"]);
    fields.iter().try_for_each(|field| writeln!(text, "    {field}"))?;
    writeln!(text, "    client_id={client_id}")?;
    if oauth.secret {
        writeln!(text, "    client_secret=(as given)")?;
    }
    Ok(text)
}

/// A request, and what it is for.
fn shown(what: &str, base_url: &str, request: &Request) -> Result<String> {
    let operation = request.operation();
    let address = format!("{}{}", base_url.trim_end_matches('/'), request.path());
    let mut text = format!("\n{what}{}\n  {} {address}\n", operation.why, operation.method.word());
    for (name, value) in request.query() {
        writeln!(text, "    {name}={value}")?;
    }
    if let Some(body) = request.body() {
        writeln!(text, "    {body}")?;
    }
    Ok(text)
}
