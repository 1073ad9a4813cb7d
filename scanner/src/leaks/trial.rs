//! The trial: every pretend tool connected, scanned in peace and under faults, and everything shown that can be shown,
//! by this very program in processes of its own, at the lowest log level.

use super::search::Secret;
use crate::config::{Opened, Settings};
use crate::connect::{NewConnection, Setting, add};
use crate::credential::Credential;
use crate::store::{Wanted, Whom};
use anyhow::{Context as _, Result};
use secrecy::SecretString;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use twinflow_fixtures::{Fault, Service, ServiceOptions, Stand, Story, StoryOptions, canary, stands};
use twinflow_vault::KeySet;

/// A place that was written to, and what stands there.
#[derive(Debug)]
pub struct Place {
    pub name: String,
    pub bytes: Vec<u8>,
}

#[expect(missing_debug_implementations, reason = "holds the vault")]
pub struct Trial {
    folder: TempDir,
    program: PathBuf,
    settings: Settings,
    opened: Opened,
    tools: Vec<(&'static str, &'static str, Service)>,
    /// Whether the scan in peace ended well, once there was one.
    scanned: Option<bool>,
    printed: Vec<Place>,
}

/// What everything that can be shown is shown by.
const LISTINGS: &[&str] = &[
    "connections",
    "connections --json",
    "scans",
    "scans --json",
    "events --limit 100000",
    "events --format csv",
    "events --format json",
    "report",
    "report --json",
    "contract",
    "contract --format json",
    "contract --format markdown",
    "doctor",
    "doctor --json",
    "scan nobody",
    "events --case nothing",
    "nonsense",
];

/// What a tool may answer instead of an answer, prose in much of it.
fn faults() -> Vec<Fault> {
    let prose = canary::all().first().copied().unwrap_or_default();
    let replaced =
        |key: &str| Fault::Replace { key: key.to_owned(), value: format!("Dear all, {prose}").into() };
    let mut all = vec![
        Fault::Html,
        Fault::Truncated,
        Fault::CutConnection,
        Fault::NotUtf8,
        Fault::WrongType,
        Fault::Null,
        Fault::BadGzip,
        Fault::RedirectTo(format!("https://elsewhere.example/{prose}")),
    ];
    all.extend([400, 401, 403, 404, 422].map(Fault::Status));
    all.extend([500, 502].map(Fault::ServerError));
    all.extend(["id", "key", "state", "created"].map(replaced));
    all
}

