//! Bound (a): the scan's requests through the scan's egress, read by the connector, and dropped.

use super::scan::allowed;
use crate::job::{Figures, Job, measured};
use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use twinflow::clock::Clock;
use twinflow::scan::egress::{Bounds, Egress};
use twinflow_connectors::{Connector, Cursor, Page};

pub(crate) async fn run(job: &Job) -> Result<Figures> {
    let (egress, connector) = way_out(job)?;
    let (counted, figures) = measured(everything(job, &egress, connector, drop)).await?;
    let Figures { pages, requests, bytes, cases, events, .. } = counted;
    Ok(Figures { pages, requests, bytes, cases, events, ..figures })
}

pub(super) fn way_out(job: &Job) -> Result<(Egress, &'static dyn Connector)> {
    let connector = job.connector()?;
    let contract = connector.contract();
    let pin = allowed(job)?.pin(&job.url, contract)?;
    Ok((Egress::new(contract, pin, job.credential()?.authorization(), Bounds::default())?, connector))
}

/// Hands over every page of every stream, and says how much there was.
pub(super) async fn everything(
    job: &Job,
    egress: &Egress,
    connector: &'static dyn Connector,
    take: impl Fn(Page) + Copy,
) -> Result<Figures> {
    let streams = stream::iter(&job.streams).map(|name| one(egress, connector, name, take));
    let each: Vec<Figures> = streams.buffer_unordered(job.side_by_side).try_collect().await?;
    Ok(each.into_iter().fold(Figures::default(), |sum, it| Figures {
        pages: sum.pages + it.pages,
        requests: sum.requests + it.requests,
        bytes: sum.bytes + it.bytes,
        cases: sum.cases + it.cases,
        events: sum.events + it.events,
        ..sum
    }))
}

async fn one(
    egress: &Egress,
    connector: &'static dyn Connector,
    name: &str,
    take: impl Fn(Page),
) -> Result<Figures> {
    let stream = connector.stream(name)?;
    let mut sweep = connector.begin(&stream, &Cursor::default(), Clock::system().now());
    let mut count = Figures::default();
    while !sweep.is_done() {
        let asked = connector.ask(&stream, &sweep)?;
        let answers = future::try_join_all(asked.iter().map(|request| egress.send(request))).await?;
        ensure!(answers.iter().all(|answer| connector.refusal(answer).is_none()), "the tool refused");
        let page = connector.read(&stream, &sweep, &answers)?;
        count.pages += 1;
        count.requests += asked.len() as u64;
        count.bytes += answers.iter().map(|answer| answer.bytes() as u64).sum::<u64>();
        count.cases += page.cases.len() as u64;
        count.events += (page.events.len() + page.revised.len()) as u64;
        sweep = page.next.clone();
        take(page);
    }
    Ok(count)
}
