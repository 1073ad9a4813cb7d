//! What Zendesk is asked. It publishes no schema under a licence that would let one lie beside the checkout; so this is
//! the whole of it, in sight of a reviewer, and an answer that a real account once gave where it lies there.

use super::BESIDE;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use twinflow_connectors::{ALL, Answer, Connector, Kind, Method, find};

/// Every path and query of a contract, parameters as they are declared.
fn asked(tool: &str) -> BTreeSet<String> {
    let contract = find(tool).unwrap().contract();
    let each = contract.operations.iter().map(|operation| {
        assert_eq!(operation.method, Method::Get, "{} changes something", operation.name);
        let query: Vec<String> =
            operation.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{}?{}", operation.path, query.join("&"))
    });
    each.collect()
}

#[test]
fn what_zendesk_is_asked_for_is_this_and_nothing_else() {
    let strict = [
        "/api/v2/incremental/ticket_metric_events?start_time={since}&page[size]={size}&page[after]={page}",
        "/api/v2/users/me.json?",
    ];
    let more = [
        "/api/v2/groups?page[size]={size}&page[after]={page}",
        "/api/v2/incremental/ticket_events.json?start_time={since}",
        "/api/v2/users?role[]=agent&role[]=admin&page[size]={size}&page[after]={page}",
    ];
    assert_eq!(asked("zendesk"), strict.map(str::to_owned).into());
    assert_eq!(asked("zendesk_detailed"), strict.into_iter().chain(more).map(str::to_owned).collect());
}

/// What answers with whole tickets, or brings text along beside what was asked for.
#[test]
fn no_question_to_zendesk_is_one_that_is_answered_with_comments_or_whole_tickets() {
    let never =
        ["include", "sideload", "comment", "audits", "/tickets", "search", "views", "activities", "ratings"];
    for connector in ALL.iter().filter(|it| it.contract().tool.starts_with("zendesk")) {
        for question in asked(connector.contract().tool) {
            assert!(never.iter().all(|word| !question.contains(word)), "{question}");
        }
    }
}

/// Agents and groups as a real account told them.
#[test]
fn recorded_agents_and_groups_are_read_by_id_and_name_alone() {
    let file = "../recorded/zendesk/faros/all-streams.log";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BESIDE).join(file);
    let Ok(text) = std::fs::read_to_string(path) else {
        let line = format!("skipped: {file} was not read, because it is not beside the checkout\n");
        return std::io::stderr().write_all(line.as_bytes()).unwrap();
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let records: Vec<Value> = lines.map(|mut line| line["record"].take()).collect();
    let of = |list: &str| -> Vec<&Value> {
        let fits =
            |it: &&Value| it["stream"].as_str().is_some_and(|name| name.ends_with(&format!("__{list}")));
        records.iter().filter(fits).map(|it| &it["data"]).collect()
    };
    for (list, operation, kind) in [("users", "agents", Kind::Person), ("groups", "groups", Kind::Group)] {
        let all = of(list);
        assert!(all.len() > 1);
        let page = read(operation, &json!({list: all, "meta": {"has_more": false}}));
        let named: Vec<_> = page.names.iter().map(|it| (it.kind, it.id.as_str(), it.name.as_str())).collect();
        let ids: Vec<String> = all.iter().map(|it| it["id"].to_string()).collect();
        let expected: Vec<_> =
            all.iter().zip(&ids).map(|(it, id)| (kind, id.as_str(), it["name"].as_str().unwrap())).collect();
        assert_eq!(named, expected);
        assert!(!format!("{page:?}").contains('@'), "addresses are skipped");
    }
}

fn read(operation: &str, answer: &Value) -> twinflow_connectors::Page {
    let zendesk: &dyn Connector = find("zendesk_detailed").unwrap();
    let stream = zendesk.stream("tickets").unwrap();
    let mut at = zendesk.begin(&stream, &Default::default(), "2026-03-04T15:00:00Z".parse().unwrap());
    at.windows.clear();
    at.pending.retain(|left| left.operation == operation);
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    let asked = zendesk.contract().operations.iter().find(|it| it.name == operation).unwrap();
    let answer = Answer::new(200, vec![kind], answer.to_string().into_bytes()).to(asked, zendesk.contract());
    zendesk.read(&stream, &at, &[answer]).unwrap()
}
