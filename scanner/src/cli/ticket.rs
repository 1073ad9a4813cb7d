//! `twinflow ticket`

use super::{End, format};
use crate::clock::Clock;
use crate::config::{Opened, Settings};
use crate::scan::egress::{Allowed, Bounds};
use crate::store::{Ticket, TicketState, random_id};
use crate::ticket::{self, Preview, Setting, Wish};
use anyhow::{Result, anyhow, bail};
use std::fs::File;
use std::io::{BufRead as _, IsTerminal as _, Read, Write as _};
use std::path::PathBuf;
use twinflow_connectors::Prose;
use uuid::Uuid;
use zeroize::Zeroizing;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Action {
    /// Create a ticket in Jira: shows what would be sent, asks, sends it once
    #[command(
        after_help = "Neither summary nor description is stored or logged. The key is what counts: a ticket with a key \
        that is known is not sent again, whatever it says now.\n\
        Exit codes: 0 created; 1 nothing was made, and why is said; 3 not known, `twinflow ticket check` looks again.\n\n\
        Example: twinflow ticket create --connection jira --project SHOP --type Task --summary 'Look at the queue'"
    )]
    Create(Create),
    /// Look again what became of a ticket; sends nothing
    Check {
        /// Its key, as `twinflow ticket list` shows it
        key: Uuid,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the tickets that were asked for: which they became, not what they say
    List {
        /// How many, newest first
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args, Debug)]
pub(super) struct Create {
    /// In which connection, by name
    #[arg(long, value_name = "NAME")]
    connection: String,
    /// In which project, by its key
    #[arg(long, value_name = "KEY")]
    project: String,
    /// Which type of issue, by its name or id
    #[arg(long = "type", value_name = "NAME")]
    kind: String,
    /// What it is about, in a line
    #[arg(long, value_name = "TEXT")]
    summary: Prose,
    /// A file with more about it, as plain text; `-` is standard input
    #[arg(long, value_name = "FILE")]
    description_file: Option<PathBuf>,
    /// A label; repeat it for more
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// A UUID of yours: however often it is said, there is one ticket [default: a new one]
    #[arg(long, value_name = "UUID")]
    key: Option<Uuid>,
    /// Without the label by which the ticket is found again, should the answer stay out
    #[arg(long)]
    no_marker: bool,
    /// Send it without showing and asking
    #[arg(long)]
    yes: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, action: Action) -> Result<End> {
    match action {
        Action::Create(args) => create(settings, args).await,
        Action::Check { key, json } => {
            let (opened, allowed) = (settings.open().await?, settings.allowed()?);
            let ticket = ticket::check(setting(&opened, &allowed), key).await?;
            opened.store.close().await;
            show(&ticket, json)
        }
        Action::List { limit, json } => list(settings, limit, json).await,
    }
}

fn setting<'a>(opened: &'a Opened, allowed: &'a Allowed) -> Setting<'a> {
    Setting {
        store: &opened.store,
        vault: &opened.vault,
        tenant: opened.tenant,
        allowed,
        clock: &opened.clock,
        bounds: Bounds::default(),
    }
}

async fn create(settings: &Settings, args: Create) -> Result<End> {
    let (opened, allowed) = (settings.open().await?, settings.allowed()?);
    let setting = setting(&opened, &allowed);
    let connection = opened.store.connection(&args.connection).await?;
    let key = args.key.unwrap_or_else(|| random_id(&mut rand::rng()));
    let description = args.description_file.as_ref().map(read).transpose()?;
    let wish = Wish {
        connection: &connection,
        project: &args.project,
        kind: &args.kind,
        summary: &args.summary,
        description: description.as_ref(),
        labels: &args.labels,
        key,
        marked: !args.no_marker,
    };
    if let Some(ticket) = ticket::sent_before(setting, &wish).await? {
        settings.remark("This key was sent before; nothing was sent now.");
        opened.store.close().await;
        return show(&ticket, args.json);
    }
    let preview = ticket::preview(setting, wish).await?;
    if preview.marker().is_none() {
        settings.remark(
            "It goes without a label to find it again by: should the answer stay out, only you can see in the tool \
             whether it was made.",
        );
    }
    if !args.yes && !asked(&preview, key)? {
        settings.remark("Nothing was sent.");
        return Ok(End::Failed);
    }
    settings.remark(&format!("Its key: {key}"));
    let ticket = ticket::create(setting, preview.confirm()).await?;
    opened.store.close().await;
    show(&ticket, args.json)
}

/// No description has more bytes: a character is four at most.
const LONGEST: usize = 4 * 32_767;

fn read(path: &PathBuf) -> Result<Prose> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| anyhow!("{shown} cannot be read ({})", error.kind());
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(unreadable)?)
    };
    // With room for all of it from the start: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 64));
    source.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LONGEST {
        bail!("{shown} is longer than a description may be");
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| anyhow!("{shown} is not text"))?;
    Ok(Prose::from(text.to_owned()))
}

/// Shows what would be sent, on standard error, and asks.
fn asked(preview: &Preview, key: Uuid) -> Result<bool> {
    format::remark(format_args!("{} {}\n{}", preview.method().word(), preview.url(), preview.text()));
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask at; to send this, say --yes, with --key {key}; nothing was sent");
    }
    write!(std::io::stderr(), "Send it? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

fn show(ticket: &Ticket, json: bool) -> Result<End> {
    if json {
        format::json(ticket)?;
    } else {
        format::print(sentence(ticket))?;
    }
    Ok(match ticket.state {
        TicketState::Created => End::Done,
        TicketState::Sending | TicketState::Unknown => End::NotAll,
        TicketState::Prepared | TicketState::Refused => End::Failed,
    })
}

fn sentence(ticket: &Ticket) -> String {
    let (key, project) = (ticket.id, &ticket.project);
    match (ticket.state, &ticket.issue_key, &ticket.marker) {
        (TicketState::Created, Some(issue), _) => format!("Created {issue}."),
        (TicketState::Prepared, ..) => {
            "Nothing was sent yet; create it again with the same --key.".to_owned()
        }
        (TicketState::Refused, ..) => "The tool said no: nothing was made.".to_owned(),
        (_, _, Some(marker)) => format!(
            "Whether it was made is not known. It is not sent again; `twinflow ticket check {key}` looks again.\n\
             In the tool, look in {project} for the label {marker}; if it is not there, create it with a new key."
        ),
        _ => format!(
            "Whether it was made is not known, and it has no label to find it by. It is not sent again.\n\
             Look in {project} yourself; if it is not there, create it with a new key."
        ),
    }
}

async fn list(settings: &Settings, limit: i64, json: bool) -> Result<End> {
    let store = settings.open_store(Clock::system()).await?;
    let tickets = store.tickets(limit).await?;
    if json {
        format::json(&tickets)?;
    } else if tickets.is_empty() {
        format::print("No tickets yet. Create one with `twinflow ticket create`.")?;
    } else {
        let mut table =
            format::table(["KEY", "CONNECTION", "PROJECT", "STATE", "TICKET", "MARKER", "ASKED FOR"]);
        for ticket in tickets {
            table.add_row([
                ticket.id.to_string(),
                ticket.connection,
                ticket.project,
                ticket.state.word().to_owned(),
                ticket.issue_key.unwrap_or_default(),
                ticket.marker.unwrap_or_default(),
                format::moment(ticket.created_at),
            ]);
        }
        format::print(table)?;
    }
    Ok(End::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Y\n", " yes \n", "YES"].into_iter().all(is_yes));
        assert!(!["", "\n", "n\n", "yep\n", "j\n", "yy\n"].into_iter().any(is_yes));
    }
}
