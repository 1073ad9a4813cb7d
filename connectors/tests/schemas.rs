//! The questions of every contract, held against the schemas they are asked of: that of the pretend service always,
//! the vendors' schemas where they lie beside the checkout. And what may never be asked for, by name.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

#[path = "schemas/gmail.rs"]
mod gmail;
#[path = "schemas/zendesk.rs"]
mod zendesk;

use apollo_compiler::executable::{Selection, SelectionSet};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::path::Path;
use twinflow_connectors::{ALL, Body, Contract, Cursor, Operation, Stream, find};
use twinflow_fixtures::{github, linear};

#[path = "schemas/linear.rs"]
mod linear_fields;

#[path = "schemas/salesforce.rs"]
mod salesforce;

const BESIDE: &str = "../../shared/reference/schemas";

/// Fields that carry prose, or lead to what does.
const NEVER: [&str; 34] = [
    "activeLockReason",
    "body",
    "bodyHTML",
    "bodyText",
    "bodyUrl",
    "canonical",
    "closer",
    "closingIssuesReferences",
    "comment",
    "comments",
    "commit",
    "currentTitle",
    "defaultBranchRef",
    "description",
    "descriptionHTML",
    "email",
    "fromRepository",
    "headRefName",
    "issueFieldValues",
    "lockReason",
    "message",
    "milestone",
    "milestoneTitle",
    "nameWithOwner",
    "previousTitle",
    "projectItems",
    "pullRequests",
    "resourcePath",
    "source",
    "subject",
    "title",
    "titleHTML",
    "url",
    "userContentEdits",
];

/// What may be asked for its name: dictionary entries.
const NAMED: [&str; 5] = ["ActorBot", "IssueLabel", "Label", "Team", "WorkflowState"];

/// A vendor's schema, or a plain word that it was not there. Written past the test harness, which would swallow it.
fn beside(file: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BESIDE).join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        let why = "the vendors' schemas are not beside the checkout";
        let line = format!("skipped: not held against {file}, because {why}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    text
}

fn graphql(contract: &Contract) -> Vec<(&'static Operation, &'static str)> {
    let each = contract.operations.iter().filter_map(|operation| match &operation.body {
        Body::GraphQl { document, .. } => Some((*operation, *document)),
        _ => None,
    });
    each.collect()
}

/// What is wrong with a document, by a schema.
fn wrong(schema: &Valid<Schema>, document: &str) -> Option<String> {
    let parsed = ExecutableDocument::parse_and_validate(schema, document, "question.graphql");
    parsed.err().map(|error| error.to_string())
}

/// The whole schema of a vendor may break rules that do not concern us.
fn whole(text: &str) -> Valid<Schema> {
    let schema = Schema::parse(text, "whole.graphql").unwrap_or_else(|broken| broken.partial);
    assert!(schema.types.len() > 500, "that is not the whole schema");
    Valid::assume_valid(schema)
}

fn pretend(tool: &str) -> Valid<Schema> {
    let text = match tool {
        "github" => github::SCHEMA,
        "linear" => linear::SCHEMA,
        _ => panic!("{tool} speaks GraphQL: name its pretend service's schema here"),
    };
    Schema::parse_and_validate(text, "schema.graphql").unwrap()
}

#[test]
fn every_graphql_question_fits_the_pretend_services_schema() {
    let mut checked = 0;
    for connector in ALL {
        let contract = connector.contract();
        for (operation, document) in graphql(contract) {
            assert_eq!(wrong(&pretend(contract.tool), document), None, "{}", operation.name);
            checked += 1;
        }
    }
    assert!(checked >= 3);
}

