//! That no tenant can see, change or hinder another: by the catalog, by trying everything on every table, and
//! through the store itself. Each check is also shown a database broken on purpose, and has to say so.

use crate::support::clock::TestClock;
use crate::support::engines::migrated;
use crate::support::postgres::{TestDatabase, database};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use rand::RngExt as _;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use twinflow::clock::Time as _;
use twinflow::store::{
    Claim, Claiming, Connection, Kept, NewTicket, Outcome, State, Store, StoreError, Tenants, TicketEnd,
    Wanted, WantedScans, migrate_server, open_server,
};
use twinflow_connectors::{Activity, Case, Cursor, Event, Kind, Name, Named, Opaque, Stream};
use uuid::Uuid;

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

/// Both tenants give everything the same names and ids.
const SAME: Uuid = Uuid::from_u128(0x5a3e);
const LEASE: Duration = Duration::from_secs(60);

async fn superuser(database: &TestDatabase) -> PgConnection {
    PgConnection::connect(&database.superuser_url()).await.unwrap()
}

/// SQL about tables that are only known at run time.
#[expect(clippy::disallowed_methods, reason = "names of tables cannot be bound; they come from the catalog")]
async fn run(connection: &mut PgConnection, sql: &str) -> Result<u64, sqlx::Error> {
    Ok(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await?.rows_affected())
}

async fn count(connection: &mut PgConnection, sql: &str) -> Result<i64, sqlx::Error> {
    Ok(one(connection, &format!("SELECT ({sql})::text")).await?.parse().unwrap())
}

/// The one value, a text, that a query comes to.
#[expect(clippy::disallowed_methods, reason = "names of tables cannot be bound; they come from the catalog")]
async fn one(connection: &mut PgConnection, sql: &str) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(connection).await
}

// --- The store, as two tenants ---

fn now() -> DateTime<Utc> {
    TestClock::new().now()
}

fn id(text: &str) -> Opaque {
    Opaque::new(text).unwrap()
}

/// Long enough to pass as sealed; whose it is stands in it.
fn sealed(whose: &str) -> Vec<u8> {
    let mut bytes = vec![1, 1, 9, 9, 9, 9];
    bytes.extend(whose.bytes().cycle().take(120));
    bytes
}

fn github() -> Connection {
    Connection {
        id: SAME,
        name: "github".into(),
        tool: "github".into(),
        base_url: "https://api.github.com".into(),
        account_id: "1".into(),
        account_name: "octocat".into(),
        created_at: now(),
        pseudonymise: Default::default(),
        paused: None,
        disconnected_at: None,
    }
}

/// What a tenant owns, with `whose` wherever text is free; a row in every table.
async fn settle_in(store: &dyn Store, whose: &str) -> Claim {
    let connection = Connection { account_name: whose.into(), ..github() };
    let stream = Stream { name: "stream".into() };
    store.add_connection(&connection, &sealed(whose), &[stream]).await.unwrap();
    let scan = store.open_scan(SAME, SAME).await.unwrap();
    let claim = store.claim(scan, &Claiming::new(whose, LEASE)).await.unwrap().unwrap();
    assert_eq!(keep(store, &claim, whose).await, Ok(1));
    store.prepare_ticket(&ticket(whose)).await.unwrap();
    claim
}

fn ticket(whose: &str) -> NewTicket {
    NewTicket { id: SAME, connection: SAME, project: whose.into(), marker: None }
}

async fn keep(store: &dyn Store, claim: &Claim, whose: &str) -> Result<u64, StoreError> {
    let event = Event {
        case: id("1"),
        activity: Activity::Created,
        resource: Some(id(whose)),
        at: now(),
        from: None,
        to: None,
        source: id("1"),
        turn: 0,
    };
    let case = Case {
        id: id("1"),
        key: id("acme/shop#1"),
        created_at: now(),
        updated_at: now(),
        status: Some(id(whose)),
        assignee: None,
        priority: None,
    };
    let named = Named { kind: Kind::Person, id: id("1"), name: Name::new(whose), stage: None };
    let page = Kept {
        stream: "stream",
        cursor: &Cursor::default(),
        read_at: now(),
        cases: &[case],
        events: &[event],
        revised: &[],
        withdrawn: &[],
        names: &[named],
        asked: &Default::default(),
        waited: Duration::ZERO,
        skipped: &Default::default(),
        doing: &Default::default(),
    };
    store.keep(claim, &page).await
}

/// Everything a store says when asked everything it can be asked.
async fn all_it_says(store: &dyn Store) -> String {
    let wanted = Wanted { limit: i64::MAX, ..Wanted::default() };
    let of_case = Wanted { case: Some("1".into()), connection: Some(SAME), ..wanted.clone() };
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.connections().await,
        store.connection("github").await,
        store.sealed_credential(&github()).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        store.sealed_under().await,
        store.streams(SAME).await,
        store.scans(&WantedScans::newest(i64::MAX)).await,
        store.scan(SAME).await,
        store.events(&wanted).await,
        store.events(&of_case).await,
        store.cases_with_events(SAME, "", i64::MAX).await,
        store.names(SAME).await,
        store.ticket(SAME).await,
        store.tickets(i64::MAX).await,
    )
}

/// A migrated database in which A and B own the same things, and the stores of both.
struct Two {
    database: TestDatabase,
    login: String,
    a: Arc<dyn Store>,
    b: Arc<dyn Store>,
    claims: [Claim; 2],
}

