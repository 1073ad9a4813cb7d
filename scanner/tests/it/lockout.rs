//! A credential that is no longer accepted lets its connection wait for a person; nothing is asked in a loop.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::{Database, TENANT, postgres, sqlite};
use chrono::TimeDelta;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use twinflow::clock::Time as _;
use twinflow::connect::{Setting, renew};
use twinflow::credential::Credential;
use twinflow::scan::Background;
use twinflow::scan::watch::{Nobody, Progress, Watch};
use twinflow::store::{ErrorClass, Firing, Outcome, State, WantedScans, random_id};
use twinflow_fixtures::{GitHub, Service, ServiceOptions};

const TOKEN: &str = "github_pat_the_next_one";

/// Opens what is due by schedule, as a scheduler does. How many scans there are then.
async fn fire(bench: &Bench) -> usize {
    bench.clock.forward(TimeDelta::minutes(15));
    let (due, now) = bench.store().due(10).await.unwrap();
    let firing = |planned: twinflow::store::Planned| Firing {
        connection: planned.connection_id,
        scan: random_id(&mut rand::rng()),
        due_at: planned.next_at.expect("due"),
        next_at: Some(now),
    };
    bench.store().fire(&due.into_iter().map(firing).collect::<Vec<_>>()).await.unwrap();
    bench.store().scans(&WantedScans::newest(100)).await.unwrap().len()
}

struct OnPage<F>(F);

impl<F: Fn(&Progress) + Send + Sync> Watch for OnPage<F> {
    fn progress(&self, _: &str, _: &str, progress: &Progress) {
        (self.0)(progress);
    }
}

/// A bench of GitHub in the background, whose token is revoked after the first page; `then` happens with it.
async fn revoked_in_the_middle(
    database: Database,
    then: impl Fn(&Service) + Send + Sync + 'static,
) -> (Bench, Outcome, usize) {
    let clock = TestClock::new();
    let world = GitHub::new(&story(330, &clock), "acme/shop");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let mut bench = Bench::new(clock, database, tool, &["acme/shop"]).await;
    bench.scanner.background = Some(Background { per_tenant: 4, crashes: 3 });
    let tool = Arc::new(bench.tool);
    let asked = Arc::new(AtomicUsize::new(0));
    let (world, before) = (tool.clone(), asked.clone());
    bench.scanner.watch = Arc::new(OnPage(move |progress: &Progress| {
        if progress.pages == 1 && before.load(Ordering::SeqCst) == 0 {
            world.revoke();
            then(&world);
            before.store(world.asked(), Ordering::SeqCst);
        }
    }));
    let opened =
        bench.database.store.open_scan(bench.connection.id, random_id(&mut rand::rng())).await.unwrap();
    let outcome = bench.scanner.run(opened).await.unwrap().expect("ours");
    bench.scanner.watch = Arc::new(Nobody);
    bench.tool = Arc::into_inner(tool).expect("nobody else holds it");
    let before = asked.load(Ordering::SeqCst);
    (bench, outcome, before)
}

async fn is_paused_until_renewed(database: Database) {
    let (bench, outcome, before) = revoked_in_the_middle(database, |_| {}).await;
    assert_eq!((outcome.state, outcome.error), (State::Failed, Some(ErrorClass::Credential)));
    let after = bench.tool.asked();
    assert!(after <= before + 8, "{} requests after it was revoked", after - before);
    let paused = bench.store().connection("github").await.unwrap().paused.expect("paused");
    assert!(paused.contains("twinflow renew github"), "{paused}");
    for _ in 0..3 {
        assert_eq!(fire(&bench).await, 1, "its schedule opens nothing");
    }
    // Whoever opens one all the same asks the tool nothing.
    assert_eq!(bench.scan().await.error, Some(ErrorClass::Credential));
    assert_eq!(bench.tool.asked(), after);

    bench.tool.accept(TOKEN);
    let setting = Setting {
        store: bench.store(),
        vault: &bench.scanner.vault,
        tenant: TENANT,
        allowed: &bench.scanner.allowed,
        now: bench.clock.now(),
    };
    let connector = twinflow_connectors::find("github").expect("a tool");
    let token = Credential::Token(TOKEN.into());
    renew(setting, &bench.connection, connector, &token, false, &mut rand::rng()).await.unwrap();
    assert_eq!(bench.store().connection("github").await.unwrap().paused, None);
    assert_eq!(fire(&bench).await, 3, "it goes on");
    assert_eq!(bench.scan().await.state, State::Complete);
    assert!(bench.log().await == bench.facts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_whose_token_was_revoked_is_asked_nothing_more_until_it_has_a_new_one() {
    is_paused_until_renewed(sqlite(&TestClock::new()).await).await;
    is_paused_until_renewed(postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_renewed_while_the_old_one_fails_is_not_paused() {
    let clock = TestClock::new();
    let database = sqlite(&clock).await;
    let (store, runtime) = (database.store.clone(), tokio::runtime::Handle::current());
    let (bench, outcome, _) = revoked_in_the_middle(database, move |_| {
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let connection = store.connection("github").await.unwrap();
                let mut another = store.sealed_credential(&connection).await.unwrap();
                *another.last_mut().unwrap() ^= 1;
                assert!(store.replace_credential(connection.id, &another).await.unwrap());
            });
        });
    })
    .await;
    assert_eq!(outcome.error, Some(ErrorClass::Credential));
    assert_eq!(bench.store().connection("github").await.unwrap().paused, None);
}