#[test]
fn every_graphql_question_fits_the_vendors_own_schema() {
    for connector in ALL {
        let contract = connector.contract();
        if graphql(contract).is_empty() {
            continue;
        }
        let files: &[&str] = match contract.tool {
            "github" => &["github/schema.docs.2025-10.clean.graphql", "github/schema.graphql"],
            "linear" => &["linear/schema.graphql"],
            tool => panic!("{tool} speaks GraphQL: name its vendor's schema here"),
        };
        for file in files {
            let Some(text) = beside(file) else { continue };
            let schema = whole(&text);
            for (operation, document) in graphql(contract) {
                assert_eq!(wrong(&schema, document), None, "{} by {file}", operation.name);
            }
            let broken = graphql(contract)[0].1.replacen("id", "idd", 1);
            assert!(wrong(&schema, &broken).is_some(), "a wrong question is told apart");
        }
    }
}

#[test]
fn the_variables_of_a_question_are_those_its_document_declares() {
    for connector in ALL {
        let contract = connector.contract();
        for operation in contract.operations {
            let Body::GraphQl { document, variables } = &operation.body else { continue };
            let parsed =
                ExecutableDocument::parse_and_validate(&pretend(contract.tool), *document, "it").unwrap();
            let asked = parsed.operations.get(None).unwrap();
            assert!(asked.is_query(), "{} changes something", operation.name);
            let declared: HashSet<&str> = asked.variables.iter().map(|it| it.name.as_str()).collect();
            assert_eq!(declared, variables.iter().copied().collect(), "{}", operation.name);
        }
    }
}

/// `Type.field` of everything a document selects, in fragments too.
fn selected(schema: &Valid<Schema>, document: &str) -> BTreeSet<(String, String, String)> {
    let document = ExecutableDocument::parse_and_validate(schema, document, "question.graphql").unwrap();
    let mut found = BTreeSet::new();
    let mut sets: Vec<&SelectionSet> = document.operations.iter().map(|it| &it.selection_set).collect();
    sets.extend(document.fragments.values().map(|it| &it.selection_set));
    while let Some(set) = sets.pop() {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    let kind = field.ty().inner_named_type().to_string();
                    found.insert((set.ty.to_string(), field.name.to_string(), kind));
                    sets.push(&field.selection_set);
                }
                Selection::InlineFragment(part) => sets.push(&part.selection_set),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    found
}

/// What of a document must never be asked for.
fn denied(schema: &Valid<Schema>, document: &str) -> Vec<String> {
    let is_denied = |(parent, field, kind): &(String, String, String)| {
        NEVER.contains(&field.as_str())
            || ["HTML", "URI", "GitObjectID"].contains(&kind.as_str())
            || (field == "name" && !NAMED.contains(&parent.as_str()))
    };
    let found = selected(schema, document).into_iter().filter(is_denied);
    found.map(|(parent, field, _)| format!("{parent}.{field}")).collect()
}

#[test]
fn no_question_selects_a_field_that_carries_content() {
    for connector in ALL {
        let contract = connector.contract();
        for (operation, document) in graphql(contract) {
            assert_eq!(denied(&pretend(contract.tool), document), [""; 0], "{}", operation.name);
        }
    }
}

#[test]
fn a_question_that_selects_content_is_told_apart_however_deep_it_hides() {
    let github = find("github").unwrap().contract();
    let (_, document) = graphql(github)[0];
    let schema = pretend("github");
    let hidden = [
        ("number\n", "number title\n", "Issue.title"),
        ("number\n", "number repository { name }\n", "Repository.name"),
        ("number\n", "number n: bodyText\n", "Issue.bodyText"),
        ("label { id name }", "label { id name description }", "Label.description"),
        ("fragment Who on Actor {\n", "fragment Who on Actor {\n avatarUrl\n", "Actor.avatarUrl"),
        (
            "... on LockedEvent {",
            "... on RenamedTitleEvent { currentTitle } ... on LockedEvent {",
            "RenamedTitleEvent.currentTitle",
        ),
        ("stateReason }", "stateReason closer { ... on Commit { message } } }", "Commit.message"),
    ];
    for (at, with, caught) in hidden {
        let changed = document.replacen(at, with, 1);
        assert_ne!(changed, document, "{at}");
        assert!(denied(&schema, &changed).contains(&caught.to_owned()), "{caught}");
    }
}

