//! F20–F27: what Redis may do. It holds bells, and none of them is needed.

use super::kills::never_put_aside;
use crate::case::{Case, Told};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use futures::future::LocalBoxFuture;
use rand::RngExt as _;
use rustix::process::Signal;
use std::time::{Duration, Instant};

macro_rules! case {
    ($id:literal, $what:literal, $repeats:literal, $subset:literal, $strike:expr) => {
        Case {
            id: $id,
            what: $what,
            repeats: $repeats,
            subset: $subset,
            run: |stage, times| {
                Box::pin(now_and_then(stage, times, |stage, nth| Box::pin($strike(stage, nth))))
            },
        }
    };
}

pub(crate) const CASES: &[Case] = &[
    case!("F20", "FLUSHALL while running", 20, 4, flush),
    case!("F21", "Redis gone for a minute", 5, 0, gone_for_a_minute),
    case!("F22", "Redis restarted, and empty", 10, 3, restart),
    case!("F23", "Redis stalls for 1 s or 6 s", 10, 2, stall),
    case!("F24", "Redis takes no more", 5, 2, full),
    Case {
        id: "F25",
        what: "very many scans due at once",
        repeats: 20_000,
        subset: 2_000,
        run: |stage, times| Box::pin(crowd(stage, times)),
    },
    case!("F26", "forged, garbled and 10 MB bells", 1_000, 30, forge),
    case!("F27", "every bell a hundred times", 20, 4, again_and_again),
];

type Strike = for<'a> fn(&'a mut Stage, usize) -> LocalBoxFuture<'a, Result<()>>;

/// Strikes every half second or so.
async fn now_and_then(stage: &mut Stage, times: usize, strike: Strike) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    scene.patience = Duration::from_secs(150);
    let mut next = Instant::now();
    scene
        .rounds(stage, times, async |stage, scene, more| {
            if more && Instant::now() >= next {
                strike(stage, scene.fleet.struck).await?;
                scene.fleet.note_strike();
                next = Instant::now() + Duration::from_millis(stage.rng.random_range(200..600));
            }
            Ok(())
        })
        .await?;
    scene.told.expect_whole(Duration::from_secs(30));
    // Bells that cannot be had do not keep anybody from working: one more round, as if nothing had been.
    stage.set_right().await?;
    scene.quiet_round(stage).await?;
    scene.close().await
}

async fn flush(stage: &mut Stage, _: usize) -> Result<()> {
    stage.redis.ask(&mut redis::cmd("FLUSHALL")).await
}

async fn restart(stage: &mut Stage, _: usize) -> Result<()> {
    stage.redis.end().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.redis.go_on().await
}

async fn gone_for_a_minute(stage: &mut Stage, _: usize) -> Result<()> {
    stage.redis.end().await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.redis.go_on().await
}

async fn stall(stage: &mut Stage, nth: usize) -> Result<()> {
    stage.redis.signal(Signal::STOP)?;
    tokio::time::sleep(Duration::from_secs(if nth.is_multiple_of(2) { 1 } else { 6 })).await;
    stage.redis.signal(Signal::CONT)
}

/// No memory left, or no replica to write to: both refuse every write.
async fn full(stage: &mut Stage, nth: usize) -> Result<()> {
    let (name, refuse, take) =
        if nth.is_multiple_of(2) { ("maxmemory", "1", "0") } else { ("min-replicas-to-write", "1", "0") };
    let () = stage.redis.ask(redis::cmd("CONFIG").arg(&["SET", name, refuse])).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.redis.ask(redis::cmd("CONFIG").arg(&["SET", name, take])).await
}

/// The names under which bells wait (`scanner/src/scan/bells/redis/queue.rs`).
const ACTIVE: &str = "twinflow-scans-1:active";
const DATA: &str = "twinflow-scans-1:data";

