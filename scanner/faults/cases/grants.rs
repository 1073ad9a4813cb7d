//! F05, F43, F44, F46 and F47: access that runs out, is renewed, and is taken back.

use crate::case::{Case, Told};
use crate::fleet::{Ranks, Role};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, Instant};
use twinflow::clock::Clock;
use twinflow::store::{Backfill, open_server, random_id};
use twinflow_fixtures::{Fault, LedgerDepth, Service};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "F05",
        what: "kill -9 with a new grant given, not kept",
        repeats: 50,
        subset: 0,
        run: |stage, times| Box::pin(killed(stage, times)),
    },
    Case {
        id: "F43",
        what: "401 mid scan, the access can be renewed",
        repeats: 20,
        subset: 5,
        run: |stage, times| Box::pin(run_out(stage, times)),
    },
    Case {
        id: "F44",
        what: "the grant is taken back mid scan",
        repeats: 20,
        subset: 5,
        run: |stage, times| Box::pin(taken_back(stage, times)),
    },
    Case {
        id: "F46",
        what: "two workers renew one access",
        repeats: 200,
        subset: 4,
        run: |stage, times| Box::pin(together(stage, times)),
    },
    Case {
        id: "F47",
        what: "odd answers of a token endpoint",
        repeats: 5,
        subset: 5,
        run: |stage, times| Box::pin(odd(stage, times)),
    },
];

/// Gmail keeps its refresh tokens, the others give a new one each time.
const BY_CONSENT: &[&str] = &["gmail", "jira", "linear", "salesforce", "zendesk"];

fn plan(tools: &'static [&'static str]) -> Plan {
    Plan { tenants: 1, tools, cases: 40, ledger: LedgerDepth::Full, ..Plan::default() }
}

/// Each tool connected by consent once, and once more, until there are so many.
async fn connected(stage: &mut Stage, tools: &'static [&'static str], times: usize) -> Result<Scene> {
    // One scan at a time, so that whoever dies has one renewal in its hands.
    let ranks = Ranks { more: "--crashes 100 --slots 1".into(), ..Ranks::default() };
    let mut scene = Scene::new(stage, plan(tools), ranks).await?;
    for nth in 0..times {
        scene.world.connect_by_consent(nth % tools.len()).await?;
    }
    scene.world.tools.iter().for_each(|tool| tool.service.clear_ledger());
    Ok(scene)
}

/// How often a token endpoint was asked for a new access.
fn renewals(service: &Service) -> usize {
    let asks = |body: &str| body.contains("grant_type=refresh_token") || body.contains("\"refresh_token\"");
    service.ledger().iter().filter(|asked| asked.method == "POST" && asks(&asked.body)).count()
}

fn all_renewals(scene: &Scene) -> usize {
    scene.world.tools.iter().map(|tool| renewals(&tool.service)).sum()
}

async fn paused(scene: &Scene) -> Result<usize> {
    let paused: i64 = sqlx::query_scalar("SELECT count(*) FROM connections WHERE paused IS NOT NULL")
        .fetch_one(&scene.world.database.superuser)
        .await?;
    Ok(usize::try_from(paused)?)
}

/// Why those of a tool wait for a person.
async fn paused_of(scene: &Scene, tool: &str) -> Result<Vec<String>> {
    let paused = sqlx::query_scalar("SELECT paused FROM connections WHERE paused IS NOT NULL AND tool = $1");
    Ok(paused.bind(tool).fetch_all(&scene.world.database.superuser).await?)
}

/// Waits until each connection waits for a person or is read to its end.
async fn until_decided(scene: &mut Scene, patience: Duration) -> Result<()> {
    let decided = scene
        .fleet
        .until(patience, async || {
            scene.world.hurry().await?;
            let newest = scene.world.newest().await?;
            let over =
                |id| newest.get(id).is_some_and(|it| ["complete", "failed"].contains(&it.state.as_str()));
            Ok(scene.world.connections.iter().all(|it| over(&it.id)))
        })
        .await?;
    scene.told.expect(decided, || "it comes to no end".into());
    Ok(())
}

