//! What becomes in the background of a scan that came to an end: it waits and goes on by itself where that makes sense.

use crate::store::{ErrorClass, Outcome, State};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// How often a scan that fails as a whole is tried again by itself.
pub const RETRIES: i64 = 5;

/// What a worker settles a scan with.
pub fn after(outcome: Outcome, tries: i64, now: DateTime<Utc>, chance: f64) -> Outcome {
    let state = match (outcome.state, outcome.error) {
        (State::Deferred, _) => State::Waiting,
        (State::Failed, Some(error)) if may_pass(error) && tries < RETRIES => State::Waiting,
        (state, _) => state,
    };
    let until = match state {
        State::Waiting => outcome.until.or_else(|| Some(now + pause(tries, chance))),
        _ => outcome.until,
    };
    Outcome { state, until, ..outcome }
}

/// Whether the same scan may do better later although nobody does anything.
const fn may_pass(error: ErrorClass) -> bool {
    match error {
        ErrorClass::Unavailable | ErrorClass::Unreadable | ErrorClass::Database | ErrorClass::Quota => true,
        ErrorClass::Credential
        | ErrorClass::Permission
        | ErrorClass::Settings
        | ErrorClass::Crash
        | ErrorClass::Incomplete
        | ErrorClass::Empty => false,
    }
}

/// Half a minute, four times as long each time, up to an hour; the upper half of it by chance, so that many that fail
/// together do not come back together.
pub fn pause(tries: i64, chance: f64) -> TimeDelta {
    let full = (0..tries.clamp(0, 10)).fold(Duration::from_secs(30), |pause, _| pause * 4);
    let full = full.min(Duration::from_secs(3600));
    TimeDelta::from_std(full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)).unwrap_or(TimeDelta::hours(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn ended(state: State, error: Option<ErrorClass>) -> Outcome {
        Outcome { state, reasons: vec!["why".into()], until: None, error }
    }

    #[test]
    fn what_may_pass_is_tried_again_after_longer_and_longer_pauses_and_then_given_up() {
        let failed = || ended(State::Failed, Some(ErrorClass::Unavailable));
        let pauses: Vec<_> = (0..RETRIES)
            .map(|tries| {
                let waits = after(failed(), tries, NOW, 1.0);
                assert_eq!(waits.state, State::Waiting);
                (waits.until.unwrap() - NOW).num_seconds()
            })
            .collect();
        assert_eq!(pauses, [30, 120, 480, 1920, 3600]);
        assert_eq!(after(failed(), RETRIES, NOW, 1.0), failed());
    }

    #[test]
    fn what_a_person_has_to_see_to_is_not_tried_again() {
        for error in [ErrorClass::Credential, ErrorClass::Permission, ErrorClass::Settings, ErrorClass::Crash]
        {
            let failed = ended(State::Failed, Some(error));
            assert_eq!(after(failed.clone(), 0, NOW, 0.5), failed);
        }
    }

    #[test]
    fn a_pause_that_a_tool_asked_for_is_kept_to_the_second() {
        let until = Some(NOW + TimeDelta::seconds(4711));
        let deferred = Outcome { until, ..ended(State::Deferred, Some(ErrorClass::Quota)) };
        assert_eq!(after(deferred, 3, NOW, 0.0).until, until);
    }

    #[test]
    fn what_went_well_or_was_lost_stays_what_it_is() {
        for state in State::ALL.iter().filter(|state| !matches!(state, State::Deferred)) {
            let outcome = ended(*state, None);
            assert_eq!(after(outcome.clone(), 0, NOW, 0.5).state, *state);
            if *state != State::Failed {
                let unavailable = ended(*state, Some(ErrorClass::Unavailable));
                assert_eq!(after(unavailable, 0, NOW, 0.5).state, *state, "only what failed is tried again");
            }
        }
    }
}
