//! Named points at which a fault can strike, for `just faults`. Without the feature `failpoints` each is nothing at all.
//!
//! In the order a scan meets them: `opened` (its row is committed, no bell rung yet), `rung`, `fetched` (a worker
//! has the bell), `claimed`, `refreshed` (the tool gave a new grant, it is not kept yet), `answered` (a page was
//! read, its transaction has not begun), `storing` (all of it is written, nothing committed), `kept`, `read` (no
//! page is left), `settled`. What happens there is said in FAILPOINTS: `kept=3*off->1*return(kill)` kills the
//! process after the fourth page; `return(stop)` stops it until it is told to go on, `panic` and `sleep(100)` are
//! what they say (<https://docs.rs/fail>).

/// Marks a point by its name.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        crate::failpoint::reach($name);
    };
}

pub(crate) use failpoint;

/// Does to this process what FAILPOINTS says of the point.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &str) {
    use rustix::process::Signal;
    fail::eval(name, |what| match what.as_deref() {
        Some("kill") => signal(name, Signal::KILL),
        Some("stop") => signal(name, Signal::STOP),
        Some("panic") => panic!("failpoint {name}"),
        _ => {}
    });
}

#[cfg(feature = "failpoints")]
fn signal(name: &str, signal: rustix::process::Signal) {
    use rustix::process::{getpid, kill_process};
    // Before, for a process that was killed says nothing any more.
    crate::cli::remark(format_args!("failpoint {name}"));
    let sent = kill_process(getpid(), signal);
    debug_assert!(sent.is_ok(), "a process may signal itself");
    // The kernel stops the threads one after the other; this one is not to get any further meanwhile.
    std::thread::sleep(std::time::Duration::from_millis(5));
}
