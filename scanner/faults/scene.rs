//! One world with its fleet, played in rounds: something happens at every tool, every connection is due, faults strike
//! meanwhile, and in the end everything is as if they had not.

use crate::case::Told;
use crate::fleet::{Fleet, Ranks};
use crate::stage::Stage;
use crate::world::{Plan, World};
use anyhow::Result;
use chrono::{DateTime, Utc};
use std::time::{Duration, Instant};

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) fleet: Fleet,
    pub(crate) told: Told,
    /// How long a round may take.
    pub(crate) patience: Duration,
    rounds: usize,
}

/// How often it is looked whether everything is whole.
const GLANCE: Duration = Duration::from_millis(50);

impl Scene {
    /// Nobody works yet.
    pub(crate) async fn new(stage: &mut Stage, plan: Plan, ranks: Ranks) -> Result<Self> {
        let world = World::new(stage, plan).await?;
        let fleet = Fleet::new(stage, &world, ranks);
        Ok(Self { world, fleet, told: Told::default(), patience: Duration::from_secs(90), rounds: 0 })
    }

    /// Rounds until it has struck so many times. `strike` is called every now and then, and told whether more are wanted.
    pub(crate) async fn rounds(
        &mut self,
        stage: &mut Stage,
        times: usize,
        mut strike: impl AsyncFnMut(&mut Stage, &mut Self, bool) -> Result<()>,
    ) -> Result<()> {
        let mut dry = 0;
        while self.told.is_good() && self.fleet.struck < times {
            let before = self.fleet.struck;
            let since = self.begin().await?;
            let mut hook = async |stage: &mut Stage, scene: &mut Self| {
                let more = scene.fleet.struck < times;
                strike(stage, scene, more).await
            };
            self.finish(stage, since, &mut hook).await?;
            dry = if self.fleet.struck > before { 0 } else { dry + 1 };
            self.told.expect(dry < 3, || "nothing strikes".into());
        }
        Ok(())
    }

    /// A round without a fault.
    pub(crate) async fn quiet_round(&mut self, stage: &mut Stage) -> Result<()> {
        // What it takes is nobody's recovery.
        self.fleet.last_strike = None;
        let since = self.begin().await?;
        self.finish(stage, since, &mut async |_: &mut Stage, _: &mut Self| Ok(())).await
    }

    /// Something happens everywhere, every tool is connected once more, and everything is due; scans of this round are
    /// younger than what this returns.
    pub(crate) async fn begin(&mut self) -> Result<DateTime<Utc>> {
        if self.rounds > 0 {
            self.world.stir(20);
        }
        self.rounds += 1;
        let since = self.world.make_due().await?;
        self.world.connect_all().await?;
        if self.fleet.members.is_empty() {
            self.fleet.start()?;
            self.fleet.ready().await?;
        }
        Ok(since)
    }

    /// Waits until every connection has ended a scan of this round well, and holds the log against what happened.
    pub(crate) async fn finish(
        &mut self,
        stage: &mut Stage,
        since: DateTime<Utc>,
        strike: &mut impl AsyncFnMut(&mut Stage, &mut Self) -> Result<()>,
    ) -> Result<()> {
        let end = Instant::now() + self.patience;
        loop {
            self.fleet.tend()?;
            strike(stage, self).await?;
            // Where the database is away, nothing is whole yet.
            let open = self.world.unfinished(since).await;
            if open.as_ref().is_ok_and(Vec::is_empty) {
                break;
            }
            if Instant::now() > end {
                self.told.misses.extend(open?);
                self.told.misses.extend(self.world.standing().await?);
                break;
            }
            tokio::time::sleep(GLANCE).await;
        }
        self.told.whole_since(self.fleet.last_strike);
        self.told.struck = self.fleet.struck;
        self.told.misses.extend(self.world.not_complete().await?);
        self.told.compare(&self.world).await
    }

    pub(crate) async fn close(mut self) -> Result<Told> {
        self.told.struck = self.fleet.struck;
        self.told.close(&self.world, &self.fleet).await
    }
}
