//! The log, on standard error. It cannot print what was not foreseen: an event gets in if it is this program's own,
//! its message if it stands in [`MESSAGES`], a field if it stands in [`FIELDS`] and holds what is written there. What
//! libraries would say may hold URLs, statements or headers, so they are not asked; nor is what a panic carries.

use crate::cli::remark;
use crate::clock::Clock;
use crate::store::{State, TicketState};
use chrono::SecondsFormat;
use std::fmt::{self, Write as _};
use std::panic::PanicHookInfo;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;

/// All that is ever said.
const MESSAGES: &[&str] = &[
    "a ticket stands",
    "answered",
    "claimed",
    "panicked",
    "renewed the access",
    "sending a ticket",
    "settled",
];

/// All that it is said of.
const FIELDS: &[(&str, Holds)] = &[
    ("scan", Holds::Uuid),
    ("connection", Holds::Uuid),
    ("key", Holds::Uuid),
    ("epoch", Holds::Number),
    ("state", Holds::Word),
    ("tool", Holds::Word),
    ("operation", Holds::Word),
    ("status", Holds::Number),
    ("bytes", Holds::Number),
];

/// What a field may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Number,
    Uuid,
    /// A word of this program's source: a tool, an operation, a state.
    Word,
}

impl Holds {
    fn fits(self, text: &str) -> bool {
        match self {
            Self::Number => text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit()),
            Self::Uuid => Uuid::try_parse(text).is_ok(),
            Self::Word => is_ours(text),
        }
    }
}

fn is_ours(word: &str) -> bool {
    let asked_around = twinflow_connectors::DESKS.iter().flat_map(|desk| desk.operations());
    State::ALL.iter().any(|state| state.word() == word)
        || TicketState::ALL.iter().any(|state| state.word() == word)
        || asked_around.into_iter().any(|operation| operation.name == word)
        || twinflow_connectors::ALL.iter().map(|it| it.contract()).any(|contract| {
            contract.tool == word || contract.operations.iter().any(|operation| operation.name == word)
        })
}

/// Characters of one line.
const LONGEST: usize = 400;

pub(crate) fn start(level: Level) {
    let clock = Clock::system();
    let lines = Lines { clock: clock.clone(), write: |line: &str| remark(line) };
    // Fails only where a log was started before, as in tests; that one then goes on.
    let _ = tracing_subscriber::registry().with(ours(level)).with(lines).try_init();
    std::panic::set_hook(Box::new(move |panic| remark(of_panic(&clock, panic))));
}

fn ours(level: Level) -> Targets {
    Targets::new().with_target("twinflow", level)
}

/// Where it happened. What a panic says may be anything that was being worked on.
fn of_panic(clock: &Clock, panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, |it| format!(" at {}:{}", it.file(), it.line()));
    one_line(&format!("{} ERROR twinflow: panicked{place}", moment(clock)))
}

fn moment(clock: &Clock) -> String {
    clock.now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

struct Lines<W> {
    clock: Clock,
    write: W,
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let target = about.target();
        if target != "twinflow" && !target.starts_with("twinflow::") {
            return;
        }
        let mut said = Said { message: "(not in the list of messages)", fields: String::new() };
        event.record(&mut said);
        let line =
            format!("{} {} {target}: {}{}", moment(&self.clock), about.level(), said.message, said.fields);
        (self.write)(&one_line(&line));
    }
}

/// What of an event may be printed.
struct Said {
    message: &'static str,
    fields: String,
}

impl Said {
    fn say(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = MESSAGES.iter().find(|it| **it == value).copied().unwrap_or(self.message);
        } else if let Some((name, holds)) = FIELDS.iter().find(|(name, _)| *name == field.name()) {
            let value = if holds.fits(value) { value } else { "(withheld)" };
            let _ = write!(self.fields, " {name}={value}");
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.say(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.say(field, &format!("{value:?}"));
    }
}

/// One event, one line: nothing that could begin another, move the cursor or turn the text.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if line.len() >= LONGEST {
            break;
        } else if c.is_control() || !c.is_ascii() {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use std::sync::{Arc, Mutex};

    struct Still;

    impl crate::clock::Time for Still {
        fn now(&self) -> DateTime<chrono::Utc> {
            DateTime::UNIX_EPOCH
        }
        fn sleep(&self, _: std::time::Duration) -> futures::future::BoxFuture<'_, ()> {
            Box::pin(async {})
        }
        fn chance(&self) -> f64 {
            0.0
        }
    }

    /// What is logged at the lowest level while this runs.
    fn logged(run: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(vec![]));
        let kept = Arc::clone(&lines);
        let write = move |line: &str| kept.lock().expect("no panic").push(line.to_owned());
        let layer = Lines { clock: Clock::from(Still), write };
        let all = tracing_subscriber::registry().with(ours(Level::TRACE)).with(layer);
        tracing::subscriber::with_default(all, run);
        lines.lock().expect("no panic").clone()
    }

    const SECRET: &str = "SELECT * FROM x?token=tf_secret\r\n\u{1b}[2J\u{202e}Dear all,";

    #[test]
    fn an_event_of_ours_is_one_line_of_known_words() {
        let lines = logged(|| {
            let scan = Uuid::nil();
            tracing::info!(%scan, epoch = 3, state = "complete", operation = "issues", tool = "jira", "settled");
        });
        let scan = Uuid::nil();
        let line = format!("scan={scan} epoch=3 state=complete operation=issues tool=jira");
        assert_eq!(lines, [format!("1970-01-01T00:00:00.000Z INFO twinflow::log::tests: settled {line}")]);
    }

    #[test]
    fn nothing_unforeseen_is_printed_whoever_says_it_and_however() {
        let lines = logged(|| {
            tracing::error!("{SECRET}");
            tracing::error!(token = SECRET, "settled");
            tracing::error!(SECRET);
            tracing::warn!(scan = SECRET, state = SECRET, epoch = ?SECRET, operation = %SECRET, "claimed");
            tracing::trace!(target: "twinflow::scan", scan = ?Some(SECRET), bytes = SECRET.len(), "{SECRET}");
            tracing::trace_span!("twinflow", query = SECRET).in_scope(|| tracing::info!("claimed"));
        });
        assert_eq!(lines.len(), 6);
        for line in &lines {
            assert!(
                !line.contains("SELECT") && !line.contains("tf_secret") && !line.contains("Dear"),
                "{line}"
            );
            assert!(!line.contains(|c: char| c.is_control() || !c.is_ascii()), "{line}");
        }
        assert!(
            lines[3]
                .ends_with("claimed scan=(withheld) state=(withheld) epoch=(withheld) operation=(withheld)")
        );
    }

    #[test]
    fn libraries_are_not_heard_even_where_their_names_begin_like_ours() {
        let lines = logged(|| {
            tracing::error!(target: "sqlx::query", summary = SECRET, "settled");
            tracing::error!(target: "reqwest::connect", "{SECRET}");
            tracing::error!(target: "twinflow_elsewhere", "settled");
        });
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn a_line_is_one_line_and_no_longer_than_it_may_be() {
        let line = one_line(&SECRET.repeat(100));
        assert!(
            (LONGEST..LONGEST + 10).contains(&line.len())
                && !line.contains(|c: char| c.is_control() || !c.is_ascii())
        );
        assert_eq!(one_line("plain"), "plain");
    }
}
