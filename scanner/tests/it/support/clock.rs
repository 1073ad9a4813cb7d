//! A clock that stands still, unless it is moved or somebody waits on it.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use twinflow::clock::{Clock, Time};

#[derive(Clone)]
pub(crate) struct TestClock(Arc<Mutex<(DateTime<Utc>, Vec<Duration>)>>);

impl TestClock {
    /// Noon of a Monday.
    pub(crate) fn new() -> Self {
        let noon = DateTime::parse_from_rfc3339("2026-11-16T12:00:00Z").expect("a time").to_utc();
        Self(Arc::new(Mutex::new((noon, vec![]))))
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock::from(self.clone())
    }

    pub(crate) fn forward(&self, by: TimeDelta) {
        self.0.lock().unwrap().0 += by;
    }

    /// The waits that were sat out, in their order.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.0.lock().unwrap().1.clone()
    }
}

impl Time for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().0
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'_, ()> {
        let mut inner = self.0.lock().unwrap();
        inner.0 += wait;
        inner.1.push(wait);
        Box::pin(tokio::task::yield_now())
    }

    fn chance(&self) -> f64 {
        0.5
    }
}
