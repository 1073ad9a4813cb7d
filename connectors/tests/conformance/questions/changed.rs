//! Questions that were changed on their way, in every way there is.

use super::template::{Found, body, filled_query, query, whole};
use crate::stage::Stage;
use serde_json::Value;
use twinflow_connectors::{ALL, Body, Request};

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
