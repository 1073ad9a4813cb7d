//! `twinflow scans`: what ran, what runs and waits, and what a person does about it.

mod act;
mod backfill;
mod list;
mod pick;
mod quarantined;
mod show;
mod watch;

pub(super) use show::print;

use super::End;
use crate::clock::Clock;
use crate::config::Settings;
use anyhow::Result;

// The list's arguments, flattened in, would be a group of the same name.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: list::Args,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// List scans, newest first: what ran, what it read, what failed and why; the same as no word at all
    List(list::Args),
    /// Say how one scan stands, what it asked and what it kept, stream by stream
    Show(show::Args),
    /// Follow scans while they run, until they are over
    Watch(watch::Args),
    /// Let scans try again: those that wait or are quarantined go on, those that are over get a new one
    Retry(act::Retry),
    /// Stop scans, whoever runs them; what they kept stays
    Cancel(act::Cancel),
    /// Read again what changed in a stretch of time, beside the usual scans; the workers do it
    Backfill(backfill::Args),
    /// List the scans that ended their workers too often, by what they have in common
    Quarantined(quarantined::Args),
    /// Give quarantined scans up: their connections may be scanned again, from where they were left
    Purge(act::Purge),
}

pub(super) async fn run(settings: &Settings, args: &Args) -> Result<End> {
    let clock = Clock::system();
    let store = settings.open_store(clock.clone()).await?;
    match &args.action {
        None => list::run(settings, &*store, &clock, &args.list).await,
        Some(Action::List(args)) => list::run(settings, &*store, &clock, args).await,
        Some(Action::Show(args)) => show::run(&*store, &clock, args).await,
        Some(Action::Watch(args)) => watch::run(&*store, &clock, args).await,
        Some(Action::Retry(args)) => act::retry(&*store, args).await,
        Some(Action::Cancel(args)) => act::cancel(&*store, args).await,
        Some(Action::Backfill(args)) => backfill::run(settings, &*store, &clock, args).await,
        Some(Action::Quarantined(args)) => quarantined::run(&*store, args).await,
        Some(Action::Purge(args)) => act::purge(&*store, args).await,
    }
}
