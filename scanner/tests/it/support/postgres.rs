//! A real Postgres for the tests; `./setup.sh` is all it needs. Start at [`database`] or [`database_like`].
//!
//! nextest gives every test a process of its own, and making a cluster takes about a second. So one cluster
//! serves a whole run, every test has its own database in it, and the cluster belongs to the *runner*:
//! nextest, our parent process, or under plain `cargo test` this very process. A shell stands by and takes
//! server and files away once the runner is gone, however it went; that is why nothing here stops a server.
//!
//! The server listens on a socket in a folder nobody else may enter, asks for no password, and does not
//! care for power cuts. Roles belong to the whole cluster, so tests must not assume that one is missing.

use std::fmt::Display;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// Owns every database: may create roles and databases, is no superuser, and bows to forced row security.
const OWNER: &str = "twinflow_owner";

const SUPERUSER: &str = "postgres";

/// A database of one test, dropped with this value.
pub(crate) struct TestDatabase {
    name: String,
}

/// An empty database.
pub(crate) async fn database() -> TestDatabase {
    let mut postgres = connect_to_postgres().await;
    create(&mut postgres, "template1").await
}

/// A copy of a database that the first caller prepares (migrates, fills) and all later ones of that name share.
///
/// Only one test at a time prepares, so migrations may create roles without a race.
pub(crate) async fn database_like(name: &str, prepare: impl AsyncFnOnce(&TestDatabase)) -> TestDatabase {
    let template = format!("like_{name}");
    let mut postgres = connect_to_postgres().await;
    // Released when this connection ends, and so also when a test is killed half-way.
    run(&mut postgres, format!("SELECT pg_advisory_lock(hashtext('{template}'))")).await;
    let prepared = sqlx::query("SELECT FROM pg_database WHERE datname = $1")
        .bind(&template)
        .fetch_optional(&mut postgres)
        .await;
    if must("look for a prepared database", prepared).is_none() {
        let draft = create(&mut postgres, "template1").await;
        prepare(&draft).await;
        let name = &draft.name;
        let leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =";
        run(&mut postgres, format!("{leave} '{name}'")).await;
        // The new name says that it is complete.
        run(&mut postgres, format!("ALTER DATABASE {name} RENAME TO {template}")).await;
    }
    run(&mut postgres, format!("SELECT pg_advisory_unlock(hashtext('{template}'))")).await;
    create(&mut postgres, &template).await
}

impl TestDatabase {
    /// For migrations, and for the `twinflow` command.
    pub(crate) fn owner_url(&self) -> String {
        self.url_for(OWNER)
    }

    /// For looking behind row security. The product must never need it.
    pub(crate) fn superuser_url(&self) -> String {
        self.url_for(SUPERUSER)
    }

    pub(crate) fn url_for(&self, role: &str) -> String {
        url(role, &self.name)
    }

    /// The address for a new login role that is a member of `group`, or of several, and of nothing else.
    pub(crate) async fn login_url(&self, group: &str) -> String {
        let role = unique("r");
        let mut postgres = connect_to_postgres().await;
        run(&mut postgres, format!("CREATE ROLE {role} LOGIN IN ROLE {group}")).await;
        self.url_for(&role)
    }
}

impl Drop for TestDatabase {
    /// Each takes 7 MB of disk: a whole run's would be gigabytes.
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let drop_it = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            must("start a runtime", runtime)
                .block_on(async { run(&mut connect(&url(SUPERUSER, "postgres")).await, sql).await });
        };
        // We may be inside a runtime, which must not be blocked on another; a thread of its own may.
        // The test has said what it had to say, so trouble here is not its failure.
        let _ = thread::spawn(drop_it).join();
    }
}

async fn connect_to_postgres() -> PgConnection {
    let mut postgres = connect(&url(SUPERUSER, "postgres")).await;
    let create_owner = format!(
        "DO $$ BEGIN CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    );
    run(&mut postgres, create_owner).await;
    postgres
}

async fn create(postgres: &mut PgConnection, template: &str) -> TestDatabase {
    let name = unique("t");
    run(postgres, format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")).await;
    TestDatabase { name }
}

async fn connect(url: &str) -> PgConnection {
    must("connect to the tests' Postgres", PgConnection::connect(url).await)
}

#[expect(clippy::disallowed_methods, reason = "names of databases and roles cannot be bound")]
async fn run(connection: &mut PgConnection, sql: String) {
    let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.as_str())).execute(connection).await;
    must(&sql, outcome);
}