async fn two() -> Two {
    let database = migrated().await;
    let login = database.login_url("tf_app").await;
    let (a, b) = (open_server(&login, A).await.unwrap(), open_server(&login, B).await.unwrap());
    let claims = [settle_in(&*a, "anna").await, settle_in(&*b, "bert").await];
    Two { database, login, a, b, claims }
}

#[tokio::test]
async fn a_store_says_only_what_is_its_tenants() {
    let two = two().await;
    let (of_a, of_b) = (all_it_says(&*two.a).await, all_it_says(&*two.b).await);
    assert!(of_a.contains("anna") && !of_a.contains("bert"), "{of_a}");
    assert!(of_b.contains("bert") && !of_b.contains("anna"), "{of_b}");
    assert!(!of_a.contains("Err("), "{of_a}");

    let nobody = open_server(&two.login, Uuid::from_u128(0xc)).await.unwrap();
    let said = all_it_says(&*nobody).await;
    assert!(!said.contains("anna") && !said.contains("bert") && !said.contains("octocat"), "{said}");
    assert_eq!(nobody.sealed_under().await, Ok(vec![]));
    assert_eq!(nobody.scan(SAME).await, Ok(None));
}

#[tokio::test]
async fn nothing_a_store_does_changes_what_another_tenant_has() {
    let two = two().await;
    let before = all_it_says(&*two.b).await;
    let [claim, _] = &two.claims;

    // With the same ids of everything, and where it could, with B's own words.
    assert_eq!(keep(&*two.a, claim, "anna-again").await, Ok(0));
    assert_eq!(two.a.swap_credential(SAME, &sealed("bert"), &sealed("eve")).await, Ok(false));
    assert_eq!(two.a.swap_credential(SAME, &sealed("anna"), &sealed("eve")).await, Ok(true));
    assert_eq!(two.a.open_scan(SAME, Uuid::new_v4()).await, Ok(SAME));
    let again = two.a.claim(SAME, &Claiming::new("eve", LEASE).taking_over()).await.unwrap().unwrap();
    assert_eq!(two.a.renew(&again).await, Ok(()));
    let outcome = Outcome { state: State::Failed, reasons: vec!["eve".into()], until: None, error: None };
    assert_eq!(two.a.settle(&again, &outcome).await, Ok(()));
    two.a.prepare_ticket(&ticket("anna-again")).await.unwrap();
    assert_eq!(two.a.begin_ticket(&ticket("eve")).await, Ok(true));
    assert_eq!(two.a.begin_ticket(&ticket("eve")).await, Ok(false));
    assert_eq!(two.a.settle_ticket(SAME, &TicketEnd::Unknown).await, Ok(()));
    let other = Connection { id: Uuid::new_v4(), name: "other".into(), ..github() };
    two.a.add_connection(&other, &sealed("eve"), &[]).await.unwrap();
    assert_eq!(two.a.begin_refresh(SAME, &sealed("bert"), "eve", LEASE).await, Ok(None));
    assert_eq!(two.a.begin_refresh(SAME, &sealed("eve"), "eve", LEASE).await, Ok(Some(1)));
    assert_eq!(two.a.keep_refreshed(SAME, "eve", &sealed("bert"), &sealed("anna")).await, Ok(true));
    assert_eq!(two.a.pause(SAME, "eve", &sealed("bert"), "eve").await, Ok(false));
    assert_eq!(two.a.replace_credential(SAME, &sealed("eve")).await, Ok(true));
    assert_eq!(two.a.fence(SAME).await, Ok(0));
    two.a.forget_credential(SAME).await.unwrap();
    assert_eq!(two.a.purge(SAME).await.unwrap().events, 1);

    assert_eq!(all_it_says(&*two.b).await, before);
    assert_eq!(two.b.renew(&two.claims[1]).await, Ok(()), "B's worker goes on");
}

#[tokio::test]
async fn what_only_another_tenant_has_cannot_be_pointed_at_nor_guessed() {
    let two = two().await;
    let of_b = Connection { id: Uuid::new_v4(), name: "secret".into(), ..github() };
    two.b.add_connection(&of_b, &sealed("bert"), &[]).await.unwrap();
    let scan = two.b.open_scan(of_b.id, Uuid::new_v4()).await.unwrap();

    // What is another's and what is nobody's get the same answers.
    for (connection, scan) in [(of_b.id, scan), (Uuid::new_v4(), Uuid::new_v4())] {
        assert_eq!(two.a.claim(scan, &Claiming::new("eve", LEASE).taking_over()).await, Ok(None));
        assert_eq!(two.a.scan(scan).await, Ok(None));
        assert_eq!(
            two.a.open_scan(connection, Uuid::new_v4()).await,
            Err(StoreError::Database("code 23503".into()))
        );
        let claim = Claim { scan, connection, epoch: 0, lease: LEASE, tries: 0, crashes: 0, backfill: None };
        assert_eq!(two.a.renew(&claim).await, Err(StoreError::Fenced));
        assert_eq!(two.a.streams(connection).await, Ok(vec![]));
        let reached_over = Claim { connection, ..two.claims[0].clone() };
        assert_eq!(keep(&*two.a, &reached_over, "eve").await, Err(StoreError::Database("code 23503".into())));
    }
    // A name and ids that B uses are still free.
    two.a.add_connection(&of_b, &sealed("anna"), &[]).await.unwrap();
    two.a.open_scan(of_b.id, scan).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_many_tenants_given_up_on_at_random_see_only_their_own() {
    let database = migrated().await;
    let login = database.login_url("tf_app").await;
    let work = async |n: u128| {
        let store = open_server(&login, Uuid::from_u128(n)).await.unwrap();
        let whose = format!("tenant-{n}-");
        let claim = settle_in(&*store, &whose).await;
        for _ in 0..40 {
            let patience = Duration::from_micros(rand::rng().random_range(0..3000));
            let _given_up_or_not = tokio::time::timeout(patience, keep(&*store, &claim, &whose)).await;
            let _given_up_or_not = tokio::time::timeout(patience, all_it_says(&*store)).await;
            let events = store.events(&Wanted { limit: 100, ..Wanted::default() }).await.unwrap();
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].resource.as_deref(), Some(whose.as_str()));
        }
        let said = all_it_says(&*store).await;
        assert_eq!(said.matches("tenant-").count(), said.matches(&whose).count());
    };
    join_all((1..=12).map(work)).await;
}

