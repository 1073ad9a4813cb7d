//! A Postgres that can be broken. What it has acknowledged survives it; a power cut, which nobody plays, would not.

use super::{Folder, free_port, serve};
use crate::process::Running;
use crate::proxy::Proxy;
use crate::support;
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SETTINGS: &str = "
unix_socket_directories = ''
max_connections = 300
shared_buffers = 64MB
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
log_min_messages = fatal
";

pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    /// What workers go through.
    pub(crate) proxy: Proxy,
    running: Option<Running>,
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Sessions are told.
    Fast,
    /// Nobody is told; what was acknowledged is recovered at the next start.
    Immediate,
    /// The postmaster is killed, and its children find out.
    Killed,
}

/// One database of the server, for one world.
pub(crate) struct Database {
    /// Looks behind row security.
    pub(crate) superuser: PgPool,
    /// For workers and the command line, by way of the proxy.
    pub(crate) url: String,
    name: String,
}

impl Postgres {
    pub(crate) async fn start(all: &Folder) -> Result<Self> {
        let folder = all.new_folder("postgres")?;
        if fs::metadata(&folder)?.uid() == 0 {
            let (user, group) = support::unprivileged_user();
            chown(&folder, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        let mut initdb = program(&folder, "initdb")?;
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]);
        let made = initdb.arg("--pgdata").arg(&data).current_dir(&folder).output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        fs::write(data.join("postgresql.conf"), format!("port = {port}\n{SETTINGS}"))?;
        let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let mut server = Self { folder, port, proxy, running: None };
        server.go_on().await?;
        server.prepare().await?;
        Ok(server)
    }

    /// Starts it, again or for the first time, and waits until it can be asked.
    pub(crate) async fn go_on(&mut self) -> Result<()> {
        let mut command = program(&self.folder, "postgres")?;
        command.args(["-D", "data"]);
        self.running = Some(serve(command, &self.folder, "log")?);
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            match self.connect("postgres").await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(_) if Instant::now() < patience => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(error).context("Postgres did not start"),
            }
        }
    }

    /// Ends it and waits until all of it is gone.
    pub(crate) async fn end(&mut self, how: End) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        running.signal(match how {
            End::Fast => Signal::INT,
            End::Immediate => Signal::QUIT,
            End::Killed => Signal::KILL,
        })?;
        running.ended().await?;
        // Children of a killed postmaster go once they notice; a new one does not start beside them.
        tokio::time::sleep(Duration::from_millis(if matches!(how, End::Killed) { 300 } else { 0 })).await;
        Ok(())
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// The roles, and a migrated database that all others are copies of.
    async fn prepare(&self) -> Result<()> {
        let mut postgres = self.connect("postgres").await?;
        run(&mut postgres, "CREATE ROLE owner LOGIN CREATEDB CREATEROLE").await?;
        run(&mut postgres, "CREATE DATABASE migrated OWNER owner").await?;
        twinflow::store::migrate_server(&self.url("owner", "migrated", self.port)).await?;
        run(&mut postgres, "CREATE ROLE worker LOGIN IN ROLE tf_app, tf_dispatch").await
    }

    /// A fresh database, watched by what stands in `watch.sql`.
    pub(crate) async fn database(&self, name: &str) -> Result<Database> {
        let mut postgres = self.connect("postgres").await?;
        run(&mut postgres, &format!("CREATE DATABASE {name} OWNER owner TEMPLATE migrated")).await?;
        let database = self.open(name).await?;
        sqlx::raw_sql(include_str!("../watch.sql")).execute(&database.superuser).await?;
        Ok(database)
    }

    /// As `pg_dump` sees it: one snapshot, whoever writes meanwhile.
    pub(crate) async fn dump(&self, database: &Database, file: &Path) -> Result<()> {
        let mut command = self.client("pg_dump", &database.name)?;
        command.args(["--format=custom", "--compress=0", "--file"]).arg(file);
        to_its_end(command).await
    }

    /// What was dumped, as another database; nobody goes on with the old one.
    pub(crate) async fn restore(&self, database: &mut Database, file: &Path) -> Result<()> {
        let name = format!("{}_again", database.name);
        let mut postgres = self.connect("postgres").await?;
        run(&mut postgres, &format!("CREATE DATABASE {name} OWNER owner")).await?;
        let mut command = self.client("pg_restore", &name)?;
        // It is the new database's already.
        command.args(["--clean", "--if-exists"]).arg(file);
        to_its_end(command).await?;
        database.superuser.close().await;
        *database = self.open(&name).await?;
        Ok(())
    }

    fn client(&self, program: &str, database: &str) -> Result<Command> {
        // Beside the server itself, which may be linked to from elsewhere.
        let server = fs::canonicalize(support::programs().join("postgres"))?;
        let mut command = Command::new(server.with_file_name(program));
        command.args(["--host=127.0.0.1", "--username=postgres", "--port", &self.port.to_string()]);
        command.args(["--dbname", database]).current_dir("/");
        Ok(command)
    }

    async fn open(&self, name: &str) -> Result<Database> {
        let superuser = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(60))
            .connect_with(self.options(name))
            .await?;
        let url = self.url("worker", name, self.proxy.address().port());
        Ok(Database { superuser, url, name: name.to_owned() })
    }

    pub(crate) async fn connect(&self, database: &str) -> sqlx::Result<PgConnection> {
        self.options(database).connect().await
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database(database)
            .disable_statement_logging()
    }

    fn url(&self, role: &str, database: &str, port: u16) -> String {
        format!("postgres://{role}@127.0.0.1:{port}/{database}?sslmode=disable")
    }
}

/// One of Postgres' programs, as a user that it runs as.
fn program(folder: &Path, name: &str) -> Result<Command> {
    let mut command = Command::new(support::programs().join(name));
    let owner = fs::metadata(folder)?;
    if fs::metadata("/proc/self")?.uid() == 0 {
        command.uid(owner.uid()).gid(owner.gid());
    }
    Ok(command)
}

#[expect(clippy::disallowed_methods, reason = "names of databases cannot be bound")]
async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

async fn to_its_end(mut command: Command) -> Result<()> {
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
