//! `twinflow scan --background`: opens scans for the workers, or finds those under way, and says what becomes of each.

use super::super::connections::Standing;
use super::super::{End, format};
use crate::config::{Opened, Settings};
use crate::store::{Connection, Scan, State, random_id};
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// What was handed over, and how it stands.
#[derive(Debug, Serialize)]
struct Handed {
    connection: String,
    stands: Stands,
    /// The same in words, with what to do about it.
    says: String,
    /// None was opened for a connection that waits for a person.
    scan: Option<Scan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Stands {
    Queued,
    UnderWay,
    Waits,
    Ended,
    Quarantined,
    Paused,
}

impl Stands {
    const fn needs_a_person(self) -> bool {
        matches!(self, Self::Quarantined | Self::Paused)
    }
}

pub(super) async fn hand_over(
    settings: &Settings,
    opened: &Opened,
    wanted: &[Connection],
    as_json: bool,
) -> Result<End> {
    let standing = Standing::load(&*opened.store).await?;
    let mut handed = vec![];
    for connection in wanted {
        let name = connection.name.clone();
        if let Some(why) = standing.in_the_way(connection.id) {
            handed.push(Handed { connection: name, stands: Stands::Paused, says: why, scan: None });
            continue;
        }
        let scan = opened.store.open_scan(connection.id, random_id(&mut rand::rng())).await?;
        if let Some(scan) = opened.store.scan(scan).await? {
            let (stands, says) = standing_of(&scan, opened.clock.now());
            handed.push(Handed { connection: name, stands, says, scan: Some(scan) });
        }
    }
    opened.store.close().await;
    if as_json {
        format::json(&handed)?;
    } else {
        handed.iter().try_for_each(|it| format::print(format_args!("{}: {}", it.connection, it.says)))?;
    }
    let go_on =
        handed.iter().any(|it| matches!(it.stands, Stands::Queued | Stands::UnderWay | Stands::Waits));
    if go_on && nobody_serves(settings)? {
        settings.remark("No `twinflow serve` runs now; it will be taken up when one does.");
    } else if go_on {
        settings.remark("`twinflow scans watch` looks on.");
    }
    Ok(if handed.iter().any(|it| it.stands.needs_a_person()) { End::Failed } else { End::Done })
}

/// Of the embedded database that can be known.
fn nobody_serves(settings: &Settings) -> Result<bool> {
    Ok(settings.is_embedded() && settings.lock_scans().is_ok())
}

fn standing_of(scan: &Scan, now: DateTime<Utc>) -> (Stands, String) {
    let because = scan.reasons.first().map_or_else(String::new, |why| format!(": {why}"));
    let id = format::short(scan.id);
    match scan.state {
        // Its reason says what to do.
        State::Quarantined => (Stands::Quarantined, format!("quarantined{because}")),
        State::Waiting if scan.rests() => {
            let name = &scan.connection;
            (Stands::Paused, format!("paused; `twinflow connections resume {name}` lets it go on"))
        }
        State::Queued | State::Waiting if scan.due_at <= now => (Stands::Queued, "queued".to_owned()),
        State::Queued | State::Waiting => {
            let at = format::moment(scan.due_at);
            (Stands::Waits, format!("waits until {at}{because}; `twinflow scans retry {id}` does not wait"))
        }
        State::Running => {
            let since =
                scan.started_at.map_or_else(String::new, |at| format!(" since {}", format::moment(at)));
            (Stands::UnderWay, format!("under way{since}"))
        }
        ended => (Stands::Ended, format!("{}{because}", ended.word())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FAR, Rank};
    use chrono::TimeDelta;
    use uuid::Uuid;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn said(state: State, due_at: DateTime<Utc>) -> (Stands, String) {
        let scan = Scan {
            id: Uuid::nil(),
            connection_id: Uuid::nil(),
            connection: "jira".into(),
            tool: "jira".into(),
            state,
            rank: Rank::Person,
            created_at: NOW,
            due_at,
            started_at: Some(NOW),
            finished_at: None,
            until: None,
            attempts: 1,
            crashes: 0,
            tries: 0,
            owner: None,
            error: None,
            since: None,
            upto: None,
            reasons: vec!["why".into()],
            pages: 0,
            requests: 0,
            cases: 0,
            events_read: 0,
            events_new: 0,
            waited_ms: 0,
        };
        standing_of(&scan, NOW)
    }

    #[test]
    fn whoever_hands_a_scan_over_is_told_what_becomes_of_it_and_when_a_person_has_to_act() {
        let hour = NOW + TimeDelta::hours(1);
        for (state, due_at, stands, words, person) in [
            (State::Queued, NOW, Stands::Queued, vec!["queued"], false),
            (State::Waiting, NOW, Stands::Queued, vec!["queued"], false),
            (State::Running, NOW, Stands::UnderWay, vec!["under way", "1970-01-01"], false),
            (
                State::Waiting,
                hour,
                Stands::Waits,
                vec!["until 1970-01-01T01:00:00Z", "why", "scans retry"],
                false,
            ),
            (State::Quarantined, NOW, Stands::Quarantined, vec!["quarantined: why"], true),
            (State::Waiting, FAR, Stands::Paused, vec!["connections resume jira"], true),
            (State::Complete, NOW, Stands::Ended, vec!["complete"], false),
        ] {
            let (found, says) = said(state, due_at);
            assert_eq!((found, found.needs_a_person()), (stands, person), "{state:?}");
            words.iter().for_each(|word| assert!(says.contains(word), "{state:?}: {says}"));
        }
    }
}
