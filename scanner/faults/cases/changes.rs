//! F41, F45, F58–F60: tools that treat tenants, streams and pages differently from one request to the next.

use super::kills::never_put_aside;
use crate::case::{Case, Told};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use std::time::Duration;
use twinflow_fixtures::{
    Fault, GitHub, LedgerDepth, RetryAfter, Service, ServiceOptions, Story, StoryOptions,
};
use uuid::Uuid;

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "F41",
        what: "429 for one tenant",
        repeats: 5,
        subset: 1,
        run: |stage, times| Box::pin(neighbour(stage, times)),
    },
    Case {
        id: "F45",
        what: "one stream forbidden",
        repeats: 10,
        subset: 1,
        run: |stage, times| Box::pin(forbidden(stage, times)),
    },
    Case {
        id: "F58",
        what: "rows move between pages",
        repeats: 20,
        subset: 3,
        run: |stage, times| Box::pin(moving(stage, times, 20)),
    },
    Case {
        id: "F59",
        what: "one item changes while it is read",
        repeats: 20,
        subset: 3,
        run: |stage, times| Box::pin(moving(stage, times, 1)),
    },
    Case {
        id: "F60",
        what: "redirect to another host",
        repeats: 10,
        subset: 1,
        run: |stage, times| Box::pin(sent_elsewhere(stage, times)),
    },
];

/// How long a tenant's scans took that ended since then, in seconds: the 95th percentile, and how many there were.
async fn p95(scene: &Scene, tenant: Uuid, since: chrono::DateTime<chrono::Utc>) -> Result<f64> {
    let p95: Option<f64> = sqlx::query_scalar(
        "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at)::float8)
         FROM scans WHERE tenant_id = $1 AND created_at >= $2 AND finished_at IS NOT NULL",
    )
    .bind(tenant)
    .bind(since)
    .fetch_one(&scene.world.database.superuser)
    .await?;
    Ok(p95.unwrap_or_default())
}

/// One tenant's tools say "too many" to everything; the other one's scans take as long as without that.
async fn neighbour(stage: &mut Stage, times: usize) -> Result<Told> {
    let plan = Plan { tools: &["github", "jira", "linear"], ..Plan::default() };
    let mut scene = Scene::new(stage, plan, never_put_aside(2)).await?;
    let (first, other) = (scene.world.tools[0].tenant, Uuid::from_u128(0x7001));
    for _ in 0..times {
        scene.world.connect_all().await?;
        let calm = scene.begin().await?;
        scene.finish(stage, calm, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
        let before = p95(&scene, other, calm).await?;
        for tool in scene.world.tools.iter().filter(|tool| tool.tenant == first) {
            let fault = Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(3)) };
            tool.service.faults().always(fault);
        }
        scene.world.stir(20);
        let storm = scene.world.make_due().await?;
        scene.fleet.note_strike();
        let calm_ones: Vec<_> =
            scene.world.connections.iter().filter(|it| it.tenant == other).map(|it| it.id).collect();
        let done = scene
            .fleet
            .until(Duration::from_secs(60), async || {
                let newest = scene.world.newest().await?;
                Ok(calm_ones
                    .iter()
                    .all(|id| newest.get(id).is_some_and(|it| it.created_at >= storm && !it.is_active())))
            })
            .await?;
        scene.told.expect(done, || "the other tenant waits with it".into());
        let after = p95(&scene, other, storm).await?;
        scene
            .told
            .notes
            .push(format!("the other tenant's p95: {before:.2} s before, {after:.2} s meanwhile"));
        // Two busy cores measure no tenth.
        scene.told.expect(after < before * 1.5 + 1.0, || "the other tenant's scans take longer".into());
        scene.world.tools.iter().for_each(|tool| tool.service.faults().clear());
        let mut hurry = async |_: &mut Stage, scene: &mut Scene| {
            scene.world.hurry().await?;
            scene.world.make_old_due(storm).await
        };
        scene.finish(stage, storm, &mut hurry).await?;
    }
    scene.close().await
}

