//! The queue's keys in Redis, and what we do to them beside apalis.

use crate::scan::bells::{BellError, MOST};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script, ScriptInvocation};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

/// The queue of one installation. What a bell looks like is part of the name, so that two versions never read each
/// other's. No `:` in it: apalis splits names there.
pub(super) fn named(prefix: &str) -> Arc<str> {
    format!("{prefix}-scans-1").into()
}

/// More than we would ever put anywhere, and less than the 8,000 at which Lua's `unpack` fails.
const FLOOD: usize = 4 * MOST;

/// How long the remains of a killed worker stay, in seconds. No worker is silent for so long and alive.
const LEFTOVER: u32 = 24 * 60 * 60;

static RING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("ring.lua")));
static MEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mend.lua")));

/// Connects when it is first used, and again when it must.
#[derive(Clone)]
pub(super) struct Queue {
    pub(super) connection: ConnectionManager,
    name: Arc<str>,
    patience: Duration,
}

impl Queue {
    /// `response` is how long an answer may take: redis-rs' own 500 ms end a worker under load.
    pub(super) fn new(client: Client, name: Arc<str>, response: Duration) -> Result<Self, BellError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(response))
            .set_connection_timeout(Some(Duration::from_secs(1)))
            // Bounded: whoever asks is told soon, and asks again.
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(500));
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(|error| refusal(&error))?;
        Ok(Self { connection, name, patience: response + Duration::from_secs(1) })
    }

    pub(super) async fn waiting(&self) -> Result<usize, BellError> {
        let mut connection = self.connection.clone();
        let mut ask = redis::cmd("LLEN");
        self.within(ask.arg(self.key("active")).query_async(&mut connection)).await
    }

    pub(super) async fn ring(&self, scans: &[Uuid]) -> Result<usize, BellError> {
        let mut script = RING.key(&*self.name);
        script.arg(MOST);
        for scan in scans.iter().take(MOST) {
            script.arg(Uuid::new_v4().simple().to_string()).arg(scan.to_string());
        }
        self.run(&script).await
    }

    /// Throws out what cannot be a bell, and what is left of `gone`; says how much garbage there was.
    pub(super) async fn mend(&self, gone: Option<&str>, busy: &[String]) -> Result<usize, BellError> {
        let mut script = MEND.key(&*self.name);
        script.arg(FLOOD).arg(LEFTOVER).arg(gone.unwrap_or_default()).arg(busy);
        self.run(&script).await
    }

    /// An answered bell leaves nothing behind. apalis would keep it for ever among the done ones.
    pub(super) async fn forget(&self, worker: &str, bell: &str) -> Result<(), BellError> {
        let mut connection = self.connection.clone();
        let mut ask = redis::pipe();
        ask.atomic().srem(format!("{}:{worker}", self.key("inflight")), bell);
        ask.hdel(self.key("data"), bell).unlink(format!("{}:{bell}", self.key("meta")));
        self.within(ask.exec_async(&mut connection)).await
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.name)
    }

    async fn run(&self, script: &ScriptInvocation<'_>) -> Result<usize, BellError> {
        let mut connection = self.connection.clone();
        self.within(script.invoke_async(&mut connection)).await
    }

    async fn within<T>(&self, ask: impl Future<Output = Result<T, RedisError>>) -> Result<T, BellError> {
        match tokio::time::timeout(self.patience, ask).await {
            Ok(answer) => answer.map_err(|error| refusal(&error)),
            Err(_) => Err(BellError::Away),
        }
    }
}
/// The server's first word and no more.
pub(super) fn refusal(error: &RedisError) -> BellError {
    let word =
        error.code().filter(|word| word.len() <= 20 && word.bytes().all(|byte| byte.is_ascii_uppercase()));
    match word {
        _ if error.is_io_error() => BellError::Away,
        // It is starting: it will be there.
        Some("LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN") => BellError::Away,
        Some(word) => BellError::Refused(word.to_owned()),
        None => BellError::Refused("ERR".to_owned()),
    }
}
