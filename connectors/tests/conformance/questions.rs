//! What is asked: operations of the contract, with nothing but the declared parameters filled in.

use crate::stage::{Stage, now};
use chrono::TimeDelta;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use twinflow_connectors::{ALL, Body, Cursor, Method, Operation, Pending, Place, Request};

/// The parameters a request was filled with, or how it differs from its operation's template.
fn parameters(request: &Request) -> Result<BTreeMap<String, Value>, String> {
    let mut found = Found::default();
    let operation = request.operation();
    found.text(operation.path, request.path())?;
    query(operation, request.query(), &mut found)?;
    body(operation, request.body(), &mut found)?;
    Ok(found.0)
}

/// In the order of the template; a parameter without a value is left out.
fn query(operation: &Operation, asked: &[(&str, String)], found: &mut Found) -> Result<(), String> {
    let mut asked = asked.iter().peekable();
    for (key, template) in operation.query {
        match asked.next_if(|(asked, _)| asked == key) {
            Some((_, value)) => found.value(&Value::from(*template), &value.as_str().into())?,
            None if whole(template).is_some() => {}
            None => return Err(format!("{key} is missing")),
        }
    }
    asked.next().map_or(Ok(()), |(key, _)| Err(format!("{key} is not in the query")))
}

fn body(operation: &Operation, body: Option<&str>, found: &mut Found) -> Result<(), String> {
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
struct Found(BTreeMap<String, Value>);

impl Found {
    fn note(&mut self, name: &str, value: Value) -> Result<(), String> {
        match self.0.insert(name.to_owned(), value.clone()) {
            Some(before) if before != value => Err(format!("{name} has two values")),
            _ => Ok(()),
        }
    }

    fn value(&mut self, template: &Value, filled: &Value) -> Result<(), String> {
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
    fn text(&mut self, template: &str, mut filled: &str) -> Result<(), String> {
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

fn whole(template: &str) -> Option<&str> {
    template.strip_prefix('{')?.strip_suffix('}').filter(|inner| !inner.contains(['{', '}']))
}

/// The parameters an operation declares.
fn declared(operation: &Operation) -> HashSet<String> {
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

#[tokio::test]
async fn every_question_is_the_contracts_own_and_differs_in_declared_parameters_alone() {
    for connector in ALL {
        let contract = connector.contract();
        let stage = Stage::of(*connector, 120).await;
        let mut requests = vec![connector.probe().unwrap()];
        requests.extend(stage.sweep(stage.begin()).await.into_iter().flat_map(|round| round.requests));
        let mark = Cursor { mark: Some(now()), ..Cursor::default() };
        let fresh = connector.begin(&stage.stream, &mark, now() + TimeDelta::hours(1));
        requests.extend(connector.ask(&stage.stream, &fresh).unwrap());
        for request in &requests {
            assert!(contract.allows(request));
            let filled = parameters(request).unwrap();
            let declared = declared(request.operation());
            assert!(filled.keys().all(|name| declared.contains(name)), "{filled:?}");
        }
        for asked in stage.service.ledger() {
            let path = stage.path_of(&asked.path);
            let is_it = |it: &&&Operation| {
                it.method.word() == asked.method && Found::default().text(it.path, path).is_ok()
            };
            assert!(contract.operations.iter().any(|it| is_it(&it)), "{} {path}", asked.method);
            assert!(asked.fault.is_none() && asked.status == 200);
        }
    }
}

#[tokio::test]
async fn a_question_that_was_changed_on_its_way_is_told_apart() {
    for connector in ALL {
        let stage = Stage::of(*connector, 5).await;
        let request = connector.ask(&stage.stream, &stage.begin()).unwrap().remove(0);
        let mut longer = request.query().to_vec();
        longer.push(("expand", "changelog".to_owned()));
        assert!(query(request.operation(), &longer, &mut Found::default()).is_err());
        let Some(good) = request.body() else {
            let (operation, asked) = (request.operation(), request.query());
            assert!(query(operation, &asked[1..], &mut Found::default()).is_err());
            for ((_, template), (_, good)) in operation.query.iter().zip(asked) {
                let check = |changed: &str| Found::default().text(template, changed);
                assert_eq!(check(good), Ok(()));
                assert!(whole(template).is_some() || check(&format!("{good}, title")).is_err());
                assert!(
                    whole(template).is_some()
                        || !good.contains("Id")
                        || check(&good.replacen("Id", "Subject", 1)).is_err()
                );
            }
            continue;
        };
        let good: Value = serde_json::from_str(good).unwrap();
        let check =
            |changed: &Value| body(request.operation(), Some(&changed.to_string()), &mut Found::default());
        assert_eq!(check(&good), Ok(()));
        let mut extra = good.clone();
        extra["expand"] = "changelog".into();
        assert!(check(&extra).is_err());
        for (key, value) in good.as_object().unwrap() {
            let Some(list) = value.as_array() else { continue };
            let mut longer = good.clone();
            longer[key] = list.iter().cloned().chain(["summary".into()]).collect();
            assert!(check(&longer).is_err(), "{key}");
        }
        for key in ["query", "jql"] {
            let Some(text) = good[key].as_str() else { continue };
            let mut other = good.clone();
            other[key] = format!("{text} title").into();
            assert!(check(&other).is_err(), "{key}");
        }
    }
}

#[test]
fn no_contract_allows_the_questions_of_another() {
    for mine in ALL {
        for yours in ALL {
            let same = mine.contract().tool == yours.contract().tool;
            assert_eq!(mine.contract().allows(&yours.probe().unwrap()), same);
        }
    }
}

#[test]
fn every_contract_tells_a_person_what_it_asks_keeps_and_never_asks_for() {
    let tools: HashSet<_> = ALL.iter().map(|connector| connector.contract().tool).collect();
    assert_eq!(tools.len(), ALL.len(), "every tool has a name of its own");
    for connector in ALL {
        let contract = connector.contract();
        assert!(contract.base_url.starts_with("https://"));
        assert!(!contract.stored.is_empty() && !contract.never.is_empty() && !contract.scopes.is_empty());
        let names: HashSet<_> = contract.operations.iter().map(|operation| operation.name).collect();
        assert_eq!(names.len(), contract.operations.len());
        for operation in contract.operations {
            assert!(operation.path.starts_with('/') && !operation.path.contains('?'));
            assert!(!operation.why.is_empty());
            assert_eq!(operation.method == Method::Get, matches!(operation.body, Body::None));
        }
    }
}

#[test]
fn a_stream_has_one_spelling_and_no_room_for_a_second_question() {
    let hostile = [
        "",
        " ",
        "SHOP\" OR project = \"HR",
        "acme/shop\"}",
        "acme/shop/../x",
        "acme",
        "/",
        "a/b/c",
        "acme/",
        "/shop",
        "SHOP\n",
        "shop",
        "s",
        "é/é",
        "ПРОЕКТ",
        "acme/shop#1",
        "a b/c",
        &"X".repeat(300),
        &format!("a/{}", "b".repeat(101)),
    ];
    for connector in ALL {
        for name in hostile {
            assert!(connector.stream(name).is_err(), "{} takes {name:?}", connector.contract().tool);
        }
    }
}

#[tokio::test]
async fn a_cursor_somebody_tampered_with_asks_no_other_question() {
    let words = ["\"}], \"expand\": \"*all\"", "1 OR 1=1", "\u{0}", "../../user", "é", "{project}", "-1"];
    for connector in ALL {
        let stage = Stage::of(*connector, 5).await;
        let operations: Vec<String> = connector
            .contract()
            .operations
            .iter()
            .map(|it| it.name.to_owned())
            .chain(["no such".into()])
            .collect();
        for word in words {
            for operation in &operations {
                for halved in [0, 7, 63, 64, 255] {
                    let mut sweep = stage.begin();
                    sweep.halved = halved;
                    for window in &mut sweep.windows {
                        window.page = Place::After(word.to_owned());
                        window.since = word.to_owned();
                    }
                    let (cases, page) = (vec![word.to_owned()], Some(word.to_owned()));
                    sweep.pending = vec![Pending { operation: operation.clone(), cases, page }];
                    let Ok(requests) = connector.ask(&stage.stream, &sweep) else { continue };
                    for request in &requests {
                        assert!(connector.contract().allows(request));
                        parameters(request).unwrap();
                    }
                }
            }
        }
    }
}
