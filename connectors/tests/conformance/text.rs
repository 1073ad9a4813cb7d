//! Looking into texts: where the values of a JSON text stand, what of it turns up elsewhere, what a page keeps.
#![expect(unreachable_pub, reason = "shared by the files beside it")]

use serde_json::Value;
use std::collections::HashSet;
use std::ops::Range;
use twinflow_connectors::{Cursor, Opaque, Page};

/// Where each value of a JSON text stands; keys are no values.
pub fn values(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut spans, mut open, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b'{' | b'[' => open.push(start),
            b'}' | b']' => spans.push(open.pop().unwrap()..at),
            b'"' => {
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                if bytes.get(at) != Some(&b':') {
                    spans.push(start..at);
                }
            }
            b',' | b':' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                while at < bytes.len() && !b",]} \n".contains(&bytes[at]) {
                    at += 1;
                }
                spans.push(start..at);
            }
        }
    }
    assert!(open.is_empty());
    spans
}

/// Every run of twelve bytes within the string values of JSON texts.
#[derive(Default)]
pub struct Runs(HashSet<[u8; 12]>);

impl Runs {
    pub fn of(json: &str) -> Self {
        let mut runs = Self::default();
        runs.collect(&serde_json::from_str(json).unwrap());
        runs
    }

    pub fn add(&mut self, text: &str) {
        self.0.extend(text.as_bytes().windows(12).map(|run| <[u8; 12]>::try_from(run).unwrap()));
    }

    fn collect(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(entries) => entries.values().for_each(|value| self.collect(value)),
            _ => {}
        }
    }

    /// What of these turns up in another text.
    pub fn found_in(&self, text: &str) -> Option<String> {
        let found = text.as_bytes().windows(12).find(|run| self.0.contains(*run))?;
        Some(String::from_utf8_lossy(found).into_owned())
    }
}

/// Everything that is kept of a page, as text: how it prints and how it is stored.
pub fn kept(page: &Page) -> String {
    let cursor = Cursor::default().after(page.next.clone());
    let stored = serde_json::to_string(&(&cursor, &page.next)).unwrap();
    let mut text = format!("{page:?} {cursor:?} {stored}");
    for part in strings(page) {
        text += " ";
        text += part;
    }
    text
}

/// Every id a page holds, those of questions left over too.
pub fn ids(page: &Page) -> impl Iterator<Item = &str> {
    let cases = page.cases.iter().flat_map(|case| {
        let (status, assignee) = (case.status.as_ref(), case.assignee.as_ref());
        [Some(&case.id), Some(&case.key), status, assignee, case.priority.as_ref()]
    });
    let events = page.events.iter().flat_map(|event| {
        let (case, source) = (Some(&event.case), Some(&event.source));
        [case, source, event.resource.as_ref(), event.from.as_ref(), event.to.as_ref()]
    });
    let names = page.names.iter().map(|named| Some(&named.id));
    let left = page.next.pending.iter().flat_map(|left| left.cases.iter().chain([&left.operation]));
    let present = page.present.iter().map(Some);
    let known = cases.chain(events).chain(names).chain(present).flatten().map(Opaque::as_str);
    known.chain(left.map(String::as_str))
}

/// Every text a page holds.
pub fn strings(page: &Page) -> impl Iterator<Item = &str> {
    let names = page.names.iter().map(|named| named.name.as_str());
    let tokens = page.next.pending.iter().filter_map(|left| left.page.as_deref());
    let next = page.next.windows.iter().flat_map(|it| it.after().into_iter().chain([it.since.as_str()]));
    ids(page).chain(names).chain(tokens).chain(next).chain(page.next.skipped.keys().map(String::as_str))
}

#[test]
fn the_values_of_a_json_text_are_found_and_its_keys_are_not() {
    let text = r#"{"a":[1,-2.5e3,"x\"y"],"b":{"c":null},"d":true}"#;
    let found: HashSet<&str> = values(text).into_iter().map(|at| &text[at]).collect();
    let expected =
        [text, r#"[1,-2.5e3,"x\"y"]"#, "1", "-2.5e3", r#""x\"y""#, r#"{"c":null}"#, "null", "true"];
    assert_eq!(found, expected.into());
}

#[test]
fn a_quoted_value_is_found_in_an_error_and_an_honest_error_is_clean() {
    let runs = Runs::of(r#"{"title":"Rename the secret project","n":[{"x":"short"}]}"#);
    assert_eq!(
        runs.found_in("invalid type: string \"Rename the secret project\"").as_deref(),
        Some("Rename the s")
    );
    assert_eq!(runs.found_in("the answer has an unexpected shape at line 1, column 7: short"), None);
}
