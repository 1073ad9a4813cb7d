//! `twinflow vault`

use super::{End, format};
use crate::config::{Opened, Settings};
use crate::connect::owner;
use crate::store::StoreError;
use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::Subcommand;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use twinflow_vault::{KeyId, KeySet};
use uuid::Uuid;

#[derive(Subcommand, Debug)]
pub(super) enum Action {
    /// Make a new key, as a key file or on standard output
    #[command(
        after_help = "A key file holds one line `primary ID KEY`, and a line `former ID KEY` for each older key \
        that still opens.\nTo rotate: put the new key first as primary, call the old one former, then run \
        `twinflow vault rotate`.\nWorkers that run read a changed key file by themselves. Whoever was given the key in a variable or as a systemd \
        credential has to be restarted, before the rotation."
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

/// How long what may still bring something sealed under a former key is waited for: a refresh ends within its lease.
const PATIENCE: TimeDelta = TimeDelta::minutes(2);
const GLANCE: Duration = Duration::from_millis(500);

async fn rotate(settings: &Settings) -> Result<End> {
    let opened = settings.open().await?;
    let patience = opened.clock.now() + PATIENCE;
    let mut resealed = BTreeSet::new();
    // What was sealed meanwhile by a process that had the old keys only is found the next time round.
    let left = loop {
        reseal(&opened, &mut resealed).await?;
        let left = left(&opened).await?;
        if left == 0 || opened.clock.now() > patience {
            break left;
        }
        opened.clock.sleep(GLANCE).await;
    };
    let resealed = resealed.len();
    let already = counted(&opened).await?.0.saturating_sub(resealed);
    format::print(format_args!(
        "Sealed {resealed} again under the primary key; {already} were under it already."
    ))?;
    if left > 0 {
        bail!(
            "of {left} more it is not sure that they stay under the primary key: their access is being renewed, or a \
             program that was not given that key seals them; restart that, then rotate again"
        );
    }
    Ok(End::Done)
}

/// Seals again whatever is not under the primary key; notes whose it was, and nobody's for the key of the pseudonyms.
async fn reseal(opened: &Opened, resealed: &mut BTreeSet<Uuid>) -> Result<()> {
    for connection in opened.store.connections().await? {
        let bound_to = owner(opened.tenant, connection.id);
        loop {
            let sealed = match opened.store.sealed_credential(&connection).await {
                // It was disconnected.
                Err(StoreError::NoCredential(_)) => break,
                sealed => sealed?,
            };
            let Some(fresh) = opened.vault.reseal(&bound_to, &sealed, &mut rand::rng())? else { break };
            // Not so if it was renewed meanwhile, perhaps by a process that has the old keys: look again.
            if opened.store.swap_credential(connection.id, &sealed, fresh.as_bytes()).await? {
                resealed.insert(connection.id);
                break;
            }
        }
    }
    let bound_to = twinflow_vault::pseudonym_owner(opened.tenant);
    while let Some(sealed) = opened.store.pseudonym_key().await? {
        let Some(fresh) = opened.vault.reseal(&bound_to, &sealed, &mut rand::rng())? else { break };
        if opened.store.swap_pseudonym_key(Some(&sealed), fresh.as_bytes()).await? {
            resealed.insert(Uuid::nil());
            break;
        }
    }
    Ok(())
}

/// How many are under a former key, or may be soon: a refresh that began before keeps what it got as it began.
async fn left(opened: &Opened) -> Result<usize> {
    let mut left = counted(opened).await?.1;
    for connection in opened.store.connections().await? {
        left += usize::from(opened.store.is_refreshing(connection.id).await?);
    }
    Ok(left)
}

/// How many are under the primary key, and how many under others.
async fn counted(opened: &Opened) -> Result<(usize, usize)> {
    let primary = opened.vault.key_ids().next();
    let (mut under_primary, mut under_others) = (0, 0);
    for (id, count) in opened.store.sealed_under().await? {
        let sum = if Some(KeyId::from(id)) == primary { &mut under_primary } else { &mut under_others };
        *sum += usize::try_from(count)?;
    }
    Ok((under_primary, under_others))
}
