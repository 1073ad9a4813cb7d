//! What can stop a page, and the one place that decides what happens then: [`Failure::verdict`].

use super::egress::SendError;
use crate::store::{ErrorClass, StoreError};
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;
use twinflow_connectors::{ReadError, Refusal, Undeclared, Wait};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The tool said no.
    #[error("{}", no(.0))]
    Refused(Refusal),
    /// What is left of the tool's limit is meant for others.
    #[error("only the reserve is left of the tool's limit")]
    Reserve(Wait),
    /// The tool's answer could not be understood.
    #[error("{0}")]
    Unreadable(#[from] ReadError),
    /// The request did not get through, or was not let out.
    #[error("{0}")]
    Unsent(#[from] SendError),
    /// The question itself is wrong.
    #[error("{0}")]
    Undeclared(#[from] Undeclared),
    /// The access has run out and could not be renewed for now.
    #[error("{0}")]
    NotRenewed(String),
    /// The access has run out, and a person has to see to it.
    #[error("{0}")]
    Lapsed(String),
    /// The tool sends the same page again and again.
    #[error("the tool sends the same page again and again")]
    Loop,
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// What happens after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask for the same page again.
    Again { after: Duration, why: String },
    /// Renew the access, then ask for the same page again.
    Renew,
    /// Ask for half as much.
    Smaller { after: Duration, why: String },
    /// The page token died: begin the sweep again from what it had reached.
    StartOver { why: String },
    /// Come back later; the wait is too long to sit out.
    Defer { until: DateTime<Utc>, why: String },
    /// Leave this stream, go on with the others.
    GiveUp { why: String },
    /// Nothing of this connection can be read until a person acts.
    Stop { why: String },
    /// This worker's claim is over; whoever holds it now goes on.
    Yield,
}

/// What a decision depends on besides the failure itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Failures of this page in a row, this one included.
    pub tries: u32,
    pub now: DateTime<Utc>,
    /// The longest wait that is sat out.
    pub patience: Duration,
    /// From 0 to 1, so that workers which failed together do not come back together.
    pub jitter: f64,
    /// How often the page was halved already.
    pub halved: u8,
    /// Whether there is an access that can be renewed, and this page has not been tried with a new one yet.
    pub renewable: bool,
}

/// Tries of one page before its stream is left.
pub const TRIES: u32 = 5;
/// Times a page is halved before its size is no longer blamed.
const HALVINGS: u8 = 4;
/// What an unsaid wait is taken for (GitHub: at least a minute, then longer).
const UNSAID: Duration = Duration::from_secs(60);
/// No tool means longer than this; a wait beyond it is a mistake or an attack.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Failure {
    /// The kind of it, whatever its verdict.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Refused(Refusal::SlowDown(_)) | Self::Reserve(_) => ErrorClass::Quota,
            Self::Refused(Refusal::Unauthorised) | Self::Lapsed(_) => ErrorClass::Credential,
            Self::Refused(Refusal::Forbidden | Refusal::Gone) => ErrorClass::Permission,
            Self::Refused(Refusal::TooMuch | Refusal::Trouble(_)) | Self::NotRenewed(_) => {
                ErrorClass::Unavailable
            }
            Self::Unsent(SendError::BadCredential) => ErrorClass::Credential,
            Self::Unsent(error) if error.is_passing() => ErrorClass::Unavailable,
            Self::Unsent(_) => ErrorClass::Settings,
            Self::Refused(Refusal::Rejected) | Self::Unreadable(_) | Self::Undeclared(_) | Self::Loop => {
                ErrorClass::Unreadable
            }
            Self::Store(_) => ErrorClass::Database,
        }
    }

    pub fn verdict(&self, at: Circumstances) -> Verdict {
        match self {
            Self::Refused(refusal) => refused(refusal, at),
            Self::Reserve(resets) => reserved(*resets, at),
            // A cut or garbled answer may come whole the next time.
            Self::Unreadable(error) => again_or(at, format!("the answer could not be read: {error}")),
            // Less may be told in time, and fits.
            Self::Unsent(error @ (SendError::TooBig(_) | SendError::TimedOut(_)))
                if at.halved < HALVINGS && at.tries < TRIES =>
            {
                Verdict::Smaller { after: backoff(at), why: error.to_string() }
            }
            Self::Unsent(error) if error.is_passing() => again_or(at, error.to_string()),
            Self::Unsent(error) => Verdict::Stop { why: error.to_string() },
            Self::NotRenewed(why) => again_or(at, why.clone()),
            Self::Lapsed(why) => Verdict::Stop { why: why.clone() },
            Self::Undeclared(error) => Verdict::GiveUp { why: error.to_string() },
            Self::Loop => Verdict::GiveUp {
                why: "the tool sends the same page again and again; the next scan tries from there".into(),
            },
            Self::Store(StoreError::Fenced) => Verdict::Yield,
            Self::Store(error @ StoreError::Busy(_)) => again_or(at, error.to_string()),
            Self::Store(error) => Verdict::Stop { why: error.to_string() },
        }
    }
}

