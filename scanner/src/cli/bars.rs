//! A progress bar per stream, on a terminal; a line per stream when it has ended, elsewhere. `scans watch` draws them, too.

use super::format;
use crate::scan::watch::{Doing, Progress, Watch};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) struct Bars {
    all: MultiProgress,
    bars: Mutex<HashMap<(String, String), ProgressBar>>,
    terminal: bool,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self { all: MultiProgress::new(), bars: Mutex::default(), terminal: std::io::stderr().is_terminal() }
    }

    /// On standard output, if that is a terminal.
    pub(crate) fn of_output() -> Option<Self> {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        std::io::stdout().is_terminal().then(|| Self { all, bars: Mutex::default(), terminal: true })
    }

    /// Puts this text beside a stream.
    pub(crate) fn draw(&self, connection: &str, stream: &str, line: String, ended: bool) {
        let bar = self.bar(connection, stream);
        if ended { bar.finish_with_message(line) } else { bar.set_message(line) }
    }

    fn bar(&self, connection: &str, stream: &str) -> ProgressBar {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry((connection.to_owned(), stream.to_owned())).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {prefix:24!} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(format!("{connection} {stream}"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.clone()
    }
}

impl Watch for Bars {
    fn progress(&self, connection: &str, stream: &str, progress: &Progress) {
        let line = line(progress);
        let ended = matches!(progress.now, Doing::Ended { .. });
        if !self.terminal {
            if ended {
                format::remark(format_args!("{connection} {stream}: {line}"));
            }
            return;
        }
        self.draw(connection, stream, line, ended);
    }
}

fn line(progress: &Progress) -> String {
    let Progress { cases, events, pages, requests, .. } = progress;
    let counts = format!("{cases:>6} cases {events:>7} events {pages:>4} pages {requests:>4} requests");
    match &progress.now {
        Doing::Reading => counts,
        Doing::Waiting { until, why } => {
            format!("{counts}  waiting until {}: {why}", until.format("%H:%M:%S UTC"))
        }
        Doing::Ended { word, why } if why.is_empty() => format!("{counts}  {word}"),
        Doing::Ended { word, why } => format!("{counts}  {word}: {why}"),
    }
}
