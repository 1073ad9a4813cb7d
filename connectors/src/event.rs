//! What is kept of an answer. There is no room for prose: ids are [`Opaque`], names are [`Name`], the rest is
//! times and a closed list of activities.

use chrono::{DateTime, Datelike, TimeZone, Utc};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that happened: one row of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The work item it happened to.
    pub case: Opaque,
    pub activity: Activity,
    /// Who did it; nobody when the tool does not say (automation, deleted accounts).
    pub resource: Option<Opaque>,
    pub at: DateTime<Utc>,
    pub from: Option<Opaque>,
    pub to: Option<Opaque>,
    /// The tool's own identity of this happening; the same happening read twice has the same.
    pub source: Opaque,
    /// Its turn among those of the same moment, where the tool says so.
    pub turn: i32,
}

/// A happening that the tool no longer tells of: what an [`Event`] is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    pub case: Opaque,
    pub activity: Activity,
    pub source: Opaque,
}

/// A work item as it stood when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub id: Opaque,
    /// What people call it: `EE-1`, `acme/shop#12`.
    pub key: Opaque,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub status: Option<Opaque>,
    pub assignee: Option<Opaque>,
    pub priority: Option<Opaque>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$about])* $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for it in SQL, exports and documents.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.word() == word)
            }
        }
    };
}

words! {
    /// What can happen to a case.
    Activity {
        Created = "created",
        StatusChanged = "status_changed",
        Assigned = "assigned",
        Unassigned = "unassigned",
        Labelled = "labelled",
        Unlabelled = "unlabelled",
        PriorityChanged = "priority_changed",
        TypeChanged = "type_changed",
        ResolutionChanged = "resolution_changed",
        Moved = "moved",
        Locked = "locked",
        Unlocked = "unlocked",
        DuplicateMarked = "duplicate_marked",
        DuplicateUnmarked = "duplicate_unmarked",
        EstimateChanged = "estimate_changed",
        DueDateChanged = "due_date_changed",
        Planned = "planned",
        ParentChanged = "parent_changed",
        Edited = "edited",
        Escalated = "escalated",
        Breached = "breached",
        Received = "received",
        Sent = "sent",
        Replied = "replied",
        Archived = "archived",
        Unarchived = "unarchived",
        Deleted = "deleted",
        Restored = "restored",
    }
}

words! {
    /// What a dictionary entry names.
    Kind {
        Person = "person",
        Status = "status",
        Priority = "priority",
        Label = "label",
        /// A team, a queue, a project: what work is moved between.
        Group = "group",
    }
}

words! {
    /// Which part of the work a status belongs to.
    Stage {
        ToDo = "to_do",
        InProgress = "in_progress",
        Done = "done",
    }
}

/// A dictionary entry: what people call the thing with this id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub kind: Kind,
    pub id: Opaque,
    pub name: Name,
    /// Statuses only.
    pub stage: Option<Stage>,
}

/// An id of the tool's. Short and without spaces or control characters, so that no sentence fits in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Opaque(String);

impl Opaque {
    /// Characters.
    pub const LONGEST: usize = 128;

    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits = (1..=Self::LONGEST).contains(&text.len())
            && (text.bytes().all(|byte| byte.is_ascii_graphic())
                || !text.chars().any(|c| c.is_whitespace() || hidden(c)));
        fits.then_some(Self(text))
    }

    /// An id that stands in our own source.
    pub(crate) fn known(id: &'static str) -> Self {
        debug_assert!(Self::new(id).is_some(), "{id:?} is no id");
        Self(id.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("not an id"))
    }
}

/// A tool's own mark for the page that comes next. Kept in the cursor, so no sentence fits in, and none is huge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Bytes; the tools' are some hundred long.
    const LONGEST: usize = 4096;

    /// An empty mark is no mark.
    pub(crate) fn text(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = text.len() <= Self::LONGEST && text.bytes().all(|it| it.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(de::Error::custom("not a page token")) }
    }
}

