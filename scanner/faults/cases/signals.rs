//! F13–F17: signals, memory that is short, and panics.

use super::kills::never_put_aside;
use crate::case::{Case, Told};
use crate::fleet::{LEASE, Ranks, Role};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use rand::RngExt as _;
use rustix::process::Signal;
use std::collections::HashMap;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "F13",
        what: "SIGSTOP past the lease, then SIGCONT",
        repeats: 50,
        subset: 5,
        run: |stage, times| Box::pin(stopped(stage, times)),
    },
    Case {
        id: "F14",
        what: "SIGTERM mid page",
        repeats: 50,
        subset: 4,
        run: |stage, times| Box::pin(dismissed(stage, times, false)),
    },
    Case {
        id: "F15",
        what: "SIGTERM, then SIGKILL",
        repeats: 20,
        subset: 4,
        run: |stage, times| Box::pin(dismissed(stage, times, true)),
    },
    Case {
        id: "F16",
        what: "a scan that ends its worker each time",
        repeats: 10,
        subset: 1,
        run: |stage, times| Box::pin(poison(stage, times)),
    },
    Case {
        id: "F17",
        what: "panic in a connector",
        repeats: 20,
        subset: 4,
        run: |stage, times| Box::pin(panics(stage, times)),
    },
];

/// Two of four workers stop with a page in their hands; another takes the scan over, and then they go on.
async fn stopped(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(4)).await?;
    scene.fleet.strike(Role::Worker, times, 2, |rng| {
        let again: Vec<_> =
            (0..30).map(|_| format!("{}*off->1*return(stop)", rng.random_range(1..6))).collect();
        format!("answered={}", again.join("->"))
    });
    let mut since: HashMap<usize, Instant> = HashMap::new();
    scene
        .rounds(stage, times, async |_, scene, _| {
            for (nth, member) in scene.fleet.members.iter().enumerate() {
                if member.running.is_stopped() {
                    since.entry(nth).or_insert_with(Instant::now);
                }
            }
            let over: Vec<_> =
                since.iter().filter(|(_, at)| at.elapsed() > LEASE * 2).map(|(nth, _)| *nth).collect();
            for nth in over {
                since.remove(&nth);
                scene.fleet.members[nth].running.signal(Signal::CONT)?;
                scene.fleet.note_strike();
            }
            Ok(())
        })
        .await?;
    // Nobody waits for what a zombie left.
    scene.fleet.members.iter().try_for_each(|member| member.running.signal(Signal::CONT))?;
    tokio::time::sleep(LEASE).await;
    let fenced = scene.fleet.said().matches(" fenced ").count();
    scene.told.notes.push(format!("{fenced} of {} were told that they are superseded", scene.fleet.struck));
    scene.told.expect(fenced > 0, || "nobody was superseded".into());
    scene.told.expect_whole(Duration::from_secs(30));
    scene.close().await
}

/// Workers are told to end, and do; or are not given the time to.
async fn dismissed(stage: &mut Stage, times: usize, killed: bool) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    let mut next = Instant::now() + Duration::from_secs(1);
    let mut deadline: Option<(usize, Instant)> = None;
    scene
        .rounds(stage, times, async |stage, scene, more| {
            if let Some((nth, at)) = deadline.filter(|(_, at)| Instant::now() >= *at) {
                scene.fleet.kill(nth)?;
                deadline = None;
                next = at + Duration::from_millis(500);
            }
            if more && deadline.is_none() && Instant::now() >= next {
                next = Instant::now() + Duration::from_millis(stage.rng.random_range(500..1_200));
                let nth = scene.fleet.any(Role::Worker, &mut stage.rng);
                // Before that it does not listen, and holds nothing.
                if !scene.fleet.members[nth].runs() {
                    return Ok(());
                }
                scene.fleet.dismiss(nth)?;
                if killed {
                    deadline =
                        Some((nth, Instant::now() + Duration::from_millis(stage.rng.random_range(0..60))));
                }
            }
            Ok(())
        })
        .await?;
    let longest = scene.fleet.longest_goodbye;
    scene.told.notes.push(format!("the longest goodbye took {longest:.1?}"));
    scene.told.expect(longest < Duration::from_secs(11), || "a worker did not end in time".into());
    scene.told.expect_whole(Duration::from_secs(if killed { 20 } else { 10 }));
    scene.close().await
}

/// Three deaths without a page between them put a scan aside; the others go on, and a person sets it going again.
async fn poison(stage: &mut Stage, times: usize) -> Result<Told> {
    let plan = Plan { tenants: 1, tools: &["github", "jira"], ..Plan::default() };
    let ranks = Ranks { workers: 1, more: "--slots 1".into(), ..Ranks::default() };
    let mut scene = Scene::new(stage, plan, ranks).await?;
    for round in 0..times {
        let poison = scene.world.connect(0).await?;
        scene.fleet.strike(Role::Worker, usize::MAX, usize::MAX, |_| "answered=return(kill)".into());
        scene.fleet.start()?;
        let before = scene.fleet.struck;
        let aside = scene
            .fleet
            .until(Duration::from_secs(60), async || {
                Ok(scene.world.state_of(poison.id).await? == "quarantined")
            })
            .await?;
        let deaths = scene.fleet.struck - before;
        scene.told.expect(aside, || "a scan that kills its worker is never put aside".into());
        scene.told.expect(deaths == 3, || format!("it was put aside after {deaths} deaths, not 3"));
        scene.fleet.no_more_strikes();
        scene.fleet.end();
        scene.fleet.start()?;
        // The others go on, and it stays where it is.
        let other = scene.world.connect(1).await?;
        let went_on = scene
            .fleet
            .until(Duration::from_secs(30), async || Ok(scene.world.state_of(other.id).await? == "complete"))
            .await?;
        scene.told.expect(went_on, || "other scans do not go on".into());
        let state = scene.world.state_of(poison.id).await?;
        scene.told.expect(state == "quarantined", || format!("what was put aside is {state}"));
        let newest = scene.world.newest().await?;
        let store = twinflow::store::open_server(&scene.world.database.url, poison.tenant).await?;
        scene
            .told
            .expect(store.release(newest[&poison.id].id).await?, || "it cannot be set going again".into());
        let healed = scene
            .fleet
            .until(Duration::from_secs(30), async || Ok(scene.world.state_of(poison.id).await? == "complete"))
            .await?;
        scene.told.expect(healed, || "it does not go on after a person said so".into());
        scene.fleet.end();
        if !scene.told.is_good() || round + 1 == times {
            break;
        }
    }
    scene.told.compare(&scene.world).await?;
    scene.close().await
}

async fn panics(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    scene.fleet.strike(Role::Worker, times, usize::MAX, |rng| {
        let again: Vec<_> =
            (0..30).map(|_| format!("{}*off->1*return(panic)", rng.random_range(1..30))).collect();
        format!("answered={}", again.join("->"))
    });
    scene
        .rounds(stage, times, async |_, scene, _| {
            let panics = scene.fleet.said().matches("panicked").count();
            while scene.fleet.struck < panics {
                scene.fleet.note_strike();
            }
            scene.world.hurry().await
        })
        .await?;
    scene.told.expect(scene.fleet.deaths == 0, || "a panic ended a worker".into());
    scene.close().await
}
