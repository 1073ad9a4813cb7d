//! F40, F42, F50–F57, F63, F64: tools that answer badly now and then, and for ever.

use super::kills::never_put_aside;
use crate::case::{Case, Told};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use std::time::{Duration, Instant};
use twinflow::clock::Clock;
use twinflow_fixtures::{Fault, LedgerDepth, RetryAfter, Service};

macro_rules! case {
    ($id:literal, $what:literal, $repeats:literal, $subset:literal, $faults:expr) => {
        Case {
            id: $id,
            what: $what,
            repeats: $repeats,
            subset: $subset,
            run: |stage, times| Box::pin(spoilt(stage, times, $faults)),
        }
    };
}

pub(crate) const CASES: &[Case] = &[
    case!("F40", "429 with Retry-After in seconds, as a date", 20, 6, storm()),
    case!("F42", "500, 502, 503, 504", 40, 8, [500, 502, 503, 504].map(Fault::ServerError).into()),
    case!("F50", "truncated JSON", 20, 6, vec![Fault::Truncated]),
    case!(
        "F51",
        "truncated gzip, wrong length, no gzip",
        20,
        6,
        vec![Fault::TruncatedGzip, Fault::CutConnection, Fault::BadGzip]
    ),
    case!("F52", "200 with a login page", 10, 6, vec![Fault::Html]),
    case!(
        "F53",
        "one byte now and then",
        10,
        2,
        vec![Fault::Slow { bytes: 1, every: Duration::from_millis(500) }]
    ),
    case!("F54", "nothing, or a head and nothing more", 10, 2, vec![Fault::Hang, Fault::HeadersOnly]),
    case!("F55", "gzip bombs", 10, 3, vec![Fault::GzipBomb { bytes: 1 << 30 }]),
    case!(
        "F56",
        "nested 10,000 deep, 100 MB, no UTF-8",
        10,
        6,
        vec![Fault::DeepKnown(10_000), Fault::NotUtf8, Fault::Huge { bytes: 100 << 20 }]
    ),
    case!("F63", "years 0 and 9999", 10, 6, vec![Fault::Year(0), Fault::Year(9999)]),
    case!("F64", "nulls and other types", 20, 6, vec![Fault::Null, Fault::WrongType]),
    Case {
        id: "F57",
        what: "the same page for ever",
        repeats: 10,
        subset: 3,
        run: |stage, times| Box::pin(circles(stage, times)),
    },
];

/// By so much a worker may grow over three bombs at a time (F55): each is given up at 16 MiB, and the allocator keeps some.
const GROWTH_KIB: u64 = 96 << 10;

fn storm() -> Vec<Fault> {
    let date = Clock::system().now() + Duration::from_secs(3);
    [RetryAfter::Secs(2), RetryAfter::Date(date)]
        .map(|after| Fault::TooManyRequests { retry_after: Some(after) })
        .into()
}

fn plan(tools: &'static [&'static str]) -> Plan {
    Plan { tenants: 1, tools, cases: 40, ledger: LedgerDepth::Full, ..Plan::default() }
}

const SIX: &[&str] = &["github", "gmail", "jira", "linear", "salesforce", "zendesk"];