// --- One connection, many tenants ---

#[tokio::test]
async fn a_connection_that_serves_many_tenants_keeps_none_of_them() {
    const TENANTS: u128 = 50;
    let database = migrated().await;
    let login = database.login_url("tf_app").await;
    for n in 1..=TENANTS {
        let row = "INSERT INTO tenants VALUES ($1, now())";
        let tenant = Uuid::from_u128(n);
        sqlx::query(row).bind(tenant).execute(&mut superuser(&database).await).await.unwrap();
    }
    let pool = PgPoolOptions::new().max_connections(1).connect(&login).await.unwrap();
    let seen_unset = async || {
        let seen = "SELECT count(*), current_setting('app.tenant_id', true) FROM tenants";
        sqlx::query_as::<_, (i64, Option<String>)>(seen).fetch_one(&pool).await.unwrap()
    };
    let request = async |n: u128| {
        let tenant = Uuid::from_u128(n);
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("SELECT set_config('app.tenant_id', $1, true)")
            .bind(tenant.to_string())
            .execute(&mut *tx)
            .await
            .unwrap();
        let seen: Vec<Uuid> =
            sqlx::query_scalar("SELECT tenant_id FROM tenants").fetch_all(&mut *tx).await.unwrap();
        assert_eq!(seen, [tenant]);
        if n.is_multiple_of(3) {
            tx.commit().await.unwrap();
        }
    };
    let mut given_up = 0;
    for round in 0..200 {
        // Ten wait for the one connection at once; some are gone before or while they have it.
        let requests = (0..10).map(async |_| {
            let n = rand::rng().random_range(1..=TENANTS);
            let patience = Duration::from_micros(rand::rng().random_range(100..8000));
            tokio::time::timeout(patience, request(n)).await.is_err()
        });
        given_up += join_all(requests).await.into_iter().filter(|gone| *gone).count();
        let (rows, tenant) = seen_unset().await;
        assert_eq!(rows, 0, "in round {round}");
        assert_eq!(tenant.unwrap_or_default(), "", "in round {round}");
    }
    assert!((1..2000).contains(&given_up), "{given_up} of 2,000 were given up on");
}

// --- Everything, on every table ---

/// Tables with a tenant's rows, each with the columns of its primary key.
async fn tables(admin: &mut PgConnection) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT c.oid::regclass::text, (SELECT string_agg(quote_ident(a.attname), ', ')
             FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = c.oid AND i.indisprimary)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' AND c.relname NOT IN ('_sqlx_migrations', 'works_with', 'leaders')
         ORDER BY 1",
    )
    .fetch_all(admin)
    .await
    .unwrap()
}

/// Becomes a tenant, or none, in a transaction that is not kept; what `sql` then does.
async fn as_tenant(login: &mut PgConnection, tenant: Option<Uuid>, sql: &str) -> Result<u64, sqlx::Error> {
    run(login, "BEGIN").await?;
    if let Some(tenant) = tenant {
        run(login, &format!("SET LOCAL app.tenant_id = '{tenant}'")).await?;
    }
    let outcome = run(login, sql).await;
    run(login, "ROLLBACK").await?;
    outcome
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Came {
    Nothing,
    Refused,
    /// Rows were reached, also where another rule then stopped it.
    Reached,
}
use Came::{Nothing, Reached, Refused};

/// What one may try, and what may come of it for A and for no tenant. `{b}` selects copies of B's rows.
const ATTEMPTS: [(&str, &[Came], &str); 11] = [
    ("select", &[Nothing], "SELECT FROM {table} WHERE tenant_id = '{B}'"),
    ("select for update", &[Nothing], "SELECT FROM {table} WHERE tenant_id = '{B}' FOR UPDATE"),
    ("select all but mine", &[Nothing], "SELECT FROM {table} WHERE tenant_id <> '{A}'"),
    ("insert", &[Refused], "INSERT INTO {table} {b}"),
    ("insert or nothing", &[Refused], "INSERT INTO {table} {b} ON CONFLICT DO NOTHING"),
    (
        "upsert",
        &[Refused],
        "INSERT INTO {table} {b} ON CONFLICT ({key}) DO UPDATE SET tenant_id = excluded.tenant_id",
    ),
    ("update", &[Nothing], "UPDATE {table} SET tenant_id = tenant_id WHERE tenant_id = '{B}'"),
    ("delete", &[Nothing], "DELETE FROM {table} WHERE tenant_id = '{B}'"),
    ("move B's to A", &[Nothing], "UPDATE {table} SET tenant_id = '{A}' WHERE tenant_id = '{B}'"),
    // Without a tenant there is nothing of A's to move.
    ("move A's to B", &[Refused, Nothing], "UPDATE {table} SET tenant_id = '{B}' WHERE tenant_id = '{A}'"),
    ("truncate", &[Refused], "TRUNCATE {table} CASCADE"),
];

fn came(of: Result<u64, sqlx::Error>) -> Came {
    match of {
        Ok(0) => Nothing,
        Ok(_) => Reached,
        Err(error) => match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("42501") => Refused,
            // A row that is there already, or that others point at.
            Some("23505" | "23503") => Reached,
            _ => panic!("{error}"),
        },
    }
}

