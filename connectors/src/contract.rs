//! The promise as code: what may be asked is a list of [`Operation`]s, and a [`Request`] has no other maker.

use crate::error::Undeclared;
use serde_json::Value as Json;
use std::borrow::Cow;

/// What a connector may ask and keep, and why.
#[derive(Debug)]
pub struct Contract {
    /// The name people type: `github`.
    pub tool: &'static str,
    /// The name people read: `GitHub`.
    pub title: &'static str,
    /// Where the tool lives unless the operator says otherwise; `{…}` is asked for when connecting.
    pub base_url: &'static str,
    /// What a stream is called here, and its shape.
    pub stream: &'static str,
    /// The kind of credential.
    pub credential: &'static str,
    pub scopes: &'static [Scope],
    pub operations: &'static [&'static Operation],
    /// What is stored, in the words of the event log.
    pub stored: &'static [&'static str],
    /// What the tool has and this connector never asks for.
    pub never: &'static [&'static str],
}

impl Contract {
    /// Whether the request is one of this contract's own. The egress client asks before a byte leaves.
    pub fn allows(&self, request: &Request) -> bool {
        self.operations.iter().any(|operation| std::ptr::eq(*operation, request.operation))
    }
}

/// A permission, in the tool's own words.
#[derive(Debug)]
pub struct Scope {
    pub name: &'static str,
    pub why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

impl Method {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One thing that may be asked: everything but the values of its declared parameters is fixed.
#[derive(Debug)]
pub struct Operation {
    pub name: &'static str,
    pub why: &'static str,
    pub method: Method,
    pub path: &'static str,
    /// Query parameters; a value written `{name}` is a parameter of the operation.
    pub query: &'static [(&'static str, &'static str)],
    pub body: Body,
}

#[derive(Debug)]
pub enum Body {
    None,
    /// A GraphQL document and the variables it declares.
    GraphQl {
        document: &'static str,
        variables: &'static [&'static str],
    },
    /// JSON in which `"{name}"` stands for a parameter's value, and `{name}` inside a longer string for plain
    /// text without quotes. A key whose parameter has no value is left out.
    Json(&'static str),
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Text(&'a str),
    Number(u64),
    List(&'a [String]),
    None,
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::None, Value::Text)
    }
}

impl Value<'_> {
    fn json(&self) -> Option<Json> {
        match self {
            Value::Text(text) => Some(Json::from(*text)),
            Value::Number(number) => Some(Json::from(*number)),
            Value::List(list) => Some(Json::from(list.to_vec())),
            Value::None => None,
        }
    }

    /// As text inside a longer string of a template: nothing that could end the string or start another.
    fn plain(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Text(text) => {
                let safe = |c: char| c.is_ascii_alphanumeric() || "_-:. ".contains(c);
                text.chars().all(safe).then_some(Cow::Borrowed(*text))
            }
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::List(_) | Value::None => None,
        }
    }
}

