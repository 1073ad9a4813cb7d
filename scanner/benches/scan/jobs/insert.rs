//! Bound (b): the scan's events, read beforehand, inserted a page per transaction into a table that has the same
//! columns, a primary key on the id, and nothing else: no other index, no policy, no references, no counting.

use super::download::{everything, way_out};
use crate::database::Place;
use crate::job::{Figures, Job, measured};
use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, QueryBuilder, Sqlite};
use std::cell::RefCell;
use twinflow::store::event_id;
use twinflow_connectors::{Event, Opaque};
use uuid::Uuid;

/// As `store/sqlite.rs` has it.
const BATCH: usize = 500;

struct Row {
    id: Uuid,
    case: String,
    activity: &'static str,
    resource: Option<String>,
    at: DateTime<Utc>,
    turn: i32,
    from: Option<String>,
    to: Option<String>,
}

impl Row {
    fn of(event: Event) -> Self {
        let text = |id: Option<Opaque>| id.map(|id| id.as_str().to_owned());
        Self {
            id: event_id(CONNECTION, &event),
            case: event.case.as_str().to_owned(),
            activity: event.activity.word(),
            resource: text(event.resource),
            at: event.at,
            turn: event.turn,
            from: text(event.from),
            to: text(event.to),
        }
    }
}

const TENANT: Uuid = Uuid::from_u128(0xbe);
const CONNECTION: Uuid = Uuid::from_u128(0xc0);

pub(crate) async fn run(job: &Job) -> Result<Figures> {
    let (egress, connector) = way_out(job)?;
    let pages: RefCell<Vec<Vec<Row>>> = RefCell::default();
    let take = |page: twinflow_connectors::Page| {
        pages.borrow_mut().push(page.events.into_iter().chain(page.revised).map(Row::of).collect());
    };
    let counted = everything(job, &egress, connector, take).await?;
    let pages = pages.into_inner();
    let (new, figures) = match job.database.as_ref().context("no database")? {
        Place::File(path) => {
            let mut database = sqlite(path).await?;
            measured(into_sqlite(&mut database, &pages)).await?
        }
        Place::Server(url) => {
            let mut database = postgres(url).await?;
            measured(into_postgres(&mut database, &pages)).await?
        }
    };
    Ok(Figures {
        pages: counted.pages,
        requests: counted.requests,
        cases: counted.cases,
        events: new,
        ..figures
    })
}

async fn sqlite(path: &str) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-8192")
        .disable_statement_logging();
    let mut database = options.connect().await?;
    let create = "CREATE TABLE plain (tenant_id BLOB NOT NULL, id BLOB NOT NULL PRIMARY KEY,
        connection_id BLOB NOT NULL, case_id TEXT NOT NULL, activity TEXT NOT NULL, resource TEXT, at TEXT NOT NULL,
        turn INTEGER NOT NULL, from_id TEXT, to_id TEXT) STRICT";
    sqlx::query(create).execute(&mut database).await?;
    Ok(database)
}

async fn into_sqlite(database: &mut SqliteConnection, pages: &[Vec<Row>]) -> Result<u64> {
    let mut new = 0;
    for page in pages {
        let mut tx = database.begin_with("BEGIN IMMEDIATE").await?;
        for batch in page.chunks(BATCH) {
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT INTO plain (tenant_id, id, connection_id, case_id, activity, resource, at, turn, from_id,
                     to_id) ",
            );
            insert.push_values(batch, |mut values, row| {
                values
                    .push_bind(TENANT)
                    .push_bind(row.id)
                    .push_bind(CONNECTION)
                    .push_bind(row.case.as_str())
                    .push_bind(row.activity)
                    .push_bind(row.resource.as_deref())
                    .push_bind(row.at)
                    .push_bind(row.turn)
                    .push_bind(row.from.as_deref())
                    .push_bind(row.to.as_deref());
            });
            insert.push(" ON CONFLICT DO NOTHING");
            let done = insert.build().persistent(batch.len() == BATCH).execute(&mut *tx).await?;
            new += done.rows_affected();
        }
        tx.commit().await?;
    }
    Ok(new)
}

async fn postgres(url: &str) -> Result<PgConnection> {
    let mut database = PgConnection::connect(url).await?;
    let create = "CREATE TABLE plain (tenant_id uuid NOT NULL, id uuid NOT NULL PRIMARY KEY,
        connection_id uuid NOT NULL, case_id text NOT NULL, activity text NOT NULL, resource text,
        at timestamptz NOT NULL, turn integer NOT NULL, from_id text, to_id text)";
    sqlx::query(create).execute(&mut database).await?;
    Ok(database)
}

async fn into_postgres(database: &mut PgConnection, pages: &[Vec<Row>]) -> Result<u64> {
    let mut new = 0;
    for page in pages {
        let mut tx = database.begin().await?;
        let done = sqlx::query(
            "INSERT INTO plain (tenant_id, connection_id, id, case_id, activity, resource, at, turn, from_id, to_id)
             SELECT $1, $2, * FROM UNNEST($3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                 $8::integer[], $9::text[], $10::text[])
             ON CONFLICT DO NOTHING",
        )
        .bind(TENANT)
        .bind(CONNECTION)
        .bind(page.iter().map(|it| it.id).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.case.as_str()).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.activity).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.resource.as_deref()).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.at).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.turn).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.from.as_deref()).collect::<Vec<_>>())
        .bind(page.iter().map(|it| it.to.as_deref()).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        new += done.rows_affected();
        tx.commit().await?;
    }
    Ok(new)
}