/// Whether the attempt does something where it may: as B itself, who sees the rows it is about.
async fn is_real(attempt: &str, sql: &str, login: &mut PgConnection, owner: &mut PgConnection) -> bool {
    match (attempt, came(as_tenant(login, Some(B), sql).await)) {
        ("truncate", Refused) => as_tenant(owner, None, sql).await.is_ok(),
        // Not refused, but there already.
        ("insert or nothing", Nothing) => true,
        // B may not give rows away: that it is refused shows that it reached them.
        ("move B's to A", Refused) => true,
        // As A: it is the one that has something to move.
        ("move A's to B", Nothing) => came(as_tenant(login, Some(A), sql).await) == Refused,
        (_, came) => came == Reached,
    }
}

/// Tries everything on every table.
async fn leaks(two: &Two) -> Vec<String> {
    let mut admin = superuser(&two.database).await;
    let mut owner = PgConnection::connect(&two.database.owner_url()).await.unwrap();
    let mut login = PgConnection::connect(&two.login).await.unwrap();
    let mut found = vec![];
    for (table, key) in tables(&mut admin).await {
        // The rows themselves, not a query for them, which row security would empty.
        let rows = format!("SELECT coalesce(json_agg(t), '[]')::text FROM {table} t WHERE tenant_id = '{B}'");
        let rows = one(&mut admin, &rows).await.unwrap();
        if rows == "[]" {
            found.push(format!("{table} is empty, so nothing is shown"));
            continue;
        }
        let b =
            format!("SELECT * FROM json_populate_recordset(NULL::{table}, '{}')", rows.replace('\'', "''"));
        for (attempt, allowed, sql) in ATTEMPTS {
            let sql = sql.replace("{table}", &table).replace("{key}", &key).replace("{b}", &b);
            let sql = sql.replace("{A}", &A.to_string()).replace("{B}", &B.to_string());
            for tenant in [Some(A), None] {
                let came = came(as_tenant(&mut login, tenant, &sql).await);
                if !allowed.contains(&came) {
                    found.push(format!("{attempt} on {table} as {tenant:?}: {came:?}"));
                }
            }
            if !is_real(attempt, &sql, &mut login, &mut owner).await {
                found.push(format!("{attempt} on {table} does nothing for B either, so nothing is shown"));
            }
        }
    }
    found
}

#[tokio::test]
async fn nothing_that_is_tried_on_any_table_reaches_another_tenants_rows() {
    let two = two().await;
    assert_eq!(leaks(&two).await, [""; 0]);
    let tables = tables(&mut superuser(&two.database).await).await;
    assert!(tables.len() >= 9, "{tables:?}");
}

#[tokio::test]
async fn trying_everything_finds_a_hole_wherever_one_is_made() {
    for (hole, found) in [
        ("ALTER TABLE names DISABLE ROW LEVEL SECURITY", "select on names as Some"),
        ("DROP POLICY tenant_isolation ON scans", "on scans does nothing for B"),
        ("CREATE POLICY wide ON cases USING (true)", "insert on cases as None"),
        ("CREATE POLICY wide ON cases FOR SELECT USING (true)", "select on cases as None"),
        ("CREATE POLICY wide ON cases USING (true)", "delete on cases as None"),
        ("ALTER POLICY tenant_isolation ON events WITH CHECK (true)", "insert on events as Some"),
        ("GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO tf_app", "truncate on events as None"),
        ("CREATE TABLE notes (tenant_id uuid PRIMARY KEY); GRANT ALL ON notes TO tf_app", "notes is empty"),
    ] {
        let two = two().await;
        run(&mut superuser(&two.database).await, hole).await.unwrap();
        let leaks = leaks(&two).await;
        assert!(leaks.iter().any(|leak| leak.contains(found)), "{hole}: {leaks:#?}");
    }
}

// --- What the catalog says ---

/// Tables, views and the rest that are ours.
macro_rules! ours {
    () => {
        "(SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)')"
    };
}

/// Three tables belong to no tenant: which migrations ran, which programs they work with, which process leads.
macro_rules! our_tables {
    () => {
        concat!(
            "(SELECT * FROM ",
            ours!(),
            " o WHERE relkind IN ('r', 'p') AND relname NOT IN ('_sqlx_migrations', 'works_with', 'leaders'))"
        )
    };
}

