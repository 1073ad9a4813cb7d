//! The only way to change anything in a tool, kept apart from all that reads: an [`Action`] is no
//! [`Operation`](crate::Operation), the [`Draft`] it fills is no [`Request`](crate::Request), and what sends the one
//! does not take the other.

use crate::contract::{Method, Reads, Scope, whole_parameter};
use crate::document::Document;
use crate::error::Undeclared;
use serde::ser::{Error as _, Serialize, SerializeMap as _, Serializer};
use serde_json::Value as Json;
use zeroize::Zeroizing;

/// One thing that may be done: everything but the values of its declared parameters is fixed.
#[derive(Debug)]
pub struct Action {
    pub name: &'static str,
    pub why: &'static str,
    pub method: Method,
    pub path: &'static str,
    /// JSON in which `"{name}"` stands for a parameter's value. A key whose parameter has no value is left out.
    pub body: &'static str,
    /// What the credential needs for it, beyond the scopes of the contract.
    pub scope: Scope,
    /// What an answer is decoded into.
    pub reads: &'static [Reads],
}

/// An action with its values filled in. It holds what a person typed, so its bytes are wiped when it is dropped, and
/// `Debug` does not show them.
pub struct Draft {
    action: &'static Action,
    body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("action", &self.action.name).finish_non_exhaustive()
    }
}

impl Draft {
    pub fn action(&self) -> &'static Action {
        self.action
    }

    /// Indented JSON: what is shown to a person is, to the byte, what is sent.
    pub fn text(&self) -> &str {
        // JSON that serde_json wrote is UTF-8.
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    pub fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.body
    }
}

/// The value of a parameter.
#[derive(Clone, Copy)]
pub(crate) enum Fill<'a> {
    Text(&'a str),
    List(&'a [String]),
    /// Plain text, a paragraph to the line.
    Document(&'a str),
    Nothing,
}

impl Action {
    /// The one way to a [`Draft`]. No value can break out of its place: JSON is written, not pasted together.
    pub(crate) fn draft(&'static self, values: &[(&'static str, Fill<'_>)]) -> Result<Draft, Undeclared> {
        let problem = |problem| Undeclared { operation: self.name, parameter: "body".to_owned(), problem };
        let template: Json =
            serde_json::from_str(self.body).map_err(|_| problem("the template is not JSON"))?;
        let filled = Filled { template: &template, values };
        let unfilled = |_| problem("a parameter has no value");
        // Counted first: a buffer that grows leaves copies behind.
        let mut length = Length(0);
        serde_json::to_writer_pretty(&mut length, &filled).map_err(unfilled)?;
        let mut body = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer_pretty(&mut *body, &filled).map_err(unfilled)?;
        Ok(Draft { action: self, body })
    }
}

/// A template being written, its values never copied.
struct Filled<'a> {
    template: &'a Json,
    values: &'a [(&'static str, Fill<'a>)],
}

impl<'a> Filled<'a> {
    fn of(&self, template: &'a Json) -> Self {
        Self { template, values: self.values }
    }

    /// The value of the parameter that stands here, if one does.
    fn value(&self) -> Option<Option<Fill<'a>>> {
        let name = self.template.as_str().and_then(whole_parameter)?;
        Some(self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }
}

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value() {
            Some(Some(Fill::Text(text))) => return serializer.serialize_str(text),
            Some(Some(Fill::List(list))) => return serializer.collect_seq(list),
            Some(Some(Fill::Document(text))) => return Document(text).serialize(serializer),
            Some(Some(Fill::Nothing) | None) => return Err(S::Error::custom("no value")),
            None => {}
        }
        match self.template {
            Json::Array(items) => serializer.collect_seq(items.iter().map(|item| self.of(item))),
            Json::Object(entries) => {
                let mut map = serializer.serialize_map(None)?;
                for (key, template) in entries {
                    let filled = self.of(template);
                    if !matches!(filled.value(), Some(Some(Fill::Nothing))) {
                        map.serialize_entry(key, &filled)?;
                    }
                }
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOTE: Action = Action {
        name: "note",
        why: "a test",
        method: Method::Post,
        path: "/note",
        body: r#"{"title": "{title}", "tags": "{tags}", "text": {"of": ["{title}"]}, "fixed": 1}"#,
        scope: Scope { name: "write", why: "a test" },
        reads: &[],
    };

    fn draft(title: Fill<'_>, tags: Fill<'_>) -> Option<Json> {
        let draft = NOTE.draft(&[("title", title), ("tags", tags)]).ok()?;
        assert_eq!(draft.body.capacity(), draft.body.len(), "it was written in one go");
        serde_json::from_str(draft.text()).ok()
    }

    #[test]
    fn a_draft_is_its_template_with_the_declared_values_filled_in() {
        let tags = ["a".to_owned()];
        let expected = serde_json::json!({"title": "x", "tags": ["a"], "text": {"of": ["x"]}, "fixed": 1});
        assert_eq!(draft(Fill::Text("x"), Fill::List(&tags)), Some(expected));
        assert!(draft(Fill::Text("x"), Fill::Nothing).is_some_and(|it| it.get("tags").is_none()));
    }

    #[test]
    fn whatever_was_typed_stays_one_value() {
        let hostile = "\", \"fixed\": 2, \"{tags}\n\u{0}\\";
        let filled = draft(Fill::Text(hostile), Fill::Nothing);
        assert_eq!(filled.as_ref().map(|it| &it["title"]), Some(&Json::from(hostile)));
        assert_eq!(filled.map(|it| it["fixed"].clone()), Some(Json::from(1)));
    }

    #[test]
    fn a_parameter_without_a_value_is_refused_and_no_error_quotes_another() {
        let error = NOTE.draft(&[("title", Fill::Text("typed"))]).err();
        assert!(error.is_some_and(|error| !format!("{error} {error:?}").contains("typed")));
        let draft = NOTE.draft(&[("title", Fill::Text("typed")), ("tags", Fill::Nothing)]);
        assert!(draft.is_ok_and(|draft| !format!("{draft:?}").contains("typed")));
    }
}
