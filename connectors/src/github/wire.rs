//! The fields of GitHub's answers that are read, and nothing else: a key that stands in no struct here is
//! skipped without being decoded.

use crate::event::{Name, Opaque, Timestamp};
pub(super) use crate::graphql::{Connection, PageInfo, Reply};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use std::fmt;

#[derive(Deserialize)]
pub(super) struct IssuesData {
    pub(super) repository: Option<Repository<Connection<Issue>>>,
}

#[derive(Deserialize)]
pub(super) struct IssuesByAgeData {
    pub(super) repository: Option<Repository<Counted>>,
}

#[derive(Deserialize)]
pub(super) struct CensusData {
    pub(super) repository: Option<Repository<Connection<Present>>>,
}

#[derive(Deserialize)]
pub(super) struct Repository<C> {
    pub(super) issues: C,
}

/// Issues, and how many there are in all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counted {
    pub(super) page_info: PageInfo,
    pub(super) nodes: Vec<Issue>,
    pub(super) total_count: Option<u32>,
}

/// An issue that is there.
#[derive(Deserialize)]
pub(super) struct Present {
    pub(super) id: Opaque,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Issue {
    pub(super) id: Opaque,
    pub(super) number: u64,
    pub(super) state: Opaque,
    pub(super) state_reason: Option<Opaque>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) author: Option<Who>,
    pub(super) timeline_items: Connection<Happening>,
}

#[derive(Deserialize)]
pub(super) struct TimelineData {
    pub(super) node: Option<TimelineNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TimelineNode {
    pub(super) id: Option<Opaque>,
    /// Absent where the node is an issue no longer.
    pub(super) timeline_items: Option<Connection<Happening>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Happening {
    #[serde(rename = "__typename")]
    pub(super) kind: Opaque,
    pub(super) id: Opaque,
    pub(super) created_at: Timestamp,
    pub(super) actor: Option<Who>,
    pub(super) assignee: Option<Who>,
    pub(super) label: Option<Label>,
    pub(super) state_reason: Option<Opaque>,
}

#[derive(Deserialize)]
pub(super) struct Who {
    pub(super) id: Opaque,
    pub(super) login: Option<Name>,
}

#[derive(Deserialize)]
pub(super) struct Label {
    pub(super) id: Opaque,
    pub(super) name: Name,
}

#[derive(Deserialize)]
pub(super) struct ViewerData {
    pub(super) viewer: Who,
}

/// Every error GitHub can answer with, in either API's shape. Of a message only one bit is kept.
#[derive(Deserialize)]
pub(super) struct Complaint {
    pub(super) errors: Option<Vec<Problem>>,
    pub(super) message: Option<SpeaksOfLimit>,
}

#[derive(Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub(super) kind: Option<Opaque>,
    pub(super) path: Option<Vec<Step>>,
    pub(super) message: Option<SpeaksOfLimit>,
}

/// One step of an error's path: a field's name, or an index, which is not kept.
pub(super) struct Step(Option<Opaque>);

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl Visitor<'_> for Look {
            type Value = Step;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name or an index")
            }
            fn visit_str<E>(self, text: &str) -> Result<Step, E> {
                Ok(Step(Opaque::new(text)))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Step, E> {
                Ok(Step(None))
            }
        }
        deserializer.deserialize_any(Look)
    }
}

impl Step {
    pub(super) fn is(&self, field: &str) -> bool {
        self.0.as_ref().is_some_and(|name| name.as_str() == field)
    }
}

/// Whether a message speaks of a secondary rate limit or of limited resources; the message itself is not kept.
#[derive(Clone, Copy, Default)]
pub(super) struct SpeaksOfLimit {
    pub(super) rate: bool,
    pub(super) resources: bool,
    /// GitHub's own trouble, which it tells with status 200 and without a type.
    pub(super) trouble: bool,
}

impl<'de> Deserialize<'de> for SpeaksOfLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl Visitor<'_> for Look {
            type Value = SpeaksOfLimit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }
            fn visit_str<E>(self, text: &str) -> Result<SpeaksOfLimit, E> {
                let text = text.to_lowercase();
                Ok(SpeaksOfLimit {
                    rate: text.contains("rate limit") || text.contains("abuse detection"),
                    resources: text.contains("resource limits exceeded") || text.contains("timeout"),
                    trouble: text.contains("something went wrong"),
                })
            }
        }
        deserializer.deserialize_str(Look)
    }
}
