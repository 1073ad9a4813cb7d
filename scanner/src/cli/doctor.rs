//! `twinflow doctor`

use super::{End, format};
use crate::config::{Opened, Settings};
use crate::connect::owner;
use crate::leaks::{self, Trial, Verdict};
use crate::store::Connection;
use anyhow::Result;
use serde::Serialize;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Run this program against pretend tools in a temporary folder, and look for what must be nowhere: canaries
    /// in place of what people wrote, tokens and keys, in every encoding, in everything that was written
    #[arg(long)]
    canary: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    what: String,
    ok: bool,
    /// What was found, or what is wrong and what to do.
    found: String,
}

impl Check {
    fn new(what: impl Into<String>, found: Result<String>) -> Self {
        let (ok, found) = match found {
            Ok(found) => (true, found),
            Err(error) => (false, format!("{error:#}")),
        };
        Self { what: what.into(), ok, found }
    }
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    if args.canary {
        return look_for_leaks(settings, args.json).await;
    }
    let checks = look(settings).await;
    if args.json {
        format::json(&checks)?;
    } else {
        let mut table = format::table(["", "WHAT", "FOUND"]);
        for check in &checks {
            let mark = if check.ok { "ok" } else { "BAD" };
            table.add_row([mark, check.what.as_str(), check.found.as_str()]);
        }
        format::print(table)?;
    }
    Ok(if checks.iter().all(|check| check.ok) { End::Done } else { End::Failed })
}

async fn look(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![];
    if settings.is_embedded() {
        let place = settings.data_dir().map(|path| path.display().to_string());
        checks.push(Check::new("data directory", place));
    }
    let opened = match settings.open().await {
        Ok(opened) => opened,
        Err(error) => {
            checks.push(Check::new("database and vault", Err(error)));
            return checks;
        }
    };
    checks.push(Check::new("database", opened.store.engine().await.map_err(Into::into)));
    let keys: Vec<_> = opened.vault.key_ids().map(|id| id.to_string()).collect();
    checks.push(Check::new("vault", Ok(format!("seals under key {}", keys.join(", and opens ")))));
    match opened.store.connections().await {
        Ok(connections) => {
            for connection in connections {
                checks.push(Check::new(
                    &connection.name,
                    connection_is_fine(settings, &opened, &connection).await,
                ));
            }
        }
        Err(error) => checks.push(Check::new("connections", Err(error.into()))),
    }
    checks
}

/// Whether its credential opens and its host may be asked. Nothing is sent.
async fn connection_is_fine(settings: &Settings, opened: &Opened, connection: &Connection) -> Result<String> {
    if let Some(at) = connection.disconnected_at {
        return Ok(format!("disconnected at {}; what it read stays", format::moment(at)));
    }
    if let Some(why) = &connection.paused {
        anyhow::bail!("{why}");
    }
    let connector = twinflow_connectors::find(&connection.tool)
        .ok_or_else(|| anyhow::anyhow!("this program has no connector for {}", connection.tool))?;
    settings.allowed()?.pin(&connection.base_url, connector.contract())?;
    let sealed = opened.store.sealed_credential(connection).await?;
    opened.vault.open(&owner(opened.tenant, connection.id), &sealed)?;
    let streams = opened.store.streams(connection.id).await?;
    let unread = streams.iter().filter(|stream| stream.cursor.mark.is_none()).count();
    let unread = if unread > 0 { format!(", {unread} not read to their end yet") } else { String::new() };
    let followed = format::count(streams.len() as i64, "stream", "streams");
    Ok(format!("credential opens, {} may be asked, {followed}{unread}", connection.base_url))
}

/// How many cases each pretend tool has.
const CASES: usize = 40;

async fn look_for_leaks(settings: &Settings, json: bool) -> Result<End> {
    // Nothing of what is really connected is touched.
    let settings = Settings { database_url: None, tenant: None, ..settings.clone() };
    let program = std::env::current_exe()?;
    let mut trial = Trial::begin(&program, &settings, CASES).await?;
    trial.run().await?;
    let verdict = leaks::judge(&trial).await?;
    if json {
        format::json(&verdict)?;
    } else {
        format::print(in_words(&verdict))?;
    }
    Ok(if verdict.is_clean() { End::Done } else { End::Failed })
}

fn in_words(verdict: &Verdict) -> String {
    let bytes: usize = verdict.places.iter().map(|it| it.bytes).sum();
    let mut text = format!(
        "Looked for {} canaries and {} secrets of the pretend {}, in {} encodings ({}),\n\
         in {} places of {} KiB together:\n",
        verdict.canaries,
        verdict.secrets,
        verdict.tools.join(", "),
        verdict.encodings.len(),
        verdict.encodings.join(", "),
        verdict.places.len(),
        bytes >> 10,
    );
    verdict.places.iter().for_each(|it| text += &format!("  {} ({} bytes)\n", it.place, it.bytes));
    let control = &verdict.control;
    text += &format!("\nOf {} leaks planted on purpose, {} were found.\n", control.planted, control.found);
    if let Some(why) = &verdict.nothing_can_be_said {
        text += &format!("Beyond that nothing can be said: {why}.\n");
    } else if verdict.found.is_empty() {
        text += "Of leaks nobody planted, none was found.\n";
    }
    if !verdict.found.is_empty() {
        text += "Found:\n";
        verdict
            .found
            .iter()
            .for_each(|it| text += &format!("  {}, {}, in {}\n", it.what, it.encoding, it.place));
    }
    text
}
