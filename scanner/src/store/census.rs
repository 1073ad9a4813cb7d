//! A census as it is kept: which cases a tool still shows, and what follows for those it does not.

use super::{Asked, Claim, Result};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::Duration;
use twinflow_connectors::{Activity, Event, Opaque, Sweep};

/// A part of [`Store`](super::Store). Every method is one transaction, behind the claim's epoch.
#[async_trait]
pub trait Census {
    /// Notes since when the next census of a stream is waited for, unless there was one.
    async fn await_census(&self, claim: &Claim, stream: &str, since: DateTime<Utc>) -> Result<()>;
    /// Keeps a page of a census: which cases it shows, and where it goes on.
    async fn keep_census(&self, claim: &Claim, page: &CensusPage<'_>) -> Result<()>;
    /// Ends a census that has shown all there is. The stream's cases that were not seen since it began are gone from
    /// then on, and an event says so; unless they are so many that a permission is likelier gone.
    async fn end_census(&self, claim: &Claim, stream: &str, began: DateTime<Utc>) -> Result<CensusEnd>;
}

/// A page of a census on its way in.
#[derive(Clone, Debug)]
pub struct CensusPage<'a> {
    pub stream: &'a str,
    /// Where it goes on.
    pub census: &'a Sweep,
    pub present: &'a [Opaque],
    pub asked: &'a Asked,
    pub waited: Duration,
}

/// What a census came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CensusEnd {
    /// So many are gone since the last one.
    Gone(u64),
    /// It showed none of the cases that are known; nothing was noted.
    NoneShown,
    /// It did not show more than half of them; nothing was noted.
    MostMissing { missing: u64, known: u64 },
}

impl CensusEnd {
    /// What it comes to that so many of the known cases were not shown.
    pub(super) fn of(missing: u64, known: u64) -> Self {
        if missing > 0 && missing == known {
            Self::NoneShown
        } else if missing * 2 > known {
            Self::MostMissing { missing, known }
        } else {
            Self::Gone(missing)
        }
    }
}

/// A case that a tool no longer shows (`deleted`) since a census, or shows again (`restored`). Nobody is known to have
/// done it. The census is part of what it is known by, so that a case may vanish and come back more than once.
pub(super) fn noticed(case: Opaque, activity: Activity, census: DateTime<Utc>, at: DateTime<Utc>) -> Event {
    let source = Opaque::new(format!("census:{}:{case}", census.timestamp()));
    // An id that is too long for that is its own.
    let source = source.unwrap_or_else(|| case.clone());
    Event { case, activity, resource: None, at, from: None, to: None, source, turn: 0 }
}
