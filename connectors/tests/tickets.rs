//! What every ticket desk promises.

use serde_json::Value;
use std::collections::HashSet;
use twinflow_connectors::{
    Answer, DESKS, Method, Opaque, Opened, Prose, Refusal, Ticket, TicketOutcome, TicketRefusal, find,
    tickets,
};

fn answer(status: u16, body: &str) -> Answer {
    Answer::new(status, vec![("content-type".into(), "application/json".into())], body.as_bytes().to_vec())
}

#[test]
fn nothing_of_a_desk_is_part_of_a_contract() {
    for desk in DESKS {
        let contract = find(desk.tool()).unwrap().contract();
        assert_eq!(tickets(desk.tool()).map(|it| it.tool()), Some(desk.tool()));
        let request = desk.ask_marked("SHOP", "twinflow-1").unwrap();
        assert!(desk.operations().iter().any(|it| std::ptr::eq(*it, request.operation())));
        assert!(!contract.allows(&request), "{}", desk.tool());
        let action = desk.action();
        assert_eq!(action.method, Method::Post);
        assert!(contract.operations.iter().all(|it| it.path != action.path));
        let names: HashSet<_> = desk.operations().iter().map(|it| it.name).collect();
        assert_eq!(names.len(), desk.operations().len());
    }
    assert!(tickets("github").is_none());
}

#[test]
fn whatever_is_typed_a_draft_has_the_keys_of_its_template() {
    let kind = Opaque::new("10004").unwrap();
    let hostile = "\"}, \"update\": {\"comment\": [{}]}, \"x\": {\"{key}";
    for desk in DESKS {
        let (summary, description) = (Prose::from(hostile.to_owned()), Prose::from(hostile.to_owned()));
        let labels = ["a\"]".to_owned()];
        let ticket = Ticket {
            project: "SHOP",
            kind: &kind,
            summary: &summary,
            description: Some(&description),
            labels: &labels,
            key: "1",
        };
        let draft = desk.draft(&ticket).unwrap();
        assert!(!format!("{draft:?} {ticket:?}").contains("update"));
        let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        let (sent, template): (Value, Value) =
            (serde_json::from_str(draft.text()).unwrap(), serde_json::from_str(desk.action().body).unwrap());
        assert_eq!(keys(&sent), keys(&template));
        assert_eq!(keys(&sent["fields"]), keys(&template["fields"]));
        for bad in ["NO\" OR 1", "../x", "shop", "site", ""] {
            assert!(desk.project(bad).is_err(), "{bad}");
        }
    }
}

#[test]
fn only_a_plain_yes_or_no_is_taken_for_one() {
    let jira = tickets("jira").unwrap();
    let outcome = |status, body| jira.outcome(&answer(status, body));
    for (status, body) in
        [(200, "{}"), (201, "[]"), (201, ""), (302, "{}"), (408, "{}"), (500, "{}"), (502, ""), (599, "{}")]
    {
        assert_eq!(outcome(status, body), TicketOutcome::Unclear, "{status} {body}");
    }
    let opened = outcome(201, r#"{"id": "10100", "key": "SHOP-12", "self": "https://elsewhere.example"}"#);
    let id = |id| Opaque::new(id).unwrap();
    assert_eq!(opened, TicketOutcome::Opened(Opened { id: id("10100"), key: id("SHOP-12") }));
    let other = |refusal| TicketOutcome::Refused(TicketRefusal::Other(refusal));
    assert_eq!(outcome(401, "{}"), other(Refusal::Unauthorised));
    assert_eq!(outcome(403, "{}"), other(Refusal::Forbidden));
    assert_eq!(outcome(409, "{}"), other(Refusal::Rejected));
    let fields = outcome(400, r#"{"errors": {"labels": "words", "two words": "x", "customfield_1": null}}"#);
    let named = ["labels", "customfield_1"].map(id).to_vec();
    assert_eq!(fields, TicketOutcome::Refused(TicketRefusal::Fields(named)));
    assert_eq!(outcome(400, "words"), TicketOutcome::Refused(TicketRefusal::Fields(vec![])));
}
