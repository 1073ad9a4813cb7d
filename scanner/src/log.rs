//! The log, on standard error. It cannot print what was not foreseen: an event gets in if it is this program's own,
//! its message if it stands in the list of messages, a field if it stands in the list of fields and holds what is
//! written there (`log/words.rs`). What libraries would say may hold URLs, statements or headers, so they are not
//! asked; nor is what a panic carries. Text or JSON, one event is one line (`log/line.rs`).

mod line;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use line::Format;

use crate::cli::remark;
use crate::clock::Clock;
use crate::traces::Traces;
use chrono::SecondsFormat;
use line::{Said, one_line};
use std::panic::PanicHookInfo;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// What a field may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Number,
    Uuid,
    /// A word of this program's source: a tool, an operation, a state, a class of error.
    Word,
}

/// Starts the log, and the traces if they are wanted.
pub(crate) fn start(level: Level, format: Format, traces: Option<&Traces>) {
    let clock = Clock::system();
    let lines = Lines { clock: clock.clone(), format, write: |line: &str| remark(line) };
    let both =
        tracing_subscriber::registry().with(traces.map(Traces::layer)).with(lines.with_filter(ours(level)));
    // Fails only where a log was started before, as in tests; that one then goes on.
    let _ = both.try_init();
    std::panic::set_hook(Box::new(move |panic| remark(of_panic(&clock, format, panic))));
}

fn ours(level: Level) -> Targets {
    Targets::new().with_target("twinflow", level)
}

pub(crate) fn is_ours(about: &Metadata<'_>) -> bool {
    about.target() == "twinflow" || about.target().starts_with("twinflow::")
}

/// Where it happened. What a panic says may be anything that was being worked on.
fn of_panic(clock: &Clock, format: Format, panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, |it| format!(" at {}:{}", it.file(), it.line()));
    let said = Said { message: one_line(&format!("panicked{place}")), ..Said::nothing() };
    format.line(&moment(clock), Level::ERROR, "twinflow", &said)
}

fn moment(clock: &Clock) -> String {
    clock.now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

struct Lines<W> {
    clock: Clock,
    format: Format,
    write: W,
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if !is_ours(about) {
            return;
        }
        let mut said = Said::nothing();
        event.record(&mut said);
        (self.write)(&self.format.line(&moment(&self.clock), *about.level(), about.target(), &said));
    }
}