fn refused(refusal: &Refusal, at: Circumstances) -> Verdict {
    match refusal {
        Refusal::SlowDown(wait) => slow_down(*wait, at),
        Refusal::Unauthorised if at.renewable => Verdict::Renew,
        Refusal::Unauthorised => Verdict::Stop {
            why: "the tool no longer accepts the credential; give it a new one with `twinflow renew`".into(),
        },
        Refusal::Forbidden => Verdict::GiveUp {
            why: "the credential may not read it; give it the scopes that `twinflow contract` lists".into(),
        },
        Refusal::Gone => Verdict::GiveUp {
            why: "the tool does not know it, or hides it from this credential; check its name and the credential's access".into(),
        },
        Refusal::TooMuch if at.halved < HALVINGS && at.tries < TRIES => {
            Verdict::Smaller { after: backoff(at), why: no(refusal) }
        }
        // An expired page token first; a question the tool will never accept shows by failing again.
        Refusal::Rejected if at.tries == 1 => Verdict::StartOver { why: no(refusal) },
        Refusal::Rejected => Verdict::GiveUp {
            why: "the tool does not accept the question; it may be of a version this program does not know".into(),
        },
        Refusal::TooMuch | Refusal::Trouble(_) => again_or(at, no(refusal)),
    }
}

/// A limit that does not say when it starts anew is one of a day that rolls on: an hour brings some of it back.
fn reserved(resets: Wait, at: Circumstances) -> Verdict {
    let resets = if resets == Wait::Unsaid { Wait::For(UNSAID * 60) } else { resets };
    match slow_down(resets, at) {
        Verdict::Again { after, .. } => {
            Verdict::Again { after, why: "the rest of the tool's limit is left to others".into() }
        }
        Verdict::Defer { until, .. } => {
            let shown = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            Verdict::Defer {
                until,
                why: format!(
                    "until {shown} the rest of the tool's limit is left to others; --reserve says how much"
                ),
            }
        }
        other => other,
    }
}

