//! Settings, and what is opened by them: the database, the vault, the lock of the embedded default.

use crate::clock::Clock;
use crate::log::Format;
use crate::scan::egress::Allowed;
use crate::store::{self, Store, StoreError, Tenants};
use crate::traces::Traces;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use twinflow_vault::{KeyId, KeySet, KeySource, SourceError, Vault};
use uuid::Uuid;

/// The one tenant of the embedded default.
const EMBEDDED_TENANT: Uuid = Uuid::from_u128(1);

/// Before a server that was away is tried again.
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Where the embedded database and its key file live [default: ~/.local/share/twinflow]
    #[arg(long, env = "TWINFLOW_DATA_DIR", value_name = "DIR", global = true, help_heading = "Settings")]
    pub data_dir: Option<PathBuf>,

    /// Use this Postgres database instead of the embedded one, as a role that is a member of tf_app
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        global = true,
        hide_env_values = true,
        help_heading = "Settings"
    )]
    pub database_url: Option<String>,

    /// Whose data this is; needed with --database-url, where a new id begins a new tenant
    #[arg(long, env = "TWINFLOW_TENANT", value_name = "UUID", global = true, help_heading = "Settings")]
    pub tenant: Option<Uuid>,

    /// The vault's key file, mode 0400; a systemd credential twinflow-vault-key goes before it [default: the
    /// variable TWINFLOW_VAULT_KEY, else vault.key in the data directory]
    #[arg(long, env = "TWINFLOW_KEY_FILE", value_name = "FILE", global = true, help_heading = "Settings")]
    pub key_file: Option<PathBuf>,

    /// Hosts that may be asked beside the tools' own, comma-separated; they may have private addresses:
    /// ghe.example.com, https://jira.example.com:8443, http://127.0.0.1:4010
    #[arg(
        long,
        env = "TWINFLOW_EGRESS_ALLOW",
        value_name = "HOSTS",
        global = true,
        default_value = "",
        hide_default_value = true,
        help_heading = "Settings"
    )]
    pub egress_allow: String,

    /// What goes to the log on standard error: error, warn, info, debug or trace
    #[arg(
        long,
        env = "TWINFLOW_LOG",
        value_name = "LEVEL",
        global = true,
        default_value = "warn",
        help_heading = "Settings"
    )]
    pub log: tracing::Level,

    /// How the log is written: lines of text, or lines that are one JSON object each
    #[arg(
        long,
        env = "TWINFLOW_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        global = true,
        default_value = "text",
        hide_possible_values = true,
        help_heading = "Settings"
    )]
    pub log_format: Format,

    /// Send traces to this OpenTelemetry collector by OTLP over HTTP: spans of scans, streams and pages with ids, tool
    /// and counts only [example: http://127.0.0.1:4318]
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        value_name = "URL",
        global = true,
        hide_env_values = true,
        help_heading = "Settings"
    )]
    pub otlp_endpoint: Option<String>,

    /// No progress and no remarks on standard error
    #[arg(long, short, global = true, help_heading = "Settings")]
    pub quiet: bool,
}

/// The database and the vault, opened and fitting together.
#[expect(missing_debug_implementations, reason = "holds the vault")]
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub tenant: Uuid,
    pub clock: Clock,
}

impl Settings {
    pub fn is_embedded(&self) -> bool {
        self.database_url.is_none()
    }

    /// Read here and not by clap, which would repeat what it cannot read, and a password with it.
    pub fn allowed(&self) -> Result<Allowed> {
        Ok(self.egress_allow.parse()?)
    }

    /// Where traces go, if anywhere; read here for the same reason.
    pub(crate) fn traces(&self) -> Result<Option<Traces>> {
        let endpoint = self.otlp_endpoint.as_deref().filter(|given| !given.is_empty());
        endpoint.map(Traces::to).transpose()
    }

