//! One walk over a type: a deserializer that has an answer to everything, and tells the [`Survey`] where it was asked.

use super::parts::{Entries, Items, Keys, Variant};
use super::survey::Survey;
use serde::de::value::Error;
use serde::de::{self, Deserializer, Visitor};
use std::any::type_name;

/// A place in the made-up answer.
pub(super) struct At<'a> {
    pub(super) survey: &'a mut Survey,
    pub(super) path: String,
    /// The type that is decoded here.
    pub(super) kind: &'static str,
    /// The types this place lies in, to meet none twice.
    pub(super) within: Vec<&'static str>,
    /// The nearest list or option around, which could also be empty.
    pub(super) exit: Option<String>,
    /// Whether the type chose this value by a key it was shown.
    pub(super) chosen: bool,
}

/// One of everything that JSON can hold, and its name.
const TEXTS: &[(&str, &str)] = &[
    ("text", "Two words, and a stop."),
    ("word", "a1"),
    ("address", "who@example.org"),
    ("time", "2026-01-02T03:04:05Z"),
    ("date", "2026-01-02"),
    ("numeral", "17"),
    ("record id", "0056F000006DMcMQAW"),
    ("link", "https://example.org/id/00D6F000001g1qsUAA/0056F000006DMcMQAW"),
    ("empty text", ""),
];
const NUMBERS: &[&str] = &["number", "time in seconds", "fraction"];
const OTHERS: &[&str] = &["yes or no", "nothing", "list", "object"];

/// What stands for a key, or for a word of an enum, that no type knows.
const UNKNOWN: &str = "\u{1}";
const ANY_OTHER: &str = "any other word";

impl<'a> At<'a> {
    pub(super) fn root<T>(survey: &'a mut Survey) -> Self {
        let kind = type_name::<T>();
        Self { survey, path: String::new(), kind, within: vec![], exit: None, chosen: false }
    }

    /// A place in this one.
    pub(super) fn inner(&mut self, path: String, kind: &'static str) -> At<'_> {
        let (within, exit) = (self.within.clone(), self.exit.clone());
        At { survey: self.survey, path, kind, within, exit, chosen: false }
    }

    pub(super) fn under(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn fail<T>(self, why: &'static str) -> Result<T, Error> {
        self.survey.give_up(&self.path, why);
        Err(de::Error::custom(why))
    }

    fn offer<'de, V: Visitor<'de>>(&mut self, samples: &[&'static str]) -> usize {
        let by = type_name::<V::Value>();
        // What serde made for itself tells nothing.
        let kind = [self.kind, by].into_iter().find(|it| !it.contains("::_")).unwrap_or("word");
        self.survey.offer((self.path.clone(), kind, by), samples)
    }

    fn text<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let names: Vec<_> = TEXTS.iter().map(|(name, _)| *name).collect();
        let nth = self.offer::<V>(&names);
        visitor.visit_str(TEXTS.get(nth).map_or("", |(_, text)| text))
    }

    fn bytes<'de, V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.fail("bytes are no part of JSON")
    }

    fn number<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let nth = self.offer::<V>(NUMBERS);
        give_number(nth, visitor)
    }

    /// An object, from its keys to their values.
    pub(super) fn object<'de, V: Visitor<'de>>(mut self, keys: Keys, visitor: V) -> Result<V::Value, Error> {
        if self.within.contains(&type_name::<V::Value>()) {
            self.survey.turn_back(self.exit.take(), &self.path, type_name::<V::Value>());
            return Err(de::Error::custom("round and round"));
        }
        self.within.push(type_name::<V::Value>());
        visitor.visit_map(Entries { at: self, keys, current: "*" })
    }

    /// A list; the second item shows whether all are read alike.
    pub(super) fn list<'de, V: Visitor<'de>>(mut self, items: usize, visitor: V) -> Result<V::Value, Error> {
        let items = if self.survey.goes_round(&self.path) { 0 } else { items };
        self.exit = Some(self.path.clone());
        visitor.visit_seq(Items { at: self, left: items })
    }
}

fn give_number<'de, V: Visitor<'de>>(nth: usize, visitor: V) -> Result<V::Value, Error> {
    match nth {
        0 => visitor.visit_u64(17),
        1 => visitor.visit_i64(1_767_323_045),
        _ => visitor.visit_f64(1.5),
    }
}

pub(super) const LOOKS: &str =
    "the type looks at names it does not tell beforehand (flatten, untagged or tagged enum, any JSON)";

macro_rules! alike {
    ($($method:ident)+ => $how:ident) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$how(visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Error;

    alike! { deserialize_str deserialize_string deserialize_char => text }
    alike! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 => number
    }
    alike! { deserialize_bytes deserialize_byte_buf => bytes }

    /// The type looks what there is: it is shown everything.
    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let texts = TEXTS.iter().map(|(name, _)| *name);
        let names: Vec<_> = texts.chain(NUMBERS.iter().chain(OTHERS).copied()).collect();
        let nth = self.offer::<V>(&names);
        match (TEXTS.get(nth), names.get(nth).copied()) {
            (Some((_, text)), _) => visitor.visit_str(text),
            (_, Some("yes or no")) => visitor.visit_bool(true),
            (_, Some("nothing")) => visitor.visit_unit(),
            (_, Some("list")) => self.list(2, visitor),
            (_, Some("object")) => self.object(Keys::Unknown { may_look: false, done: false }, visitor),
            _ => give_number(nth - TEXTS.len(), visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.offer::<V>(&["yes or no"]);
        visitor.visit_bool(true)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.offer::<V>(&["nothing"]);
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.survey.goes_round(&self.path) {
            return visitor.visit_none();
        }
        let exit = Some(self.path.clone());
        visitor.visit_some(At { exit, ..self })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.list(2, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.list(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.object(Keys::Unknown { may_look: true, done: false }, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(Keys::Declared(names, 0), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let samples: Vec<_> = words.iter().copied().chain([ANY_OTHER]).collect();
        let word = words.get(self.offer::<V>(&samples)).copied().unwrap_or(UNKNOWN);
        visitor.visit_enum(Variant { at: self, word })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.fail(LOOKS)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.chosen { self.fail(LOOKS) } else { visitor.visit_unit() }
    }
}
