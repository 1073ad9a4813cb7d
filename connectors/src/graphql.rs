//! What every tool that speaks GraphQL wraps its answers in: the data (GraphQL specification, section 7.1) and Relay's
//! pages (GraphQL Cursor Connections).

use crate::answer::Answer;
use crate::error::ReadError;
use crate::event::Token;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
pub(crate) struct Reply<T> {
    pub(crate) data: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection<T> {
    pub(crate) page_info: PageInfo,
    pub(crate) nodes: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<Token>,
}

impl PageInfo {
    /// The token of the page that follows, if one does.
    pub(crate) fn next(self) -> Result<Option<String>, ReadError> {
        match (self.has_next_page, self.end_cursor.and_then(Token::text)) {
            (false, _) => Ok(None),
            (true, Some(token)) => Ok(Some(token)),
            (true, None) => Err(ReadError::Missing("pageInfo.endCursor")),
        }
    }
}

/// What was asked for.
pub(crate) fn data<T: DeserializeOwned + 'static>(answer: &Answer) -> Result<T, ReadError> {
    answer.json::<Reply<T>>()?.data.ok_or(ReadError::Missing("data"))
}
