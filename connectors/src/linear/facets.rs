//! A history entry, taken apart: one facet for each thing that was changed.
//!
//! Linear groups what one actor changes within some minutes into one entry and rewrites it meanwhile: A to B becomes
//! A to C, and what came back to where it was is taken out again. A facet is therefore known by its entry and its own
//! name, never by its values; labels, of which an entry may have many, by their place in the order of their ids.

use super::wire::Entry;
use crate::event::{Activity, Opaque};

/// Everything that an entry may have told before it was rewritten.
const ONCE: [(&str, Activity); 15] = [
    ("state", Activity::StatusChanged),
    ("assignee", Activity::Assigned),
    ("assignee", Activity::Unassigned),
    ("priority", Activity::PriorityChanged),
    ("estimate", Activity::EstimateChanged),
    ("due", Activity::DueDateChanged),
    ("team", Activity::Moved),
    ("project", Activity::Moved),
    ("cycle", Activity::Planned),
    ("parent", Activity::ParentChanged),
    ("archive", Activity::Archived),
    ("archive", Activity::Unarchived),
    ("trash", Activity::Deleted),
    ("trash", Activity::Restored),
    ("description", Activity::Edited),
];
/// Labels that one actor adds, or removes, within some minutes: of more than these a lost one would stay.
const LABELS: usize = 16;

/// Linear's five priorities; 0 is none.
pub(super) const PRIORITIES: [(&str, &str); 5] =
    [("0", "No priority"), ("1", "Urgent"), ("2", "High"), ("3", "Medium"), ("4", "Low")];

pub(super) struct Facet {
    /// Within its entry.
    pub(super) name: String,
    pub(super) activity: Activity,
    pub(super) from: Option<Opaque>,
    pub(super) to: Option<Opaque>,
}

pub(super) fn priority(level: f64) -> Option<Opaque> {
    let known = (0..).zip(PRIORITIES).find(|(nth, _)| (f64::from(*nth) - level).abs() < 0.5);
    known.map(|(_, (id, _))| Opaque::known(id))
}

/// Takes the entry apart, always in the same order.
pub(super) fn of(entry: Entry) -> Vec<Facet> {
    let mut all = Facets(Vec::new());
    all.moved("state", Activity::StatusChanged, entry.from_state_id, entry.to_state_id);
    let handed_to = if entry.to_assignee_id.is_some() { Activity::Assigned } else { Activity::Unassigned };
    all.moved("assignee", handed_to, entry.from_assignee_id, entry.to_assignee_id);
    let (from, to) = (entry.from_priority.and_then(priority), entry.to_priority.and_then(priority));
    all.moved("priority", Activity::PriorityChanged, from, to);
    let estimated = entry.from_estimate.or(entry.to_estimate).is_some();
    all.happened("estimate", estimated.then_some(Activity::EstimateChanged));
    let due = entry.from_due_date.or(entry.to_due_date).is_some();
    all.happened("due", due.then_some(Activity::DueDateChanged));
    all.moved("team", Activity::Moved, entry.from_team_id, entry.to_team_id);
    all.moved("project", Activity::Moved, entry.from_project_id, entry.to_project_id);
    all.moved("cycle", Activity::Planned, entry.from_cycle_id, entry.to_cycle_id);
    all.moved("parent", Activity::ParentChanged, entry.from_parent_id, entry.to_parent_id);
    all.labels(Activity::Labelled, entry.added_label_ids);
    all.labels(Activity::Unlabelled, entry.removed_label_ids);
    let either = |yes, no| move |is: bool| if is { yes } else { no };
    all.happened("archive", entry.archived.map(either(Activity::Archived, Activity::Unarchived)));
    all.happened("trash", entry.trashed.map(either(Activity::Deleted, Activity::Restored)));
    all.happened("description", entry.updated_description.filter(|is| *is).map(|_| Activity::Edited));
    all.0
}

/// What an entry with these facets tells no longer, if it ever did.
pub(super) fn lost(told: &[Facet]) -> impl Iterator<Item = (String, Activity)> {
    let labels = (0..LABELS)
        .flat_map(|nth| [Activity::Labelled, Activity::Unlabelled].map(|activity| (label(nth), activity)));
    let once = ONCE.iter().map(|(name, activity)| ((*name).to_owned(), *activity));
    once.chain(labels)
        .filter(|(name, activity)| !told.iter().any(|it| it.name == *name && it.activity == *activity))
}

fn label(nth: usize) -> String {
    format!("label{nth}")
}

struct Facets(Vec<Facet>);

impl Facets {
    fn moved(&mut self, name: &str, activity: Activity, from: Option<Opaque>, to: Option<Opaque>) {
        if from.is_some() || to.is_some() {
            self.0.push(Facet { name: name.to_owned(), activity, from, to });
        }
    }

    fn happened(&mut self, name: &str, activity: Option<Activity>) {
        let facet = |activity| Facet { name: name.to_owned(), activity, from: None, to: None };
        self.0.extend(activity.map(facet));
    }

    fn labels(&mut self, activity: Activity, labels: Option<Vec<Opaque>>) {
        let mut labels = labels.unwrap_or_default();
        labels.sort();
        for (nth, id) in labels.into_iter().enumerate() {
            let (from, to) = if activity == Activity::Labelled { (None, Some(id)) } else { (Some(id), None) };
            self.0.push(Facet { name: label(nth), activity, from, to });
        }
    }
}