/// A few answers of each tool are bad: each is asked for again, and nothing else comes of it.
async fn spoilt(stage: &mut Stage, times: usize, faults: Vec<Fault>) -> Result<Told> {
    let mut scene = Scene::new(stage, plan(SIX), never_put_aside(2)).await?;
    scene.world.connect_all().await?;
    let tools = scene.world.tools.len();
    for nth in 0..times {
        let service = &scene.world.tools[nth % tools].service;
        // Not two in a row: five tries of one page may fail.
        service
            .faults()
            .on_request(service.asked() + 2 + 3 * (nth / tools), faults[nth % faults.len()].clone());
    }
    let since = scene.world.make_due().await?;
    scene.fleet.start()?;
    let (mut least, mut most) = (u64::MAX, 0);
    scene
        .finish(stage, since, &mut async |_: &mut Stage, scene: &mut Scene| {
            for member in &scene.fleet.members {
                let resident = member.running.resident().filter(|it| *it > 0).unwrap_or(most.max(1));
                (least, most) = (least.min(resident), most.max(resident));
            }
            scene.world.hurry().await
        })
        .await?;
    let spoilt: usize = scene.world.tools.iter().map(|tool| played(&tool.service)).sum();
    scene.fleet.struck = spoilt;
    let met = times.min(tools);
    scene.told.expect(spoilt >= met, || format!("only {spoilt} of {times} answers were spoilt"));
    let growth = most.saturating_sub(least);
    let bounded = faults.iter().any(|fault| matches!(fault, Fault::GzipBomb { .. } | Fault::Huge { .. }));
    scene.told.expect(!bounded || growth < GROWTH_KIB, || format!("a worker grew by {growth} KiB"));
    scene.told.whole_in = scene.told.whole_in.max(Duration::ZERO);
    if times >= 10 && scene.told.is_good() {
        for_ever(stage, &mut scene, &faults).await?;
    }
    scene.close().await
}

/// All answers are bad: nothing of them is kept, nobody hangs on to them, and afterwards all is well.
async fn for_ever(stage: &mut Stage, scene: &mut Scene, faults: &[Fault]) -> Result<()> {
    scene.world.connect_all().await?;
    for (nth, tool) in scene.world.tools.iter().enumerate() {
        tool.service.faults().always(faults[nth % faults.len()].clone());
    }
    let since = scene.world.make_due().await?;
    let resting = ["failed", "waiting", "partial", "suspicious_empty"];
    let rested = scene
        .fleet
        .until(Duration::from_secs(240), async || {
            let newest = scene.world.newest().await?;
            Ok(scene.world.connections.iter().all(|connection| {
                newest
                    .get(&connection.id)
                    .is_some_and(|it| it.created_at >= since && resting.contains(&it.state.as_str()))
            }))
        })
        .await?;
    scene.told.expect(rested, || "a scan of nothing but bad answers does not come to an end".into());
    let asked = |scene: &Scene| scene.world.tools.iter().map(|tool| tool.service.asked()).sum::<usize>();
    let before = asked(scene);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = asked(scene) - before;
    scene.told.expect(more < 30, || format!("{more} requests within 3 s of having given up"));
    scene.told.compare(&scene.world).await?;
    scene.told.difference.lost = 0;
    let begun = Instant::now();
    scene.world.tools.iter().for_each(|tool| tool.service.faults().clear());
    let since = scene.world.make_due().await?;
    scene.fleet.last_strike = Some(begun);
    // Those that wait are older than that: they go on, and are then scanned again.
    scene
        .finish(stage, since, &mut async |_: &mut Stage, scene: &mut Scene| {
            scene.world.hurry().await?;
            if begun.elapsed() > Duration::from_secs(2) {
                scene.world.make_old_due(since).await
            } else {
                Ok(())
            }
        })
        .await
}

async fn circles(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, plan(&["github", "jira", "linear"]), never_put_aside(2)).await?;
    scene.fleet.start()?;
    while scene.fleet.struck < times && scene.told.is_good() {
        let before: usize = scene.world.tools.iter().map(|tool| played(&tool.service)).sum();
        for_ever(stage, &mut scene, &[Fault::SamePageForEver, Fault::EmptyForEver]).await?;
        let played: usize = scene.world.tools.iter().map(|tool| played(&tool.service)).sum();
        let asked = (played - before) / scene.world.connections.len();
        scene.told.expect(asked < 40, || format!("{asked} requests until a circle was noticed"));
        scene.fleet.struck += scene.world.tools.len();
    }
    scene.close().await
}

/// How many answers were spoilt.
fn played(service: &Service) -> usize {
    service.ledger().iter().filter(|asked| asked.fault.is_some()).count()
}