impl Trial {
    /// Starts and connects the pretend tools. `settings` says which database; without one it is a fresh embedded one.
    /// The vault has a key of its own, whichever keys there are beside it: a real one has no place in a trial.
    pub async fn begin(program: &Path, settings: &Settings, cases: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("twinflow-canary-").tempdir()?;
        for name in ["home", "tmp"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let now = crate::clock::Clock::system().now();
        let stands = stands(&Story::new(StoryOptions { seed: 3, cases, now }));
        let mut started = vec![];
        for stand in stands {
            let world = ServiceOptions::default();
            let Stand { tool, world: played, path, streams, user, token, .. } = stand;
            let service = Service::start(played, world).await?;
            started.push((tool, user, token, path, streams, service));
        }
        let origins: Vec<_> = started.iter().map(|it| it.5.url()).collect();
        let key_file = folder.path().join("data/vault.key");
        twinflow_vault::create_key_file(&key_file, &KeySet::generate(&mut rand::rng())?)?;
        let settings = Settings {
            key_file: Some(key_file.clone()),
            data_dir: Some(folder.path().join("data")),
            egress_allow: origins.join(","),
            quiet: true,
            ..settings.clone()
        };
        let opened = settings.open_by_file(&key_file).await?;
        let mut tools = vec![];
        for (tool, user, token, path, streams, service) in started {
            let base_url = format!("{}{path}", service.url());
            connect(&settings, &opened, tool, &base_url, &streams, (user, token)).await?;
            tools.push((tool, token, service));
        }
        Ok(Self {
            folder,
            program: program.to_owned(),
            settings,
            opened,
            tools,
            scanned: None,
            printed: vec![],
        })
    }

    pub fn tools(&self) -> Vec<String> {
        self.tools.iter().map(|(tool, _, _)| (*tool).to_owned()).collect()
    }

    /// Scans in peace, then under each fault, then shows everything.
    pub async fn run(&mut self) -> Result<()> {
        self.scanned = Some(self.twinflow("scan").await?);
        for fault in faults() {
            // Something new to read, so that a scan asks more than whether there is.
            let now = self.opened.clock.now();
            for (_, _, service) in &self.tools {
                service.add_case(now);
                service.faults().next(fault.clone());
                service.faults().next(fault.clone());
            }
            self.twinflow("scan --patience 1").await?;
            self.tools.iter().for_each(|(_, _, service)| service.faults().clear());
        }
        self.twinflow("scan").await?;
        for line in LISTINGS {
            self.twinflow(line).await?;
        }
        Ok(())
    }

    /// Why it shows nothing, if so: what was not read could not get out.
    pub async fn is_void(&self) -> Result<Option<String>> {
        match self.scanned {
            None => return Ok(Some("nothing was scanned".to_owned())),
            Some(false) => return Ok(Some("the scan without faults did not end well".to_owned())),
            Some(true) => {}
        }
        for connection in self.opened.store.connections().await? {
            let wanted = Wanted { connection: Some(connection.id), limit: 1, ..Wanted::default() };
            if self.opened.store.events(&wanted).await?.is_empty() {
                return Ok(Some(format!("no event of {} was read", connection.tool)));
            }
        }
        Ok(None)
    }

    /// Runs this program, with nothing of this process' environment, keeps what it prints, and says whether it ended
    /// well.
    async fn twinflow(&mut self, line: &str) -> Result<bool> {
        let mut command = Command::new(&self.program);
        command.args(line.split_whitespace()).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path().join("home")).env("TMPDIR", self.folder.path().join("tmp"));
        command.env("TWINFLOW_LOG", "trace").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        command.env("TWINFLOW_EGRESS_ALLOW", &self.settings.egress_allow);
        command.envs(self.settings.data_dir.as_ref().map(|it| ("TWINFLOW_DATA_DIR", it)));
        command.envs(self.settings.database_url.as_ref().map(|it| ("DATABASE_URL", it)));
        command.envs(self.settings.tenant.map(|it| ("TWINFLOW_TENANT", it.to_string())));
        command.envs(self.settings.key_file.as_ref().map(|it| ("TWINFLOW_KEY_FILE", it)));
        command.stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || command.output()).await?;
        let ran = ran.context("this program cannot be run again")?;
        self.printed.push(Place { name: format!("standard output of {line}"), bytes: ran.stdout });
        self.printed.push(Place { name: format!("standard error of {line}"), bytes: ran.stderr });
        Ok(ran.status.success())
    }

    /// What must be nowhere: canaries, tokens whole and in part, and the vault's keys.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets: Vec<_> = canary::all().iter().map(|canary| Secret::new(*canary, *canary)).collect();
        for (tool, token, _) in &self.tools {
            secrets.push(Secret::new(format!("the token of {tool}"), *token));
            secrets.push(Secret::new(format!("half of the token of {tool}"), &token[token.len() / 2..]));
        }
        let keys = fs::read_to_string(self.key_file()).unwrap_or_default();
        for key in keys.split_whitespace().filter(|word| word.len() >= 64) {
            secrets.push(Secret::new("a key of the vault", key));
            let pairs = key.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
            let bytes: Vec<_> = pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
            secrets.push(Secret::new("a key of the vault, in bytes", bytes));
        }
        secrets
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("data/vault.key")
    }

    /// Everything that was written: each file and its name, a copy of the embedded database, and all that was printed.
    pub async fn places(&self) -> Result<Vec<Place>> {
        let mut places = vec![];
        if self.settings.is_embedded() {
            places.push(self.copy_of_database().await?);
        }
        self.files(self.folder.path(), &mut places)?;
        places.extend(self.printed.iter().map(|it| Place { name: it.name.clone(), bytes: it.bytes.clone() }));
        Ok(places)
    }

    fn files(&self, folder: &Path, places: &mut Vec<Place>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.files(&path, places)?;
            } else if path != self.key_file() {
                let name = path.strip_prefix(self.folder.path()).unwrap_or(&path).display().to_string();
                places.push(Place { name: format!("the name of {name}"), bytes: name.clone().into_bytes() });
                places.push(Place { name, bytes: fs::read(&path)? });
            }
        }
        Ok(())
    }

    async fn database(&self) -> Result<SqliteConnection> {
        Ok(SqliteConnectOptions::new().filename(self.settings.database_file()?).connect().await?)
    }

    /// In pages so large that no value lies on two, and without what was deleted.
    async fn copy_of_database(&self) -> Result<Place> {
        let copy = self.folder.path().join("tmp/copy.db");
        let mut database = self.database().await?;
        sqlx::raw_sql("PRAGMA page_size = 65536").execute(&mut database).await?;
        let into = sqlx::query("VACUUM INTO $1").bind(copy.display().to_string());
        into.execute(&mut database).await?;
        database.close().await?;
        let bytes = fs::read(&copy)?;
        fs::remove_file(&copy)?;
        Ok(Place { name: "a copy of the database".to_owned(), bytes })
    }

    /// Writes these lines where they must not stand, as a leaky program would, and says where that was.
    pub async fn plant(&self, lines: &[Vec<u8>]) -> Result<Vec<String>> {
        let around = |line: &Vec<u8>| [b"ok body=\"".as_slice(), line, b"\" 200\n"].concat();
        let lines: Vec<_> = lines.iter().map(around).collect();
        fs::write(self.folder.path().join("tmp/leak"), lines.concat())?;
        let mut places = vec!["tmp/leak".to_owned()];
        if self.settings.is_embedded() {
            let mut database = self.database().await?;
            sqlx::raw_sql("CREATE TABLE IF NOT EXISTS leak (line BLOB)").execute(&mut database).await?;
            let mut transaction = database.begin().await?;
            for line in &lines {
                sqlx::query("INSERT INTO leak VALUES ($1)").bind(line).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            database.close().await?;
            places.extend(["data/twinflow.db-wal".to_owned(), "a copy of the database".to_owned()]);
        }
        Ok(places)
    }
}

async fn connect(
    settings: &Settings,
    opened: &Opened,
    tool: &str,
    base_url: &str,
    streams: &[String],
    (user, token): (Option<&str>, &str),
) -> Result<()> {
    let connector = twinflow_connectors::find(tool).context("a pretend tool without a connector")?;
    let allowed = settings.allowed()?;
    let (store, vault, tenant) = (&*opened.store, &*opened.vault, opened.tenant);
    let setting = Setting { store, vault, tenant, allowed: &allowed, now: opened.clock.now() };
    let token = SecretString::from(token);
    let credential = match user {
        None => Credential::Token(token),
        Some(user) => Credential::basic(connector.contract(), user, token).context("it takes no name")?,
    };
    let (credential, accept_broad, pseudonymise) = (&credential, false, Whom::by_default(tool));
    let new =
        NewConnection { connector, name: tool, base_url, streams, credential, accept_broad, pseudonymise };
    add(setting, new, &mut rand::rng()).await?;
    Ok(())
}
