//! Both engines, each with a database of its own.

use super::clock::TestClock;
use super::postgres::{TestDatabase, database_like};
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use twinflow::store::{self, Store, Tenants};
use uuid::Uuid;

pub(crate) const TENANT: Uuid = Uuid::from_u128(0x7e4a);

/// A fresh database, gone when this is dropped.
pub(crate) struct Database {
    pub(crate) store: Arc<dyn Store>,
    home: Home,
}

impl Database {
    /// Where the embedded engine keeps its files.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.home {
            Home::Folder(folder) => Some(folder.path()),
            Home::Server(_) => None,
        }
    }

    /// Behind the program's back: deletes the events from this moment on. How many.
    pub(crate) async fn lose_events_since(&self, at: DateTime<Utc>) -> u64 {
        let sql = "DELETE FROM events WHERE at >= $1";
        match &self.home {
            Home::Folder(folder) => {
                let file = SqliteConnectOptions::new().filename(folder.path().join("twinflow.db"));
                let mut file = file.connect().await.unwrap();
                sqlx::query(sql).bind(at).execute(&mut file).await.unwrap().rows_affected()
            }
            Home::Server(server) => {
                let mut server = PgConnection::connect(&server.superuser_url()).await.unwrap();
                sqlx::query(sql).bind(at).execute(&mut server).await.unwrap().rows_affected()
            }
        }
    }

    /// The same database as workers and schedulers see it.
    pub(crate) async fn tenants(&self, clock: &TestClock) -> Tenants {
        let opened = match &self.home {
            Home::Folder(folder) => {
                Tenants::embedded(&folder.path().join("twinflow.db"), TENANT, clock.clock()).await
            }
            Home::Server(server) => {
                Tenants::of_server(&server.login_url("tf_app, tf_dispatch").await, 4).await
            }
        };
        opened.unwrap()
    }
}

enum Home {
    Folder(TempDir),
    Server(TestDatabase),
}

pub(crate) async fn sqlite(clock: &TestClock) -> Database {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("twinflow.db");
    let store = store::open_embedded(&file, TENANT, clock.clock()).await.unwrap();
    Database { store, home: Home::Folder(folder) }
}

pub(crate) async fn postgres() -> Database {
    let server = migrated().await;
    let url = server.login_url("tf_app").await;
    let store = store::open_server(&url, TENANT).await.unwrap();
    Database { store, home: Home::Server(server) }
}

/// A migrated database on this run's private server.
pub(crate) async fn migrated() -> TestDatabase {
    database_like("migrated", async |database| {
        store::migrate_server(&database.owner_url()).await.unwrap();
    })
    .await
}
