//! How a person lets TwinFlow in: a token, a name with a token, or consent in the browser. Secrets come from a hidden
//! prompt, standard input or a file, never from the command line, where others can see them.

use super::format;
use crate::clock::Clock;
use crate::config::Settings;
use crate::connect::ConnectError;
use crate::credential::{App, Credential, Grant, is_broken, is_empty, trimmed};
use crate::oauth::{Attempt, AuthServer, Listener, Redirected, check_scopes};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use secrecy::SecretString;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use twinflow_connectors::Contract;
use url::Url;

/// How long a person may take to consent.
const PATIENCE: Duration = Duration::from_secs(600);

/// No secret is longer; what is, is some other file.
const LONGEST: u64 = 16 << 10;

#[derive(Args, Clone, Debug, Default)]
pub(super) struct Consent {
    /// Connect by consent in the browser: the id of the app you registered at the tool. The client secret, where there
    /// is one, is asked for, or read from standard input
    #[arg(long, value_name = "ID", help_heading = "Consent")]
    pub(super) client_id: Option<String>,
    /// Read the client secret from this file
    #[arg(long, value_name = "FILE", help_heading = "Consent")]
    pub(super) client_secret_file: Option<PathBuf>,
    /// The port of the callback URL, http://127.0.0.1:PORT/callback, where the tool wants to know it beforehand
    /// [default: a free one]
    #[arg(long, value_name = "PORT", help_heading = "Consent")]
    redirect_port: Option<u16>,
    /// Print the address of the consent page, and open no browser
    #[arg(long, help_heading = "Consent")]
    no_browser: bool,
    /// The tool's authorisation server behind a host of yours, as https://host; the operator lists it in
    /// TWINFLOW_EGRESS_ALLOW
    #[arg(long, value_name = "URL", help_heading = "Consent")]
    pub(super) oauth_url: Option<String>,
}

/// A token that a person made.
pub(super) fn token(settings: &Settings, contract: &Contract) -> Result<SecretString> {
    if std::io::stdin().is_terminal() {
        settings.remark(&format!("{}: {}, with:", contract.title, super::contract::credentials(contract)));
        for scope in contract.scopes {
            settings.remark(&format!("  {}: {}", scope.name, scope.why));
        }
    }
    secret("token", "Token: ")
}

/// The app that a person registered, with its secret if it has one.
pub(super) fn app(consent: &Consent, id: &str, server: &AuthServer<'_>) -> Result<App> {
    let secret = match &consent.client_secret_file {
        Some(file) => Some(from_file(file)?),
        None if server.oauth().secret => Some(secret("client secret", "Client secret: ")?),
        None => None,
    };
    Ok(App { id: id.to_owned(), secret })
}

/// Sends a person to the consent page and waits for what they bring back.
pub(super) async fn grant(
    consent: &Consent,
    contract: &Contract,
    server: &AuthServer<'_>,
    app: &App,
    clock: &Clock,
) -> Result<Grant> {
    let listener = Listener::open(consent.redirect_port).await;
    let listener = listener.map_err(|_| match consent.redirect_port {
        Some(port) => anyhow!("port {port} is taken; choose another with --redirect-port"),
        None => anyhow!("no port of this machine can be listened on"),
    })?;
    let (redirect, attempt) = (listener.url(), Attempt::new(&mut rand::rng()));
    let page = server.consent_page(app, &redirect, &attempt).map_err(ConnectError::Auth)?;
    format::remark(format_args!(
        "To consent, open this address in a browser on this machine (callback URL {redirect}):\n\n{page}\n"
    ));
    if !consent.no_browser {
        open(&page);
    }
    let came = tokio::select! {
        came = listener.wait(&attempt.state) => came.context("the way back from the consent page broke off")?,
        () = clock.sleep(PATIENCE) => bail!("nobody came back from the consent page within ten minutes; nothing was stored"),
    };
    let code = match came {
        Redirected::Code(code) => code,
        Redirected::Denied => bail!("consent was denied; nothing was stored"),
        Redirected::Failed => bail!(
            "the tool could not ask for consent; check the app's scopes and that {redirect} is its callback URL; \
             nothing was stored"
        ),
    };
    let granted = server.exchange(app, &redirect, &attempt, &code, clock.now()).await;
    let (grant, scopes) = granted.map_err(ConnectError::Auth)?;
    if let Err(error) = check_scopes(contract.scopes, scopes.as_deref()) {
        // What cannot be used is not left open.
        server.revoke(&grant).await;
        return Err(ConnectError::Scopes(error).into());
    }
    Ok(grant)
}

/// As the desktop does it. Where there is none, the address was printed.
fn open(page: &Url) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = (Stdio::null(), Stdio::null(), Stdio::null());
    let opening =
        Command::new(opener).arg(page.as_str()).stdin(quiet.0).stdout(quiet.1).stderr(quiet.2).spawn();
    if let Ok(mut opening) = opening {
        // Waited for by nobody but the system.
        std::thread::spawn(move || opening.wait());
    }
}

/// From a hidden prompt or from standard input.
fn secret(what: &str, prompt: &str) -> Result<SecretString> {
    let stdin = std::io::stdin();
    let typed = if stdin.is_terminal() {
        SecretString::from(rpassword::prompt_password(prompt)?)
    } else {
        read(stdin.lock()).context("standard input is not text")?
    };
    checked(what, &typed)
}

fn from_file(path: &Path) -> Result<SecretString> {
    let shown = path.display();
    let file =
        std::fs::File::open(path).map_err(|error| anyhow!("{shown} cannot be read ({})", error.kind()))?;
    checked("client secret", &read(file).with_context(|| format!("{shown} is not text"))?)
}

fn read(from: impl Read) -> std::io::Result<SecretString> {
    let mut text = String::new();
    from.take(LONGEST).read_to_string(&mut text)?;
    Ok(SecretString::from(text))
}

fn checked(what: &str, typed: &SecretString) -> Result<SecretString> {
    let secret = trimmed(typed);
    if is_empty(&secret) {
        bail!("no {what} was given; type it at the prompt, or pass it on standard input");
    }
    if is_broken(&secret) {
        bail!("what was given has spaces or line breaks inside, as no {what} has; give the {what} alone");
    }
    Ok(secret)
}

/// A name and a token of theirs.
pub(super) fn basic(settings: &Settings, contract: &Contract, name: &str) -> Result<Credential> {
    if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':') {
        bail!("{name:?} is no e-mail address");
    }
    let token = token(settings, contract)?;
    Credential::basic(contract, name, token).context("this tool takes no e-mail address with a token")
}
