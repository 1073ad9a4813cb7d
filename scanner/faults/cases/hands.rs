//! F80–F85 and F37: what people do to a running system: they delete, replace, rotate, restore, deploy.

use super::kills::never_put_aside;
use crate::case::{Case, Told};
use crate::fleet::Role;
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "F80",
        what: "everything of a tenant deleted during its scans",
        repeats: 50,
        subset: 2,
        run: |stage, times| Box::pin(deleted(stage, times)),
    },
    Case {
        id: "F81",
        what: "a connection replaced during its scan",
        repeats: 20,
        subset: 2,
        run: |stage, times| Box::pin(replaced(stage, times)),
    },
    Case {
        id: "F82",
        what: "keys rotated during scans",
        repeats: 10,
        subset: 1,
        run: |stage, times| Box::pin(rotated(stage, times)),
    },
    Case {
        id: "F83",
        what: "backup during scans, restored",
        repeats: 10,
        subset: 1,
        run: |stage, times| Box::pin(restored(stage, times, true)),
    },
    Case {
        id: "F84",
        what: "an older backup restored, and run again",
        repeats: 5,
        subset: 1,
        run: |stage, times| Box::pin(restored(stage, times, false)),
    },
    Case {
        id: "F85",
        what: "workers and schedulers replaced one by one",
        repeats: 20,
        subset: 0,
        run: |stage, times| Box::pin(deployed(stage, times)),
    },
    Case {
        id: "F70",
        what: "a worker's clock goes wrong",
        repeats: 10,
        subset: 1,
        run: |_, _| Box::pin(clocks()),
    },
];

/// Long enough to be met in the middle.
fn slow() -> Plan {
    Plan { latency: Duration::from_millis(40), ..Plan::default() }
}

async fn deleted(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, slow(), never_put_aside(2)).await?;
    while scene.fleet.struck < times && scene.told.is_good() {
        scene.begin().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let gone = scene.world.tools[0].tenant;
        let (theirs, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut scene.world.connections).into_iter().partition(|it| it.tenant == gone);
        scene.world.connections = rest;
        for connection in &theirs {
            let line = format!("disconnect {} --purge --yes", connection.name);
            scene.world.program.of_tenant(gone).run(&line, "").await?.done()?;
            scene.fleet.note_strike();
        }
        // Whoever was in the middle of a page has noticed by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for what in ["events", "cases", "credentials"] {
            let left = scene.world.rows_of(gone, what).await?;
            scene.told.expect(left == 0, || format!("{left} {what} are left, or came back"));
        }
    }
    let since = scene.world.make_due().await?;
    scene.finish(stage, since, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
    scene.close().await
}

/// Disconnected and connected again under the same name, while a worker reads it.
async fn replaced(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, slow(), never_put_aside(2)).await?;
    scene.begin().await?;
    while scene.fleet.struck < times && scene.told.is_good() {
        for nth in 0..scene.world.connections.len() {
            let connection = scene.world.connections[nth].clone();
            let line = format!("disconnect {} --yes", connection.name);
            scene.world.program.of_tenant(connection.tenant).run(&line, "").await?.done()?;
            scene.world.connect_as(connection.tool, &connection.name).await?;
            scene.fleet.note_strike();
        }
        let since = scene.world.make_due().await?;
        let mut hurry = async |_: &mut Stage, scene: &mut Scene| scene.world.make_old_due(since).await;
        scene.finish(stage, since, &mut hurry).await?;
    }
    scene.close().await
}

async fn rotated(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    for nth in 0..times {
        let since = scene.begin().await?;
        // Workers learn of a new key when they are started anew; until all know it, nothing is sealed under it.
        scene.world.add_key(&format!("vault-{nth}.key"), &mut stage.rng)?;
        scene.fleet.use_program(&scene.world.program);
        for place in 0..scene.fleet.members.len() {
            scene.fleet.dismiss(place)?;
        }
        let replaced = scene.fleet.struck + scene.fleet.members.len();
        let mut others = Duration::ZERO;
        while scene.fleet.struck < replaced && others < Duration::from_secs(15) {
            scene.fleet.tend()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            others += Duration::from_millis(20);
        }
        for tenant in scene.world.tenants() {
            scene.world.program.of_tenant(tenant).run("vault rotate", "").await?.done()?;
        }
        scene.finish(stage, since, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
    }
    scene.fleet.struck = times;
    scene.close().await
}

/// What was dumped while scans ran, or long before, is restored elsewhere; there the next scans bring it up to date.
async fn restored(stage: &mut Stage, times: usize, while_running: bool) -> Result<Told> {
    let mut scene = Scene::new(stage, slow(), never_put_aside(2)).await?;
    for nth in 0..times {
        let since = scene.begin().await?;
        if while_running {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let dump = scene.world.folder.join(format!("dump-{nth}"));
        if while_running {
            stage.postgres.dump(&scene.world.database, &dump).await?;
        }
        scene.finish(stage, since, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
        if !while_running {
            stage.postgres.dump(&scene.world.database, &dump).await?;
            scene.quiet_round(stage).await?;
        }
        scene.fleet.end();
        stage.postgres.restore(&mut scene.world.database, &dump).await?;
        scene.world.settle_in().await?;
        scene.fleet.use_program(&scene.world.program);
        scene.fleet.note_strike();
        scene.fleet.start()?;
        let since = scene.world.make_due().await?;
        let mut hurry = async |_: &mut Stage, scene: &mut Scene| {
            scene.world.hurry().await?;
            scene.world.make_old_due(since).await
        };
        scene.finish(stage, since, &mut hurry).await?;
    }
    scene.close().await
}

async fn deployed(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(3)).await?;
    let mut next = Instant::now();
    let mut turn = 0;
    scene
        .rounds(stage, times, async |_, scene, more| {
            if more && Instant::now() >= next {
                next = Instant::now() + Duration::from_millis(700);
                turn += 1;
                let place = turn % scene.fleet.members.len();
                if scene.fleet.members[place].runs() {
                    scene.fleet.dismiss(place)?;
                }
            }
            Ok(())
        })
        .await?;
    let both = [Role::Worker, Role::Scheduler].len();
    scene.told.notes.push(format!("one binary in {both} roles; an older one is not at hand"));
    scene.close().await
}

async fn clocks() -> Result<Told> {
    Ok(Told::skipped("libfaketime is not used here: a leap of the worker's clock is played by no case yet"))
}
