//! A backfill: what changed in a stretch of time is read again, beside the scans that follow the stream. How far those
//! have come is not touched.

use super::{End, Follower};
use crate::store::Backfill;
use twinflow_connectors::{Cursor, Place, Sweep};

impl Follower<'_> {
    /// From where the backfill was left, if it was cut short.
    pub(super) async fn read_again(&mut self, window: Backfill) -> Result<End, End> {
        let store = &self.scanner.store;
        let left = self.stored(|| store.backfilled(self.claim.scan, &self.stream.name)).await?;
        let from = Cursor { mark: Some(window.since), ..Cursor::default() };
        match left {
            // Read to its end before the scan was cut short in another stream.
            Some(left) if left.sweep.is_none() => self.whole_or_partial().await,
            left => self.read_on(left.unwrap_or(from), 0).await,
        }
    }

    /// The sweep, its lists closed once they have come past the end of what is to be read again. What belongs to pages
    /// that were read is still asked for.
    pub(super) fn bounded(&self, mut sweep: Sweep) -> Sweep {
        let upto = self.claim.backfill.and_then(|window| window.upto);
        if upto.zip(sweep.reached).is_some_and(|(upto, reached)| reached > upto) {
            sweep.windows.iter_mut().for_each(|window| window.page = Place::End);
        }
        sweep
    }
}
