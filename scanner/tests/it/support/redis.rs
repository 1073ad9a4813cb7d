//! A real Redis of one test's own; `./setup.sh` is all it needs. Start at [`TestRedis::start`].
//!
//! It listens on a socket in a folder of its own: unlike a port, nobody else takes that while the server is down.
//! A shell stands by that ends the server when this process is gone, however it went.

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Says the server's process id, and ends it when nobody holds our input any more.
const STAND_BY: &str = r#"
cd "$1" || exit
redis-server --port 0 --unixsocket redis.sock --save "" --appendonly no >log 2>&1 </dev/null &
echo $!
read -r _
kill -9 $!
wait
"#;

pub(crate) struct TestRedis {
    folder: TempDir,
    server: Option<Server>,
}

struct Server {
    shell: Child,
    pid: String,
}

impl TestRedis {
    /// A server that answers.
    pub(crate) async fn start() -> Self {
        let mut redis = Self::not_yet();
        redis.start_again().await;
        redis
    }

    /// The address of a server that is not there yet.
    pub(crate) fn not_yet() -> Self {
        Self { folder: TempDir::new().unwrap(), server: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.folder.path().display())
    }

    /// Empty, at the same address.
    pub(crate) async fn start_again(&mut self) {
        let mut shell = Command::new("sh");
        shell.args(["-c", STAND_BY, "twinflow-test-redis"]).arg(self.folder.path());
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        self.server = Some(Server { shell, pid: pid.trim().to_owned() });
        let began = Instant::now();
        while self.try_ask::<String>(&["PING"]).await.is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "redis-server did not start: run ./setup.sh");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// At once, and all it held is gone.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.shell.stdin.take());
            let _ = server.shell.wait();
        }
    }

    /// It holds its connections and answers nobody.
    pub(crate) fn stall(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = &self.server.as_ref().expect("a server that runs").pid;
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    }

    /// What it answers to one command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap_or_else(|| panic!("Redis did not answer {words:.60?}"))
    }

    async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        let mut connection = self.connection().await?;
        let (first, others) = words.split_first()?;
        redis::cmd(first).arg(others).query_async(&mut connection).await.ok()
    }

    async fn connection(&self) -> Option<MultiplexedConnection> {
        Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.ok()
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.stop();
    }
}
