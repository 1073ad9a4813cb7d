//! A Redis that can be broken; it keeps nothing.

use super::{Folder, free_port, serve};
use crate::process::Running;
use crate::proxy::Proxy;
use anyhow::{Context as _, Result};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) struct Redis {
    folder: PathBuf,
    port: u16,
    pub(crate) proxy: Proxy,
    running: Option<Running>,
}

impl Redis {
    pub(crate) async fn start(all: &Folder) -> Result<Self> {
        let (folder, port) = (all.new_folder("redis")?, free_port()?);
        let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let mut server = Self { folder, port, proxy, running: None };
        server.go_on().await?;
        Ok(server)
    }

    /// For workers, by way of the proxy.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.proxy.address())
    }

    pub(crate) async fn go_on(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--enable-debug-command", "local"]);
        self.running = Some(serve(command, &self.folder, "log")?);
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            match self.ask(&mut redis::cmd("PING")).await {
                Ok(()) => return Ok(()),
                Err(_) if Instant::now() < patience => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => return Err(error).context("Redis did not start"),
            }
        }
    }

    /// Kills it; what it held is lost.
    pub(crate) async fn end(&mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        running.signal(Signal::KILL)?;
        running.ended().await?;
        Ok(())
    }

    /// SIGSTOP or SIGCONT.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.running.as_ref().context("Redis does not run")?.signal(signal)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) async fn connect(&self) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        // What is forged may be large.
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
        Ok(client.get_multiplexed_async_connection_with_config(&patient).await?)
    }

    /// Asks around the proxy.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &mut redis::Cmd) -> Result<T> {
        Ok(command.query_async(&mut self.connect().await?).await?)
    }
}
