//! A census of a stream: which of its cases the tool still shows. What it no longer shows was deleted, moved away or
//! hidden, and is noted as gone, but only by a census that was whole and shows most of what is known.

use super::{End, Failure, Follower, Turn};
use crate::scan::spans;
use crate::scan::watch::Doing;
use crate::store::{CensusEnd, CensusPage, FollowedStream};
use chrono::TimeDelta;
use tracing::Instrument as _;
use twinflow_connectors::Sweep;

/// One that was cut short goes on for so long: then its page tokens may have died, and it is begun anew.
const KEEPS: TimeDelta = TimeDelta::days(1);

impl Follower<'_> {
    /// Counts the stream's cases, if it is time to; its changes have been read to their end.
    pub(in crate::scan) async fn take_census(&mut self, followed: &FollowedStream) -> End {
        let census = match self.due(followed).await {
            Ok(Some(census)) => census,
            Ok(None) => return End::Complete,
            Err(end) => return self.ended(end).await,
        };
        let span = spans::census(self.tool());
        self.take(census).instrument(span).await
    }

    async fn take(&mut self, census: Sweep) -> End {
        self.counting = true;
        self.progress.now = Doing::Reading;
        self.seen = Default::default();
        let end = match self.census(census).await {
            // What happened has been read all the same.
            Err(End::Failed(_, why)) => End::Partial(vec![format!("its cases could not be counted: {why}")]),
            Ok(end) | Err(end) => end,
        };
        self.ended(end).await
    }

    /// The census to take now: the one that was cut short, or a fresh one when the last is old enough. The sweep that
    /// was a stream's first has shown everything as well as any census.
    async fn due(&self, followed: &FollowedStream) -> Result<Option<Sweep>, End> {
        let now = self.scanner.clock.now();
        let Some(fresh) = self.fresh_census() else { return Ok(None) };
        if let Some(cut) = &followed.census {
            return Ok(Some(if now - cut.began < KEEPS { cut.clone() } else { fresh }));
        }
        if followed.census_at.is_none() {
            let (claim, stream) = (self.claim, self.stream.name.as_str());
            self.stored(|| self.scanner.store.await_census(claim, stream, now)).await?;
        }
        let last = followed.census_at.unwrap_or(now);
        Ok((now - last >= self.scanner.census_every).then_some(fresh))
    }

    pub(super) fn fresh_census(&self) -> Option<Sweep> {
        self.connector.census(&self.stream, self.scanner.clock.now())
    }

    /// The loop, as that of a sweep: the next page is fetched while this one is stored.
    async fn census(&mut self, mut census: Sweep) -> Result<End, End> {
        let mut fetched = self.turn_unless_done(&census).await?;
        while let Some(turn) = fetched {
            census = turn.page.next.clone();
            let (kept, following) = {
                let this = &*self;
                tokio::join!(this.keep_census(&turn), this.turn_unless_done(&census))
            };
            kept?;
            self.kept(0, &turn, vec![]);
            self.seen.notice(&turn.page).map_err(|failure: Failure| self.end_of(&failure, 1, 0))?;
            fetched = following?;
        }
        let (claim, stream) = (self.claim, self.stream.name.as_str());
        let end = self.stored(|| self.scanner.store.end_census(claim, stream, census.began)).await?;
        Ok(self.counted(end))
    }

    async fn keep_census(&self, turn: &Turn) -> Result<(), End> {
        let page = CensusPage {
            stream: &self.stream.name,
            census: &turn.page.next,
            present: &turn.page.present,
            asked: &turn.cost.asked,
            waited: turn.cost.waited,
        };
        self.stored(|| self.scanner.store.keep_census(self.claim, &page)).await
    }

    /// Nobody deletes most of the work there is; a permission is likelier gone.
    fn counted(&mut self, end: CensusEnd) -> End {
        match end {
            CensusEnd::Gone(gone) => {
                tracing::info!(stream = %self.stream.name, gone, "counted");
                End::Complete
            }
            CensusEnd::NoneShown => End::SuspiciousEmpty,
            CensusEnd::MostMissing { missing, known } => End::Partial(vec![format!(
                "{missing} of its {known} cases are no longer shown, and none of them was noted as gone; check what the \
                 credential may still see"
            )]),
        }
    }
}
