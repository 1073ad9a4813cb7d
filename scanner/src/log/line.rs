//! One event as one line, for a person or for a program.

use super::words::{self, Held, MESSAGES};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::fmt::{self, Write as _};
use tracing::Level;
use tracing::field::{Field, Visit};

/// Characters of a line of text. What a line of JSON holds is bounded field by field.
pub(super) const LONGEST: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for a person
    Text,
    /// A line that is a JSON object
    Json,
}

impl Format {
    pub(super) fn line(self, at: &str, level: Level, target: &str, said: &Said) -> String {
        if self == Self::Json {
            let line = Line { at, level: level.as_str(), target: &one_line(target), said };
            // Strings and numbers alone: there is nothing it could fail at.
            return serde_json::to_string(&line).unwrap_or_default();
        }
        let mut line = format!("{at} {level} {target}: {}", said.message);
        for (name, held) in &said.fields {
            let _ = match held {
                Some(Held::Number(number)) => write!(line, " {name}={number}"),
                Some(Held::Text(text)) => write!(line, " {name}={text}"),
                None => write!(line, " {name}={WITHHELD}"),
            };
        }
        one_line(&line)
    }
}

const WITHHELD: &str = "(withheld)";

struct Line<'a> {
    at: &'a str,
    level: &'a str,
    target: &'a str,
    said: &'a Said,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("at", self.at)?;
        map.serialize_entry("level", self.level)?;
        map.serialize_entry("target", self.target)?;
        map.serialize_entry("message", &self.said.message)?;
        for (name, held) in &self.said.fields {
            match held {
                Some(Held::Number(number)) => map.serialize_entry(name, number)?,
                Some(Held::Text(text)) => map.serialize_entry(name, text)?,
                None => map.serialize_entry(name, WITHHELD)?,
            }
        }
        map.end()
    }
}

/// What of an event may be printed.
pub(super) struct Said {
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Option<Held>)>,
}

impl Said {
    pub(super) fn nothing() -> Self {
        Self { message: "(not in the list of messages)".into(), fields: vec![] }
    }

    fn say(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            if MESSAGES.contains(&value) {
                value.clone_into(&mut self.message);
            }
        } else if let Some(held) = words::held(field.name(), value)
            && self.fields.iter().all(|(name, _)| *name != held.0)
        {
            self.fields.push(held);
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.say(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.say(field, &format!("{value:?}"));
    }
}

/// Nothing that could begin another line, move the cursor or turn the text.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if line.len() >= LONGEST {
            break;
        } else if c.is_control() || !c.is_ascii() {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line
}
