//! Tenants with pretend tools, connected by the real program to a database of their own. `connect.rs` is what a person does
//! to connect them, `rows.rs` what is looked up in the database, and turned there, behind everybody's back.

mod connect;
mod rows;

use crate::program::Program;
use crate::servers::Database;
use crate::stage::Stage;
use anyhow::Result;
use chrono::{DateTime, SubsecRound as _, Utc};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use twinflow::clock::Clock;
use twinflow_fixtures::{LedgerDepth, Service, ServiceOptions, Story, StoryOptions, stands};
use uuid::Uuid;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) tenants: usize,
    /// Names of tools; each tenant has its own of each.
    pub(crate) tools: &'static [&'static str],
    /// Cases at each tool.
    pub(crate) cases: usize,
    /// What each answer takes, so that there is time to strike.
    pub(crate) latency: Duration,
    pub(crate) ledger: LedgerDepth,
}

pub(crate) const ALL: &[&str] =
    &["github", "gmail", "jira", "linear", "salesforce", "zendesk", "zendesk_detailed"];

impl Default for Plan {
    fn default() -> Self {
        let ledger = LedgerDepth::Counts;
        Self { tenants: 2, tools: ALL, cases: 80, latency: Duration::from_millis(3), ledger }
    }
}

pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) tenant: Uuid,
    pub(crate) service: Service,
    path: String,
    streams: Vec<String>,
    user: Option<&'static str>,
    token: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) tenant: Uuid,
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// Its place among the tools.
    pub(crate) tool: usize,
}

pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) database: Database,
    pub(crate) tools: Vec<Tool>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) program: Program,
}

impl World {
    pub(crate) async fn new(stage: &mut Stage, plan: Plan) -> Result<Self> {
        let (nth, folder) = stage.next_folder()?;
        let database = stage.postgres.database(&format!("world_{nth}")).await?;
        let mut tools = vec![];
        for tenant in 0..plan.tenants {
            let seed = stage.seed.wrapping_mul(1_000).wrapping_add(tenant as u64);
            let story = Story::new(StoryOptions { seed, cases: plan.cases, now: moment() });
            let tenant = Uuid::from_u128(0x7000 + tenant as u128);
            for stand in stands(&story).into_iter().filter(|stand| plan.tools.contains(&stand.tool)) {
                let options = ServiceOptions { remember_answers: true, ledger: plan.ledger };
                let service = Service::start(stand.world, options).await?;
                service.latency(plan.latency);
                if let Some(dialect) = stand.oauth {
                    service.oauth(dialect);
                }
                let (name, path, streams, user, token) =
                    (stand.tool, stand.path, stand.streams, stand.user, stand.token);
                tools.push(Tool { name, tenant, service, path, streams, user, token });
            }
        }
        let key = folder.join("vault.key");
        let allowed: Vec<_> = tools.iter().map(|tool| tool.service.url()).collect();
        let program = Program::new(&folder)
            .with("DATABASE_URL", &database.url)
            .with("REDIS_URL", stage.redis.url())
            .with("TWINFLOW_KEY_FILE", key.display().to_string())
            .with("TWINFLOW_EGRESS_ALLOW", allowed.join(","))
            .with("TWINFLOW_LOG", "info");
        twinflow_vault::create_key_file(&key, &twinflow_vault::KeySet::generate(&mut stage.rng)?)?;
        Ok(Self { folder, database, tools, connections: vec![], program })
    }

    /// Lets something happen at every tool.
    pub(crate) fn stir(&self, changes: usize) {
        let now = moment();
        for tool in &self.tools {
            tool.service.set_now(now);
            tool.service.add_case(now);
            for nth in 0..changes {
                tool.service.update_case(nth, now);
            }
        }
    }

    /// A little of it at every tool, and nothing new.
    pub(crate) fn stir_slightly(&self, changes: usize) {
        let now = moment();
        for tool in &self.tools {
            tool.service.set_now(now);
            for nth in 0..changes {
                tool.service.update_case(nth, now);
            }
        }
    }

    /// Plays something else at a tool from now on.
    pub(crate) async fn replace(
        &mut self,
        nth: usize,
        world: impl Into<twinflow_fixtures::World>,
        streams: &[&str],
    ) -> Result<()> {
        let tool = &mut self.tools[nth];
        tool.service = Service::start(world, ServiceOptions::default()).await?;
        tool.streams = streams.iter().map(|name| (*name).to_owned()).collect();
        self.program = self.program.with("TWINFLOW_EGRESS_ALLOW", tool.service.url());
        Ok(())
    }

    pub(crate) fn tenants(&self) -> BTreeSet<Uuid> {
        self.tools.iter().map(|tool| tool.tenant).collect()
    }

    /// Puts a new key first; the older ones still open.
    pub(crate) fn add_key(&mut self, file: &str, rng: &mut ChaCha20Rng) -> Result<()> {
        let former = fs::read_to_string(&self.program.variables["TWINFLOW_KEY_FILE"])?;
        let fresh = self.folder.join(file);
        let new = twinflow_vault::KeySet::generate(rng)?.render().to_string();
        let text = format!("{new}{}", former.replace("primary", "former"));
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&fresh)?
            .write_all(text.as_bytes())?;
        self.program = self.program.with("TWINFLOW_KEY_FILE", fresh.display().to_string());
        Ok(())
    }

    /// Goes on with another database, and with those connections that it knows.
    pub(crate) async fn settle_in(&mut self) -> Result<()> {
        let known = "SELECT id FROM connections";
        let known: Vec<Uuid> = sqlx::query_scalar(known).fetch_all(&self.database.superuser).await?;
        self.connections.retain(|connection| known.contains(&connection.id));
        self.program = self.program.with("DATABASE_URL", &self.database.url);
        Ok(())
    }
}

/// Now, as exactly as every tool tells it.
fn moment() -> DateTime<Utc> {
    Clock::system().now().trunc_subsecs(0)
}
