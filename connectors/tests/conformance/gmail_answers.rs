//! What single answers of Gmail's mean, and its noes.

use crate::gmail::{gmail, mailbox, refusal, states, status};
use crate::stage::{Raw, happening, now};
use chrono::{TimeDelta, TimeZone, Utc};
use serde_json::{Value, json};
use std::time::Duration;
use twinflow_connectors::{Cursor, Page, Pending, Place, ReadError, Refusal, Sweep, Wait};
use twinflow_fixtures::canary;

/// A sweep at which one message alone is to be looked up.
fn looking_up(id: &str) -> Sweep {
    let mut at = gmail().begin(&mailbox(), &Cursor::default(), now());
    at.windows[0].page = Place::End;
    at.pending = vec![Pending { operation: "message".to_owned(), cases: vec![id.to_owned()], page: None }];
    at
}

/// A sweep at which the history alone is to be read.
fn following() -> Sweep {
    let cursor = Cursor { bookmark: Some("100".to_owned()), mark: Some(now()), ..Cursor::default() };
    let mut at = gmail().begin(&mailbox(), &cursor, now());
    at.pending.clear();
    at
}

fn read(at: &Sweep, answer: &Value) -> Result<Page, ReadError> {
    let asked = at.pending.first().map_or(&at.windows[0].operation, |left| &left.operation);
    gmail().read(&mailbox(), at, &[Raw::json(200, &answer.to_string()).to("gmail", asked).answer()])
}

fn message(labels: &[&str], headers: &Value) -> Page {
    let answer = json!({
        "id": "m1", "threadId": "t1", "labelIds": labels, "internalDate": "1772636400000",
        "snippet": canary::all()[0], "payload": {"headers": headers},
    });
    read(&looking_up("m1"), &answer).unwrap()
}

fn told_by(record: Value) -> Page {
    read(&following(), &json!({"history": [record], "historyId": "120"})).unwrap()
}

fn brief(page: &Page) -> Vec<(String, Option<String>, Option<String>)> {
    let each = page.events.iter().map(happening);
    each.map(|(_, activity, resource, _, _, to)| (activity, resource, to)).collect()
}

#[test]
fn a_message_is_received_sent_or_a_reply_by_its_labels_and_headers_alone() {
    let from = json!({"name": "From", "value": "Ana <ana@example.com>"});
    let reply = json!({"name": "in-reply-to", "value": "Your message of Monday"});
    let references = json!({"name": "REFERENCES", "value": ""});
    let table: [(&[&str], Value, &str, &str, &str); 7] = [
        (&["INBOX", "UNREAD"], json!([from]), "received", "received", "received"),
        (&["INBOX"], json!([from, reply]), "received", "received", "received"),
        (&["CATEGORY_UPDATES"], json!([from]), "received", "received", "archived"),
        (&["TRASH"], json!([from]), "received", "received", "archived"),
        (&["SENT"], json!([from]), "sent", "answered", "answered"),
        (&["SENT", "INBOX"], json!([from, reply]), "replied", "answered", "answered"),
        (&["SENT"], json!([references, from]), "replied", "answered", "answered"),
    ];
    for (labels, headers, activity, to, status) in table {
        let page = message(labels, &headers);
        let expected = (activity.to_owned(), Some("ana@example.com".to_owned()), Some(to.to_owned()));
        assert_eq!(brief(&page), [expected], "{labels:?}");
        assert_eq!(page.cases[0].status.as_ref().map(ToString::to_string).as_deref(), Some(status));
        assert!(page.names.iter().any(|it| it.name.as_str() == "ana@example.com"));
    }
    for labels in [["DRAFT"], ["SPAM"], ["CHAT"], ["SCHEDULED"]] {
        let page = message(&labels, &json!([from]));
        assert!(page.events.is_empty() && page.cases.is_empty(), "{labels:?}");
    }
}

#[test]
fn a_sender_who_cannot_be_told_is_nobody() {
    let from = |value: &str| json!({"name": "From", "value": value});
    let none = [
        json!([]),
        json!([{"name": "From"}]),
        json!([from("the whole plan for Monday")]),
        json!([from("a@example.com"), from("b@example.com")]),
        json!([{"name": "Sender", "value": "a@example.com"}]),
    ];
    for headers in none {
        let page = message(&["INBOX"], &headers);
        assert_eq!(page.events[0].resource, None, "{headers}");
        assert!(page.names.iter().all(|named| named.kind.word() == "status"));
    }
    let bare = json!({"id": "m1", "threadId": "t1", "internalDate": "1772636400000"});
    assert_eq!(read(&looking_up("m1"), &bare).unwrap().events[0].resource, None);
}

#[test]
fn another_message_than_the_one_asked_for_is_refused() {
    let other = json!({"id": "m2", "threadId": "t1", "internalDate": "1772636400000"});
    let missing = Some(ReadError::Missing("the message that was asked for"));
    assert_eq!(read(&looking_up("m1"), &other).err(), missing);
}

