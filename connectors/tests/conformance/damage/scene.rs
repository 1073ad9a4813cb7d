//! A recorded answer about to be damaged.
#![expect(unreachable_pub, reason = "shared with the file above it")]

use crate::stage::{Raw, Round, Stage, now};
use crate::text::{Runs, ids};
use std::collections::{HashMap, HashSet};
use twinflow_connectors::{Answer, Page, Place, ReadError, Request, Sweep};
use twinflow_fixtures::{What, Who, canary};

/// Bytes up to which an answer is cut everywhere and every bit of it flipped.
const SMALL: usize = 3_000;
/// How much of a larger one is read, cut and flipped here and there.
const BUDGET: usize = 8_000_000;
/// Answers to one operation that are damaged: they are much alike.
const OF_EACH_KIND: usize = 12;
pub const PROSE: &str = "CANARY-wrong-place Rename the secret project before Monday";

/// A recorded answer to be damaged, and the sweep at which it alone is asked for.
pub struct Scene<'a> {
    pub stage: &'a Stage,
    pub at: Sweep,
    pub request: &'a Request,
    pub raw: &'a Raw,
    /// Errors and refusals met, as people and logs would see them.
    pub seen: HashSet<String>,
}

/// The sweeps at which only one of its windows is open, or only one question is left.
fn parts(at: &Sweep) -> impl Iterator<Item = Sweep> {
    let one = |window: Option<usize>, left: Option<usize>| {
        let mut part = at.clone();
        for (_, it) in part.windows.iter_mut().enumerate().filter(|(nth, _)| Some(*nth) != window) {
            it.page = Place::End;
        }
        part.pending = left.map(|nth| at.pending[nth].clone()).into_iter().collect();
        part
    };
    let windows = (0..at.windows.len()).map(move |nth| one(Some(nth), None));
    windows.chain((0..at.pending.len()).map(move |nth| one(None, Some(nth)))).collect::<Vec<_>>().into_iter()
}

impl<'a> Scene<'a> {
    pub fn all(stage: &'a Stage, rounds: &'a [Round]) -> Vec<Self> {
        let mut kinds: HashMap<&str, usize> = HashMap::new();
        let mut few = |operation| {
            let met = kinds.entry(operation).or_default();
            *met += 1;
            *met <= OF_EACH_KIND
        };
        let each = |round: &'a Round| round.operations().into_iter().enumerate().map(move |it| (round, it));
        let met = rounds.iter().flat_map(each).filter(|(_, (_, operation))| few(operation));
        met.map(|(round, (nth, _))| Self::new(stage, round, nth)).collect()
    }

    pub fn new(stage: &'a Stage, round: &'a Round, nth: usize) -> Self {
        let request = &round.requests[nth];
        let asks_it_alone = |at: &Sweep| {
            let alone = stage.connector.ask(&stage.stream, at).unwrap();
            format!("{alone:?}") == format!("{:?}", [request])
        };
        let at = parts(&round.at).find(asks_it_alone).expect("the same question, alone");
        Self { stage, at, request, raw: &round.raws[nth], seen: HashSet::new() }
    }

    pub fn operation(&self) -> &'static str {
        self.request.operation().name
    }

    /// Reads with these bytes in the place of the answer.
    pub fn read(&mut self, body: Vec<u8>) -> Result<Page, ReadError> {
        self.read_answer(&self.raw.answer_with(body))
    }

    pub fn read_answer(&mut self, answer: &Answer) -> Result<Page, ReadError> {
        let connector = self.stage.connector;
        if let Some(refusal) = connector.refusal(answer) {
            self.seen.insert(format!("{refusal:?}"));
        }
        if let Err(error) = connector.account(answer) {
            self.seen.insert(format!("{error} {error:?}"));
        }
        let read = connector.read(&self.stage.stream, &self.at, std::slice::from_ref(answer));
        match &read {
            Ok(page) => {
                let spaced: Vec<_> = ids(page).filter(|id| id.contains(char::is_whitespace)).collect();
                assert_eq!(spaced, [""; 0]);
                // What follows may be asked or refused, and is the contract's.
                let asked = connector.ask(&self.stage.stream, &page.next).unwrap_or_default();
                assert!(asked.iter().all(|request| connector.contract().allows(request)));
            }
            Err(error) => drop(self.seen.insert(format!("{error} {error:?}"))),
        }
        read
    }

    /// Nothing that was in the answer is in what was seen.
    pub fn ends(self) {
        let mut runs = Runs::of(self.raw.text());
        runs.add(PROSE);
        for text in &self.seen {
            assert_eq!(runs.found_in(text), None, "in {text}");
            assert_eq!(canary::found_in(text), [""; 0]);
        }
    }
}

/// How many of all places of an answer are damaged.
pub fn samples(bytes: usize, all: usize) -> usize {
    if bytes <= SMALL { all } else { (BUDGET / bytes).min(all) }
}

/// Two cases to which most things happened that can happen.
pub async fn small(connector: &'static dyn twinflow_connectors::Connector) -> (Stage, Vec<Round>) {
    let stage = Stage::of(connector, 2).await;
    let whats =
        [What::Assign(1), What::Unassign, What::Label(1), What::Unlabel(1), What::Transfer, What::Lock];
    for (nth, what) in (0..).zip(whats) {
        assert!(stage.service.add_event(nth % 2, now(), Who::Person(2), what));
    }
    let rounds = stage.sweep(stage.begin()).await;
    (stage, rounds)
}

/// A page of cases, and a history too long for it.
pub async fn large(connector: &'static dyn twinflow_connectors::Connector) -> (Stage, Vec<Round>) {
    let stage = Stage::of(connector, 8).await;
    let rounds = stage.sweep(stage.begin()).await;
    (stage, rounds)
}
