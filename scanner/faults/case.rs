//! A case of the fault matrix, and what came of it.

use crate::fleet::Fleet;
use crate::oracle::{self, Difference};
use crate::stage::Stage;
use crate::world::World;
use anyhow::Result;
use futures::future::LocalBoxFuture;
use std::time::{Duration, Instant};
use twinflow_fixtures::canary;

pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    /// How many times it strikes, and how many in the subset that CI runs; none there if 0.
    pub(crate) repeats: usize,
    pub(crate) subset: usize,
    pub(crate) run: for<'a> fn(&'a mut Stage, usize) -> LocalBoxFuture<'a, Result<Told>>,
}

/// What came of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) struck: usize,
    pub(crate) difference: Difference,
    /// The longest time from a strike to everything being as if it had not been.
    pub(crate) whole_in: Duration,
    /// What was promised and is not so.
    pub(crate) misses: Vec<String>,
    /// Where the log differs.
    pub(crate) examples: Vec<String>,
    /// What is worth knowing.
    pub(crate) notes: Vec<String>,
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
}

impl Told {
    pub(crate) fn skipped(why: &str) -> Self {
        Self { skipped: Some(why.to_owned()), ..Self::default() }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.misses.is_empty() && self.difference.is_none()
    }

    pub(crate) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.misses.push(otherwise());
        }
    }

    /// It was whole again now.
    pub(crate) fn whole_since(&mut self, struck: Option<Instant>) {
        self.whole_in = self.whole_in.max(struck.map(|at| at.elapsed()).unwrap_or_default());
    }

    pub(crate) fn expect_whole(&mut self, within: Duration) {
        let took = self.whole_in;
        self.expect(took <= within, || format!("whole after {took:.1?}, later than {within:?}"));
    }

    /// Holds the log against what happened.
    pub(crate) async fn compare(&mut self, world: &World) -> Result<()> {
        let (difference, examples) = oracle::compare(world).await?;
        self.difference = difference;
        self.examples = examples;
        Ok(())
    }

    /// What holds of every case.
    pub(crate) async fn close(mut self, world: &World, fleet: &Fleet) -> Result<Self> {
        self.compare(world).await?;
        self.misses.extend(fleet.trouble.iter().cloned());
        let said = fleet.said();
        let found = canary::found_in(&said);
        self.expect(found.is_empty(), || format!("the log holds {found:?}"));
        let stale: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM scans
             WHERE state = 'running' AND lease_until < clock_timestamp() - interval '4 seconds'",
        )
        .fetch_one(&world.database.superuser)
        .await?;
        self.expect(stale == 0, || format!("{stale} scans are running and nobody holds them"));
        Ok(self)
    }
}
