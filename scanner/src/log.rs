//! The log, on standard error. Only this program's own words get in: what libraries would say may hold URLs,
//! statements or headers, so they are not asked.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub(crate) fn start(level: tracing::Level) {
    let ours = Targets::new().with_target("twinflow", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // Fails only where a log was started before, as in tests; that one then goes on.
    let _ = tracing_subscriber::registry().with(ours).with(lines).try_init();
}
