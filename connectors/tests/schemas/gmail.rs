//! Gmail's questions against its discovery document, and its senders against mail that was really sent.

use crate::beside;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use twinflow_connectors::{Connector, Cursor, Operation, Pending, Place, Sweep, find};

/// Everything that is named in `fields`, and the headers that are asked for. Whoever adds one adds it here, in
/// sight of a reviewer.
const ASKED: [&str; 24] = [
    "emailAddress",
    "history.id",
    "history.labelsAdded.labelIds",
    "history.labelsAdded.message.id",
    "history.labelsAdded.message.threadId",
    "history.labelsRemoved.labelIds",
    "history.labelsRemoved.message.id",
    "history.labelsRemoved.message.threadId",
    "history.messagesAdded.message.id",
    "history.messagesAdded.message.labelIds",
    "history.messagesAdded.message.threadId",
    "history.messagesDeleted.message.id",
    "history.messagesDeleted.message.labelIds",
    "history.messagesDeleted.message.threadId",
    "historyId",
    "id",
    "internalDate",
    "labelIds",
    "labels.id",
    "labels.name",
    "messages.id",
    "nextPageToken",
    "payload.headers",
    "threadId",
];
const HEADERS: [&str; 3] = ["From", "In-Reply-To", "References"];

fn operations() -> &'static [&'static Operation] {
    find("gmail").unwrap().contract().operations
}

fn values(operation: &Operation, key: &str) -> Vec<&'static str> {
    operation.query.iter().filter(|(known, _)| *known == key).map(|(_, value)| *value).collect()
}

/// The paths a `fields` text names: `a(b,c/d)` is `a.b` and `a.c.d`.
fn paths(fields: &str) -> BTreeSet<String> {
    let (mut found, mut open, mut name) = (BTreeSet::new(), Vec::new(), String::new());
    let path = |open: &[Vec<String>], name: &str| {
        open.iter().flatten().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".")
    };
    let mut step = Vec::new();
    for c in fields.chars().chain([',']) {
        match c {
            '/' => step.push(std::mem::take(&mut name)),
            '(' => {
                step.push(std::mem::take(&mut name));
                open.push(std::mem::take(&mut step));
            }
            ',' | ')' => {
                if !name.is_empty() {
                    open.push(std::mem::take(&mut step));
                    found.insert(path(&open, &std::mem::take(&mut name)));
                    open.pop();
                }
                if c == ')' {
                    open.pop();
                }
            }
            c => name.push(c),
        }
    }
    assert!(open.is_empty() && !found.is_empty());
    found
}

#[test]
fn every_question_of_gmail_names_its_fields_and_these_and_the_three_headers_are_all() {
    let mut named = BTreeSet::new();
    for operation in operations() {
        let fields = values(operation, "fields");
        assert_eq!(fields.len(), 1, "{} would bring everything", operation.name);
        named.extend(paths(fields[0]));
        let headers = values(operation, "metadataHeaders");
        if operation.path.ends_with("/messages/{id}") {
            assert_eq!((headers, values(operation, "format")), (HEADERS.to_vec(), vec!["metadata"]));
        } else {
            assert!(headers.is_empty());
        }
        assert!(!operation.path.contains("threads") && !operation.path.contains("attachments"));
    }
    assert_eq!(named, ASKED.map(str::to_owned).into());
    for content in ["snippet", "raw", "body", "parts", "filename", "Subject", "Thread-Topic"] {
        let all = format!("{:?}", operations().iter().map(|it| it.query).collect::<Vec<_>>());
        assert!(!all.contains(content), "{content}");
    }
}

/// The schema of what a path leads to, by the discovery document.
fn resolve<'a>(discovery: &'a Value, schema: &str, path: &str) -> Option<&'a Value> {
    let mut at = &discovery["schemas"][schema];
    for name in path.split('.') {
        at = at["properties"].get(name)?;
        if at["type"] == "array" {
            at = &at["items"];
        }
        if let Some(name) = at["$ref"].as_str() {
            at = &discovery["schemas"][name];
        }
    }
    Some(at)
}

