//! Which fields a type would decode, found by decoding it: [`of`] plays an answer that has everything the type asks
//! for, and writes down what that was. Nothing has to be kept in step by hand, so nothing can be forgotten.
//!
//! A leaf decides for itself what it takes (an id takes no sentence), so each is offered one sample of everything
//! that JSON can hold. A visitor that refuses is used up and ends the walk; so there are as many walks as it takes,
//! and a [`Survey`] remembers between them what each leaf was offered and took.
//!
//! A type that looks into objects by names it does not tell beforehand (`serde_json::Value`, `flatten`, `untagged`
//! and internally tagged enums) could read anything, so it is not described but refused: [`Unseen`].

mod parts;
mod survey;
mod walk;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use survey::Survey;
use walk::At;

/// A place in an answer whose value is decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// From the answer's root: `issues[].fields.status.id`; `*` stands for every key of an object.
    pub path: String,
    /// What it is decoded as: the type's name in the code.
    pub kind: String,
    /// What is accepted there.
    pub takes: BTreeSet<String>,
}

/// Why the fields of a type cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Unseen {
    pub path: String,
    pub why: &'static str,
}

/// More walks than any type in sight needs; one that needs more would never end.
const WALKS: usize = 20_000;

/// Every field that `T` would decode, in the order of their paths.
pub(crate) fn of<T: DeserializeOwned>() -> Result<Vec<Field>, Unseen> {
    let mut survey = Survey::default();
    for _ in 0..WALKS {
        let walked = T::deserialize(At::root::<T>(&mut survey)).is_ok();
        if survey.is_over(walked)? {
            return Ok(survey.fields());
        }
    }
    Err(Unseen { path: String::new(), why: "the type takes too many walks to be described" })
}
