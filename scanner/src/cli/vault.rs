//! `twinflow vault`

use super::{End, format};
use crate::config::Settings;
use crate::connect::owner;
use anyhow::Result;
use clap::Subcommand;
use std::io::Write as _;
use std::path::PathBuf;
use twinflow_vault::KeySet;

#[derive(Subcommand, Debug)]
pub(super) enum Action {
    /// Make a new key, as a key file or on standard output
    #[command(
        after_help = "A key file holds one line `primary ID KEY`, and a line `former ID KEY` for each older key \
        that still opens.\nTo rotate: put the new key first as primary, call the old one former, then run \
        `twinflow vault rotate`."
    )]
    Keygen {
        /// Write a new file with mode 0400; a file that is there is never overwritten
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Seal every stored credential of this tenant again under the primary key
    Rotate,
}

pub(super) async fn run(settings: &Settings, action: Action) -> Result<End> {
    match action {
        Action::Keygen { out } => keygen(out),
        Action::Rotate => rotate(settings).await,
    }
}

fn keygen(out: Option<PathBuf>) -> Result<End> {
    let keys = KeySet::generate(&mut rand::rng())?;
    match out {
        Some(path) => {
            twinflow_vault::create_key_file(&path, &keys)?;
            let path = path.display();
            format::print(format_args!("Made {path}. Keep a copy, but not beside copies of the database."))?;
        }
        None => std::io::stdout().lock().write_all(keys.render().as_bytes())?,
    }
    Ok(End::Done)
}

async fn rotate(settings: &Settings) -> Result<End> {
    let opened = settings.open().await?;
    let (mut resealed, mut left) = (0, 0);
    let connections = opened.store.connections().await?;
    for connection in connections.into_iter().filter(|it| it.disconnected_at.is_none()) {
        let bound_to = owner(opened.tenant, connection.id);
        loop {
            let sealed = opened.store.sealed_credential(&connection).await?;
            let Some(fresh) = opened.vault.reseal(&bound_to, &sealed, &mut rand::rng())? else {
                left += 1;
                break;
            };
            // Not so if it was renewed meanwhile, perhaps by a process that has the old keys: look again.
            if opened.store.swap_credential(connection.id, &sealed, fresh.as_bytes()).await? {
                resealed += 1;
                break;
            }
        }
    }
    let bound_to = twinflow_vault::pseudonym_owner(opened.tenant);
    while let Some(sealed) = opened.store.pseudonym_key().await? {
        let Some(fresh) = opened.vault.reseal(&bound_to, &sealed, &mut rand::rng())? else {
            left += 1;
            break;
        };
        if opened.store.swap_pseudonym_key(Some(&sealed), fresh.as_bytes()).await? {
            resealed += 1;
            break;
        }
    }
    format::print(format_args!(
        "Sealed {resealed} again under the primary key; {left} were under it already."
    ))?;
    Ok(End::Done)
}