/// Each finds what could lead round row security, and says so.
const RULES: [&str; 15] = [
    concat!(
        "SELECT c.oid::regclass || ' has no tenant_id' FROM ",
        our_tables!(),
        " c WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
             AND a.atttypid = 'uuid'::regtype AND a.attnotnull AND NOT a.attisdropped)"
    ),
    concat!(
        "SELECT c.oid::regclass || ' does not force row security' FROM ",
        our_tables!(),
        " c WHERE NOT (relrowsecurity AND relforcerowsecurity)"
    ),
    concat!(
        "SELECT c.oid::regclass || ' has not just the one policy' FROM ",
        our_tables!(),
        " c LEFT JOIN pg_policy p ON p.polrelid = c.oid AND NOT (p.polname = 'dispatch' AND p.polcmd = 'r'
             AND p.polroles = ARRAY['tf_dispatch'::regrole::oid] AND (c.relname, pg_get_expr(p.polqual, p.polrelid)) IN (
                 ('scans', '((CURRENT_USER = ''tf_dispatch''::name) AND (state = ANY (ARRAY[''queued''::text, ''running''::text, ''waiting''::text, ''quarantined''::text])))'),
                 ('schedules', '((CURRENT_USER = ''tf_dispatch''::name) AND (paused_at IS NULL))')))
         GROUP BY c.oid HAVING count(p.oid) <> 1 OR bool_or(
             p.polname <> 'tenant_isolation' OR p.polcmd <> '*' OR NOT p.polpermissive OR p.polroles <> '{0}'
             OR pg_get_expr(p.polqual, p.polrelid)
                 IS DISTINCT FROM '(tenant_id = ( SELECT app.current_tenant() AS current_tenant))'
             OR pg_get_expr(p.polwithcheck, p.polrelid)
                 IS DISTINCT FROM '(tenant_id = ( SELECT app.current_tenant() AS current_tenant))')"
    ),
    "SELECT 'app.current_tenant is another' WHERE NOT EXISTS (SELECT FROM pg_proc p
         JOIN pg_language l ON l.oid = p.prolang WHERE p.oid = to_regprocedure('app.current_tenant()')
         AND btrim(p.prosrc) = 'SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid'
         AND l.lanname = 'sql' AND p.provolatile = 's' AND p.proconfig::text LIKE '{%search_path=%}')",
    concat!(
        "SELECT c.oid::regclass || ' shows rows as its owner' FROM ",
        ours!(),
        " c WHERE relkind IN ('m', 'f')
             OR relkind = 'v' AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'"
    ),
    concat!(
        "SELECT c.oid::regclass || ' is part of another table' FROM ",
        ours!(),
        " c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE relkind IN ('r', 'p', 'f')"
    ),
    concat!(
        "SELECT c.oid::regclass || ' has a rule' FROM ",
        our_tables!(),
        " c WHERE EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid)"
    ),
    "SELECT p.oid::regprocedure || ' runs as its owner' FROM pg_proc p
     JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    concat!(
        "SELECT i.indexrelid::regclass || ' does not begin with tenant_id' FROM ",
        our_tables!(),
        " c JOIN pg_index i ON i.indrelid = c.oid
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
         WHERE (i.indisunique OR i.indisexclusion) AND a.attname IS DISTINCT FROM 'tenant_id'"
    ),
    "SELECT conname || ' does not carry tenant_id' FROM pg_constraint f
     WHERE contype = 'f' AND NOT EXISTS (SELECT FROM unnest(f.conkey, f.confkey) AS k (here, there)
         JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.here AND a.attname = 'tenant_id'
         JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.there AND b.attname = 'tenant_id')",
    concat!(
        "SELECT c.oid::regclass || ': ' || g.grantee::regrole || ' may ' || g.privilege_type FROM ",
        ours!(),
        " c CROSS JOIN LATERAL (SELECT * FROM aclexplode(c.relacl)
             UNION ALL SELECT x.* FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = c.oid) g
         WHERE g.grantee NOT IN (c.relowner, 'tf_dispatch'::regrole)
             AND (g.grantee <> 'tf_app'::regrole OR g.is_grantable
             OR CASE WHEN relname IN ('_sqlx_migrations', 'works_with') THEN g.privilege_type <> 'SELECT'
                 WHEN relname = 'leaders' THEN true
                 ELSE g.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') END)"
    ),
    concat!(
        "SELECT 'tf_dispatch may ' || g.privilege_type || ' ' || c.relname || coalesce('.' || attname, '') FROM ",
        ours!(),
        " c CROSS JOIN LATERAL (SELECT NULL::name AS attname, x.* FROM aclexplode(c.relacl) x
             UNION ALL SELECT a.attname, x.* FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = c.oid) g
         WHERE g.grantee = 'tf_dispatch'::regrole AND (g.is_grantable
             OR NOT (c.relname = 'leaders' AND attname IS NULL
                     AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
                 OR g.privilege_type = 'SELECT' AND (c.relname, attname) IN (('scans', 'tenant_id'), ('scans', 'id'),
                     ('scans', 'state'), ('scans', 'epoch'), ('scans', 'rank'), ('scans', 'due_at'),
                     ('scans', 'lease_until'), ('schedules', 'tenant_id'), ('schedules', 'next_at'),
                     ('schedules', 'paused_at'))) IS TRUE)"
    ),
    "SELECT 'schema ' || nspname || ': ' || g.grantee::regrole || ' may ' || g.privilege_type
     FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) g
     WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp)'
         AND g.grantee <> nspowner AND (g.privilege_type <> 'USAGE' OR g.grantee <> 'tf_app'::regrole
             AND (g.grantee <> 'tf_dispatch'::regrole OR nspname <> 'public'))
     UNION ALL SELECT 'database: ' || g.grantee::regrole || ' may ' || g.privilege_type
     FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) g
     WHERE datname = current_database() AND g.grantee <> datdba
         AND g.privilege_type NOT IN ('CONNECT', 'TEMPORARY')
     UNION ALL SELECT 'rights are given to what is not there yet' FROM pg_default_acl",
    "SELECT rolname || ' may more than rows' FROM pg_roles r WHERE rolname IN ('tf_app', 'tf_dispatch') AND (rolsuper OR rolbypassrls
         OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin
         OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid))
     UNION ALL SELECT 'there is no tf_app' WHERE to_regrole('tf_app') IS NULL
     UNION ALL SELECT 'there is no tf_dispatch' WHERE to_regrole('tf_dispatch') IS NULL",
    "SELECT o.what || ' belongs to ' || who FROM unnest('{tf_app,tf_dispatch}'::text[]) who, (SELECT oid::regclass::text, relowner FROM pg_class
         UNION ALL SELECT oid::regprocedure::text, proowner FROM pg_proc
         UNION ALL SELECT nspname, nspowner FROM pg_namespace) AS o (what, owner)
     WHERE pg_has_role(who, o.owner, 'MEMBER')",
];

