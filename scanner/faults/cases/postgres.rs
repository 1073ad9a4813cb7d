//! F08 and F30–F33: what the database and the way to it may do.

use super::kills::never_put_aside;
use crate::case::{Case, Told};
use crate::proxy::Flow;
use crate::scene::Scene;
use crate::servers::End;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use rand::RngExt as _;
use sqlx::Connection as _;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "F08",
        what: "COMMIT sent, its answer lost",
        repeats: 50,
        subset: 5,
        run: |stage, times| Box::pin(unanswered(stage, times)),
    },
    Case {
        id: "F30",
        what: "Postgres restarted: fast, immediate, kill -9",
        repeats: 30,
        subset: 3,
        run: |stage, times| Box::pin(restarted(stage, times)),
    },
    Case {
        id: "F31",
        what: "Postgres gone or out of reach for 30 s",
        repeats: 3,
        subset: 0,
        run: |stage, times| Box::pin(gone(stage, times)),
    },
    Case {
        id: "F32",
        what: "Postgres lets nobody in for 5 s",
        repeats: 5,
        subset: 0,
        run: |stage, times| Box::pin(crowded(stage, times)),
    },
    Case {
        id: "F33",
        what: "locks held by a stranger, deadlocks",
        repeats: 20,
        subset: 0,
        run: |stage, times| Box::pin(locked(stage, times)),
    },
];

async fn unanswered(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    let (before, mut set) = (stage.postgres.proxy.sprung(), 0);
    scene
        .rounds(stage, times, async |stage, scene, more| {
            let sprung = stage.postgres.proxy.sprung() - before;
            if scene.fleet.struck < sprung {
                scene.fleet.note_strike();
            }
            if more && set == sprung {
                set += 1;
                stage.postgres.proxy.lose_answer_to(b"COMMIT", stage.rng.random_range(0..40));
            }
            Ok(())
        })
        .await?;
    stage.postgres.proxy.behave();
    scene.told.expect_whole(Duration::from_secs(20));
    scene.close().await
}

async fn restarted(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    scene.patience = Duration::from_secs(150);
    let mut next = Instant::now() + Duration::from_millis(300);
    scene
        .rounds(stage, times, async |stage, scene, more| {
            if more && Instant::now() >= next {
                let ways = [End::Fast, End::Immediate, End::Killed];
                stage.postgres.end(ways[scene.fleet.struck % ways.len()]).await?;
                tokio::time::sleep(Duration::from_millis(stage.rng.random_range(0..1_500))).await;
                stage.postgres.go_on().await?;
                scene.fleet.note_strike();
                next = Instant::now() + Duration::from_millis(stage.rng.random_range(800..2_500));
            }
            Ok(())
        })
        .await?;
    scene.told.expect_whole(Duration::from_secs(60));
    scene.close().await
}

const LONG: Duration = Duration::from_secs(30);

/// Stopped; or every way to it cut and refused; or bytes lost both ways on connections that seem to stand.
async fn gone(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    scene.patience = Duration::from_secs(240);
    scene
        .rounds(stage, times, async |stage, scene, more| {
            if !more {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            match scene.fleet.struck % 3 {
                0 => stage.postgres.end(End::Fast).await?,
                1 => {
                    stage.postgres.proxy.rule(|rules| rules.refuse = true);
                    stage.postgres.proxy.cut();
                }
                _ => stage.postgres.proxy.rule(|rules| (rules.up, rules.down) = (Flow::Lose, Flow::Lose)),
            }
            let until = Instant::now() + LONG;
            // Nobody gives up meanwhile.
            while Instant::now() < until {
                scene.fleet.tend()?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            stage.postgres.proxy.behave();
            if !stage.postgres.is_up() {
                stage.postgres.go_on().await?;
            }
            scene.fleet.note_strike();
            Ok(())
        })
        .await?;
    scene.told.expect_whole(Duration::from_secs(60));
    scene.close().await
}

async fn crowded(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    scene.patience = Duration::from_secs(180);
    let mut next = Instant::now() + Duration::from_millis(500);
    scene
        .rounds(stage, times, async |stage, scene, more| {
            if more && Instant::now() >= next {
                let superuser = &scene.world.database.superuser;
                sqlx::query("ALTER ROLE worker CONNECTION LIMIT 1").execute(superuser).await?;
                let leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'worker'";
                sqlx::query(leave).execute(superuser).await?;
                tokio::time::sleep(Duration::from_secs(5)).await;
                sqlx::query("ALTER ROLE worker CONNECTION LIMIT -1").execute(superuser).await?;
                scene.fleet.note_strike();
                next = Instant::now() + Duration::from_millis(stage.rng.random_range(500..1_500));
            }
            Ok(())
        })
        .await?;
    scene.told.expect_whole(Duration::from_secs(40));
    scene.close().await
}

/// A stranger takes rows in the other order, so that one of the two has to give way; or just does not let go.
async fn locked(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    scene.patience = Duration::from_secs(180);
    let mut next = Instant::now() + Duration::from_millis(300);
    scene
        .rounds(stage, times, async |stage, scene, more| {
            if !more || Instant::now() < next {
                return Ok(());
            }
            let mut stranger = scene.world.database.superuser.acquire().await?;
            let mut tx = stranger.begin().await?;
            sqlx::query("SET LOCAL deadlock_timeout = '10s'").execute(&mut *tx).await?;
            sqlx::query("UPDATE streams SET cursor = cursor").execute(&mut *tx).await?;
            let (long, most) = (scene.fleet.struck % 5 == 4, 600);
            let wait = if long { 11_000 } else { stage.rng.random_range(50..most) };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if !long {
                // Whoever keeps a page holds its scan and waits for its stream.
                let crossed = sqlx::query("UPDATE scans SET state = state WHERE state = 'running'");
                let _ = crossed.execute(&mut *tx).await;
            }
            // Either way it lets go.
            let _ = tx.rollback().await;
            scene.fleet.note_strike();
            next = Instant::now() + Duration::from_millis(stage.rng.random_range(100..400));
            Ok(())
        })
        .await?;
    let said = scene.fleet.said();
    scene.told.notes.push(format!("{} errors of the database in the logs", said.matches("database").count()));
    scene.told.expect_whole(Duration::from_secs(40));
    scene.close().await
}
