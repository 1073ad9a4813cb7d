//! How far a first sweep has come and when it will be through, of a tool that says how many cases there are. A tool may
//! say anything: nothing depends on it but what is shown to who looks on.

use chrono::{DateTime, TimeDelta, Utc};
use twinflow_connectors::Page;

/// Of one page alone a pace cannot be told: it took the time of getting under way, too.
const PAGES: u64 = 2;
/// What is farther off is not foretold.
const HORIZON: TimeDelta = TimeDelta::days(30);

#[derive(Default)]
pub(super) struct Pace {
    /// When this reading of the sweep began, and what it has read since.
    began: DateTime<Utc>,
    pages: u64,
    cases: u64,
    /// Cases of the sweep, also those read before it was cut short.
    seen: u64,
    total: Option<u64>,
}

impl Pace {
    pub(super) fn since(began: DateTime<Utc>) -> Self {
        Self { began, ..Self::default() }
    }

    pub(super) fn read(&mut self, page: &Page) {
        self.pages += 1;
        self.cases += page.cases.len() as u64;
        self.seen = page.next.cases;
        // Not every page brings a list; and what is read to its end is no part of anything.
        self.total = page.total.or(self.total).filter(|_| !page.next.is_done());
    }

    /// Cases read, of how many; nothing where there are more already than the tool says there are.
    pub(super) fn far(&self) -> Option<(u64, u64)> {
        self.total.filter(|total| *total >= self.seen).map(|total| (self.seen, total))
    }

    /// When all will be read, if it goes on as it went so far.
    pub(super) fn ends(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (seen, total) = self.far().filter(|_| self.pages >= PAGES)?;
        let (took, rest) = (i128::from((now - self.began).num_milliseconds()), i128::from(total - seen));
        let left = (took * rest).checked_div(self.cases.into())?;
        let left = i64::try_from(left).ok().and_then(TimeDelta::try_milliseconds)?;
        (TimeDelta::zero() < left && left <= HORIZON).then(|| now + left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(12)
    }

    /// After 200 cases in 20 seconds.
    fn pace(pages: u64, seen: u64, total: Option<u64>) -> Option<i64> {
        let pace = Pace { began: noon() - TimeDelta::seconds(20), pages, cases: 200, seen, total };
        pace.ends(noon()).map(|ends| (ends - noon()).num_seconds())
    }

    #[test]
    fn what_is_left_takes_as_long_by_the_case_as_what_was_read() {
        assert_eq!(pace(2, 200, Some(1_000)), Some(80));
        assert_eq!(pace(9, 800, Some(1_000)), Some(20), "600 of them were read before it was cut short");
    }

    #[test]
    fn one_page_makes_no_pace() {
        assert_eq!(pace(1, 200, Some(1_000)), None);
    }

    #[test]
    fn a_total_that_cannot_be_foretells_nothing() {
        for total in [None, Some(0), Some(199), Some(200), Some(u64::MAX), Some(300_000_000)] {
            assert_eq!(pace(2, 200, total), None, "{total:?}");
        }
        let idle = Pace { cases: 0, ..Pace { pages: 9, total: Some(10), ..Pace::since(noon()) } };
        assert_eq!(idle.ends(noon() + TimeDelta::seconds(1)), None);
        let clock_set_back = Pace { pages: 2, cases: 5, seen: 5, total: Some(10), began: noon() };
        assert_eq!(clock_set_back.ends(noon() - TimeDelta::seconds(1)), None);
    }
}
