//! A request held against the template of its operation.
#![expect(unreachable_pub, reason = "shared with the file above it")]

use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use twinflow_connectors::{Body, Operation, Request};

/// The parameters a request was filled with, or how it differs from its operation's template.
pub fn parameters(request: &Request) -> Result<BTreeMap<String, Value>, String> {
    let mut found = Found::default();
    let operation = request.operation();
    found.text(operation.path, request.path())?;
    query(operation, request.query(), &mut found)?;
    body(operation, request.body(), &mut found)?;
    Ok(found.0)
}

/// In the order of the template; a parameter without a value is left out.
pub fn query(operation: &Operation, asked: &[(&str, String)], found: &mut Found) -> Result<(), String> {
    let filled = filled_query(operation, asked)?;
    filled.iter().try_for_each(|(template, value)| found.value(template, value))
}

/// Every value that is asked with, beside its template.
pub fn filled_query(operation: &Operation, asked: &[(&str, String)]) -> Result<Vec<(Value, Value)>, String> {
    let (mut asked, mut filled) = (asked.iter().peekable(), Vec::new());
    for (key, template) in operation.query {
        match asked.next_if(|(asked, _)| asked == key) {
            Some((_, value)) => filled.push(((*template).into(), value.as_str().into())),
            None if whole(template).is_some() => {}
            None => return Err(format!("{key} is missing")),
        }
    }
    asked.next().map_or(Ok(filled), |(key, _)| Err(format!("{key} is not in the query")))
}

pub fn body(operation: &Operation, body: Option<&str>, found: &mut Found) -> Result<(), String> {
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
    match (&operation.body, body) {
        (Body::None, None) => Ok(()),
        (Body::GraphQl { document, variables }, Some(body)) => {
            let body = json(body)?;
            let keys: Vec<&str> =
                body.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            if keys != ["query", "variables"] || body["query"] != *document {
                return Err("another document".to_owned());
            }
            let filled = body["variables"].as_object().ok_or("no variables")?;
            if filled.keys().map(String::as_str).collect::<HashSet<_>>()
                != variables.iter().copied().collect()
            {
                return Err("other variables".to_owned());
            }
            filled.iter().try_for_each(|(name, value)| found.note(name, value.clone()))
        }
        (Body::Json(template), Some(body)) => found.value(&json(template)?, &json(body)?),
        _ => Err("a body where none belongs, or none".to_owned()),
    }
}

#[derive(Default)]
pub struct Found(pub BTreeMap<String, Value>);

impl Found {
    pub fn note(&mut self, name: &str, value: Value) -> Result<(), String> {
        match self.0.insert(name.to_owned(), value.clone()) {
            Some(before) if before != value => Err(format!("{name} has two values")),
            _ => Ok(()),
        }
    }

    pub fn value(&mut self, template: &Value, filled: &Value) -> Result<(), String> {
        match (template, filled) {
            (Value::String(template), filled) if whole(template).is_some() => {
                self.note(whole(template).unwrap_or_default(), filled.clone())
            }
            (Value::String(template), Value::String(filled)) => self.text(template, filled),
            (Value::Array(template), Value::Array(filled)) if template.len() == filled.len() => {
                template.iter().zip(filled).try_for_each(|(template, filled)| self.value(template, filled))
            }
            (Value::Object(template), Value::Object(filled)) => {
                if let Some(extra) = filled.keys().find(|key| !template.contains_key(*key)) {
                    return Err(format!("{extra} is not in the template"));
                }
                template.iter().try_for_each(|(key, template)| match filled.get(key) {
                    Some(filled) => self.value(template, filled),
                    None if template.as_str().and_then(whole).is_some() => Ok(()),
                    None => Err(format!("{key} is missing")),
                })
            }
            (template, filled) if template == filled => Ok(()),
            _ => Err("differs from the template".to_owned()),
        }
    }

    /// Between the template's own words stands plain text.
    pub fn text(&mut self, template: &str, mut filled: &str) -> Result<(), String> {
        let mut parts = template.split('{');
        filled = filled.strip_prefix(parts.next().unwrap_or_default()).ok_or("other words")?;
        for part in parts {
            let (name, after) = part.split_once('}').ok_or("a brace is left open")?;
            let end = if after.is_empty() { Some(filled.len()) } else { filled.find(after) };
            let (value, rest) = filled.split_at(end.ok_or("other words")?);
            if !value.chars().all(|c| c.is_ascii_alphanumeric() || "_-:. ".contains(c)) {
                return Err(format!("{name} is not plain text"));
            }
            self.note(name, value.into())?;
            filled = rest.strip_prefix(after).ok_or("other words")?;
        }
        if filled.is_empty() { Ok(()) } else { Err("words too many".to_owned()) }
    }
}

pub fn whole(template: &str) -> Option<&str> {
    template.strip_prefix('{')?.strip_suffix('}').filter(|inner| !inner.contains(['{', '}']))
}

/// The parameters an operation declares.
pub fn declared(operation: &Operation) -> HashSet<String> {
    let in_text = |text: &str| -> Vec<String> {
        let starts = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
        starts.map(|(name, _)| name.to_owned()).filter(|name| name.chars().all(char::is_alphabetic)).collect()
    };
    let query = operation.query.iter().flat_map(|(_, template)| in_text(template));
    let body: Vec<String> = match &operation.body {
        Body::None => vec![],
        Body::GraphQl { variables, .. } => variables.iter().map(|it| (*it).to_owned()).collect(),
        Body::Json(template) => {
            let template: Value = serde_json::from_str(template).unwrap();
            let mut strings = vec![&template];
            let mut names = vec![];
            while let Some(value) = strings.pop() {
                match value {
                    Value::String(text) => names.extend(in_text(text)),
                    Value::Array(items) => strings.extend(items),
                    Value::Object(entries) => strings.extend(entries.values()),
                    _ => {}
                }
            }
            names
        }
    };
    query.chain(in_text(operation.path)).chain(body).collect()
}