    pub fn data_dir(&self) -> Result<PathBuf> {
        if let Some(given) = &self.data_dir {
            return Ok(given.clone());
        }
        let share = environment("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let share = share.or_else(|| Some(std::env::home_dir()?.join(".local/share")));
        Ok(share
            .context("no home directory is known; say where data may live with --data-dir")?
            .join("twinflow"))
    }

    pub fn database_file(&self) -> Result<PathBuf> {
        Ok(self.data_dir()?.join("twinflow.db"))
    }

    pub fn tenant(&self) -> Result<Uuid> {
        match (self.tenant, self.is_embedded()) {
            (Some(tenant), false) => Ok(tenant),
            (None, false) => bail!("say whose data this is with --tenant UUID; a new id begins a new tenant"),
            (None, true) => Ok(EMBEDDED_TENANT),
            (Some(_), true) => {
                bail!("--tenant goes with --database-url: the embedded database has one tenant")
            }
        }
    }

    fn make_database_file(&self) -> Result<PathBuf> {
        make_private(&self.data_dir()?)?;
        let file = self.database_file()?;
        make_private_file(&file);
        Ok(file)
    }

    pub async fn open_store(&self, clock: Clock) -> Result<Arc<dyn Store>> {
        let tenant = self.tenant()?;
        if let Some(url) = &self.database_url {
            return store::open_server(url, tenant).await.map_err(about_the_server);
        }
        let file = self.make_database_file()?;
        store::open_embedded(&file, tenant, clock).await.map_err(|error| about_the_file(&file, error))
    }

    /// The database as workers and schedulers see it, over so many connections beside a few to find work by. A server
    /// that is away is waited for: `waiting` is told so, once.
    pub async fn open_tenants(
        &self,
        connections: u32,
        clock: Clock,
        waiting: impl FnOnce() + Send,
    ) -> Result<Tenants> {
        let Some(url) = &self.database_url else {
            let file = self.make_database_file()?;
            let opened = Tenants::embedded(&file, EMBEDDED_TENANT, clock).await;
            return opened.map_err(|error| about_the_file(&file, error));
        };
        let mut waiting = Some(waiting);
        loop {
            match Tenants::of_server(url, connections).await {
                Err(StoreError::Busy(_)) => {
                    if let Some(waiting) = waiting.take() {
                        waiting();
                    }
                    clock.sleep(BETWEEN_TRIES).await;
                }
                opened => return opened.map_err(about_the_server),
            }
        }
    }

    /// The keys, for whoever opens credentials of any tenant; which ones it cannot open, their scans will say.
    pub async fn open_vault(&self, tenants: &Tenants) -> Result<Arc<Vault>> {
        let nothing_sealed =
            self.is_embedded() && tenants.store(EMBEDDED_TENANT).sealed_under().await?.is_empty();
        Ok(Arc::new(self.vault(nothing_sealed)?))
    }

    /// The one tenant of the embedded database; on a server, nobody in particular.
    pub fn any_tenant(&self) -> Uuid {
        if self.is_embedded() { EMBEDDED_TENANT } else { Uuid::nil() }
    }

    pub async fn open(&self) -> Result<Opened> {
        self.open_by(|nothing_sealed| self.vault(nothing_sealed)).await
    }

    /// By the keys of this file, wherever else there are others.
    pub async fn open_by_file(&self, keys: &Path) -> Result<Opened> {
        self.open_by(|_| Ok(Vault::of(KeySource::file(keys))?)).await
    }

    async fn open_by(&self, vault: impl FnOnce(bool) -> Result<Vault>) -> Result<Opened> {
        let clock = Clock::system();
        let store = self.open_store(clock.clone()).await?;
        let sealed = store.sealed_under().await?;
        let vault = vault(sealed.is_empty())?;
        for (id, count) in sealed {
            let id = KeyId::from(id);
            if !vault.knows(id) {
                let sealed = if count == 1 { "a credential is" } else { "credentials are" };
                bail!(
                    "{sealed} sealed under key {id}, which is not among the keys given; put it back as a former \
                     key, or choose the key file that holds it with --key-file"
                );
            }
        }
        Ok(Opened { store, vault: Arc::new(vault), tenant: self.tenant()?, clock })
    }

    /// By the keys, from wherever they are. The embedded default makes its own on first use.
    fn vault(&self, nothing_sealed: bool) -> Result<Vault> {
        match KeySource::find(self.key_file.as_deref(), environment) {
            Ok(source) => return Ok(Vault::of(source)?),
            Err(SourceError::Nowhere) if self.is_embedded() => {}
            Err(error) => return Err(error.into()),
        }
        let file = self.data_dir()?.join("vault.key");
        if !file.exists() && nothing_sealed {
            twinflow_vault::create_key_file(&file, &KeySet::generate(&mut rand::rng())?)?;
            self.remark(&format!(
                "Made the vault's key file {}. Without it no stored credential can be opened: keep a copy, \
                 but not beside copies of the database.",
                file.display()
            ));
        }
        Ok(Vault::of(KeySource::file(&file))?)
    }

    /// Held while scans of the embedded database run. The kernel lets go of it however the process ends, so
    /// holding it means that whoever claimed a scan before is dead.
    pub fn lock_scans(&self) -> Result<Option<File>> {
        if !self.is_embedded() {
            return Ok(None);
        }
        make_private(&self.data_dir()?)?;
        let path = self.data_dir()?.join("scan.lock");
        let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another twinflow scans into {} now; wait for it to end, or, if it is `twinflow serve`, hand it \
                     the scan with --background",
                    self.data_dir()?.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).context("the data directory cannot be locked"),
        }
    }

    /// A remark for a person, apart from what was asked for.
    pub fn remark(&self, text: &str) {
        if !self.quiet {
            // Where nobody listens any more, the work goes on all the same.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }
}

/// Before SQLite makes it, which would let everybody read it; the files beside it take over its mode.
fn make_private_file(file: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Where it is there already, or cannot be made, opening it says so.
    let _ = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
}

fn make_private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let shown = folder.display();
    match made {
        Ok(()) => Ok(()),
        Err(_) if folder.exists() => bail!("{shown} is not a folder; choose another with --data-dir"),
        Err(error) => bail!("{shown} cannot be made ({}); choose another with --data-dir", error.kind()),
    }
}

/// SQLite says the same of a file it may not open as of one that is no database.
fn about_the_file(file: &Path, error: StoreError) -> anyhow::Error {
    let shown = file.display();
    match (&error, File::open(file).map_err(|error| error.kind())) {
        (StoreError::Damaged(_), Err(ErrorKind::NotFound)) => {
            anyhow!("{shown} cannot be made; let this user own its folder, or choose another --data-dir")
        }
        (StoreError::Damaged(_), Err(kind)) => {
            anyhow!("{shown} cannot be read ({kind}); let this user own it, or choose another --data-dir")
        }
        _ => error.into(),
    }
}

/// Trouble with the server may be no fault of its own: the URL decides which server is meant.
pub(crate) fn about_the_server(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Busy(_) | StoreError::Database(_) => {
            anyhow!("{error}; check that the server is up and that --database-url names it")
        }
        other => other.into(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place, beside clap, that reads the environment")]
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