/// The whole of what GitHub is asked about anything. Whoever adds a field adds it here, in sight of a reviewer.
#[test]
fn what_github_is_asked_for_is_this_and_nothing_else() {
    let schema = pretend("github");
    let github = find("github").unwrap().contract();
    let all: BTreeSet<String> =
        graphql(github).iter().flat_map(|(_, it)| selected(&schema, it)).map(|it| it.1).collect();
    let expected = [
        "__typename",
        "actor",
        "assignee",
        "author",
        "createdAt",
        "endCursor",
        "hasNextPage",
        "id",
        "issues",
        "label",
        "login",
        "name",
        "node",
        "nodes",
        "number",
        "pageInfo",
        "repository",
        "state",
        "stateReason",
        "timelineItems",
        "totalCount",
        "updatedAt",
        "viewer",
    ];
    assert_eq!(all, expected.map(str::to_owned).into());
}

/// Requests of every kind Jira is asked, as they are sent.
fn jira_bodies() -> Vec<(&'static Operation, Option<Value>)> {
    let jira = find("jira").unwrap();
    let mut requests = vec![jira.probe().unwrap()];
    let marks = [None, Some("2026-03-01T15:00:00Z".parse().unwrap())];
    for (stream, mark) in ["SHOP", "site"].into_iter().flat_map(|stream| marks.map(|mark| (stream, mark))) {
        let stream: Stream = jira.stream(stream).unwrap();
        let cursor = Cursor { mark, ..Cursor::default() };
        let mut sweep = jira.begin(&stream, &cursor, "2026-03-04T15:00:00Z".parse().unwrap());
        for operation in ["changelogs", "statuses"] {
            let pending: Value = json!({"operation": operation, "cases": ["10001"], "page": "50"});
            sweep.pending.push(serde_json::from_value(pending).unwrap());
        }
        sweep.windows[0].page = serde_json::from_value(json!({"after": "token"})).unwrap();
        sweep.pending.drain(..1);
        requests.extend(jira.ask(&stream, &sweep).unwrap());
        let census = jira.census(&stream, sweep.began).unwrap();
        requests.extend(jira.ask(&stream, &census).unwrap());
    }
    let body = |text: &str| serde_json::from_str(text).unwrap();
    requests.iter().map(|request| (request.operation(), request.body().map(body))).collect()
}

#[test]
fn every_operation_of_jira_is_among_those_held_against_its_schema() {
    let held: HashSet<&str> = jira_bodies().iter().map(|(operation, _)| operation.name).collect();
    let all = find("jira").unwrap().contract().operations.iter().map(|it| it.name);
    // The list of sites is the gateway's, which has no schema.
    assert_eq!(held, all.filter(|name| *name != "sites").collect());
}

#[test]
fn jira_is_asked_for_no_field_that_carries_content() {
    for (operation, body) in jira_bodies() {
        let Some(body) = body else { continue };
        let fields: Vec<&str> = ["fields", "fieldIds"]
            .iter()
            .flat_map(|key| body[*key].as_array())
            .flatten()
            .map(|it| it.as_str().unwrap())
            .collect();
        let known = [
            "assignee",
            "created",
            "creator",
            "id",
            "issuetype",
            "labels",
            "priority",
            "project",
            "resolution",
            "status",
            "updated",
        ];
        assert!(!fields.is_empty() && fields.iter().all(|field| known.contains(field)), "{}", operation.name);
        assert!(fields.len() <= 10, "Jira takes ten");
        let keys: HashSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        let may = ["fieldIds", "fields", "issueIdsOrKeys", "jql", "maxResults", "nextPageToken"];
        assert!(keys.is_subset(&may.into()), "{keys:?}");
    }
}

