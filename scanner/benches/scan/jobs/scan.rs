//! The real scan, as `twinflow scan` runs it, of a connection made a moment ago.

use crate::database::Place;
use crate::job::{Figures, Job, measured};
use anyhow::{Context as _, Result, ensure};
use std::sync::Arc;
use std::time::Duration;
use twinflow::clock::Clock;
use twinflow::connect::{NewConnection, Setting, add};
use twinflow::scan::egress::{Allowed, Bounds};
use twinflow::scan::watch::{Nobody, StopCord};
use twinflow::scan::{CENSUS_EVERY, Scanner};
use twinflow::store::{self, State, Store, random_id};
use twinflow_vault::{KeySet, Vault};
use url::Url;
use uuid::Uuid;

const TENANT: Uuid = Uuid::from_u128(0xbe);

pub(crate) async fn run(job: &Job) -> Result<Figures> {
    let scanner = scanner(job).await?;
    let setting = Setting {
        store: &*scanner.store,
        vault: &scanner.vault,
        tenant: scanner.tenant,
        allowed: &scanner.allowed,
        now: scanner.clock.now(),
    };
    let new = NewConnection {
        connector: job.connector()?,
        name: &job.tool,
        base_url: &job.url,
        streams: &job.streams,
        credential: &job.credential()?,
        accept_broad: false,
        pseudonymise: Default::default(),
    };
    let connection = add(setting, new, &mut rand::rng()).await?;
    let id = scanner.store.open_scan(connection.id, random_id(&mut rand::rng())).await?;
    let (outcome, figures) = measured(async { Ok(scanner.run(id).await?) }).await?;
    ensure!(outcome.is_some_and(|it| it.state == State::Complete), "the scan is not complete");
    let scan = scanner.store.scan(id).await?.context("no such scan")?;
    let streams = scanner.store.scanned(id).await?;
    let bytes = streams.iter().flat_map(|it| it.ledger.asked.values()).map(|amount| amount.bytes).sum();
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(Figures {
        pages: count(scan.pages),
        requests: count(scan.requests),
        bytes,
        cases: count(scan.cases),
        events: count(scan.events_new),
        ..figures
    })
}

async fn scanner(job: &Job) -> Result<Scanner> {
    let clock = Clock::system();
    let keys = KeySet::generate(&mut rand::rng())?;
    Ok(Scanner {
        store: open(job, clock.clone()).await?,
        vault: Arc::new(Vault::new(keys)),
        tenant: TENANT,
        allowed: allowed(job)?,
        clock,
        watch: Arc::new(Nobody),
        stop: StopCord::default(),
        owner: "a benchmark".to_owned(),
        takeover: false,
        bounds: Bounds::default(),
        streams_side_by_side: job.side_by_side,
        patience: Duration::from_secs(300),
        // The pretend tools tell of limits that do not run out, but are soon used up by one run after another.
        reserve: 0,
        census_every: CENSUS_EVERY,
        lease: Duration::from_secs(60),
        anyway: false,
        background: None,
    })
}

async fn open(job: &Job, clock: Clock) -> Result<Arc<dyn Store>> {
    Ok(match job.database.as_ref().context("no database")? {
        Place::File(path) => store::open_embedded(path.as_ref(), TENANT, clock).await?,
        Place::Server(url) => store::open_server(url, TENANT).await?,
    })
}

pub(super) fn allowed(job: &Job) -> Result<Allowed> {
    Ok(Allowed::default().and(&Url::parse(&job.url)?.origin().ascii_serialization())?)
}
