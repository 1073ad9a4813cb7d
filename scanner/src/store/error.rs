//! What the store can answer instead of rows. Nothing of a statement or a row is ever quoted.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another worker holds a higher epoch: this one has to stop and write nothing more.
    #[error("another worker has taken this scan over")]
    Fenced,
    #[error("there is a connection named {0:?} already; choose another with --name")]
    NameTaken(String),
    #[error("there is no connection named {0:?}; `twinflow connections` lists them")]
    NoSuchConnection(String),
    #[error("there is no case {0:?} in the event log; ids and keys are told apart by case")]
    NoSuchCase(String),
    #[error("connection {0:?} has no credential; restore it from a backup")]
    NoCredential(String),
    #[error(
        "the database is of a newer version ({found}) than this program ({known}); use the program that wrote it"
    )]
    Newer { found: i64, known: i64 },
    #[error(
        "the database has not been set up for this version; run `twinflow migrate` as the role that owns it"
    )]
    NotMigrated,
    #[error(
        "a migration was changed after it ran ({0}); this program and this database do not belong together"
    )]
    ChangedMigration(i64),
    #[error("{0} is not a TwinFlow database, or it is damaged; restore it or choose another --data-dir")]
    Damaged(PathBuf),
    #[error("the database role must not be able to cross tenants: {0}; log in as a member of tf_app")]
    TooMuchPower(&'static str),
    #[error("the database role is no member of {0}; log in as one that is: CREATE ROLE … LOGIN IN ROLE {0}")]
    NotAMember(&'static str),
    #[error(
        "the connection did not take on the role {0}; a pooler in front of the database has to pass its start-up options on"
    )]
    NotTakenOn(&'static str),
    /// Worth another try.
    #[error("the database is busy or away ({0})")]
    Busy(String),
    #[error("the database failed ({0})")]
    Database(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let said = Self::of(&error);
        crate::metrics::database_error(matches!(said, Self::Busy(_)));
        said
    }
}

impl StoreError {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                // Connection lost, read-only for now, a transaction that stood still for too long, serialization failure,
                // deadlock, disk full, out of memory, no room for another connection, lock timeout, statement timeout,
                // shutdown, crash, start; SQLite's busy and locked.
                let passing = [
                    "08000", "08003", "08006", "25006", "25P03", "53100", "53200", "57014", "40001", "40P01",
                    "55P03", "57P01", "57P02", "57P03", "53300", "5", "6", "517", "261", "773",
                ];
                if passing.contains(&code.as_str()) {
                    Self::Busy(format!("code {code}"))
                } else {
                    Self::Database(format!("code {code}"))
                }
            }
            sqlx::Error::Io(io) => Self::Busy(io.kind().to_string()),
            sqlx::Error::PoolTimedOut => Self::Busy("no free connection".into()),
            sqlx::Error::Tls(_) => Self::Database("TLS".into()),
            sqlx::Error::Configuration(_) => Self::Database("the database URL cannot be used".into()),
            sqlx::Error::ColumnDecode { index, .. } => {
                Self::Database(format!("column {index} cannot be read"))
            }
            _ => Self::Database("unexpected answer".into()),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError as E;
        match error {
            E::Execute(error) | E::ExecuteMigration(error, _) => error.into(),
            E::VersionMissing(found) => Self::Newer { found, known: super::newest_migration() },
            E::VersionMismatch(version) => Self::ChangedMigration(version),
            _ => Self::Database("a migration failed".into()),
        }
    }
}
