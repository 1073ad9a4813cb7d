//! The promise as code: what may be asked is a list of [`Operation`]s, and a [`Request`] has no other maker.

use crate::error::Undeclared;
use crate::fields::{self, Field, Unseen};
use serde_json::Value as Json;
use std::any::TypeId;
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
    /// Whose hosts may also stand in a base URL: everything under these, like `.zendesk.com`.
    pub hosts_under: &'static [&'static str],
    /// What a stream is called here, and its shape.
    pub stream: &'static str,
    /// The ways in, the one to prefer first.
    pub sign_ins: &'static [SignIn],
    pub scopes: &'static [Scope],
    pub operations: &'static [&'static Operation],
    /// What a refusal is recognised by.
    pub complaints: &'static [Reads],
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

    /// Whether an answer to this operation may be decoded into this type.
    pub(crate) fn reads<T: 'static>(&self, operation: &Operation) -> bool {
        operation.reads.iter().chain(self.complaints).any(Reads::is::<T>)
    }

    /// The dance, where the tool can be connected by consent.
    pub fn oauth(&self) -> Option<&'static OAuth> {
        self.sign_ins.iter().find_map(|way| match way {
            SignIn::OAuth(oauth) => Some(oauth),
            SignIn::Token { .. } | SignIn::Basic { .. } => None,
        })
    }
}

/// A way to be let in.
#[derive(Debug)]
pub enum SignIn {
    /// A token that a person makes by hand.
    Token {
        what: &'static str,
    },
    /// A user's name and a secret of theirs, sent as `Authorization: Basic` (RFC 7617).
    Basic {
        what: &'static str,
        /// What stands between the name a person gives and the colon.
        after_name: &'static str,
    },
    OAuth(OAuth),
}

/// The OAuth 2.0 dance (RFC 6749) as a tool wants it. The scopes asked for are the contract's.
#[derive(Debug)]
pub struct OAuth {
    /// Where a person consents; `{base}` stands for the connection's origin.
    pub authorize: &'static str,
    /// Where a code or a refresh token becomes an access token.
    pub token: &'static str,
    pub revoke: Revoke,
    /// What stands between two scopes.
    pub separator: &'static str,
    /// Parameters of the consent page beside the usual ones.
    pub extra: &'static [(&'static str, &'static str)],
    /// Whether the tool takes a proof of possession (RFC 7636, S256).
    pub pkce: bool,
    /// Whether the app has a secret of its own; without one PKCE stands in its place.
    pub secret: bool,
    /// Whether the token endpoint takes JSON instead of a form.
    pub json: bool,
    /// Where a person makes the app, and what else they must know.
    pub app: &'static str,
}

/// How a grant is given back.
#[derive(Debug)]
pub enum Revoke {
    /// By RFC 7009: the token as a form's field.
    Post(&'static str),
    /// By deleting the token that the request carries.
    Delete(&'static str),
    /// Not by a program: what a person does instead.
    ByHand(&'static str),
}

/// A type that an answer is decoded into. What it does not declare is never deserialised.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
    fields: fn() -> Result<Vec<Field>, Unseen>,
}

impl Reads {
    pub const fn of<T>() -> Self
    where
        T: serde::de::DeserializeOwned + 'static,
    {
        Self { id: TypeId::of::<T>, name: std::any::type_name::<T>, fields: fields::of::<T> }
    }

    /// Whether it is this type.
    pub(crate) fn is<T: 'static>(&self) -> bool {
        (self.id)() == TypeId::of::<T>()
    }

    /// The type's name in the code.
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// Every field that is decoded, by the type's own account.
    pub fn fields(&self) -> Result<Vec<Field>, Unseen> {
        (self.fields)()
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
    /// `{name}` stands for a parameter: one segment or a part of one, never more.
    pub path: &'static str,
    /// Query parameters. A value written `{name}` is a parameter of the operation, and left out when it has no
    /// value; inside a longer text `{name}` stands for plain text.
    pub query: &'static [(&'static str, &'static str)],
    pub body: Body,
    /// What an answer is decoded into.
    pub reads: &'static [Reads],
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

impl<'a> Value<'a> {
    fn json(&self) -> Option<Json> {
        match self {
            Value::Text(text) => Some(Json::from(*text)),
            Value::Number(number) => Some(Json::from(*number)),
            Value::List(list) => Some(Json::from(list.to_vec())),
            Value::None => None,
        }
    }

    /// As text inside a longer string of a template: nothing that could end the string or start another.
    fn plain_text(self) -> Option<Cow<'a, str>> {
        match self {
            Value::Text(text) => {
                let safe = |c: char| c.is_ascii_alphanumeric() || "_-:. ".contains(c);
                text.chars().all(safe).then_some(Cow::Borrowed(text))
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
    path: Cow<'static, str>,
    query: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Request {
    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    /// The operation's path with its parameters filled in; nothing in it needs escaping.
    pub fn path(&self) -> &str {
        &self.path
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
            query.extend(filler.query(template)?.map(|value| (*key, value)));
        }
        let body = match &self.body {
            Body::None => None,
            Body::GraphQl { document, variables } => Some(filler.graphql(document, variables)?),
            Body::Json(template) => Some(filler.json(template)?),
        };
        Ok(Request { operation: self, path: filler.path()?, query, body })
    }
}

struct Filler<'a> {
    operation: &'static Operation,
    values: &'a [(&'static str, Value<'a>)],
}

impl Filler<'_> {
    fn value<'v>(&'v self, parameter: &str) -> Result<Value<'v>, Undeclared> {
        let found = self.values.iter().find(|(name, _)| *name == parameter);
        found.map(|(_, value)| *value).ok_or_else(|| self.problem(parameter, "no value was given"))
    }

    fn path(&self) -> Result<Cow<'static, str>, Undeclared> {
        let template = self.operation.path;
        if !template.contains('{') {
            return Ok(Cow::Borrowed(template));
        }
        // Nothing that could begin another segment, climb out of one, or need escaping.
        let safe = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let filled = self.filled(template, |value| match value {
            Value::Text(text) if !text.is_empty() && text.chars().all(safe) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        })?;
        Ok(Cow::Owned(filled))
    }

    /// A value that is a parameter as a whole may be any text: the URL escapes it.
    fn query(&self, template: &str) -> Result<Option<String>, Undeclared> {
        match whole_parameter(template) {
            None => self.text(template).map(Some),
            Some(parameter) => match self.value(parameter)? {
                Value::Text(text) => Ok(Some(text.to_owned())),
                Value::Number(number) => Ok(Some(number.to_string())),
                Value::None => Ok(None),
                Value::List(_) => Err(self.problem(parameter, "a list does not fit there")),
            },
        }
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
        self.filled(template, Value::plain_text)
    }

    fn filled<'v>(
        &'v self,
        template: &str,
        plain: impl Fn(Value<'v>) -> Option<Cow<'v, str>>,
    ) -> Result<String, Undeclared> {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (parameter, after) =
                after.split_once('}').ok_or_else(|| self.problem(template, "a brace is left open"))?;
            let value = self.value(parameter)?;
            text.push_str(before);
            text.push_str(&plain(value).ok_or_else(|| self.problem(parameter, "not plain text"))?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn problem(&self, parameter: &str, problem: &'static str) -> Undeclared {
        Undeclared { operation: self.operation.name, parameter: parameter.to_owned(), problem }
    }
}

pub(crate) fn whole_parameter(text: &str) -> Option<&str> {
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
        reads: &[],
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
