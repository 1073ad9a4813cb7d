//! What all cases share: the servers, the folder, the numbers that chance is made from.

use crate::servers::{Folder, Postgres, Redis};
use anyhow::Result;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::path::PathBuf;

pub(crate) struct Stage {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) seed: u64,
    pub(crate) folder: Folder,
    worlds: usize,
}

impl Stage {
    pub(crate) async fn set(seed: u64) -> Result<Self> {
        let folder = Folder::make()?;
        let postgres = Postgres::start(&folder).await?;
        let redis = Redis::start(&folder).await?;
        let rng = ChaCha20Rng::seed_from_u64(seed);
        Ok(Self { postgres, redis, rng, seed, folder, worlds: 0 })
    }

    /// For one world: its number, and a folder for its logs.
    pub(crate) fn next_folder(&mut self) -> Result<(usize, PathBuf)> {
        self.worlds += 1;
        Ok((self.worlds, self.folder.new_folder(&format!("world-{}", self.worlds))?))
    }

    /// After a case, however it went: servers run, proxies behave, no bell is left.
    pub(crate) async fn set_right(&mut self) -> Result<()> {
        self.postgres.proxy.behave();
        self.redis.proxy.behave();
        if !self.postgres.is_up() {
            self.postgres.go_on().await?;
        }
        if !self.redis.is_up() {
            self.redis.go_on().await?;
        }
        self.redis.ask(&mut redis::cmd("FLUSHALL")).await
    }
}
