//! `twinflow scans quarantined`: the dead letters, by what they have in common.

use super::super::{End, format};
use crate::store::{ErrorClass, Scan, State, Store, WantedScans};
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(clap::Args, Debug)]
#[command(
    after_help = "A quarantined scan holds its connection's place until a person retries it or gives it up."
)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Quarantined scans of one tool with the same error.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Group {
    tool: String,
    error: Option<ErrorClass>,
    reason: String,
    count: usize,
    connections: Vec<String>,
    /// Since when the oldest is there.
    oldest: DateTime<Utc>,
    retry: String,
    purge: String,
}

pub(super) async fn run(store: &dyn Store, args: &Args) -> Result<End> {
    let wanted = WantedScans { states: vec![State::Quarantined], ..WantedScans::newest(i64::MAX) };
    let groups = grouped(store.scans(&wanted).await?);
    if args.json {
        format::json(&groups)?;
    } else if groups.is_empty() {
        format::print("No scan is quarantined.")?;
    }
    for group in groups.iter().filter(|_| !args.json) {
        let scans = format::count(i64::try_from(group.count).unwrap_or(i64::MAX), "scan", "scans");
        let error = group.error.map_or("", |class| class.word());
        format::print(format_args!(
            "{scans} of {}, {error}, since {}",
            group.tool,
            format::moment(group.oldest)
        ))?;
        format::print(format_args!("  {}", group.reason))?;
        format::print(format_args!("  connections: {}", group.connections.join(", ")))?;
        format::print(format_args!("  {}\n  {}\n", group.retry, group.purge))?;
    }
    Ok(End::Done)
}

fn grouped(scans: Vec<Scan>) -> Vec<Group> {
    let mut groups: BTreeMap<(String, Option<ErrorClass>, String), Vec<Scan>> = BTreeMap::new();
    for scan in scans {
        let alike = (scan.tool.clone(), scan.error, scan.reasons.first().cloned().unwrap_or_default());
        groups.entry(alike).or_default().push(scan);
    }
    let group = |((tool, error, reason), scans): ((String, Option<ErrorClass>, String), Vec<Scan>)| Group {
        count: scans.len(),
        connections: scans.iter().map(|scan| scan.connection.clone()).collect(),
        oldest: scans.iter().map(|scan| scan.created_at).min().unwrap_or_default(),
        retry: format!("twinflow scans retry {}", alike(&tool, error)),
        purge: format!("twinflow scans purge {}", alike(&tool, error)),
        tool,
        error,
        reason,
    };
    groups.into_iter().map(group).collect()
}

/// What chooses the group.
fn alike(tool: &str, error: Option<ErrorClass>) -> String {
    let error = error.map_or_else(String::new, |class| format!(" --error {}", class.word()));
    format!("--quarantined --tool {tool}{error}")
}
