#![expect(dead_code, reason = "of these types only their Deserialize is looked at")]

use super::*;
use crate::event::{Name, Opaque, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::HashMap;
use std::fmt;

macro_rules! read {
    ($($item:item)+) => {
        $(#[derive(Deserialize)] $item)+
    };
}

/// A field a line: where, as what, and what is taken there.
fn told<T: DeserializeOwned>() -> Vec<String> {
    let takes = |field: &Field| field.takes.iter().cloned().collect::<Vec<_>>().join(", ");
    let told = |field: &Field| format!("{} {}: {}", field.path, field.kind, takes(field));
    of::<T>().expect("can be told").iter().map(told).collect()
}

fn unseen<T: DeserializeOwned>() -> Unseen {
    of::<T>().expect_err("cannot be told")
}

read! {
    #[serde(rename_all = "camelCase")]
    struct Page {
        nodes: Vec<Node>,
        next_page: Option<Opaque>,
        #[serde(default)]
        last: bool,
        total: Wrapped,
    }
    struct Node {
        at: Timestamp,
        who: Option<Box<Who>>,
        pair: (Opaque, u8),
    }
    struct Who { id: Opaque, name: Name }
    struct Wrapped(u64);
}

#[test]
fn every_field_of_a_type_is_told_with_what_is_taken_there() {
    assert_eq!(
        told::<Page>(),
        [
            "last bool: yes or no",
            "nextPage Opaque: word",
            "nodes[].at Timestamp: number, time",
            "nodes[].pair[] Opaque: word",
            "nodes[].pair[] u8: number",
            "nodes[].who.id Opaque: word",
            "nodes[].who.name Name: text",
            "total Wrapped: number",
        ]
    );
    assert_eq!(told::<Vec<Option<Opaque>>>(), ["[] Opaque: word"]);
    assert_eq!(told::<IgnoredAny>(), [""; 0]);
}

read! {
    struct Change { field: Option<Word>, value: Held }
    #[serde(rename_all = "lowercase")]
    enum Word { Status, Owner, #[serde(other)] Other }
    enum Strict { Left, Right }
    #[serde(rename_all = "lowercase")]
    enum Held { Id(Opaque), Span { from: Timestamp, to: Strict }, Both(Opaque, Name) }
    #[serde(tag = "kind", content = "what")]
    enum Beside { Id(Opaque), Name(Name) }
}

#[test]
fn an_enum_is_told_with_all_its_words_and_what_lies_behind_them() {
    let told = told::<Change>();
    assert!(told.contains(&"field Word: any other word, other, owner, status".to_owned()), "{told:#?}");
    assert!(told.contains(&"value Held: both, id, span".to_owned()), "{told:#?}");
    let behind =
        ["value.id Opaque: word", "value.span.from Timestamp: number, time", "value.both[] Name: text"];
    behind.iter().for_each(|line| assert!(told.iter().any(|it| it == line), "{line} is not in {told:#?}"));
    assert!(told.contains(&"value.span.to Strict: Left, Right".to_owned()), "{told:#?}");
    assert_eq!(self::told::<Beside>(), ["kind word: Id, Name", "what Beside: text", "what Beside: word"]);
}

fn half<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    u64::deserialize(deserializer).map(|whole| whole / 2)
}

read! {
    struct Halved { #[serde(deserialize_with = "half")] n: u64 }
}

#[test]
fn a_field_with_a_reader_of_its_own_is_told_too() {
    assert_eq!(told::<Halved>(), ["n u64: number"]);
}

read! {
    struct Tree { id: Opaque, children: Vec<Tree>, parent: Option<Box<Tree>> }
    struct Ends { next: Box<Ends> }
    struct Counts { by_name: HashMap<String, Timestamp> }
}

#[test]
fn a_type_that_comes_back_to_itself_is_told_once() {
    assert_eq!(
        told::<Tree>(),
        ["children Tree: the same again", "id Opaque: word", "parent Tree: the same again"]
    );
    assert_eq!(unseen::<Ends>().why, "the type holds itself");
}

#[test]
fn keys_that_are_read_are_fields_too() {
    assert_eq!(told::<Counts>(), ["by_name.* Timestamp: number, time", "by_name.* (key) String: text"]);
}

/// An id, a person with an id, or whatever else, which is not looked at.
struct Loose;

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Loose;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
                Ok(Loose)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

/// Reads one key of its own choice.
struct Sly;

impl<'de> Deserialize<'de> for Sly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Sly;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sly, A::Error> {
                while let Some(key) = map.next_key::<String>()? {
                    if key == "body" {
                        map.next_value::<String>()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Sly)
            }
        }
        deserializer.deserialize_map(Look)
    }
}

#[test]
fn what_is_passed_over_unread_is_no_field() {
    assert_eq!(told::<Vec<Loose>>(), ["[] Loose: number, object"]);
}

read! {
    struct Flat { id: Opaque, #[serde(flatten)] rest: Who }
    #[serde(untagged)]
    enum Either { Id(Opaque), Who(Who) }
    #[serde(tag = "kind")]
    enum Tagged { Who(Who) }
    struct Twice { #[serde(alias = "title")] name: Name }
    struct Holds<T> { items: Vec<T> }
}

#[test]
fn a_type_that_could_read_more_than_it_tells_is_refused() {
    for (unseen, path) in [
        (unseen::<Holds<Flat>>(), "items[]"),
        (unseen::<Holds<Either>>(), "items[]"),
        (unseen::<Holds<Tagged>>(), "items[]"),
        (unseen::<Holds<serde_json::Value>>(), "items[]"),
        (unseen::<Holds<Sly>>(), "items[].*"),
        (unseen::<Holds<Twice>>(), "items[].title"),
    ] {
        assert!(unseen.path.starts_with(path), "{unseen}");
    }
}

#[test]
fn a_leaf_that_takes_nothing_at_all_is_not_passed_over() {
    struct Never;
    impl<'de> Deserialize<'de> for Never {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer)?;
            Err(serde::de::Error::custom("never"))
        }
    }
    assert_eq!(unseen::<Holds<Never>>().path, "items[]");
}

#[test]
fn every_answer_of_every_tool_is_read_into_a_type_whose_fields_can_be_told() {
    for connector in crate::ALL {
        let contract = connector.contract();
        let answers = contract.operations.iter().flat_map(|operation| operation.reads);
        for reads in answers.chain(contract.complaints) {
            let fields = reads.fields().map_err(|unseen| format!("{}: {unseen}", reads.name()));
            let fields = fields.expect("can be told");
            assert!(!fields.is_empty(), "{} reads nothing", reads.name());
        }
    }
}
