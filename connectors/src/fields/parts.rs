//! What a walk shows a type of an object, a list and an enum.

use super::walk::{At, LOOKS};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::any::type_name;

/// What an object is asked by.
pub(super) enum Keys {
    /// The names a struct declares, and how many are done.
    Declared(&'static [&'static str], usize),
    /// One that nobody knows; whether a type that is shown it may look at it.
    Unknown { may_look: bool, done: bool },
}

pub(super) struct Entries<'a> {
    pub(super) at: At<'a>,
    pub(super) keys: Keys,
    pub(super) current: &'static str,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match &mut self.keys {
            Keys::Declared(names, done) => {
                let Some(name) = names.get(*done) else { return Ok(None) };
                (*done, self.current) = (*done + 1, name);
                let path = self.at.under(name);
                self.at.survey.key(Some(path));
                let name: StrDeserializer<'_, Error> = (*name).into_deserializer();
                seed.deserialize(name).map(Some)
            }
            Keys::Unknown { done: true, .. } => Ok(None),
            Keys::Unknown { may_look: false, done } => {
                *done = true;
                seed.deserialize(Unlooked(&mut self.at)).map(Some)
            }
            Keys::Unknown { done, .. } => {
                *done = true;
                self.at.chosen = type_name::<K::Value>() != type_name::<IgnoredAny>();
                let path = self.at.under("* (key)");
                seed.deserialize(self.at.inner(path, type_name::<K::Value>())).map(Some)
            }
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.at.survey.key(None);
        let (path, chosen) = (self.at.under(self.current), self.at.chosen);
        seed.deserialize(At { chosen, ..self.at.inner(path, type_name::<T::Value>()) })
    }
}

pub(super) struct Items<'a> {
    pub(super) at: At<'a>,
    pub(super) left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let path = format!("{}[]", self.at.path);
        seed.deserialize(self.at.inner(path, type_name::<T::Value>())).map(Some)
    }
}

/// A key that only those may have who do not look at it.
struct Unlooked<'a, 'b>(&'a mut At<'b>);

impl<'de> Deserializer<'de> for Unlooked<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.0.survey.give_up(&self.0.path, LOOKS);
        Err(de::Error::custom(LOOKS))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// One of an enum's words, and what comes with it.
pub(super) struct Variant<'a> {
    pub(super) at: At<'a>,
    pub(super) word: &'static str,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = At<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, At<'a>), Error> {
        let word: StrDeserializer<'_, Error> = self.word.into_deserializer();
        let path = self.at.under(self.word);
        Ok((seed.deserialize(word)?, At { path, ..self.at }))
    }
}

impl<'de> VariantAccess<'de> for At<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(At { kind: type_name::<T::Value>(), ..self })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.list(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(Keys::Declared(names, 0), visitor)
    }
}
