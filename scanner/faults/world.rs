//! Tenants with pretend tools, connected by the real program to a database of their own.

use crate::consent;
use crate::program::Program;
use crate::servers::Database;
use crate::stage::Stage;
use anyhow::{Result, bail};
use chrono::{DateTime, SubsecRound as _, Utc};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use twinflow::clock::Clock;
use twinflow_fixtures::oauth::CLIENT_ID;
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

/// The newest scan of a connection.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Newest {
    pub(crate) connection_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) state: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) epoch: i64,
}

impl Newest {
    /// Whether it goes on by itself.
    pub(crate) fn is_active(&self) -> bool {
        ["queued", "running", "waiting"].contains(&self.state.as_str())
    }
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

    /// Connects every tool once more, so that each has a first scan before it.
    pub(crate) async fn connect_all(&mut self) -> Result<()> {
        for tool in 0..self.tools.len() {
            self.connect(tool).await?;
        }
        Ok(())
    }

    pub(crate) async fn connect(&mut self, nth: usize) -> Result<Connection> {
        let name = self.next_name(nth);
        let (tenant, token) = (self.tools[nth].tenant, self.tools[nth].token);
        let mut line = self.line(nth, &name);
        if let Some(user) = self.tools[nth].user {
            line += &format!(" --email {user}");
        }
        self.program.of_tenant(tenant).run(&line, &format!("{token}\n")).await?.done()?;
        self.note(nth, name).await
    }

    /// With a token that runs out, and another to get a new one by.
    pub(crate) async fn connect_by_consent(&mut self, nth: usize) -> Result<Connection> {
        let (name, tool) = (self.next_name(nth), &self.tools[nth]);
        let line = self.line(nth, &name).replace(&tool.path, "");
        let line = format!("{line} --client-id {CLIENT_ID} --oauth-url {} --no-browser", tool.service.url());
        consent::dance(&self.program.of_tenant(tool.tenant), &line).await?.done()?;
        self.note(nth, name).await
    }

    /// A person sees to every connection that waits for one.
    pub(crate) async fn consent_again(&self) -> Result<()> {
        let waiting = "SELECT id FROM connections WHERE paused IS NOT NULL";
        let waiting: Vec<Uuid> = sqlx::query_scalar(waiting).fetch_all(&self.database.superuser).await?;
        for connection in self.connections.iter().filter(|it| waiting.contains(&it.id)) {
            let line = format!("renew {} --no-browser", connection.name);
            consent::dance(&self.program.of_tenant(connection.tenant), &line).await?.done()?;
        }
        Ok(())
    }

    /// Under a name that was taken before.
    pub(crate) async fn connect_as(&self, nth: usize, name: &str) -> Result<()> {
        let tool = &self.tools[nth];
        let user = tool.user.map(|user| format!(" --email {user}")).unwrap_or_default();
        let line = format!("{}{user}", self.line(nth, name));
        let ran = self.program.of_tenant(tool.tenant).run(&line, &format!("{}\n", tool.token)).await?;
        ran.done().map(drop)
    }

    fn next_name(&self, nth: usize) -> String {
        let before = self.connections.iter().filter(|it| it.tool == nth).count();
        format!("{}-{before}", self.tools[nth].name)
    }

    /// What is typed to connect a tool, without who signs in.
    fn line(&self, nth: usize, name: &str) -> String {
        let tool = &self.tools[nth];
        let (kind, flag, more) = match tool.name {
            "zendesk_detailed" => ("zendesk", "", " --detailed"),
            "github" => ("github", "--repo", ""),
            "jira" => ("jira", "--project", ""),
            "linear" => ("linear", "--team", ""),
            other => (other, "", ""),
        };
        let mut line = format!(
            "connect {kind}{more} --name {name} --yes --base-url {}{}",
            tool.service.url(),
            tool.path
        );
        for stream in tool.streams.iter().filter(|_| !flag.is_empty()) {
            line += &format!(" {flag} {stream}");
        }
        if kind == "gmail" {
            // The oracle knows people by their addresses.
            line += " --pseudonymise=nobody";
        }
        line
    }

    async fn note(&mut self, nth: usize, name: String) -> Result<Connection> {
        let tenant = self.tools[nth].tenant;
        let id = sqlx::query_scalar("SELECT id FROM connections WHERE tenant_id = $1 AND name = $2");
        let id = id.bind(tenant).bind(&name).fetch_one(&self.database.superuser).await?;
        let connection = Connection { tenant, id, name, tool: nth };
        self.connections.push(connection.clone());
        Ok(connection)
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

    /// Makes those due that have rested since they were scanned before that.
    pub(crate) async fn make_old_due(&self, since: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "UPDATE schedules s SET next_at = clock_timestamp() WHERE next_at > clock_timestamp() AND NOT EXISTS
                 (SELECT FROM scans WHERE tenant_id = s.tenant_id AND connection_id = s.connection_id
                     AND (created_at >= $1 OR state IN ('queued', 'running', 'waiting')))",
        )
        .bind(since)
        .execute(&self.database.superuser)
        .await?;
        Ok(())
    }

