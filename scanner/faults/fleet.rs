//! The workers and schedulers of one world, and somebody who looks after them: whoever ends is replaced, whoever was
//! struck is counted.

use crate::process::{Running, said, was_killed};
use crate::program::Program;
use crate::stage::Stage;
use crate::world::World;
use anyhow::{Result, ensure};
use rand::RngExt as _;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Scheduler,
}

/// How long a claim holds here, so that a dead worker's scans are soon another's.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// How they are started.
#[derive(Clone, Debug)]
pub(crate) struct Ranks {
    pub(crate) workers: usize,
    pub(crate) schedulers: usize,
    /// What goes to a worker beside what all of them are given.
    pub(crate) more: String,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { workers: 2, schedulers: 1, more: String::new() }
    }
}

type Failpoints = Box<dyn FnMut(&mut ChaCha20Rng) -> String + Send>;

struct Strike {
    role: Role,
    /// So many of them.
    armed: usize,
    failpoints: Failpoints,
}

pub(crate) struct Member {
    pub(crate) role: Role,
    nth: usize,
    pub(crate) running: Running,
    pub(crate) log: String,
    /// When it was told to end.
    dismissed: Option<Instant>,
}

impl Member {
    /// Whether it has said so.
    pub(crate) fn runs(&self) -> bool {
        self.running.said().contains("SIGTERM ends it")
    }
}

pub(crate) struct Fleet {
    program: Program,
    ranks: Ranks,
    pub(crate) members: Vec<Member>,
    strike: Option<Strike>,
    pub(crate) wanted: usize,
    pub(crate) struck: usize,
    /// Processes that were killed.
    pub(crate) deaths: usize,
    pub(crate) longest_goodbye: Duration,
    pub(crate) last_strike: Option<Instant>,
    /// What no fault of ours explains.
    pub(crate) trouble: Vec<String>,
    logs: Vec<String>,
    rng: ChaCha20Rng,
}

impl Fleet {
    pub(crate) fn new(stage: &mut Stage, world: &World, ranks: Ranks) -> Self {
        Self {
            program: world.program.clone(),
            ranks,
            members: vec![],
            strike: None,
            wanted: 0,
            struck: 0,
            deaths: 0,
            longest_goodbye: Duration::ZERO,
            last_strike: None,
            trouble: vec![],
            logs: vec![],
            rng: ChaCha20Rng::from_rng(&mut stage.rng),
        }
    }

    /// Lets FAILPOINTS strike so many of a role, until that has happened so many times.
    pub(crate) fn strike(
        &mut self,
        role: Role,
        wanted: usize,
        armed: usize,
        failpoints: impl FnMut(&mut ChaCha20Rng) -> String + Send + 'static,
    ) {
        self.wanted = wanted;
        self.strike = Some(Strike { role, armed, failpoints: Box::new(failpoints) });
    }

    /// Whoever is started from now on is started like this.
    pub(crate) fn use_program(&mut self, program: &Program) {
        self.program = program.clone();
    }

    pub(crate) fn no_more_strikes(&mut self) {
        self.strike = None;
    }

    /// One that no failpoint of a process made.
    pub(crate) fn note_strike(&mut self) {
        self.struck += 1;
        self.last_strike = Some(Instant::now());
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let Ranks { workers, schedulers, .. } = self.ranks;
        for (role, wanted) in [(Role::Scheduler, schedulers), (Role::Worker, workers)] {
            for nth in 0..wanted {
                let member = self.recruit(role, nth)?;
                self.members.push(member);
            }
        }
        Ok(())
    }

    /// Waits until each has said that it runs, or has ended.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let patience = Instant::now() + Duration::from_secs(20);
        for member in &mut self.members {
            while !member.runs() && member.running.gone()?.is_none() {
                ensure!(Instant::now() < patience, "{} does not come up", member.log);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Kills all of them and replaces nobody.
    pub(crate) fn end(&mut self) {
        self.members.clear();
    }

    /// The nth of its role.
    fn recruit(&mut self, role: Role, nth: usize) -> Result<Member> {
        let lease = LEASE.as_secs();
        let (name, line) = match role {
            Role::Worker => ("worker", format!("worker --lease {lease} --look 1 {}", self.ranks.more)),
            Role::Scheduler => ("scheduler", "scheduler".to_owned()),
        };
        let log = format!("{name}-{}.log", self.logs.len());
        self.logs.push(log.clone());
        let mut program = self.program.clone();
        let more = self.struck < self.wanted;
        if let Some(strike) = self.strike.as_mut().filter(|it| it.role == role && nth < it.armed && more) {
            program = program.with("FAILPOINTS", (strike.failpoints)(&mut self.rng));
        }
        Ok(Member { role, nth, running: program.start(&line, &log)?, log, dismissed: None })
    }

    /// Replaces whoever has ended.
    pub(crate) fn tend(&mut self) -> Result<()> {
        for place in 0..self.members.len() {
            let member = &mut self.members[place];
            let Some(status) = member.running.gone()? else { continue };
            let (role, nth) = (member.role, member.nth);
            match member.dismissed {
                _ if was_killed(status) => {
                    self.deaths += 1;
                    self.note_strike();
                }
                Some(told) if status.success() => {
                    self.longest_goodbye = self.longest_goodbye.max(told.elapsed());
                    self.note_strike();
                }
                _ => {
                    let said = member.running.said();
                    let last = said.lines().last().unwrap_or_default();
                    self.trouble.push(format!("{} ended with {status}: {last}", member.log));
                    ensure!(self.trouble.len() < 10, "{}", self.trouble.join("; "));
                }
            }
            self.members[place] = self.recruit(role, nth)?;
        }
        Ok(())
    }

    /// `kill -9` for one of them; the next look replaces it.
    pub(crate) fn kill(&mut self, place: usize) -> Result<()> {
        self.members[place].running.signal(Signal::KILL)
    }

    /// SIGTERM for one of them, which is to end by itself.
    pub(crate) fn dismiss(&mut self, place: usize) -> Result<()> {
        self.members[place].dismissed.get_or_insert_with(Instant::now);
        self.members[place].running.signal(Signal::TERM)
    }

    /// The place of one of this role.
    pub(crate) fn any(&self, role: Role, rng: &mut ChaCha20Rng) -> usize {
        let places: Vec<_> = (0..self.members.len()).filter(|nth| self.members[*nth].role == role).collect();
        places[rng.random_range(0..places.len())]
    }

    /// Looks after them until this holds, or patience ends.
    pub(crate) async fn until(
        &mut self,
        patience: Duration,
        mut holds: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<bool> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            self.tend()?;
            // Where the database is away, nothing holds yet.
            if holds().await.unwrap_or(false) {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    /// Whether this is the first of its role.
    pub(crate) fn is_first(&self, place: usize) -> bool {
        self.members[place].nth == 0
    }

    /// Everything that they have written so far.
    pub(crate) fn said(&self) -> String {
        self.logs.iter().map(|log| said(&self.program.folder.join(log))).collect()
    }
}