async fn complaints(connection: &mut PgConnection) -> Vec<String> {
    let mut all = vec![];
    for rule in RULES {
        all.extend(sqlx::query_scalar::<_, String>(rule).fetch_all(&mut *connection).await.unwrap());
    }
    all
}

#[tokio::test]
async fn the_catalog_shows_no_way_round_row_security() {
    let database = migrated().await;
    assert_eq!(complaints(&mut superuser(&database).await).await, [""; 0]);
}

/// A change that opens a way, and what the rules have to say of it.
const HOLES: [(&str, &str); 43] = [
    ("ALTER POLICY dispatch ON scans USING (true)", "scans has not just"),
    ("ALTER POLICY dispatch ON scans TO tf_app", "scans has not just"),
    ("ALTER POLICY dispatch ON schedules USING (paused_at IS NULL)", "schedules has not just"),
    ("CREATE POLICY dispatch ON events FOR SELECT TO tf_dispatch USING (true)", "events has not just"),
    ("GRANT SELECT ON scans TO tf_dispatch", "tf_dispatch may SELECT scans"),
    ("GRANT SELECT (reasons) ON scans TO tf_dispatch", "tf_dispatch may SELECT scans.reasons"),
    ("GRANT UPDATE (due_at) ON scans TO tf_dispatch", "tf_dispatch may UPDATE scans.due_at"),
    ("GRANT USAGE ON SCHEMA app TO tf_dispatch", "schema app: tf_dispatch may USAGE"),
    ("ALTER TABLE events NO FORCE ROW LEVEL SECURITY", "events does not force"),
    ("ALTER TABLE cases DISABLE ROW LEVEL SECURITY", "cases does not force"),
    ("DROP POLICY tenant_isolation ON names", "names has not just"),
    ("CREATE POLICY wide ON scans USING (true)", "scans has not just"),
    ("CREATE POLICY due ON scans FOR SELECT TO tf_app USING (state = 'queued')", "scans has not just"),
    ("ALTER POLICY tenant_isolation ON events USING (true)", "events has not just"),
    ("ALTER POLICY tenant_isolation ON events WITH CHECK (true)", "events has not just"),
    ("ALTER POLICY tenant_isolation ON events TO tf_app", "events has not just"),
    (
        "CREATE OR REPLACE FUNCTION app.current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
         SET search_path = '' AS 'SELECT ''00000000-0000-0000-0000-00000000000b''::uuid'",
        "app.current_tenant is another",
    ),
    ("ALTER FUNCTION app.current_tenant() RESET search_path", "app.current_tenant is another"),
    ("ALTER FUNCTION app.current_tenant() SECURITY DEFINER", "runs as its owner"),
    (
        "CREATE FUNCTION app.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER
         AS 'SELECT count(*) FROM events'",
        "app.peek() runs as its owner",
    ),
    ("CREATE VIEW everything AS SELECT * FROM events", "everything shows rows"),
    ("CREATE MATERIALIZED VIEW everything AS SELECT * FROM events", "everything shows rows"),
    ("CREATE TABLE more () INHERITS (events)", "more is part of"),
    ("CREATE RULE quiet AS ON DELETE TO names DO INSTEAD NOTHING", "names has a rule"),
    ("CREATE TABLE notes (id uuid PRIMARY KEY)", "notes has no tenant_id"),
    ("CREATE TABLE notes (tenant_id text NOT NULL)", "notes has no tenant_id"),
    ("ALTER TABLE names DROP CONSTRAINT names_pkey, ALTER tenant_id DROP NOT NULL", "names has no tenant_id"),
    ("CREATE UNIQUE INDEX once ON connections (name)", "once does not begin with"),
    ("CREATE UNIQUE INDEX once ON connections (lower(name), tenant_id)", "once does not begin with"),
    (
        "ALTER TABLE scans ADD UNIQUE (id);
         ALTER TABLE scan_streams ADD CONSTRAINT loose FOREIGN KEY (scan_id) REFERENCES scans (id)",
        "loose does not carry",
    ),
    ("GRANT TRUNCATE ON events TO tf_app", "events: tf_app may TRUNCATE"),
    ("GRANT REFERENCES ON events TO tf_app", "events: tf_app may REFERENCES"),
    ("GRANT TRIGGER ON events TO tf_app", "events: tf_app may TRIGGER"),
    ("GRANT SELECT ON events TO tf_app WITH GRANT OPTION", "events: tf_app may SELECT"),
    ("GRANT INSERT ON _sqlx_migrations TO tf_app", "_sqlx_migrations: tf_app may INSERT"),
    ("GRANT SELECT ON credentials TO PUBLIC", "credentials: - may SELECT"),
    ("GRANT SELECT (sealed) ON credentials TO PUBLIC", "credentials: - may SELECT"),
    ("GRANT CREATE ON SCHEMA public TO tf_app", "schema public: tf_app may CREATE"),
    ("GRANT CREATE ON SCHEMA app TO PUBLIC", "schema app: - may CREATE"),
    ("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO tf_app", "not there yet"),
    ("ALTER ROLE tf_app BYPASSRLS", "tf_app may more than rows"),
    ("GRANT pg_read_all_data TO tf_app", "tf_app may more than rows"),
    ("ALTER TABLE events OWNER TO tf_app", "events belongs to tf_app"),
];