    pub(crate) async fn now(&self) -> Result<DateTime<Utc>> {
        Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.database.superuser).await?)
    }

    /// Makes every schedule due; what scans are opened from now on are younger than what this returns.
    pub(crate) async fn make_due(&self) -> Result<DateTime<Utc>> {
        let now = self.now().await?;
        sqlx::query("UPDATE schedules SET next_at = clock_timestamp()")
            .execute(&self.database.superuser)
            .await?;
        Ok(now)
    }

    pub(crate) async fn newest(&self) -> Result<BTreeMap<Uuid, Newest>> {
        let rows: Vec<Newest> = sqlx::query_as(
            "SELECT DISTINCT ON (connection_id) connection_id, id, state, created_at, epoch FROM scans
             WHERE rank < 2 ORDER BY connection_id, created_at DESC",
        )
        .fetch_all(&self.database.superuser)
        .await?;
        Ok(rows.into_iter().map(|row| (row.connection_id, row)).collect())
    }

    pub(crate) async fn state_of(&self, connection: Uuid) -> Result<String> {
        Ok(self.newest().await?.remove(&connection).map(|it| it.state).unwrap_or_default())
    }

    /// Whoever waits for a time waits no longer.
    pub(crate) async fn hurry(&self) -> Result<()> {
        sqlx::query("UPDATE scans SET due_at = clock_timestamp() WHERE state IN ('queued', 'waiting') AND due_at > clock_timestamp()")
            .execute(&self.database.superuser)
            .await?;
        Ok(())
    }

    /// Connections that have no scan which ended and is younger.
    pub(crate) async fn unfinished(&self, since: DateTime<Utc>) -> Result<Vec<String>> {
        let newest = self.newest().await?;
        let open = self.connections.iter().filter_map(|connection| {
            let name = &connection.name;
            match newest.get(&connection.id) {
                None => Some(format!("{name} was never scanned")),
                Some(it) if it.is_active() => Some(format!("{name} is {} (epoch {})", it.state, it.epoch)),
                Some(it) if it.created_at < since => Some(format!("{name} was not scanned again")),
                Some(_) => None,
            }
        });
        Ok(open.collect())
    }

    /// Connections whose newest scan ended in another way than it should.
    pub(crate) async fn not_complete(&self) -> Result<Vec<String>> {
        let newest = self.newest().await?;
        let ended = self.connections.iter().filter_map(|connection| {
            let state = &newest.get(&connection.id).filter(|it| !it.is_active())?.state;
            (state != "complete").then(|| format!("{} is {state}", connection.name))
        });
        Ok(ended.collect())
    }

    /// What may keep somebody from being scanned.
    pub(crate) async fn standing(&self) -> Result<Vec<String>> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT c.name || ': ' || concat_ws(', ', 'paused: ' || c.paused, 'due ' || s.next_at - clock_timestamp(),
                 'scan of rank ' || a.rank || ' ' || a.state || ', due ' || (a.due_at - clock_timestamp()))
             FROM connections c LEFT JOIN schedules s ON s.connection_id = c.id
             LEFT JOIN scans a ON a.connection_id = c.id AND a.state IN ('queued', 'running', 'waiting', 'quarantined')
             WHERE c.paused IS NOT NULL OR a.id IS NOT NULL",
        )
        .fetch_all(&self.database.superuser)
        .await?;
        Ok(rows)
    }

    pub(crate) fn tenants(&self) -> BTreeSet<Uuid> {
        self.tools.iter().map(|tool| tool.tenant).collect()
    }

    /// How many rows of a tenant a table has.
    pub(crate) async fn rows_of(&self, tenant: Uuid, table: &str) -> Result<i64> {
        let count = match table {
            "events" => "SELECT count(*) FROM events WHERE tenant_id = $1",
            "cases" => "SELECT count(*) FROM cases WHERE tenant_id = $1",
            "credentials" => "SELECT count(*) FROM credentials WHERE tenant_id = $1",
            other => bail!("{other} is not counted"),
        };
        Ok(sqlx::query_scalar(count).bind(tenant).fetch_one(&self.database.superuser).await?)
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