fn slow_down(wait: Wait, at: Circumstances) -> Verdict {
    let asked = match wait {
        Wait::For(wait) => wait,
        // Clocks differ by a second or two.
        Wait::Until(moment) => (moment - at.now).to_std().unwrap_or_default() + Duration::from_secs(2),
        Wait::Unsaid => UNSAID * 2_u32.saturating_pow(at.tries.saturating_sub(1)),
    };
    // Never a busy loop, never for ever.
    let wait = asked.clamp(Duration::from_secs(1), LONGEST);
    if wait > at.patience || at.tries > TRIES {
        let until = at.now + wait;
        let why =
            format!("the tool's limit is used up until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true));
        return Verdict::Defer { until, why };
    }
    Verdict::Again { after: wait, why: "the tool asks to slow down".into() }
}

fn again_or(at: Circumstances, why: String) -> Verdict {
    if at.tries < TRIES {
        Verdict::Again { after: backoff(at), why }
    } else {
        Verdict::GiveUp {
            why: format!("{why} ({TRIES} tries); what was read before is kept, scan again later"),
        }
    }
}

/// Half a second, doubled each time, up to a minute; the upper half of it by chance.
fn backoff(at: Circumstances) -> Duration {
    let full = Duration::from_millis(500) * 2_u32.saturating_pow(at.tries.saturating_sub(1));
    let full = full.min(Duration::from_secs(60));
    full.mul_f64(0.5 + at.jitter.clamp(0.0, 1.0) / 2.0)
}

fn no(refusal: &Refusal) -> String {
    match refusal {
        Refusal::SlowDown(_) => "the tool asks to slow down".into(),
        Refusal::Unauthorised => "the tool does not accept the credential".into(),
        Refusal::Forbidden => "the credential may not read this".into(),
        Refusal::Gone => "the tool does not know this, or hides it from the credential".into(),
        Refusal::TooMuch => "the question took the tool too long".into(),
        Refusal::Rejected => "the tool does not accept the question".into(),
        Refusal::Trouble(200) => "the tool left a part of its answer out".into(),
        Refusal::Trouble(status) => format!("the tool is in trouble (HTTP {status})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn first() -> Circumstances {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        Circumstances {
            tries: 1,
            now,
            patience: Duration::from_secs(300),
            jitter: 1.0,
            halved: 0,
            renewable: false,
        }
    }

    fn after(verdict: &Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Again { after, .. } => Some(*after),
            _ => None,
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_and_a_longer_one_is_deferred() {
        let wait = |seconds| Failure::Refused(Refusal::SlowDown(Wait::For(Duration::from_secs(seconds))));
        assert_eq!(after(&wait(17).verdict(first())), Some(Duration::from_secs(17)));
        assert_eq!(after(&wait(0).verdict(first())), Some(Duration::from_secs(1)), "never a busy loop");
        let until = first().now + Duration::from_secs(3600);
        assert!(matches!(wait(3600).verdict(first()), Verdict::Defer { until: u, .. } if u == until));
    }

    #[test]
    fn an_absurd_wait_is_cut_to_a_day() {
        let far = Failure::Refused(Refusal::SlowDown(Wait::For(Duration::from_secs(u64::MAX / 4))));
        let tomorrow = first().now + LONGEST;
        assert!(matches!(far.verdict(first()), Verdict::Defer { until, .. } if until == tomorrow));
        let past = Failure::Refused(Refusal::SlowDown(Wait::Until(DateTime::UNIX_EPOCH)));
        assert_eq!(after(&past.verdict(first())), Some(Duration::from_secs(2)));
    }

    #[test]
    fn an_unsaid_wait_is_a_minute_and_doubles() {
        let unsaid = Failure::Refused(Refusal::SlowDown(Wait::Unsaid));
        let waits = [1, 2, 3].map(|tries| after(&unsaid.verdict(Circumstances { tries, ..first() })));
        assert_eq!(waits, [60, 120, 240].map(|seconds| Some(Duration::from_secs(seconds))));
    }

    #[test]
    fn what_is_left_to_others_is_waited_for_until_the_limit_starts_anew() {
        let soon = Failure::Reserve(Wait::For(Duration::from_secs(20)));
        assert_eq!(after(&soon.verdict(first())), Some(Duration::from_secs(20)));
        let until = first().now + Duration::from_secs(3600);
        let unsaid = Failure::Reserve(Wait::Unsaid).verdict(first());
        assert!(matches!(unsaid, Verdict::Defer { until: u, .. } if u == until));
    }

    #[test]
    fn trouble_is_tried_again_with_growing_pauses_and_then_given_up() {
        let trouble = Failure::Refused(Refusal::Trouble(503));
        let waits = [1, 2, 3].map(|tries| after(&trouble.verdict(Circumstances { tries, ..first() })));
        assert_eq!(waits, [500, 1000, 2000].map(|millis| Some(Duration::from_millis(millis))));
        let last = trouble.verdict(Circumstances { tries: TRIES, ..first() });
        assert!(matches!(last, Verdict::GiveUp { .. }));
    }

    #[test]
    fn a_refused_question_starts_over_once_and_is_then_given_up() {
        let rejected = Failure::Refused(Refusal::Rejected);
        assert!(matches!(rejected.verdict(first()), Verdict::StartOver { .. }));
        let again = rejected.verdict(Circumstances { tries: 2, ..first() });
        assert!(matches!(again, Verdict::GiveUp { .. }));
    }

    #[test]
    fn an_access_that_ran_out_is_renewed_once_and_then_the_connection_stops() {
        let unauthorised = Failure::Refused(Refusal::Unauthorised);
        assert_eq!(unauthorised.verdict(Circumstances { renewable: true, ..first() }), Verdict::Renew);
        assert!(matches!(unauthorised.verdict(first()), Verdict::Stop { .. }));
        let not_now = Failure::NotRenewed("away".into());
        assert!(matches!(not_now.verdict(first()), Verdict::Again { .. }));
        assert!(matches!(not_now.verdict(Circumstances { tries: TRIES, ..first() }), Verdict::GiveUp { .. }));
        assert!(matches!(Failure::Lapsed("over".into()).verdict(first()), Verdict::Stop { .. }));
    }

    #[test]
    fn a_dead_credential_stops_the_connection_and_a_lost_stream_only_itself() {
        assert!(matches!(Failure::Refused(Refusal::Unauthorised).verdict(first()), Verdict::Stop { .. }));
        assert!(matches!(Failure::Refused(Refusal::Gone).verdict(first()), Verdict::GiveUp { .. }));
        assert_eq!(Failure::Store(StoreError::Fenced).verdict(first()), Verdict::Yield);
    }
}