/// What is wrong with a body, by the schema of its request; as much of JSON Schema as Jira's bodies need.
fn body_errors(components: &Value, schema: &Value, body: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return body_errors(components, &components[name], body, at);
    }
    let mut wrong = Vec::new();
    let mut say = |what: String| wrong.push(format!("{at}: {what}"));
    let fits = match schema["type"].as_str() {
        Some("object") => body.is_object(),
        Some("array") => body.is_array(),
        Some("string") => body.is_string(),
        Some("integer") => body.is_i64() || body.is_u64(),
        Some("boolean") => body.is_boolean(),
        other => panic!("{other:?} at {at} is not known to this test"),
    };
    if !fits {
        say(format!("is no {}", schema["type"]));
    }
    if let Some(number) = body.as_i64() {
        let beyond = |key: &str, over: bool| {
            schema[key].as_i64().is_some_and(|it| if over { number > it } else { number < it })
        };
        if beyond("minimum", false) || beyond("maximum", true) {
            say("is out of range".to_owned());
        }
    }
    for (nth, item) in body.as_array().into_iter().flatten().enumerate() {
        wrong.extend(body_errors(components, &schema["items"], item, &format!("{at}[{nth}]")));
    }
    if let Some(most) = schema["maxItems"].as_u64()
        && body.as_array().is_some_and(|items| items.len() as u64 > most)
    {
        wrong.push(format!("{at}: more than {most}"));
    }
    for (key, value) in body.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(property) => wrong.extend(body_errors(components, property, value, &format!("{at}.{key}"))),
            None => wrong.push(format!("{at}: {key} is not known")),
        }
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if body.get(required).is_none() {
            wrong.push(format!("{at}: {required} is missing"));
        }
    }
    wrong
}

#[test]
fn every_question_fits_jiras_own_schema() {
    let Some(text) = beside("jira/swagger-v3.v3.json") else { return };
    let swagger: Value = serde_json::from_str(&text).unwrap();
    let components = &swagger["components"]["schemas"];
    for (operation, body) in jira_bodies() {
        let known = &swagger["paths"][operation.path][operation.method.word().to_lowercase()];
        assert!(known.is_object(), "{} {} does not exist", operation.method.word(), operation.path);
        for (key, _) in operation.query {
            let parameters = known["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|it| it["name"] == *key && it["in"] == "query"), "{key}");
        }
        let schema = &known["requestBody"]["content"]["application/json"]["schema"];
        match body {
            Some(body) => assert_eq!(body_errors(components, schema, &body, operation.name), [""; 0]),
            None => assert!(schema.is_null(), "{} wants a body", operation.name),
        }
    }
    let bulk = &swagger["paths"]["/rest/api/3/changelog/bulkfetch"]["post"]["requestBody"]["content"]["application/json"]
        ["schema"];
    let eleven: Vec<String> = (0..11).map(|nth| nth.to_string()).collect();
    let broken = json!({"fieldIds": eleven, "maxResults": 0, "expand": "names", "nextPageToken": 7});
    assert_eq!(body_errors(components, bulk, &broken, "it").len(), 5, "a wrong body is told apart");
}

#[test]
fn the_scopes_of_jiras_contract_cover_its_operations() {
    let Some(text) = beside("jira/swagger-v3.v3.json") else { return };
    let swagger: Value = serde_json::from_str(&text).unwrap();
    let contract = find("jira").unwrap().contract();
    let granted: HashSet<&str> = contract.scopes.iter().map(|scope| scope.name).collect();
    let mut lacking = BTreeSet::new();
    // The list of sites is the gateway's and takes any scope.
    for operation in contract.operations.iter().filter(|it| it.name != "sites") {
        let known = &swagger["paths"][operation.path][operation.method.word().to_lowercase()];
        let needed = known["security"].as_array().unwrap().iter().filter_map(|way| way["OAuth2"].as_array());
        for scope in needed.flatten().map(|scope| scope.as_str().unwrap()) {
            if !granted.contains(scope) {
                lacking.insert(format!("{} needs {scope}", operation.name));
            }
        }
    }
    assert_eq!(lacking, BTreeSet::new());
}
