//! Zendesk tickets, twice: by their clocks alone, or by their changes.
//!
//! Every answer about a ticket brings its subject along; Zendesk lets nobody leave it out. The clocks are the
//! exception: agents' working time and customers' waiting time start, pause and stop as the ticket's status moves, and
//! are told without a word of the ticket (`clocks.rs`). [`STRICT`] asks for these and for nothing else, so it knows
//! when a ticket moved and never who moved it. [`DETAILED`] asks for the changes themselves as well, and skips the
//! prose in them (`changes.rs`); of the clocks it takes what the changes do not tell.
//!
//! Both lists are exports, oldest first, that leave out the last minute. They are asked from five minutes before the
//! mark, since what is new may be shown late. Nothing else is asked per ticket: exports are limited to ten requests a
//! minute, and an account's other requests belong to its people. What a ticket's case row holds is therefore what the
//! lists tell: its assignee and priority stand in events alone.
//!
//! <https://developer.zendesk.com/api-reference/ticketing/tickets/ticket_metric_events/>,
//! <https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/>

mod changes;
mod clocks;
mod contract;
mod reader;
mod refusal;
mod wire;

use crate::answer::Answer;
use crate::connector::{Account, Connector, Cursor, Page, Pending, Stream, Sweep, Window};
use crate::contract::{Contract, Operation, Request, Value};
use crate::error::{Allowance, BadStream, ReadError, Refusal, Undeclared};
use crate::event::Name;
use chrono::{DateTime, TimeDelta, Utc};
use reader::Reader;

#[derive(Debug)]
pub(crate) struct Zendesk {
    contract: &'static Contract,
    me: &'static Operation,
    metrics: &'static Operation,
    detailed: bool,
}

pub(crate) static STRICT: Zendesk = Zendesk {
    contract: &contract::STRICT,
    me: &contract::STRICT_ME,
    metrics: &contract::STRICT_METRICS,
    detailed: false,
};

pub(crate) static DETAILED: Zendesk = Zendesk {
    contract: &contract::DETAILED,
    me: &contract::DETAILED_ME,
    metrics: &contract::DETAILED_METRICS,
    detailed: true,
};

const TICKETS: &str = "tickets";
/// What a page brings before anything is halved, and at most. Ticket events come by the thousand, whatever is asked.
const PAGE: u64 = 100;
/// What the exports show late, and clocks that differ.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);
/// The exports leave out the last minute.
const UNSHOWN: TimeDelta = TimeDelta::minutes(1);
/// A bound younger than a minute is refused; clocks differ.
const YOUNGEST_BOUND: TimeDelta = TimeDelta::minutes(2);
/// How long a cursor is trusted; how long it lives is not documented.
const CURSOR_KEEPS: TimeDelta = TimeDelta::days(1);

/// What `ask` asks and `read` reads, in the same order.
enum Step<'a> {
    List(usize, &'a Window),
    Left(&'a Pending),
}

fn plan(at: &Sweep) -> impl Iterator<Item = Step<'_>> {
    let open = at.windows.iter().enumerate().filter(|(_, it)| !it.is_done());
    open.map(|(nth, window)| Step::List(nth, window)).chain(at.pending.iter().map(Step::Left))
}

