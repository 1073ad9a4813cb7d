//! What came back: a status, headers, and bytes that only a declared type may look into.

use crate::action::Action;
use crate::contract::{Contract, Operation, Reads};
use crate::error::{ReadError, Wait};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use std::time::Duration;

#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    to: Option<(&'static Operation, &'static Contract)>,
}

/// The body is left out on purpose: it may hold what must not be kept, and logs are kept.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("bytes", &self.body.len()).finish()
    }
}

impl Answer {
    /// Header names in lower case, as HTTP/2 sends them.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { status, headers, body, to: None }
    }

    /// The same, as an answer to this operation of this contract, which say what may be read of it.
    pub fn to(self, operation: &'static Operation, contract: &'static Contract) -> Self {
        Self { to: Some((operation, contract)), ..self }
    }

    /// Whether it answers this operation.
    pub fn answers(&self, operation: &'static Operation) -> bool {
        self.to.is_some_and(|(it, _)| std::ptr::eq(it, operation))
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    /// How long the body is.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as `T`, or where it stopped making sense. Keys that `T` does not declare are skipped unread.
    ///
    /// `T` is one of the types that the contract declares for what was asked; no other ever sees the body.
    pub fn json<T: DeserializeOwned + 'static>(&self) -> Result<T, ReadError> {
        if !self.to.is_some_and(|(operation, contract)| contract.reads::<T>(operation)) {
            return Err(ReadError::Undeclared(std::any::type_name::<T>()));
        }
        self.decode()
    }

    /// The same of the answer to an action, which belongs to no contract: `T` is one of the types the action declares.
    pub(crate) fn json_after<T: DeserializeOwned + 'static>(&self, action: &Action) -> Result<T, ReadError> {
        if !action.reads.iter().any(Reads::is::<T>) {
            return Err(ReadError::Undeclared(std::any::type_name::<T>()));
        }
        self.decode()
    }

    fn decode<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        if !self.header("content-type").is_some_and(|kind| kind.contains("json")) {
            let html = self.header("content-type").is_some_and(|kind| kind.contains("html"));
            return Err(ReadError::NotJson(if html { "a web page" } else { "of another type" }));
        }
        let text =
            std::str::from_utf8(&self.body).map_err(|error| ReadError::NotUtf8(error.valid_up_to()))?;
        serde_json::from_str(text).map_err(|error| ReadError::from_json(&error))
    }

    /// Whether a piece of text occurs anywhere: far cheaper than parsing, where most answers lack it.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        std::str::from_utf8(&self.body).is_ok_and(|body| body.contains(text))
    }

    /// `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
    pub fn retry_after(&self) -> Option<Wait> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Wait::For(Duration::from_secs(seconds)));
        }
        DateTime::parse_from_rfc2822(value).ok().map(|date| Wait::Until(date.with_timezone(&Utc)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Body, Method, Scope};
    use chrono::TimeZone;
    use serde::Deserialize;

    fn with(name: &str, value: &str, body: &[u8]) -> Answer {
        Answer::new(200, vec![(name.into(), value.into())], body.to_vec())
    }

    #[test]
    fn both_forms_of_retry_after_are_understood() {
        assert_eq!(with("retry-after", "17", b"").retry_after(), Some(Wait::For(Duration::from_secs(17))));
        let date = Utc.with_ymd_and_hms(2026, 3, 1, 10, 0, 0).single().map(Wait::Until);
        assert_eq!(with("retry-after", "Sun, 01 Mar 2026 10:00:00 GMT", b"").retry_after(), date);
        assert_eq!(with("retry-after", "soon", b"").retry_after(), None);
    }

    #[derive(Debug, Deserialize)]
    struct Wanted {
        #[serde(rename = "n")]
        _n: u32,
    }

    #[derive(Debug, Deserialize)]
    struct Moaned {
        #[serde(rename = "why")]
        _why: Option<u32>,
    }

    static ASKED: Operation = Operation {
        name: "asked",
        why: "a test",
        method: Method::Get,
        path: "/",
        query: &[],
        body: Body::None,
        reads: &[Reads::of::<Wanted>()],
    };

    static CONTRACT: Contract = Contract {
        tool: "test",
        title: "Test",
        base_url: "",
        hosts_under: &[],
        stream: "",
        sign_ins: &[],
        scopes: &[],
        operations: &[&ASKED],
        complaints: &[Reads::of::<Moaned>()],
        stored: &[],
        never: &[],
    };

    #[test]
    fn an_error_says_where_and_never_what() {
        let bad = with("content-type", "application/json", br#"{"n":"secret words"}"#).to(&ASKED, &CONTRACT);
        let error = bad.json::<Wanted>().expect_err("a string is not a number");
        assert!(matches!(error, ReadError::Shape { line: 1, .. }));
        assert!(!format!("{error} {error:?} {bad:?}").contains("secret"));
    }

    #[test]
    fn a_login_page_is_not_parsed() {
        let page = with("content-type", "text/html; charset=utf-8", b"{}").to(&ASKED, &CONTRACT);
        assert_eq!(page.json::<Wanted>().err(), Some(ReadError::NotJson("a web page")));
    }

    #[test]
    fn an_answer_is_read_into_what_the_contract_declares_for_it_and_into_nothing_else() {
        let answer = with("content-type", "application/json", br#"{"n":1}"#);
        let undeclared = |error| matches!(error, Some(ReadError::Undeclared(_)));
        assert!(undeclared(answer.json::<Wanted>().err()), "nobody asked for it");
        let answer = answer.to(&ASKED, &CONTRACT);
        assert!(answer.json::<Wanted>().is_ok() && answer.json::<Moaned>().is_ok());
        assert!(undeclared(answer.json::<serde_json::Value>().err()));
        assert!(undeclared(answer.json::<Vec<Wanted>>().err()));
    }

    #[test]
    fn the_answer_to_an_action_is_read_into_what_the_action_declares() {
        static DONE: Action = Action {
            name: "done",
            why: "a test",
            method: Method::Post,
            path: "/",
            body: "{}",
            scope: Scope { name: "write", why: "a test" },
            reads: &[Reads::of::<Wanted>()],
        };
        let answer = with("content-type", "application/json", br#"{"n":1}"#);
        assert!(answer.json_after::<Wanted>(&DONE).is_ok());
        assert!(matches!(answer.json_after::<Moaned>(&DONE).err(), Some(ReadError::Undeclared(_))));
    }
}
