//! What a ticket's clocks tell of its status.
//!
//! The agents' clock (`agent_work_time`) pauses while a ticket is pending or on hold, the requester's
//! (`requester_wait_time`) while it is pending; both stop when it is solved and start again when it is reopened. What
//! happens to the two at one moment tells what the ticket became, without knowing what it was:
//!
//! | agents' | requester's | it became |
//! | --- | --- | --- |
//! | one of them stops | | solved |
//! | | pauses | pending |
//! | pauses | goes on | on hold |
//! | | starts | on hold (from pending) |
//! | starts | | open |
//!
//! So their events are read in groups of one ticket and one moment. New and open look the same to the clocks, and so do
//! solved and closed. A group that the end of a page may have cut in two is carried to the next.
//!
//! <https://developer.zendesk.com/documentation/ticketing/reference-guides/ticket-metric-event-types-reference/>

use super::reader::{Reader, happened};
use super::wire::{Metric, MetricEvent, Metrics, Tick};
use crate::answer::Answer;
use crate::connector::Place;
use crate::error::ReadError;
use crate::event::{Activity, Event, Opaque, Timestamp, Withdrawn};
use chrono::DateTime;
use std::collections::BTreeMap;

/// Tickets that changed within one second and are carried to the next page; more than any bulk edit makes.
const CARRIED_AT_MOST: usize = 1_000;

/// What happened to the clocks of one ticket at one moment, a bit each.
#[derive(Clone, Copy, Default)]
struct Ticks(u8);

impl Ticks {
    const AGENTS_START: Self = Self(1);
    const AGENTS_PAUSE: Self = Self(1 << 1);
    const REQUESTERS_START: Self = Self(1 << 2);
    const REQUESTERS_PAUSE: Self = Self(1 << 3);
    const STOP: Self = Self(1 << 4);
    /// The clock of the first reply started: the ticket was created.
    const BORN: Self = Self(1 << 5);

    fn of(event: &MetricEvent) -> Self {
        match (event.metric, event.what) {
            (Metric::AgentWorkTime, Tick::Activate) => Self::AGENTS_START,
            (Metric::AgentWorkTime, Tick::Pause) => Self::AGENTS_PAUSE,
            (Metric::RequesterWaitTime, Tick::Activate) => Self::REQUESTERS_START,
            (Metric::RequesterWaitTime, Tick::Pause) => Self::REQUESTERS_PAUSE,
            (Metric::AgentWorkTime | Metric::RequesterWaitTime, Tick::Fulfill) => Self::STOP,
            (Metric::ReplyTime, Tick::Activate) if event.instance_id == Some(1) => Self::BORN,
            _ => Self::default(),
        }
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn status(self) -> Option<&'static str> {
        if self.has(Self::STOP) {
            Some("solved")
        } else if self.has(Self::REQUESTERS_PAUSE) {
            Some("pending")
        } else if self.has(Self::AGENTS_PAUSE) {
            Some("hold")
        } else if self.has(Self::AGENTS_START) {
            Some("open")
        } else {
            self.has(Self::REQUESTERS_START).then_some("hold")
        }
    }
}

/// By second and ticket; Zendesk tells no less than seconds.
type Groups = BTreeMap<(i64, Opaque), Ticks>;

impl Reader {
    /// A page of metric events; `alone` where nothing else tells of cases and their statuses. Two lists that are not
    /// equally far would tell the older status last.
    pub(super) fn clocks(&mut self, answer: &Answer, nth: usize, alone: bool) -> Result<(), ReadError> {
        let answered: Metrics = answer.json()?;
        let place = answered.meta.place()?;
        let newest = answered.ticket_metric_events.iter().map(|event| event.time.0).max();
        let mut groups: Groups = self.page.next.carried.drain(..).filter_map(|text| carried(&text)).collect();
        for event in answered.ticket_metric_events {
            if alone {
                let ticks = Ticks::of(&event);
                groups.entry((event.time.0.timestamp(), event.ticket_id.0.clone())).or_default().0 |= ticks.0;
                self.touch(&event.ticket_id.0, event.time.0, None);
            }
            self.clock(event);
        }
        groups.retain(|_, ticks| ticks.0 != 0);
        let last_second = newest.map(|newest| newest.timestamp());
        let is_whole = |second: i64| place == Place::End || Some(second) < last_second;
        let (whole, cut): (Groups, Groups) =
            groups.into_iter().partition(|((second, _), _)| is_whole(*second));
        self.page.next.carried = cut.iter().take(CARRIED_AT_MOST).map(written).collect();
        for ((second, ticket), ticks) in whole.into_iter().chain(cut.into_iter().skip(CARRIED_AT_MOST)) {
            self.group(&ticket, second, ticks)?;
        }
        self.turn(nth, place, newest);
        Ok(())
    }

    /// What one metric event tells by itself.
    fn clock(&mut self, event: MetricEvent) {
        let (ticket, at) = (event.ticket_id.0, event.time.0);
        let activity = match (event.metric, event.what) {
            (Metric::ReplyTime, Tick::Fulfill) => Activity::Replied,
            (_, Tick::Breach) => Activity::Breached,
            _ => return,
        };
        if event.deleted {
            self.page.withdrawn.push(Withdrawn { case: ticket, activity, source: event.id.0 });
        } else {
            self.page.events.push(happened(ticket, activity, at, event.id.0));
        }
    }

    fn group(&mut self, ticket: &Opaque, second: i64, ticks: Ticks) -> Result<(), ReadError> {
        let at = DateTime::from_timestamp(second, 0).ok_or(ReadError::Missing("a usable time"))?;
        let status = ticks.status();
        self.touch(ticket, at, status);
        let born = ticks.has(Ticks::BORN);
        if born {
            self.page.events.push(happened(ticket.clone(), Activity::Created, at, ticket.clone()));
        }
        // Open is what a ticket is created as; where it was anything else, that is told.
        if let Some(status) = status.filter(|status| !born || *status != "open") {
            let source = Opaque::new(format!("{ticket}:{second}"));
            let source = source.ok_or(ReadError::Missing("a usable ticket id"))?;
            let changed = happened(ticket.clone(), Activity::StatusChanged, at, source);
            self.page.events.push(Event {
                to: Some(Opaque::known(status)),
                turn: i32::from(born),
                ..changed
            });
        }
        Ok(())
    }
}

/// A group as it stands in the cursor: `41001:1772636400:5`.
fn written(((second, ticket), ticks): (&(i64, Opaque), &Ticks)) -> String {
    format!("{ticket}:{second}:{}", ticks.0)
}

fn carried(text: &str) -> Option<((i64, Opaque), Ticks)> {
    let mut parts = text.split(':');
    let (ticket, second, ticks) = (parts.next()?, parts.next()?, parts.next()?);
    let second = Timestamp::from_count(second.parse().ok()?)?.0.timestamp();
    Some(((second, Opaque::new(ticket)?), Ticks(ticks.parse().ok()?)))
}