/// Of two repositories one is forbidden: the other is read all the same, and it is said what was not.
async fn forbidden(stage: &mut Stage, times: usize) -> Result<Told> {
    let plan = Plan { tenants: 1, tools: &["github"], ledger: LedgerDepth::Full, ..Plan::default() };
    let mut scene = Scene::new(stage, plan, never_put_aside(2)).await?;
    let story =
        |seed| Story::new(StoryOptions { seed, cases: 40, now: twinflow::clock::Clock::system().now() });
    let github = GitHub::new(&story(71), "acme/shop").with_repository(&story(72), "acme/shop-2");
    scene.world.replace(0, github, &["acme/shop", "acme/shop-2"]).await?;
    scene.fleet.use_program(&scene.world.program);
    for _ in 0..times {
        scene.world.connect_all().await?;
        scene.world.tools[0].service.hide("acme/shop-2");
        scene.world.stir(5);
        let since = scene.world.make_due().await?;
        if scene.fleet.members.is_empty() {
            scene.fleet.start()?;
        }
        scene.fleet.note_strike();
        let patience = Duration::from_secs(60);
        let over =
            scene.fleet.until(patience, async || Ok(scene.world.unfinished(since).await?.is_empty())).await?;
        scene.told.expect(over, || "it does not come to an end".into());
        let partial = scene.world.newest().await?.values().all(|it| it.state == "partial");
        scene.told.expect(partial, || "a stream was not read, and nothing says so".into());
        let marks: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM streams WHERE name = 'acme/shop' AND cursor ->> 'mark' IS NULL",
        )
        .fetch_one(&scene.world.database.superuser)
        .await?;
        scene.told.expect(marks == 0, || "the cursor of what may be read did not move".into());
        scene.world.tools[0].service.show("acme/shop-2");
        scene.quiet_round(stage).await?;
    }
    scene.close().await
}

/// Cases change while they are read; once they rest, the log is exact.
async fn moving(stage: &mut Stage, times: usize, changes: usize) -> Result<Told> {
    let plan = Plan { cases: 40, latency: Duration::from_millis(5), ..Plan::default() };
    let mut scene = Scene::new(stage, plan, never_put_aside(2)).await?;
    while scene.fleet.struck < times && scene.told.is_good() {
        let since = scene.begin().await?;
        let mut glances = 0;
        let over = scene
            .fleet
            .until(Duration::from_secs(120), async || {
                // Now and then: a world that never rests is never read to its end.
                if glances % 8 == 0 {
                    scene.world.stir_slightly(changes);
                }
                glances += 1;
                Ok(scene.world.unfinished(since).await?.is_empty())
            })
            .await?;
        scene.told.expect(over, || "it does not come to an end".into());
        scene.fleet.note_strike();
        // A tool may tell times by the second: what changed within this one is read with the next.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        scene.quiet_round(stage).await?;
    }
    scene.close().await
}

/// Every answer points elsewhere: nobody goes there, and no credential does.
async fn sent_elsewhere(stage: &mut Stage, times: usize) -> Result<Told> {
    let plan = Plan { tenants: 1, tools: &["github", "jira", "zendesk"], ..Plan::default() };
    let mut scene = Scene::new(stage, plan, never_put_aside(2)).await?;
    let story = Story::new(StoryOptions { seed: 1, cases: 1, now: twinflow::clock::Clock::system().now() });
    let elsewhere = Service::start(GitHub::new(&story, "acme/shop"), ServiceOptions::default()).await?;
    scene.fleet.start()?;
    for nth in 0..times {
        let before = scene.world.tools.iter().map(|tool| tool.service.asked()).sum::<usize>();
        let to = match nth % 3 {
            0 => elsewhere.url(),
            1 => "http://169.254.169.254/latest/meta-data".to_owned(),
            _ => elsewhere.url().replace("127.0.0.1", "localhost"),
        };
        scene.world.connect_all().await?;
        scene.world.tools.iter().for_each(|tool| tool.service.faults().always(Fault::RedirectTo(to.clone())));
        scene.world.make_due().await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        scene.told.expect(elsewhere.asked() == 0, || "somebody went where a tool pointed".into());
        let asked = scene.world.tools.iter().map(|tool| tool.service.asked()).sum::<usize>();
        scene.told.expect(asked > before, || "nothing was asked".into());
        scene.fleet.note_strike();
        scene.world.tools.iter().for_each(|tool| tool.service.faults().clear());
        let since = scene.world.make_due().await?;
        let mut hurry = async |_: &mut Stage, scene: &mut Scene| {
            scene.world.hurry().await?;
            scene.world.make_old_due(since).await
        };
        scene.finish(stage, since, &mut hurry).await?;
    }
    scene.close().await
}