#[test]
fn what_comes_into_sight_is_looked_up_and_what_is_no_mail_is_not() {
    let of = |id: &str, labels: &[&str]| json!({"message": {"id": id, "threadId": "t1", "labelIds": labels}});
    let label =
        |id: &str, labels: &[&str]| json!({"message": {"id": id, "threadId": "t1"}, "labelIds": labels});
    let table = [
        (json!({"id": "101", "messagesAdded": [of("m1", &["INBOX"]), of("m2", &["DRAFT"])]}), vec!["m1"]),
        (json!({"id": "101", "messagesAdded": [of("m1", &["SPAM"]), of("m3", &["CHAT"])]}), vec![]),
        (json!({"id": "101", "messagesAdded": [{"message": {"id": "m1", "threadId": "t1"}}]}), vec!["m1"]),
        (json!({"id": "101", "messagesAdded": [of("m1", &[]), of("m1", &[])]}), vec!["m1"]),
        (json!({"id": "101", "labelsRemoved": [label("m1", &["SPAM"])]}), vec!["m1"]),
        (json!({"id": "101", "labelsRemoved": [label("m1", &["TRASH", "UNREAD"])]}), vec!["m1"]),
        (
            json!({"id": "101", "labelsAdded": [label("m1", &["SENT"]), label("m2", &["STARRED"])]}),
            vec!["m1"],
        ),
    ];
    for (record, expected) in table {
        let page = told_by(record.clone());
        let left: Vec<_> = page.next.pending.iter().map(|left| left.cases[0].as_str()).collect();
        assert_eq!(left, expected, "{record}");
        assert!(page.events.is_empty());
    }
    let deleted =
        json!({"id": "101", "messagesDeleted": [of("m1", &["DRAFT"]), of("m2", &["TRASH"]), of("m3", &[])]});
    let page = told_by(deleted);
    let sources: Vec<_> = page.events.iter().map(|event| event.source.as_str()).collect();
    assert_eq!(
        sources,
        ["101:deleted:m2:", "101:deleted:m3:"],
        "a draft that is saved again is not mail deleted"
    );
}

#[test]
fn how_a_message_came_into_the_inbox_is_no_unarchiving() {
    let stub = json!({"id": "m1", "threadId": "t1"});
    let arrives = json!({"id": "101", "messagesAdded": [{"message": stub}],
        "labelsAdded": [{"message": stub, "labelIds": ["INBOX", "Label_9"]}]});
    let activities: Vec<_> = told_by(arrives).events.iter().map(|it| it.activity.word()).collect();
    assert_eq!(activities, ["labelled"]);
    let again = json!({"id": "101", "labelsAdded": [{"message": stub, "labelIds": ["INBOX"]}]});
    let page = told_by(again);
    assert_eq!(brief(&page), [("unarchived".to_owned(), None, Some("received".to_owned()))]);
    assert_eq!(page.events[0].source.as_str(), "101:unarchived:m1:INBOX");
    assert_eq!(page.events[0].turn, 1);
}

#[test]
fn an_archived_state_does_not_outlive_mail_that_came_after_it_in_the_same_sweep() {
    let (old, new) = (json!({"id": "m0", "threadId": "t1"}), json!({"id": "m1", "threadId": "t1"}));
    let answer = json!({"historyId": "120", "history": [
        {"id": "101", "labelsRemoved": [{"message": old, "labelIds": ["INBOX"]}]},
        {"id": "102", "messagesAdded": [{"message": new}]},
    ]});
    let first = read(&following(), &answer).unwrap();
    let mail = json!({"id": "m1", "threadId": "t1", "labelIds": ["INBOX"], "internalDate": "1772636000000"});
    let second = read(&first.next, &mail).unwrap();
    assert_eq!(status(&states([&first]), "t1"), "archived");
    assert_eq!(status(&states([&first, &second]), "t1"), "received");
}

#[test]
fn a_cut_reading_of_the_history_starts_over_after_a_day_and_a_first_sweep_goes_on_for_ever() {
    let mut cut = following();
    cut.windows[0].page = Place::After("token".to_owned());
    cut.pending = looking_up("m1").pending;
    let cursor = Cursor { bookmark: Some("100".to_owned()), sweep: Some(cut.clone()), ..Cursor::default() };
    let begin =
        |cursor: &Cursor, hours: i64| gmail().begin(&mailbox(), cursor, now() + TimeDelta::hours(hours));
    assert_eq!(begin(&cursor, 23), cut);
    let over = begin(&cursor, 24);
    assert_eq!((over.began, &over.windows[0].page), (now() + TimeDelta::hours(24), &Place::First));
    assert_eq!(over.windows[0].since, "100");
    let left: Vec<_> = over.pending.iter().map(|left| left.operation.as_str()).collect();
    assert_eq!(left, ["labels", "message"], "what was found is still looked up");
    cut.windows[0].page = Place::End;
    let done = Cursor { sweep: Some(cut.clone()), ..cursor };
    assert_eq!(begin(&done, 1_000), cut, "only look-ups are left");
    let mut first = gmail().begin(&mailbox(), &Cursor::default(), now());
    first.windows[0].page = Place::After("token".to_owned());
    let cursor = Cursor { sweep: Some(first.clone()), ..Cursor::default() };
    assert_eq!(begin(&cursor, 1_000), first);
}

