//! What the walks over a type have found out so far.

use super::{Field, Unseen};
use std::collections::{BTreeMap, BTreeSet};

/// A leaf: where it lies, what it is decoded as, and by way of what. One place may be read in two ways.
pub(super) type Place = (String, &'static str, &'static str);

#[derive(Default)]
pub(super) struct Survey {
    leaves: BTreeMap<Place, Leaf>,
    /// The leaf that was visited last, and what it was offered. Whether it took it shows only afterwards: an id is
    /// first read as a text, then looked at.
    last: Option<(Place, usize)>,
    /// Lists and options through which a type comes back to itself.
    rounds: BTreeMap<String, &'static str>,
    unseen: Option<Unseen>,
    turned_back: bool,
    /// A key that was handed out, and its value not asked for yet.
    key: Option<String>,
}

/// What one leaf was offered, in turn, and what of it was taken.
struct Leaf {
    samples: Vec<&'static str>,
    tried: usize,
    taken: Vec<usize>,
    visits: usize,
}

impl Leaf {
    /// What was not offered yet; then what is known to be taken, in turn, so that all that lies behind the variants
    /// of an enum is met.
    fn next(&mut self) -> usize {
        self.visits += 1;
        if self.tried < self.samples.len() {
            return self.tried;
        }
        let turn = self.visits % self.taken.len().max(1);
        self.taken.get(turn).copied().unwrap_or_default()
    }

    fn judge(&mut self, nth: usize, taken: bool) {
        if nth == self.tried {
            self.tried += 1;
            self.taken.extend(taken.then_some(nth));
        } else if !taken {
            self.taken.retain(|it| *it != nth);
        }
    }

    fn is_done(&self) -> bool {
        self.tried >= self.samples.len()
    }

    fn takes(&self) -> BTreeSet<String> {
        let mut words: BTreeSet<&str> =
            self.taken.iter().filter_map(|nth| self.samples.get(*nth)).copied().collect();
        for (wide, narrow) in IMPLIED {
            if words.contains(wide) {
                words.retain(|word| !narrow.contains(word));
            }
        }
        words.into_iter().map(str::to_owned).collect()
    }
}

/// Who takes the first takes the others: they are not worth saying.
const IMPLIED: &[(&str, &[&str])] = &[
    ("text", &["word", "address", "time", "date", "numeral", "record id", "link", "empty text"]),
    ("word", &["address", "time", "date", "numeral", "record id", "link", "empty text"]),
    ("number", &["time in seconds", "fraction"]),
];

impl Survey {
    /// What to offer to a leaf this time: the index of a sample.
    pub(super) fn offer(&mut self, place: Place, samples: &[&'static str]) -> usize {
        self.settle(true);
        let fresh = || Leaf { samples: samples.to_vec(), tried: 0, taken: vec![], visits: 0 };
        let nth = self.leaves.entry(place.clone()).or_insert_with(fresh).next();
        self.last = Some((place, nth));
        nth
    }

    fn settle(&mut self, taken: bool) {
        let Some((place, nth)) = self.last.take() else { return };
        if let Some(leaf) = self.leaves.get_mut(&place) {
            leaf.judge(nth, taken);
            if leaf.is_done() && leaf.taken.is_empty() {
                self.give_up(&place.0, "nothing that an answer can hold is taken there");
            }
        }
    }

    pub(super) fn give_up(&mut self, path: &str, why: &'static str) {
        self.unseen.get_or_insert_with(|| Unseen { path: path.to_owned(), why });
    }

    /// The type being walked lies in itself: from now on the way back ends at `exit`.
    pub(super) fn turn_back(&mut self, exit: Option<String>, path: &str, kind: &'static str) {
        match exit {
            Some(exit) => drop(self.rounds.insert(exit, kind)),
            None => self.give_up(path, "the type holds itself"),
        }
        self.turned_back = true;
    }

    pub(super) fn goes_round(&self, path: &str) -> bool {
        self.rounds.contains_key(path)
    }

    pub(super) fn key(&mut self, path: Option<String>) {
        self.key = path;
    }

    /// Whether the walk that has just ended was the last one needed.
    pub(super) fn is_over(&mut self, walked: bool) -> Result<bool, Unseen> {
        if let Some(path) = self.key.take() {
            self.give_up(&path, "a second name for a field that was read already");
        }
        let turned_back = std::mem::take(&mut self.turned_back);
        if !walked && !turned_back && self.last.is_none() {
            self.give_up("", "the type refuses an answer that has all it asks for");
        }
        self.settle(walked || turned_back);
        match self.unseen.take() {
            Some(unseen) => Err(unseen),
            None => Ok(walked && self.leaves.values().all(Leaf::is_done)),
        }
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let leaves = self.leaves.iter().map(|((path, kind, _), leaf)| (path, kind, leaf.takes()));
        let again = |path, kind| (path, kind, BTreeSet::from(["the same again".to_owned()]));
        let rounds = self.rounds.iter().map(|(path, kind)| again(path, kind));
        let field =
            |(path, kind, takes): (&String, &&str, _)| Field { path: path.clone(), kind: short(kind), takes };
        let mut fields: Vec<_> = leaves.chain(rounds).map(field).collect();
        fields.sort();
        fields
    }
}

/// A type's own name, without the modules it lies in and what it is wrapped in.
fn short(name: &str) -> String {
    let mut inner = name;
    while let Some((wrapper, rest)) = inner.split_once('<') {
        let wraps = ["Option", "Box", "Vec"].iter().any(|it| wrapper.ends_with(it));
        match rest.strip_suffix('>').filter(|_| wraps) {
            Some(rest) => inner = rest,
            None => break,
        }
    }
    let bare = inner.split('<').next().unwrap_or(inner);
    bare.rsplit("::").next().unwrap_or(bare).to_owned()
}
