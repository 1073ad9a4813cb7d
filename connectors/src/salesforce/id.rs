//! Salesforce's two kinds of ids: those of records, and the values people choose from picklists, which are words.

use crate::event::{Name, Opaque};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::fmt::Write;

/// A record's id in its form of 18 characters, whichever of the two it came in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sid(Opaque);

impl Sid {
    /// Fifteen characters that tell upper case from lower, or the same with three more that make up for readers which
    /// do not ("ID Field Type" in the Object Reference).
    pub(super) fn new(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let whole = match text.len() {
            15 if plain => format!("{text}{}", suffix(text)),
            18 if plain => text.to_owned(),
            _ => return None,
        };
        Opaque::new(whole).map(Self)
    }

    /// The id of a user or of a queue: those own cases.
    pub(super) fn of_owner(text: &str) -> Option<Self> {
        Self::new(text).filter(|id| ["005", "00G"].iter().any(|kind| id.as_str().starts_with(kind)))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn opaque(&self) -> Opaque {
        self.0.clone()
    }
}

/// For each five characters one that says which of them are upper case.
fn suffix(fifteen: &str) -> String {
    let five = |part: &[u8]| {
        let bits = part.iter().enumerate().map(|(nth, byte)| u8::from(byte.is_ascii_uppercase()) << nth);
        match bits.sum::<u8>() {
            letter @ 0..26 => char::from(b'A' + letter),
            digit => char::from(b'0' + digit - 26),
        }
    };
    fifteen.as_bytes().chunks(5).map(five).collect()
}

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).ok_or_else(|| Error::custom("not a record's id"))
    }
}

/// A value of a picklist (`In Progress`), or nothing: null, empty, or longer than people make such values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Picked(Option<String>);

impl Picked {
    /// Characters. What is longer may be a sentence.
    const LONGEST: usize = 50;

    pub(super) fn new(text: &str) -> Self {
        let short = (1..=Self::LONGEST).contains(&text.chars().count());
        Self(short.then(|| text.to_owned()))
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The value as an id: what an id cannot hold is written as in a URL (`In%20Progress`), and so is what stands
    /// between the parts of a place.
    pub(super) fn id(&self) -> Option<Opaque> {
        self.text().and_then(escaped)
    }

    pub(super) fn name(&self) -> Option<Name> {
        self.text().map(Name::new)
    }
}

fn escaped(text: &str) -> Option<Opaque> {
    let mut id = String::with_capacity(text.len());
    for c in text.chars() {
        let mut bytes = [0; 4];
        let part = c.encode_utf8(&mut bytes);
        if !"%|".contains(c) && Opaque::new(&*part).is_some() {
            id.push(c);
        } else {
            for byte in part.bytes() {
                write!(id, "%{byte:02X}").ok()?;
            }
        }
    }
    Opaque::new(id)
}

impl<'de> Deserialize<'de> for Picked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map_or_else(Self::default, |text| Self::new(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_id_becomes_the_long_one_of_the_same_record() {
        // From the Object Reference and from answers in public documentation.
        for long in ["00DRO0000008aXd2AI", "005RO000000HfnkYAC", "0056F000006DMcMQAW", "00D6F000001g1qsUAA"] {
            assert_eq!(Sid::new(&long[..15]).map(|id| id.as_str().to_owned()).as_deref(), Some(long));
        }
        for wrong in ["", "Ana (dev)", "005RO000000Hfnk Y", "005RO000000HfnkYACx"] {
            assert_eq!(Sid::new(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_users_and_queues_own_cases() {
        assert!(
            Sid::of_owner("005RO000000HfnkYAC").is_some() && Sid::of_owner("00GRO000000HfnkYAC").is_some()
        );
        assert_eq!(Sid::of_owner("003RO000000HfnkYAC"), None);
        assert_eq!(Sid::of_owner("AnaDeveloperBot"), None);
    }

    #[test]
    fn no_two_values_share_an_id_and_none_has_a_space() {
        let id = |text| Picked::new(text).id().map(|id| id.to_string());
        assert_eq!(id("In Progress").as_deref(), Some("In%20Progress"));
        assert_eq!(id("In%20Progress").as_deref(), Some("In%2520Progress"));
        assert_eq!(id("Won't Do").as_deref(), Some("Won't%20Do"));
        assert_eq!(id("重要").as_deref(), Some("重要"));
        assert_eq!(id("Überfällig\u{200b}").as_deref(), Some("Überfällig%E2%80%8B"));
        assert_eq!(id(""), None);
    }

    #[test]
    fn a_sentence_is_no_value() {
        assert_eq!(Picked::new("Rename the secret project before Monday or tell nobody").text(), None);
    }
}