/// A no to one of the questions.
fn complaint(question: &str, status: u16, reason: &str) -> Raw {
    let errors = json!([{"domain": "global", "reason": reason, "message": canary::all()[0]}]);
    let body = json!({"error": {"code": status, "message": "…", "errors": errors}});
    Raw::json(status, &body.to_string()).to("gmail", question)
}

#[test]
fn absence_is_believed_only_where_gmail_itself_says_so() {
    for name in ["message", "history"] {
        assert_eq!(refusal(&complaint(name, 404, "notFound")), None);
        assert_eq!(refusal(&complaint(name, 404, "other")), Some(Refusal::Gone));
        let page = Raw::json(404, "<html>").with("content-type", "text/html").to("gmail", name);
        assert_eq!(refusal(&page), Some(Refusal::Gone), "a proxy's");
    }
    for name in ["profile", "messages", "labels"] {
        assert_eq!(refusal(&complaint(name, 404, "notFound")), Some(Refusal::Gone));
    }
    let absent = complaint("message", 404, "notFound").answer();
    let page = gmail().read(&mailbox(), &looking_up("m1"), &[absent]).unwrap();
    assert!(page.next.is_done() && page.events.is_empty() && page.next.skipped.is_empty());
}

#[test]
fn limits_are_told_from_other_noes_by_their_reason() {
    let slow = |wait| Some(Refusal::SlowDown(wait));
    let table = [
        (403, "rateLimitExceeded", slow(Wait::Unsaid)),
        (403, "userRateLimitExceeded", slow(Wait::Unsaid)),
        (429, "rateLimitExceeded", slow(Wait::Unsaid)),
        (429, "", slow(Wait::Unsaid)),
        (403, "dailyLimitExceeded", slow(Wait::For(Duration::from_secs(86_400)))),
        (403, "insufficientPermissions", Some(Refusal::Forbidden)),
        (403, "domainPolicy", Some(Refusal::Forbidden)),
        (401, "authError", Some(Refusal::Unauthorised)),
        (400, "failedPrecondition", Some(Refusal::Gone)),
        (400, "invalidArgument", Some(Refusal::Rejected)),
        (500, "backendError", Some(Refusal::Trouble(500))),
        (503, "backendError", Some(Refusal::Trouble(503))),
    ];
    for (status, reason, expected) in table {
        assert_eq!(refusal(&complaint("message", status, reason)), expected, "{status} {reason}");
    }
    let waits = complaint("message", 429, "rateLimitExceeded").with("retry-after", "7");
    assert_eq!(refusal(&waits), slow(Wait::For(Duration::from_secs(7))));
    for odd in ["", "[]", "{}", "{\"error\":\"no\"}", "{\"error\":{\"errors\":[{}]}}", "<html>"] {
        assert_eq!(refusal(&Raw::json(403, odd).to("gmail", "message")), Some(Refusal::Forbidden), "{odd}");
    }
    for name in ["messages", "history"] {
        assert_eq!(refusal(&complaint(name, 504, "backendError")), Some(Refusal::TooMuch));
    }
    assert_eq!(refusal(&complaint("message", 504, "backendError")), Some(Refusal::Trouble(504)));
}

#[test]
fn a_days_limit_is_waited_out_until_the_day_begins_in_california() {
    let wait = |date: &str| refusal(&complaint("message", 403, "dailyLimitExceeded").with("date", date));
    let until = |day, hour| {
        Some(Refusal::SlowDown(Wait::Until(Utc.with_ymd_and_hms(2026, 3, day, hour, 0, 0).unwrap())))
    };
    assert_eq!(wait("Wed, 04 Mar 2026 15:00:00 GMT"), until(5, 8));
    assert_eq!(wait("Wed, 04 Mar 2026 07:59:59 GMT"), until(4, 8));
    assert_eq!(wait("Wed, 04 Mar 2026 08:00:00 GMT"), until(5, 8));
}

#[test]
fn an_account_is_its_address_and_without_one_refused() {
    let account =
        |body: Value| gmail().account(&Raw::json(200, &body.to_string()).to("gmail", "profile").answer());
    let known = account(json!({"emailAddress": "Support@Acme.example.com", "historyId": "1"})).unwrap();
    assert_eq!(
        (known.id.as_str(), known.name.as_str()),
        ("support@acme.example.com", "support@acme.example.com")
    );
    for body in [json!({"historyId": "1"}), json!({"emailAddress": "the whole plan", "historyId": "1"})] {
        assert_eq!(account(body).err(), Some(ReadError::Missing("emailAddress")));
    }
}