impl Connector for Zendesk {
    fn contract(&self) -> &'static Contract {
        self.contract
    }

    fn stream(&self, name: &str) -> Result<Stream, BadStream> {
        if name == TICKETS {
            return Ok(Stream { name: name.to_owned() });
        }
        Err(BadStream { given: name.to_owned(), expected: "`tickets`, the one stream there is" })
    }

    fn probe(&self) -> Result<Request, Undeclared> {
        self.me.request(&[])
    }

    fn account(&self, answer: &Answer) -> Result<Account, ReadError> {
        let whose = answer.json::<wire::Me>()?.user;
        let id = whose.id.ok_or(ReadError::Missing("the id of a user: the credential was not recognised"))?.0;
        let name = whose.name.unwrap_or_else(|| Name::new(id.as_str()));
        Ok(Account { id, name, beyond: vec![] })
    }

    fn begin(&self, _: &Stream, at: &Cursor, now: DateTime<Utc>) -> Sweep {
        match &at.sweep {
            Some(cut) if now - cut.began < CURSOR_KEEPS => cut.clone(),
            Some(cut) => {
                // A list that came to its end did so after the sweep began; the other may have come further since.
                let reached = at.mark.max(cut.reached.map(|reached| reached.min(cut.began)));
                Sweep { reached, ..self.sweep_from(reached, now).in_place_of(cut) }
            }
            None => self.sweep_from(at.mark, now),
        }
    }

    fn ask(&self, _: &Stream, at: &Sweep) -> Result<Vec<Request>, Undeclared> {
        let size = Value::Number(at.size(PAGE));
        plan(at)
            .map(|step| match step {
                Step::List(_, window) if window.operation == contract::TICKET_EVENTS.name => {
                    // Here a page is known by the time it begins with.
                    let since = window.after().unwrap_or(&window.since);
                    self.operation(&window.operation)?.request(&[("since", Value::Text(since))])
                }
                Step::List(_, window) => {
                    let (since, page) = (Value::Text(&window.since), window.after().into());
                    let values = [("since", since), ("size", size), ("page", page)];
                    self.operation(&window.operation)?.request(&values)
                }
                Step::Left(left) => {
                    let page = left.page.as_deref().into();
                    let values = [("since", Value::None), ("size", size), ("page", page)];
                    self.operation(&left.operation)?.request(&values)
                }
            })
            .collect()
    }

    fn read(&self, _: &Stream, at: &Sweep, answers: &[Answer]) -> Result<Page, ReadError> {
        let steps: Vec<_> = plan(at).collect();
        if steps.len() != answers.len() {
            return Err(ReadError::Count(answers.len(), steps.len()));
        }
        let mut reader = Reader::new(at);
        for (step, answer) in steps.into_iter().zip(answers) {
            match step {
                Step::List(nth, window) if window.operation == self.metrics.name => {
                    reader.clocks(answer, nth, !self.detailed)?;
                }
                Step::List(nth, window) => reader.changes(answer, nth, window)?,
                Step::Left(left) if left.operation == contract::AGENTS.name => reader.agents(answer)?,
                Step::Left(_) => reader.groups(answer)?,
            }
        }
        Ok(reader.page(self.detailed))
    }

    fn refusal(&self, answer: &Answer) -> Option<Refusal> {
        refusal::of(answer)
    }

    fn allowance(&self, answer: &Answer) -> Option<Allowance> {
        refusal::allowance(answer)
    }
}

impl Zendesk {
    /// One of this contract's own.
    fn operation(&self, name: &str) -> Result<&'static Operation, Undeclared> {
        let found = self.contract.operations.iter().copied().find(|operation| operation.name == name);
        found.ok_or_else(|| Undeclared {
            operation: self.metrics.name,
            parameter: name.to_owned(),
            problem: "the contract has no such operation",
        })
    }

    /// Everything since `from`, less an overlap; beside it the dictionaries, where ids are read.
    fn sweep_from(&self, from: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Sweep {
        let since = from.map_or(0, |from| (from - OVERLAP).min(now - YOUNGEST_BOUND).timestamp()).max(0);
        let window = |operation| Window::new(operation, since.to_string(), None);
        let mut sweep = Sweep::new(now, vec![window(self.metrics)], vec![]);
        if self.detailed {
            sweep.windows.insert(0, window(&contract::TICKET_EVENTS));
            let left = |it: &Operation| Pending { operation: it.name.to_owned(), cases: vec![], page: None };
            sweep.pending = vec![left(&contract::AGENTS), left(&contract::GROUPS)];
        }
        // Younger changes were not shown yet when the sweep began.
        sweep.upto = Some(now - UNSHOWN);
        sweep
    }
}
