//! Looks for what must be nowhere: what people wrote, and secrets. The pretend tools put canaries wherever people write
//! prose; [`trial`] runs this very program against them, with and without faults, and gathers every place it writes to;
//! [`search`] looks through those for each canary, token and key in every encoding it might have got into.
//!
//! A search that finds nothing proves nothing unless it would have found something, so a leak is planted as well.

mod search;
mod trial;

pub use search::{ENCODINGS, Found, Hit, Search, Secret, disguises, written};
pub use trial::{Place, Trial};

use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeSet;

/// What was looked for, where, and what was found.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Why the rest says nothing.
    pub nothing_can_be_said: Option<String>,
    pub tools: Vec<String>,
    pub canaries: usize,
    /// Tokens and keys, whole and in part.
    pub secrets: usize,
    pub encodings: Vec<&'static str>,
    pub places: Vec<Looked>,
    pub control: Control,
    pub found: Found,
}

/// A place that was looked through.
#[derive(Debug, Serialize)]
pub struct Looked {
    pub place: String,
    pub bytes: usize,
}

/// Leaks made on purpose, into a file and into the database.
#[derive(Debug, Serialize)]
pub struct Control {
    pub planted: usize,
    pub found: usize,
}

impl Verdict {
    /// There was something to get out, nothing did, and something would have been noticed.
    pub fn is_clean(&self) -> bool {
        let control = &self.control;
        let notices = control.planted > 0 && control.found == control.planted;
        self.nothing_can_be_said.is_none() && self.found.is_empty() && notices
    }
}

/// Looks through all that a trial has left behind, then plants leaks and looks again.
pub async fn judge(trial: &Trial) -> Result<Verdict> {
    let secrets = trial.secrets();
    let search = Search::new(&secrets);
    let places = trial.places().await?;
    let found = search.places(&places);
    let control = control(trial, &search, &secrets).await?;
    let nothing_can_be_said = trial.is_void().await?;
    let canaries = twinflow_fixtures::canary::all().len();
    Ok(Verdict {
        nothing_can_be_said,
        tools: trial.tools(),
        canaries,
        secrets: secrets.len() - canaries,
        encodings: ENCODINGS.to_vec(),
        places: places.iter().map(|it| Looked { place: it.name.clone(), bytes: it.bytes.len() }).collect(),
        control,
        found,
    })
}

async fn control(trial: &Trial, search: &Search, secrets: &[Secret]) -> Result<Control> {
    let leaks: Vec<_> = secrets
        .iter()
        .flat_map(|secret| {
            written(&secret.text).into_iter().map(move |(encoding, bytes)| (secret, encoding, bytes))
        })
        .collect();
    let lines: Vec<_> = leaks.iter().map(|(_, _, bytes)| bytes.clone()).collect();
    let planted_in = trial.plant(&lines).await?;
    let found = search.places(&trial.places().await?);
    let wanted = leaks.iter().flat_map(|(secret, encoding, _)| {
        planted_in.iter().map(|place| (secret.name.clone(), *encoding, place.clone()))
    });
    let wanted: BTreeSet<_> = wanted.collect();
    let hits: BTreeSet<_> = found.into_iter().map(|hit| (hit.what, hit.encoding, hit.place)).collect();
    Ok(Control { planted: wanted.len(), found: wanted.intersection(&hits).count() })
}