/// A request ready to be sent, less the host and the credential, which only `scanner` knows.
#[derive(Clone, Debug)]
pub struct Request {
    operation: &'static Operation,
    query: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Request {
    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    pub fn query(&self) -> &[(&'static str, String)] {
        &self.query
    }

    /// JSON text.
    pub fn body(&self) -> Option<&str> {
        self.body.as_deref()
    }
}

impl Operation {
    /// The one way to a [`Request`]. Values for parameters that are not declared are refused, and so is text
    /// that would break out of its template.
    pub fn request(&'static self, values: &[(&'static str, Value<'_>)]) -> Result<Request, Undeclared> {
        let filler = Filler { operation: self, values };
        let mut query = Vec::with_capacity(self.query.len());
        for (key, template) in self.query {
            query.push((*key, filler.text(template)?));
        }
        let body = match &self.body {
            Body::None => None,
            Body::GraphQl { document, variables } => Some(filler.graphql(document, variables)?),
            Body::Json(template) => Some(filler.json(template)?),
        };
        Ok(Request { operation: self, query, body })
    }
}

struct Filler<'a> {
    operation: &'static Operation,
    values: &'a [(&'static str, Value<'a>)],
}

impl Filler<'_> {
    fn value(&self, parameter: &str) -> Result<Value<'_>, Undeclared> {
        let found = self.values.iter().find(|(name, _)| *name == parameter);
        found.map(|(_, value)| *value).ok_or_else(|| self.problem(parameter, "no value was given"))
    }

    fn graphql(&self, document: &str, variables: &[&str]) -> Result<String, Undeclared> {
        if let Some((name, _)) = self.values.iter().find(|(name, _)| !variables.contains(name)) {
            return Err(self.problem(name, "the document declares no such variable"));
        }
        let mut filled = serde_json::Map::new();
        for variable in variables {
            filled.insert((*variable).to_owned(), self.value(variable)?.json().unwrap_or(Json::Null));
        }
        Ok(serde_json::json!({ "query": document, "variables": filled }).to_string())
    }

    fn json(&self, template: &'static str) -> Result<String, Undeclared> {
        let template: Json =
            serde_json::from_str(template).map_err(|_| self.problem("body", "the template is not JSON"))?;
        let filled = self.fill(template)?.unwrap_or(Json::Null);
        Ok(filled.to_string())
    }

    fn fill(&self, template: Json) -> Result<Option<Json>, Undeclared> {
        Ok(match template {
            Json::String(text) => match whole_parameter(&text) {
                Some(parameter) => self.value(parameter)?.json(),
                None => Some(Json::String(self.text(&text)?)),
            },
            Json::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for item in items {
                    filled.extend(self.fill(item)?);
                }
                Some(Json::Array(filled))
            }
            Json::Object(entries) => {
                let mut filled = serde_json::Map::new();
                for (key, value) in entries {
                    if let Some(value) = self.fill(value)? {
                        filled.insert(key, value);
                    }
                }
                Some(Json::Object(filled))
            }
            plain => Some(plain),
        })
    }

    fn text(&self, template: &str) -> Result<String, Undeclared> {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (parameter, after) =
                after.split_once('}').ok_or_else(|| self.problem(template, "a brace is left open"))?;
            let value = self.value(parameter)?;
            text.push_str(before);
            text.push_str(&value.plain().ok_or_else(|| self.problem(parameter, "not plain text"))?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn problem(&self, parameter: &str, problem: &'static str) -> Undeclared {
        Undeclared { operation: self.operation.name, parameter: parameter.to_owned(), problem }
    }
}

fn whole_parameter(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    (!inner.contains(['{', '}'])).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    static SEARCH: Operation = Operation {
        name: "search",
        why: "a test",
        method: Method::Post,
        path: "/search",
        query: &[("startAt", "{start}")],
        body: Body::Json(
            r#"{"jql":"project = \"{project}\"","ids":"{ids}","page":"{page}","fields":["status"]}"#,
        ),
    };

    fn ask(project: &str, page: Option<&str>) -> Result<Request, Undeclared> {
        let ids = ["1".to_owned()];
        SEARCH.request(&[
            ("project", Value::Text(project)),
            ("ids", Value::List(&ids)),
            ("page", page.into()),
            ("start", Value::Number(50)),
        ])
    }

    #[test]
    fn a_request_is_its_template_with_the_declared_values_filled_in() {
        let request = ask("EE", None).expect("declared");
        let body: Json = serde_json::from_str(request.body().unwrap_or_default()).expect("JSON");
        let expected = serde_json::json!({"fields": ["status"], "ids": ["1"], "jql": "project = \"EE\""});
        assert_eq!(body, expected);
        assert_eq!(request.query(), &[("startAt", "50".to_owned())]);
        assert!(ask("EE", Some("t")).expect("declared").body().is_some_and(|b| b.contains(r#""page":"t""#)));
    }

    #[test]
    fn text_that_would_break_out_of_its_template_is_refused() {
        for hostile in ["EE\" OR \"1\"=\"1", "a\\", "x\ny", "{ids}", "é"] {
            assert!(ask(hostile, None).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn a_parameter_without_a_value_is_refused() {
        assert_eq!(SEARCH.request(&[]).err().map(|e| e.parameter), Some("start".into()));
    }
}
