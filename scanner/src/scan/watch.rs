//! Who looks on while a scan runs, and how it is told to stop.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use tokio::sync::watch;

/// What a stream has come to so far in this scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub cases: u64,
    pub events: u64,
    pub new: u64,
    pub pages: u64,
    pub requests: u64,
    pub now: Doing,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    #[default]
    Reading,
    Waiting {
        until: DateTime<Utc>,
        why: String,
    },
    /// In one word, and why unless it is complete.
    Ended {
        word: &'static str,
        why: String,
    },
}

pub trait Watch: Send + Sync {
    fn progress(&self, connection: &str, stream: &str, progress: &Progress);
}

/// Looks away.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Watch for Nobody {
    fn progress(&self, _: &str, _: &str, _: &Progress) {}
}

/// Pulled once, heard everywhere: scans stop after the page that is being kept, and can be resumed.
#[derive(Clone, Debug)]
pub struct StopCord(Arc<watch::Sender<bool>>);

impl Default for StopCord {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl StopCord {
    pub fn pull(&self) {
        self.0.send_replace(true);
    }

    pub fn is_pulled(&self) -> bool {
        *self.0.borrow()
    }

    pub async fn pulled(&self) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|pulled| *pulled).await;
    }
}