async fn forge(stage: &mut Stage, nth: usize) -> Result<()> {
    let mut to = stage.redis.connect().await?;
    // Many at a time, for a thousand are wanted.
    for also in 0..10 {
        let id = format!("forged-{nth}-{also}");
        let garbage: Vec<u8> = match (nth + also) % 5 {
            0 => uuid::Uuid::from_u128(stage.rng.random()).to_string().into_bytes(),
            1 => (0..64).map(|_| stage.rng.random()).collect(),
            2 if also == 2 => vec![b'x'; 10 << 20],
            2 => b"{\"scan\":\"../../etc/passwd\"}".to_vec(),
            3 => vec![],
            _ => b"00000000-0000-0000-0000-000000000000".to_vec(),
        };
        let mut pipe = redis::pipe();
        if also != 4 {
            // One has no content at all.
            pipe.hset(DATA, &id, garbage).ignore();
        }
        pipe.rpush(ACTIVE, &id).ignore();
        match pipe.query_async::<()>(&mut to).await {
            // We broke it ourselves, and nobody has mended it yet.
            Err(error) if error.to_string().contains("WRONGTYPE") => {}
            other => other?,
        }
    }
    if nth.is_multiple_of(20) {
        // A list where there should be none, and the other way round.
        let () = redis::pipe().del(DATA).set(DATA, "no hash").query_async(&mut to).await?;
    }
    Ok(())
}

/// Rings a hundred times for everything that is not over.
async fn again_and_again(stage: &mut Stage, nth: usize) -> Result<()> {
    let mut to = stage.redis.connect().await?;
    let waiting: Vec<String> = redis::cmd("HVALS").arg(DATA).query_async(&mut to).await?;
    for (also, scan) in waiting.iter().take(5).enumerate() {
        let mut pipe = redis::pipe();
        for times in 0..100 {
            let id = format!("again-{nth}-{also}-{times}");
            pipe.hset(DATA, &id, scan).ignore().rpush(ACTIVE, &id).ignore();
        }
        pipe.query_async::<()>(&mut to).await?;
    }
    Ok(())
}

/// So many that what each may run at a time is more than may wait.
const TENANTS: usize = 500;

/// Rows appear at once, of connections that follow nothing, so that each scan is over quickly.
async fn crowd(stage: &mut Stage, many: usize) -> Result<Told> {
    let plan = Plan { tenants: 1, tools: &["jira"], ..Plan::default() };
    let mut scene = Scene::new(stage, plan, never_put_aside(2)).await?;
    let since = scene.begin().await?;
    scene.finish(stage, since, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
    let superuser = scene.world.database.superuser.clone();
    sqlx::query(
        "WITH crowd AS (
             INSERT INTO tenants (tenant_id, created_at)
             SELECT gen_random_uuid(), clock_timestamp() FROM generate_series(1, $2) RETURNING tenant_id),
         made AS (
             INSERT INTO connections
                 (tenant_id, id, name, tool, base_url, account_id, account_name, created_at, pseudonymise)
             SELECT t.tenant_id, gen_random_uuid(), 'crowd-' || n, c.tool, c.base_url, c.account_id, c.account_name,
                 c.created_at, c.pseudonymise
             FROM (SELECT * FROM connections LIMIT 1) c, crowd t, generate_series(1, $1) AS n
             RETURNING tenant_id, id)
         INSERT INTO scans (tenant_id, id, connection_id, state, created_at)
             SELECT tenant_id, gen_random_uuid(), id, 'queued', clock_timestamp() FROM made",
    )
    .bind(i64::try_from(many / TENANTS)?)
    .bind(i64::try_from(TENANTS)?)
    .execute(&superuser)
    .await?;
    let (begun, mut most) = (Instant::now(), 0_u64);
    let done = scene
        .fleet
        .until(Duration::from_secs(600), async || {
            most = most.max(stage.redis.ask(redis::cmd("LLEN").arg(ACTIVE)).await?);
            let open: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM scans WHERE state IN ('queued', 'running', 'waiting')",
            )
            .fetch_one(&superuser)
            .await?;
            Ok(open == 0)
        })
        .await?;
    let took = begun.elapsed();
    scene.told.expect(done, || "not all came to an end".into());
    scene.told.expect(most <= 1_000, || format!("{most} bells waited at a time"));
    scene.told.expect(most > 0, || "no bell was ever seen".into());
    scene
        .told
        .notes
        .push(format!("{most} bells at most; {:.0} scans a second", many as f64 / took.as_secs_f64()));
    scene.fleet.struck = many;
    // What the crowd ended in is not asked: it has no credential.
    let forget = "DELETE FROM connections WHERE name LIKE 'crowd-%'";
    sqlx::query(forget).execute(&superuser).await?;
    scene.told.whole_in = took;
    scene.quiet_round(stage).await?;
    scene.close().await
}
