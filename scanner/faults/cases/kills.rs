//! F01–F12 but F05 and F08: `kill -9` at every step of a scan, and at any moment.

use crate::case::{Case, Told};
use crate::fleet::{Ranks, Role};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::world::Plan;
use anyhow::Result;
use rand::RngExt as _;
use std::time::{Duration, Instant};

/// Where it strikes.
struct Point {
    name: &'static str,
    role: Role,
    /// At which of its times: one of so many first ones.
    among: usize,
    /// Everything is whole again so soon after the last strike.
    within: Duration,
}

const fn worker(name: &'static str, among: usize) -> Point {
    Point { name, role: Role::Worker, among, within: Duration::from_secs(20) }
}

/// It has few ticks with something to do, and another leads only after ten seconds.
const fn scheduler(name: &'static str) -> Point {
    Point { name, role: Role::Scheduler, among: 1, within: Duration::from_secs(30) }
}

macro_rules! case {
    ($id:literal, $what:literal, $subset:literal, $point:expr) => {
        Case {
            id: $id,
            what: $what,
            repeats: 50,
            subset: $subset,
            run: |stage, times| Box::pin(kill(stage, times, const { $point })),
        }
    };
}

pub(crate) const CASES: &[Case] = &[
    case!("F01", "kill -9 with the row committed, no bell rung", 2, scheduler("opened")),
    case!("F02", "kill -9 with the bell rung", 2, scheduler("rung")),
    case!("F03", "kill -9 with the bell taken, nothing claimed", 4, worker("fetched", 4)),
    case!("F04", "kill -9 after the claim", 4, worker("claimed", 4)),
    case!("F06", "kill -9 with a page answered, not stored", 4, worker("answered", 12)),
    case!("F07", "kill -9 inside the page's transaction", 4, worker("storing", 12)),
    case!("F09", "kill -9 after a page is kept", 4, worker("kept", 12)),
    case!("F10", "kill -9 after the last page", 4, worker("read", 3)),
    case!("F11", "kill -9 with the scan settled, the bell not", 4, worker("settled", 3)),
    Case {
        id: "F12",
        what: "kill -9 every 50 to 250 ms, three workers",
        repeats: 1_000,
        subset: 60,
        run: |stage, times| Box::pin(any_moment(stage, times)),
    },
];

/// Many deaths without a page between them are what is played here, and no reason to put a scan aside.
pub(crate) fn never_put_aside(workers: usize) -> Ranks {
    Ranks { workers, more: "--crashes 100".into(), ..Ranks::default() }
}

async fn kill(stage: &mut Stage, times: usize, at: Point) -> Result<Told> {
    let Point { name, role, among, within } = at;
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(2)).await?;
    scene.fleet.strike(role, times, usize::MAX, move |rng| match rng.random_range(0..among) {
        0 => format!("{name}=return(kill)"),
        off => format!("{name}={off}*off->return(kill)"),
    });
    // They strike by themselves.
    scene.rounds(stage, times, async |_, _, _| Ok(())).await?;
    scene.told.expect_whole(within);
    scene.close().await
}

async fn any_moment(stage: &mut Stage, times: usize) -> Result<Told> {
    let mut scene = Scene::new(stage, Plan::default(), never_put_aside(3)).await?;
    let mut next = Instant::now();
    scene
        .rounds(stage, times, async |stage, scene, more| {
            if more && Instant::now() >= next {
                next = Instant::now() + Duration::from_millis(stage.rng.random_range(50..250));
                let nth = stage.rng.random_range(0..scene.fleet.members.len());
                scene.fleet.kill(nth)?;
            }
            Ok(())
        })
        .await?;
    scene.told.expect_whole(Duration::from_secs(30));
    scene.close().await
}
