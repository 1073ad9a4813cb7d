//! What can go wrong with an answer. Each says *where*, never *what*: an error must not carry what was read.

use chrono::{DateTime, Utc};
use std::time::Duration;

/// An answer that could not be understood. Nothing of its page is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the answer was {0} where JSON was expected")]
    NotJson(&'static str),
    #[error("the answer is not valid UTF-8 (byte {0})")]
    NotUtf8(usize),
    #[error("the answer ends in the middle (line {line}, column {column})")]
    CutShort { line: usize, column: usize },
    #[error("the answer is not well-formed JSON (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error("the answer has an unexpected shape at line {line}, column {column}")]
    Shape { line: usize, column: usize },
    #[error("the answer lacks {0}")]
    Missing(&'static str),
    #[error("the contract does not declare that this answer is read as {0}; it was not read")]
    Undeclared(&'static str),
    #[error("{0} answers came to {1} questions")]
    Count(usize, usize),
}

impl ReadError {
    /// Keeps the place of a JSON error and drops its message, which may quote the value it choked on.
    pub(crate) fn from_json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Eof => Self::CutShort { line, column },
            serde_json::error::Category::Data => Self::Shape { line, column },
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                Self::Malformed { line, column }
            }
        }
    }
}

/// A tool's "no", whatever the dialect it is said in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A rate limit or quota.
    SlowDown(Wait),
    /// The credential is not, or no longer, accepted.
    Unauthorised,
    /// The credential may not read this stream.
    Forbidden,
    /// The stream does not exist, or is hidden from this credential.
    Gone,
    /// The question took the tool too long; a smaller page may not.
    TooMuch,
    /// The tool did not accept the question: an expired page token, or a question it does not know.
    Rejected,
    /// The tool is in trouble itself (5xx).
    Trouble(u16),
}

/// How long a tool asks to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    For(Duration),
    Until(DateTime<Utc>),
    Unsaid,
}

/// How much of a tool's limit is left until it starts anew; others use the same limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub limit: u64,
    pub remaining: u64,
    pub resets: Wait,
}

/// A request that its operation does not declare: a fault in the connector, or a tampered stream name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {operation}: {problem} ({parameter})")]
pub struct Undeclared {
    pub operation: &'static str,
    pub parameter: String,
    pub problem: &'static str,
}

/// A stream name that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {expected}")]
pub struct BadStream {
    pub given: String,
    pub expected: &'static str,
}