/// The port is only part of the socket's name; named, so that PGPORT does not meddle.
fn url(role: &str, database: &str) -> String {
    format!("postgres://{role}@localhost:5432/{database}?host={}", CLUSTER.display())
}

fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

#[track_caller]
fn must<T, E: Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

// --- The cluster ---

/// The folder of the running cluster.
static CLUSTER: LazyLock<PathBuf> = LazyLock::new(|| {
    let (runner, run) = match setting("NEXTEST_RUN_ID") {
        Some(run) => (parent_id(), run),
        None => (process::id(), Uuid::new_v4().to_string()),
    };
    let programs = programs();
    // Not the system's choice of a folder: the path of a socket may have some 100 letters, and the server's
    // user must be able to go there.
    let folder = PathBuf::from(format!("/tmp/twinflow-test-{run}-{runner}"));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => start(&folder, &programs, runner),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {} // another test is starting it
        Err(error) => panic!("{}: {error}", folder.display()),
    }
    wait_until_ready(&folder);
    folder
});

/// Takes a runner's process id, the cluster's folder, the folder of Postgres' programs, the settings.
///
/// A process that was killed may stay behind as a zombie, and one of another user cannot be asked by `kill -0`:
/// so ask /proc where there is one.
const STAND_BY: &str = r#"
runs() {
  case $(cat "/proc/$1/stat" 2>/dev/null) in
    *") Z "*) return 1 ;;
    "") kill -0 "$1" 2>/dev/null ;;
  esac
}
cd "$2" && exec >log 2>&1 || exit
server=
if "$3/initdb" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync; then
  echo "$4" >data/postgresql.conf
  "$3/postgres" -D data &
  server=$!
fi
while runs "$1"; do
  kill -0 $server 2>/dev/null || touch failed
  sleep 0.2
done
# More than once, because a server that has just begun to start does not listen yet.
while kill -QUIT $server 2>/dev/null; do sleep 0.1; done
rm -rf "$2"
"#;

const SETTINGS: &str = "
listen_addresses = ''
unix_socket_directories = '..'
port = 5432
max_connections = 300
shared_buffers = 64MB
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
";

#[expect(clippy::zombie_processes, reason = "it outlives us on purpose")]
fn start(folder: &Path, programs: &Path, runner: u32) {
    let mut shell = Command::new("sh");
    shell.args(["-c", STAND_BY, "twinflow-test-postgres", &runner.to_string()]);
    shell.args([folder, programs]).arg(SETTINGS);
    // It shares neither our terminal's Ctrl-C nor our output, which nextest waits for.
    shell.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if must("look at the cluster's folder", fs::metadata(folder)).uid() == 0 {
        // Postgres refuses to run as root.
        let (user, group) = unprivileged_user();
        must("hand over the cluster's folder", chown(folder, Some(user), Some(group)));
        shell.uid(user).gid(group);
    }
    must("start a shell", shell.spawn());
}

fn wait_until_ready(folder: &Path) {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        // The eighth line tells how far the server is.
        let state = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
        if state.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
            return;
        }
        if folder.join("failed").exists() || Instant::now() > patience {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("the tests' Postgres did not start:\n{log}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The folder of `initdb` and `postgres`, which Debian keeps out of PATH.
pub(crate) fn programs() -> PathBuf {
    if let Some(folder) = setting("TWINFLOW_TEST_POSTGRES_BIN") {
        return PathBuf::from(folder);
    }
    let path = setting("PATH").unwrap_or_default();
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .collect();
    debian.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    env::split_paths(&path)
        .chain(debian.into_iter().map(|(_, folder)| folder))
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .unwrap_or_else(|| panic!("no Postgres here: run ./setup.sh, or set TWINFLOW_TEST_POSTGRES_BIN"))
}

/// User and group id of `postgres`, else of `nobody`.
pub(crate) fn unprivileged_user() -> (u32, u32) {
    let users = must("read /etc/passwd", fs::read_to_string("/etc/passwd"));
    let ids = |name| {
        let mut ids = users.lines().find_map(|line| line.strip_prefix(name))?.split(':').skip(1);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    ids("postgres:").or_else(|| ids("nobody:")).unwrap_or_else(|| panic!("no user to run Postgres as"))
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration to ask")]
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
