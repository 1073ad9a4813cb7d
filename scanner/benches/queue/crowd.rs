//! Who is to be scanned: one huge tenant with a tenth of all connections, and many small ones with nine each.

use crate::part::{self, vault};
use crate::servers::Servers;
use anyhow::Result;
use rand::rng;
use secrecy::SecretString;
use sqlx::PgPool;
use twinflow::connect::owner;
use twinflow::store::random_id;
use twinflow_fixtures::jira;
use uuid::Uuid;

const EACH: usize = 9;
/// Rows of one insert.
const AT_A_TIME: usize = 5_000;

pub(crate) struct Crowd {
    /// Each connection with whose it is; the huge tenant's come first.
    pub(crate) connections: Vec<(Uuid, Uuid)>,
}

impl Crowd {
    pub(crate) async fn gather(servers: &Servers, many: usize) -> Result<Self> {
        let huge = many / 10;
        let tenant = |nth: usize| part::tenant(if nth < huge { 0 } else { 1 + (nth - huge) / EACH });
        let connections: Vec<_> = (0..many).map(|nth| (tenant(nth), random_id(&mut rng()))).collect();
        let vault = vault()?;
        for some in connections.chunks(AT_A_TIME) {
            let (tenants, ids): (Vec<_>, Vec<_>) = some.iter().copied().unzip();
            let token = SecretString::from(jira::TOKEN);
            let seal = |(tenant, id): &(Uuid, Uuid)| vault.seal(&owner(*tenant, *id), &token, &mut rng());
            let sealed: Vec<_> = some.iter().map(seal).collect::<Result<_, _>>()?;
            let sealed: Vec<_> = sealed.into_iter().map(|it| it.into_bytes()).collect();
            add(&servers.pool, &tenants, &ids, &sealed).await?;
        }
        servers.tidy().await?;
        Ok(Self { connections })
    }

    /// Everything is due by its schedule, and nothing was opened yet.
    pub(crate) async fn all_due_by_schedule(&self, servers: &Servers) -> Result<()> {
        self.no_scans(servers).await?;
        sqlx::query("UPDATE schedules SET next_at = now() - interval '1 minute'")
            .execute(&servers.pool)
            .await?;
        servers.tidy().await
    }

    /// Every connection has a scan in the queue, and no schedule will open another for now.
    pub(crate) async fn all_queued(&self, servers: &Servers) -> Result<()> {
        self.nothing_to_do(servers).await?;
        sqlx::query(
            "INSERT INTO scans (tenant_id, id, connection_id, state, created_at, due_at, rank)
             SELECT tenant_id, gen_random_uuid(), id, 'queued', now(), now(), 1 FROM connections",
        )
        .execute(&servers.pool)
        .await?;
        servers.tidy().await
    }

    pub(crate) async fn nothing_to_do(&self, servers: &Servers) -> Result<()> {
        self.no_scans(servers).await?;
        sqlx::query("UPDATE schedules SET next_at = now() + interval '1 day'").execute(&servers.pool).await?;
        servers.tidy().await
    }

    async fn no_scans(&self, servers: &Servers) -> Result<()> {
        sqlx::query("TRUNCATE scans, scan_streams").execute(&servers.pool).await?;
        servers.no_bells().await;
        Ok(())
    }

    /// One connection of each of so many small tenants.
    pub(crate) fn of_small_tenants(&self, many: usize) -> impl Iterator<Item = (Uuid, Uuid)> + '_ {
        let huge = self.connections.len() / 10;
        self.connections.iter().copied().skip(huge).step_by(EACH).take(many)
    }
}

async fn add(pool: &PgPool, tenants: &[Uuid], ids: &[Uuid], sealed: &[Vec<u8>]) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO tenants (tenant_id, created_at) SELECT DISTINCT t, now() FROM UNNEST($1::uuid[]) t
             ON CONFLICT DO NOTHING",
    )
    .bind(tenants)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO connections (tenant_id, id, name, tool, base_url, account_id, account_name, created_at)
         SELECT t, c, c::text, 'jira', 'https://api.atlassian.com', 'a', 'a', now()
         FROM UNNEST($1::uuid[], $2::uuid[]) AS it (t, c)",
    )
    .bind(tenants)
    .bind(ids)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO credentials (tenant_id, connection_id, sealed, sealed_at)
         SELECT t, c, s, now() FROM UNNEST($1::uuid[], $2::uuid[], $3::bytea[]) AS it (t, c, s)",
    )
    .bind(tenants)
    .bind(ids)
    .bind(sealed)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO schedules (tenant_id, connection_id, next_at)
         SELECT t, c, now() + interval '1 day' FROM UNNEST($1::uuid[], $2::uuid[]) AS it (t, c)",
    )
    .bind(tenants)
    .bind(ids)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