/// A name people gave to a status, a label, a person: kept, but made safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Characters; longer names are cut.
    pub const LONGEST: usize = 128;

    /// Control, bidirectional-override, zero-width and tag characters are dropped, white space is folded.
    pub fn new(text: &str) -> Self {
        let shown: String = text.chars().filter(|c| c.is_whitespace() || !hidden(*c)).collect();
        let folded = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        Self(folded.chars().take(Self::LONGEST).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name::new(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Characters that can hide text or turn it round: controls, zero-width, bidirectional and tag characters
/// (Unicode TR 36, section 2.5).
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// A moment, in any of the shapes the tools write it: RFC 3339, the same with a colon-less offset
/// (`2021-01-25T11:09:27.985+0800`), or a count of seconds or milliseconds since 1970.
///
/// Only 1970 to 2199 is believed. A year 0 or 9999 is a damaged answer, not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub DateTime<Utc>);

impl Timestamp {
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
            .ok()?;
        Self::plausible(parsed.with_timezone(&Utc))
    }

    /// Counts above 10^11 are milliseconds: as seconds they would lie beyond the year 5000.
    pub fn from_count(count: i64) -> Option<Self> {
        let moment = if count.unsigned_abs() < 100_000_000_000 {
            Utc.timestamp_opt(count, 0)
        } else {
            Utc.timestamp_millis_opt(count)
        };
        Self::plausible(moment.single()?)
    }

    fn plausible(moment: DateTime<Utc>) -> Option<Self> {
        (1970..2200).contains(&moment.year()).then_some(Self(moment))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Moment;
        impl Visitor<'_> for Moment {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).ok_or_else(|| E::custom("not a time"))
            }
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Timestamp, E> {
                Timestamp::from_count(count).ok_or_else(|| E::custom("not a time"))
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Timestamp, E> {
                i64::try_from(count)
                    .ok()
                    .and_then(Timestamp::from_count)
                    .ok_or_else(|| E::custom("not a time"))
            }
        }
        deserializer.deserialize_any(Moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_shapes_of_a_time_mean_the_same_moment() {
        let moment = Timestamp::parse("2021-01-25T03:09:27Z");
        assert!(moment.is_some());
        assert_eq!(Timestamp::parse("2021-01-25T11:09:27.000+0800"), moment);
        assert_eq!(Timestamp::from_count(1_611_544_167), moment);
        assert_eq!(Timestamp::from_count(1_611_544_167_000), moment);
    }

    #[test]
    fn a_year_nobody_works_in_is_not_believed() {
        for text in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "2021-01-25", ""]
        {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        for count in [i64::MAX, i64::MIN, -1, 253_402_300_799_000] {
            assert_eq!(Timestamp::from_count(count), None, "{count}");
        }
    }

    #[test]
    fn no_sentence_fits_into_an_id() {
        for text in ["two words", "", "line\nbreak", "zero\u{200b}width", "nul\0", &"x".repeat(129)] {
            assert_eq!(Opaque::new(text), None, "{text:?}");
        }
        for id in ["I_kwDOABC", "10063", "5fb48fe2:0d-21_ff==", "acme/shop#12", "重要"] {
            assert!(Opaque::new(id).is_some(), "{id:?}");
        }
    }

    #[test]
    fn a_name_loses_what_could_hide_or_turn_text_and_is_cut_when_long() {
        assert_eq!(Name::new(" In\u{202e} \t Review\u{200b}\u{7}\u{e0041}\n").as_str(), "In Review");
        assert_eq!(Name::new(&"é".repeat(500)).as_str().chars().count(), Name::LONGEST);
    }

    #[test]
    fn every_word_is_found_again_by_itself() {
        for activity in Activity::ALL {
            assert_eq!(Activity::from_word(activity.word()), Some(*activity));
        }
    }
}