#[tokio::test]
async fn no_way_round_row_security_escapes_the_rules_for_the_catalog() {
    let database = migrated().await;
    let mut admin = superuser(&database).await;
    for (hole, complaint) in HOLES {
        run(&mut admin, "BEGIN").await.unwrap();
        run(&mut admin, hole).await.unwrap_or_else(|error| panic!("{hole}: {error}"));
        let found = complaints(&mut admin).await;
        run(&mut admin, "ROLLBACK").await.unwrap();
        assert!(found.iter().any(|it| it.contains(complaint)), "{hole}: {found:#?}");
    }
    assert_eq!(complaints(&mut admin).await, [""; 0], "each was taken back");
}

// --- Whom a store lets in ---

async fn refused(url: &str) -> StoreError {
    let error = open_server(url, A).await.map(|_| ()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("SELECT"), "{error:?}");
    error
}

async fn role(database: &TestDatabase, with: &str) -> String {
    let name = format!("r_{}", Uuid::new_v4().simple());
    run(&mut superuser(database).await, &format!("CREATE ROLE {name} LOGIN {with}")).await.unwrap();
    name
}

#[tokio::test]
async fn a_role_that_could_cross_tenants_is_not_let_in() {
    let database = migrated().await;
    let bypassing = role(&database, "BYPASSRLS IN ROLE tf_app").await;
    let creating = role(&database, "CREATEROLE IN ROLE tf_app").await;
    let owns = "it owns the schema app or a function in it";
    let of_schema = role(&database, "IN ROLE tf_app").await;
    let of_function = role(&database, "IN ROLE tf_app").await;
    let mut admin = superuser(&database).await;
    run(&mut admin, &format!("ALTER SCHEMA app OWNER TO {of_schema}")).await.unwrap();
    run(&mut admin, &format!("ALTER FUNCTION app.current_tenant() OWNER TO {of_function}")).await.unwrap();
    for (url, why) in [
        (database.superuser_url(), "it is a superuser"),
        (database.url_for(&bypassing), "it has BYPASSRLS"),
        (database.url_for(&creating), "it has CREATEROLE"),
        (database.url_for(&of_schema), owns),
        (database.url_for(&of_function), owns),
        // Nor one that could become such a role.
        (database.login_url("postgres, tf_app").await, "it is a superuser"),
        (database.login_url(&bypassing).await, "it has BYPASSRLS"),
        (database.login_url("twinflow_owner, tf_app").await, "it owns tables"),
        (database.login_url(&creating).await, "it has CREATEROLE"),
        (database.login_url(&of_schema).await, owns),
        (database.login_url(&of_function).await, owns),
    ] {
        let error = refused(&url).await;
        assert_eq!(error, StoreError::TooMuchPower(why));
        let said = error.to_string();
        assert!(said.contains(why) && said.contains("log in as a member of tf_app"), "{said}");
    }
    assert!(open_server(&database.login_url("tf_app").await, A).await.is_ok());
}

#[tokio::test]
async fn a_role_that_may_nothing_is_not_let_in() {
    let database = migrated().await;
    let nobody = role(&database, "").await;
    for url in [database.url_for(&nobody), database.owner_url()] {
        let error = refused(&url).await;
        assert_eq!(error, StoreError::NotAMember("tf_app"));
        assert!(error.to_string().contains("IN ROLE tf_app"), "{error}");
    }
    // Who runs one tenant's scans need not see what is due for all.
    let tenants = Tenants::of_server(&database.login_url("tf_app").await, 2).await;
    assert_eq!(tenants.map(|_| ()).unwrap_err(), StoreError::NotAMember("tf_dispatch"));
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_refused() {
    let _makes_the_role = migrated().await;
    let empty = database().await;
    let error = refused(&empty.login_url("tf_app").await).await;
    assert_eq!(error, StoreError::NotMigrated);
    assert!(error.to_string().contains("`twinflow migrate`"), "{error}");
}

#[tokio::test]
async fn a_database_of_another_version_is_refused() {
    for (change, expected) in [
        ("UPDATE _sqlx_migrations SET success = false", StoreError::NotMigrated),
        ("DELETE FROM _sqlx_migrations WHERE version = 1", StoreError::NotMigrated),
        ("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1", StoreError::ChangedMigration(1)),
    ] {
        let database = migrated().await;
        run(&mut superuser(&database).await, change).await.unwrap();
        assert_eq!(refused(&database.login_url("tf_app").await).await, expected, "{change}");
    }
}

/// As a later program's migration would, which says what the oldest program is that works with it.
async fn make_newer(database: &TestDatabase, oldest: i64) {
    let mut admin = superuser(database).await;
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'future', now(), true, '\\x00', 0)";
    run(&mut admin, newer).await.unwrap();
    run(&mut admin, &format!("UPDATE works_with SET oldest = {oldest}")).await.unwrap();
}