#[test]
fn every_question_fits_gmails_discovery_document() {
    let Some(text) = beside("gmail/gmail.v1.json") else { return };
    let discovery: Value = serde_json::from_str(&text).unwrap();
    let users = &discovery["resources"]["users"];
    let mut methods: BTreeMap<String, &Value> = BTreeMap::new();
    let resources = [users].into_iter().chain(users["resources"].as_object().unwrap().values());
    for method in resources.flat_map(|it| it["methods"].as_object().into_iter().flatten()) {
        methods.insert(
            format!(
                "{} /{}",
                method.1["httpMethod"].as_str().unwrap(),
                method.1["flatPath"].as_str().unwrap()
            ),
            method.1,
        );
    }
    let granted = find("gmail").unwrap().contract().scopes[0].name;
    for operation in operations() {
        let path = operation.path.replace("/me/", "/{userId}/");
        let method = methods[&format!("{} {path}", operation.method.word())];
        let scopes = method["scopes"].as_array().unwrap();
        assert!(scopes.contains(&json!(granted)), "{} needs another scope", operation.name);
        for (key, value) in operation.query {
            if *key == "fields" {
                let schema = method["response"]["$ref"].as_str().unwrap();
                for path in paths(value) {
                    assert!(resolve(&discovery, schema, &path).is_some(), "{schema} has no {path}");
                }
                assert!(discovery["parameters"].get("fields").is_some());
                continue;
            }
            let parameter = method["parameters"].get(key).unwrap_or_else(|| panic!("{key} is no parameter"));
            assert_eq!(parameter["location"], "query");
            let known = parameter["enum"].as_array();
            assert!(known.is_none_or(|known| known.contains(&json!(value))), "{key}={value}");
            assert!(values(operation, key).len() == 1 || parameter["repeated"] == true, "{key} comes twice");
        }
        for name in operation.path.split('{').skip(1).map(|part| part.split('}').next().unwrap()) {
            assert_eq!(method["parameters"][name]["location"], "path");
        }
    }
    assert!(resolve(&discovery, "Message", "payload.headers.value").is_some());
    assert!(resolve(&discovery, "Message", "payload.title").is_none(), "a wrong field is told apart");
}

/// A message that is the only thing left to look up.
fn looking_up() -> Sweep {
    let gmail = find("gmail").unwrap();
    let now = "2026-03-04T15:00:00Z".parse().unwrap();
    let mut at = gmail.begin(&gmail.stream("mailbox").unwrap(), &Cursor::default(), now);
    at.windows[0].page = Place::End;
    at.pending = vec![Pending { operation: "message".to_owned(), cases: vec!["m".to_owned()], page: None }];
    at
}

/// What is kept of a sender.
fn sender(from: &str) -> Option<String> {
    let gmail: &'static dyn Connector = find("gmail").unwrap();
    let message = json!({"id": "m", "threadId": "t", "labelIds": ["INBOX"], "internalDate": "1772636400000",
        "payload": {"headers": [{"name": "From", "value": from}]}});
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    let asked = gmail.contract().operations.iter().find(|it| it.name == "message").unwrap();
    let answer = twinflow_connectors::Answer::new(200, vec![kind], message.to_string().into_bytes());
    let answer = answer.to(asked, gmail.contract());
    let page = gmail.read(&gmail.stream("mailbox").unwrap(), &looking_up(), &[answer]).unwrap();
    page.events[0].resource.as_ref().map(ToString::to_string)
}

/// The `From` lines of a recorded message, its parts' and those of messages within it; folded lines unfolded.
fn from_lines(message: &str) -> Vec<String> {
    let unfolded = message.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let lines = unfolded.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| name.eq_ignore_ascii_case("from"))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

#[test]
fn of_the_senders_of_recorded_mail_an_address_is_kept_or_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference/recorded/gmail");
    let mut left: Vec<PathBuf> = vec![folder.clone()];
    let (mut addresses, mut none) = (0, 0);
    while let Some(path) = left.pop() {
        if let Ok(inside) = std::fs::read_dir(&path) {
            left.extend(inside.map(|it| it.unwrap().path()));
        } else if path.extension().is_some_and(|it| it == "eml") {
            let message = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for from in from_lines(&message) {
                match sender(&from) {
                    Some(kept) => {
                        addresses += 1;
                        assert!(from.to_lowercase().contains(&kept), "{kept} is not in {}", path.display());
                        let (local, domain) = kept.split_once('@').unwrap();
                        let plain = |c: char| c.is_ascii_graphic() && !"<>()\"',;:\\".contains(c);
                        assert!(
                            !local.is_empty() && domain.contains('.') && kept.chars().all(plain),
                            "{kept}"
                        );
                    }
                    None => none += 1,
                }
            }
        }
    }
    if addresses + none == 0 {
        let line =
            "skipped: no senders of recorded mail, because the recordings are not beside the checkout\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    assert!(addresses > none && none > 0, "{addresses} addresses, {none} of another kind");
}
