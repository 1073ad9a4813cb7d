//! Where time and chance come from. Everything that needs them takes a [`Clock`]; tests hand in their own, on
//! which waiting takes no time.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
pub struct Clock(Arc<dyn Time>);

/// A source of time and chance.
pub trait Time: Send + Sync {
    fn now(&self) -> DateTime<Utc>;
    fn sleep(&self, wait: Duration) -> BoxFuture<'_, ()>;
    /// From 0 to 1.
    fn chance(&self) -> f64;
}

struct System;

impl Time for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep(&self, wait: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(wait))
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}

impl Clock {
    pub fn system() -> Self {
        Self(Arc::new(System))
    }

    pub fn from(time: impl Time + 'static) -> Self {
        Self(Arc::new(time))
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    pub async fn sleep(&self, wait: Duration) {
        self.0.sleep(wait).await;
    }

    pub fn chance(&self) -> f64 {
        self.0.chance()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