#[tokio::test]
async fn a_program_goes_on_beside_a_newer_one_whose_schema_still_works_with_it() {
    let database = migrated().await;
    make_newer(&database, 1).await;
    assert!(open_server(&database.login_url("tf_app").await, A).await.is_ok());
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let database = migrated().await;
    make_newer(&database, 9999).await;
    let opened = refused(&database.login_url("tf_app").await).await;
    let migrating = migrate_server(&database.owner_url()).await.unwrap_err();
    for error in [opened, migrating] {
        assert!(matches!(error, StoreError::Newer { found: 9999, known: 1.. }), "{error:?}");
        assert!(error.to_string().contains("newer version (9999)"), "{error}");
    }
}

// --- Migrations ---

#[tokio::test]
async fn a_migration_that_has_run_does_nothing_the_second_time() {
    let two = two().await;
    let before = all_it_says(&*two.a).await;
    migrate_server(&two.database.owner_url()).await.unwrap();
    assert_eq!(all_it_says(&*two.a).await, before);
    assert_eq!(complaints(&mut superuser(&two.database).await).await, [""; 0]);
}

#[tokio::test]
async fn databases_of_one_server_and_one_database_by_many_can_be_migrated_at_once() {
    let databases = join_all((0..3).map(|_| database())).await;
    let urls = databases.iter().flat_map(|database| [database.owner_url(), database.owner_url()]);
    for outcome in join_all(urls.map(async |url| migrate_server(&url).await)).await {
        assert_eq!(outcome, Ok(()));
    }
    for database in &databases {
        assert_eq!(complaints(&mut superuser(database).await).await, [""; 0]);
    }
}

/// The first migration of a server makes the role. Others have long run here, so a role of another name stands in.
#[tokio::test]
async fn two_migrations_that_make_the_same_role_at_once_both_succeed() {
    let role = format!("r_{}", Uuid::new_v4().simple());
    let migration = include_str!("../../../migrations/postgres/0001_event_log.sql").replace("tf_app", &role);
    let migration = format!("CREATE TABLE _sqlx_migrations (version bigint); {migration}");
    let (first, second) = (database().await, database().await);
    let mut one = PgConnection::connect(&first.owner_url()).await.unwrap();
    let mut other = PgConnection::connect(&second.owner_url()).await.unwrap();

    run(&mut one, "BEGIN").await.unwrap();
    run(&mut one, &migration).await.unwrap();
    let finish = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let mut admin = superuser(&second).await;
        while count(&mut admin, waiting).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        run(&mut one, "COMMIT").await
    };
    let (finished, migrated) = tokio::join!(finish, run(&mut other, &migration));
    finished.unwrap();
    migrated.unwrap();
    let granted =
        format!("SELECT count(*) FROM pg_class, aclexplode(relacl) WHERE grantee = '{role}'::regrole");
    assert!(count(&mut superuser(&second).await, &granted).await.unwrap() > 30);
}

// --- What is due, for all tenants ---

#[tokio::test]
async fn who_finds_work_for_all_sees_ids_and_times_of_what_is_under_way_and_nothing_else() {
    let two = two().await;
    let url = two.database.login_url("tf_app, tf_dispatch").await;
    let mut login = PgConnection::connect(&url).await.unwrap();
    // Who may do both sees as a tenant no more than a tenant.
    run(&mut login, "SET ROLE tf_app").await.unwrap();
    for table in ["scans", "schedules"] {
        assert_eq!(count(&mut login, &format!("SELECT count(*) FROM {table}")).await.unwrap(), 0, "{table}");
    }
    run(&mut login, "SET ROLE tf_dispatch").await.unwrap();
    for allowed in [
        "SELECT count((tenant_id, id, state, epoch, rank, due_at, lease_until)) FROM scans",
        "SELECT count((tenant_id, next_at, paused_at)) FROM schedules",
    ] {
        assert_eq!(count(&mut login, allowed).await.unwrap(), 2, "one of each tenant: {allowed}");
    }
    for forbidden in [
        "SELECT reasons FROM scans",
        "SELECT connection_id FROM scans",
        "SELECT connection_id FROM schedules",
        "UPDATE scans SET due_at = now()",
        "DELETE FROM scans",
        "SELECT id FROM events",
        "SELECT name FROM connections",
        "SELECT sealed FROM credentials",
        "SELECT tenant_id FROM tenants",
    ] {
        let error = run(&mut login, forbidden).await.unwrap_err();
        let code = error.as_database_error().and_then(|it| it.code()).unwrap_or_default().into_owned();
        assert_eq!(code, "42501", "{forbidden}");
    }
}