/// The one window that cannot be closed: the old grant is tried again, and where that is gone, a person is asked, once.
async fn killed(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = connected(stage, &["gmail", "linear"], times).await?;
    for tool in &scene.world.tools {
        let now = Clock::system().now() + Duration::from_secs(2 * 24 * 3_600);
        tool.service.set_now(now);
    }
    scene.fleet.strike(Role::Worker, times, usize::MAX, |_| "refreshed=return(kill)".into());
    scene.fleet.start()?;
    // Whoever began to renew holds that right for a minute.
    until_decided(&mut scene, Duration::from_secs(240)).await?;
    scene.told.whole_since(scene.fleet.last_strike);
    for (nth, tool) in scene.world.tools.iter().enumerate() {
        let connections = scene.world.connections.iter().filter(|it| it.tool == nth).count();
        let asked = renewals(&tool.service);
        scene.told.expect(asked <= 3 * connections, || format!("{asked} renewals of {connections} grants"));
        scene.told.notes.push(format!("{}: {asked} renewals of {connections} grants", tool.name));
    }
    let before = all_renewals(&scene);
    scene.world.make_due().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut lasting = paused_of(&scene, "gmail").await?;
    // Its refresh token is good for ever: what was lost can be asked for again, unless it was lost twice.
    lasting.retain(|why| !why.starts_with("twice"));
    scene.told.expect(lasting.is_empty(), || {
        format!("a person is asked though the old grant is good: {lasting:?}")
    });
    scene.told.notes.push(format!("{} of {times} wait for a person", paused(&scene).await?));
    scene.told.expect(all_renewals(&scene) == before, || "it goes on asking".into());
    let since = Clock::system().now();
    scene.world.consent_again().await?;
    scene.world.make_due().await?;
    scene.finish(stage, since, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
    scene.close().await
}

async fn run_out(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = connected(stage, BY_CONSENT, times.min(20)).await?;
    scene.fleet.start()?;
    while scene.fleet.struck < times && scene.told.is_good() {
        // From one on, what was issued before is good no longer.
        let later = Clock::system().now() + Duration::from_secs((scene.fleet.struck as u64 + 2) * 24 * 3_600);
        scene.world.tools.iter().for_each(|tool| tool.service.set_now(later));
        let before = all_renewals(&scene);
        let since = scene.world.make_due().await?;
        scene.finish(stage, since, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
        let (asked, grants) = (all_renewals(&scene) - before, scene.world.connections.len());
        scene.told.expect(asked == grants, || format!("{asked} renewals of {grants} grants"));
        scene.fleet.struck += grants;
    }
    scene.close().await
}

async fn taken_back(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = connected(stage, BY_CONSENT, times).await?;
    scene.world.tools.iter().for_each(|tool| tool.service.latency(Duration::from_millis(100)));
    scene.fleet.start()?;
    scene.fleet.ready().await?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    scene.world.tools.iter().for_each(|tool| tool.service.end_grants());
    let begun = Instant::now();
    until_decided(&mut scene, Duration::from_secs(120)).await?;
    scene.told.whole_in = begun.elapsed();
    scene.fleet.struck = paused(&scene).await?;
    let struck = scene.fleet.struck;
    scene.told.expect(struck == times, || format!("{struck} of {times} connections wait for a person"));
    let asked = |scene: &Scene| scene.world.tools.iter().map(|tool| tool.service.asked()).sum::<usize>();
    let before = asked(&scene);
    scene.world.make_due().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = asked(&scene) - before;
    scene.told.expect(more == 0, || format!("{more} requests after that"));
    let renewed = all_renewals(&scene);
    scene.told.expect(renewed <= 2 * times, || format!("{renewed} renewals of {times} dead grants"));
    scene.world.tools.iter().for_each(|tool| tool.service.latency(Duration::ZERO));
    // A connection that waited for this is due at once.
    let since = Clock::system().now();
    scene.world.consent_again().await?;
    scene.world.make_due().await?;
    scene.finish(stage, since, &mut async |_: &mut Stage, _: &mut Scene| Ok(())).await?;
    scene.close().await
}

/// A scan and a backfill of one connection, in two processes with one slot each, find the access run out.
async fn together(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = connected(stage, &["linear"], 1).await?;
    let connection = scene.world.connections[0].clone();
    scene.fleet.start()?;
    let store = open_server(&scene.world.database.url, connection.tenant).await?;
    while scene.fleet.struck < times && scene.told.is_good() {
        let later = Clock::system().now() + Duration::from_secs((scene.fleet.struck as u64 + 2) * 24 * 3_600);
        let service = &scene.world.tools[0].service;
        service.set_now(later);
        let before = renewals(service);
        let window = Backfill { since: chrono::DateTime::UNIX_EPOCH, upto: None };
        store.open_backfill(connection.id, random_id(&mut rand::rng()), window).await?;
        let since = scene.world.make_due().await?;
        let mut backfilled = async |_: &mut Stage, _: &mut Scene| Ok(());
        scene.finish(stage, since, &mut backfilled).await?;
        let open = "SELECT count(*) FROM scans WHERE state IN ('queued', 'running', 'waiting')";
        let over = scene
            .fleet
            .until(Duration::from_secs(30), async || {
                Ok(sqlx::query_scalar::<_, i64>(open).fetch_one(&scene.world.database.superuser).await? == 0)
            })
            .await?;
        scene.told.expect(over, || "the backfill comes to no end".into());
        let service = &scene.world.tools[0].service;
        let asked = renewals(service) - before;
        scene.told.expect(asked == 1, || format!("{asked} renewals where one would do"));
        scene.told.expect(service.grants() == 1, || "the grant is dead".into());
        scene.fleet.struck += 1;
    }
    store.close().await;
    scene.close().await
}

/// No new refresh token, tokens that are over at once, tokens of a megabyte.
async fn odd(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = connected(stage, &["linear"], times).await?;
    let replaced = |key: &str, value| Fault::Replace { key: key.to_owned(), value };
    let faults = [
        replaced("refresh_token", json!(null)),
        replaced("expires_in", json!(0)),
        replaced("access_token", json!("x".repeat(1 << 20))),
        replaced("expires_in", json!("soon")),
        Fault::Html,
    ];
    let later = Clock::system().now() + Duration::from_secs(2 * 24 * 3_600);
    let service = &scene.world.tools[0].service;
    service.set_now(later);
    service.faults().when_body_contains("grant_type=refresh_token", faults[0].clone());
    scene.fleet.start()?;
    for fault in faults.iter().cycle().take(times) {
        let service = &scene.world.tools[0].service;
        service.faults().clear();
        service.faults().when_body_contains("grant_type=refresh_token", fault.clone());
        let before = renewals(service);
        scene.world.make_due().await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let asked = renewals(&scene.world.tools[0].service) - before;
        let most = 8 * scene.world.connections.len();
        scene.told.expect(asked <= most, || format!("{asked} renewals within 4 s"));
        scene.fleet.note_strike();
    }
    scene.world.tools[0].service.faults().clear();
    let since = Clock::system().now();
    scene.world.consent_again().await?;
    scene.world.make_due().await?;
    let mut hurry = async |_: &mut Stage, scene: &mut Scene| {
        scene.world.hurry().await?;
        scene.world.make_old_due(since).await
    };
    scene.finish(stage, since, &mut hurry).await?;
    scene.close().await
}
