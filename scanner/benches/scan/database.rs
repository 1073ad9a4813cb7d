//! A fresh database for each job: a file, or one on a private server that this program starts and ends.

use crate::job::Role;
use crate::postgres;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use tempfile::TempDir;
use twinflow::store;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// How a job reaches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    File(String),
    Server(String),
}

pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres { url: String, _held: postgres::TestDatabase },
}

impl Database {
    pub(crate) async fn fresh(engine: Engine, role: Role) -> Result<Self> {
        Ok(match (engine, role) {
            (Engine::Sqlite, _) => Self::Sqlite(TempDir::new()?),
            (Engine::Postgres, Role::Scan) => {
                let migrate = async |database: &postgres::TestDatabase| {
                    if let Err(error) = store::migrate_server(&database.owner_url()).await {
                        panic!("the database could not be migrated: {error}");
                    }
                };
                let held = postgres::database_like("migrated", migrate).await;
                Self::Postgres { url: held.login_url("tf_app").await, _held: held }
            }
            (Engine::Postgres, _) => {
                let held = postgres::database().await;
                Self::Postgres { url: held.owner_url(), _held: held }
            }
        })
    }

    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Sqlite(folder) => Place::File(folder.path().join("twinflow.db").display().to_string()),
            Self::Postgres { url, .. } => Place::Server(url.clone()),
        }
    }
}
