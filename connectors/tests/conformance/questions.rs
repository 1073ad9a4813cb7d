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
    let filled = filled_query(operation, asked)?;
    filled.iter().try_for_each(|(template, value)| found.value(template, value))
}

/// Every value that is asked with, beside its template.
fn filled_query(operation: &Operation, asked: &[(&str, String)]) -> Result<Vec<(Value, Value)>, String> {
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
        let mut requests = vec![connector.probe().unwrap()];
        requests.extend(stage.sweep(stage.begin()).await.into_iter().flat_map(|round| round.requests));
        for request in &requests {
            let operation = request.operation();
            let is_told = |asked: &[(&str, String)]| query(operation, asked, &mut Found::default()).is_err();
            assert!(!is_told(request.query()));
            for asked in changed_queries(request) {
                assert!(is_told(&asked), "{} asked with {asked:?}", operation.name);
            }
            let is_told = |asked: &str| body(operation, Some(asked), &mut Found::default()).is_err();
            assert!(request.body().is_none_or(|asked| !is_told(asked)));
            for asked in changed_bodies(request) {
                assert!(is_told(&asked.to_string()), "{} asked with {asked}", operation.name);
            }
        }
    }
}

/// One key more, one fixed value less, other words in a fixed text.
fn changed_queries(request: &Request) -> Vec<Vec<(&'static str, String)>> {
    let asked = request.query();
    let mut all = vec![[asked, &[("expand", "changelog".to_owned())]].concat()];
    for (nth, (template, value)) in filled_query(request.operation(), asked).unwrap().iter().enumerate() {
        if template.as_str().and_then(whole).is_none() {
            let mut shorter = asked.to_vec();
            shorter.remove(nth);
            all.push(shorter);
        }
        for other in changed(template, value) {
            let mut asked = asked.to_vec();
            asked[nth].1 = other.as_str().unwrap().to_owned();
            all.push(asked);
        }
    }
    all
}

fn changed_bodies(request: &Request) -> Vec<Value> {
    let Some(asked) = request.body() else { return vec![] };
    let asked: Value = serde_json::from_str(asked).unwrap();
    match &request.operation().body {
        Body::None => vec![],
        Body::Json(template) => changed(&serde_json::from_str(template).unwrap(), &asked),
        Body::GraphQl { document, .. } => {
            let with = |change: &dyn Fn(&mut Value)| {
                let mut asked = asked.clone();
                change(&mut asked);
                asked
            };
            vec![
                with(&|asked| asked["expand"] = "changelog".into()),
                with(&|asked| asked["variables"]["expand"] = "changelog".into()),
                with(&|asked| asked["query"] = document.replacen("id", "id title", 1).into()),
            ]
        }
    }
}

/// The value with one thing changed that its template fixes, in every way: a key or an item too many, a key that is
/// missing, other words.
fn changed(template: &Value, filled: &Value) -> Vec<Value> {
    match (template, filled) {
        (Value::String(template), _) if whole(template).is_some() => vec![],
        (Value::String(template), Value::String(filled)) => other_words(template, filled),
        (Value::Array(templates), Value::Array(items)) => {
            let mut all = vec![items.iter().cloned().chain(["summary".into()]).collect()];
            for (nth, (template, item)) in templates.iter().zip(items).enumerate() {
                all.extend(changed(template, item).into_iter().map(|other| {
                    let mut items = items.clone();
                    items[nth] = other;
                    Value::Array(items)
                }));
            }
            all
        }
        (Value::Object(templates), Value::Object(entries)) => {
            let with = |key: &str, value: Option<Value>| {
                let mut entries = entries.clone();
                entries.remove(key);
                entries.extend(value.map(|value| (key.to_owned(), value)));
                Value::Object(entries)
            };
            let mut all = vec![with("expand", Some("changelog".into()))];
            for (key, template) in templates {
                let Some(value) = entries.get(key) else { continue };
                all.extend(template.as_str().and_then(whole).is_none().then(|| with(key, None)));
                all.extend(changed(template, value).into_iter().map(|other| with(key, Some(other))));
            }
            all
        }
        _ => vec!["something else".into()],
    }
}

/// The text with a word put into each of the parts that its template fixes.
fn other_words(template: &str, filled: &str) -> Vec<Value> {
    let mut found = Found::default();
    found.text(template, filled).unwrap();
    // By turns what is fixed and what a parameter is called.
    let parts: Vec<&str> = template.split(['{', '}']).collect();
    let with = |changed: usize| -> String {
        let part = |(nth, part): (usize, &&str)| match (nth % 2, part.split_at(part.len() / 2)) {
            (0, (before, after)) if nth == changed => format!("{before}Subject{after}"),
            (0, _) => (*part).to_owned(),
            _ => found.0[*part].as_str().unwrap().to_owned(),
        };
        parts.iter().enumerate().map(part).collect()
    };
    assert_eq!(with(parts.len()), filled);
    // What is put before a single quotation mark is part of the value that stands there.
    let fixed = (0..parts.len()).step_by(2).filter(|nth| parts[*nth].len() > 1);
    fixed.map(|nth| with(nth).into()).collect()
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
