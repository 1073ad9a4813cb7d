//! One answer for one question of a connector: the first byte of the input says which question and which status.

use chrono::DateTime;
use twinflow_connectors::{Answer, Connector, Cursor, Opaque, Page, Pending, Place, Request, Stream, Sweep, find};

const STATUSES: [u16; 4] = [200, 403, 429, 400];

/// `left` are the operations that are asked after a page: the question is one of them, or one of a later sweep's lists.
pub fn feed(tool: &str, stream: &str, left: &[&str], input: &[u8]) {
    let later = Cursor { mark: Some(DateTime::UNIX_EPOCH), ..Cursor::default() };
    feed_from(tool, stream, &later, left, input);
}

/// The same from another cursor, for a tool with several kinds of pages.
pub fn feed_from(tool: &str, stream: &str, from: &Cursor, left: &[&str], input: &[u8]) {
    let Some((first, body)) = input.split_first() else { return };
    let connector = find(tool).unwrap();
    let stream = connector.stream(stream).unwrap();
    let kind = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
    let status = STATUSES[usize::from(first >> 6)];
    let answer = Answer::new(status, vec![kind], body.to_vec());
    let at = asking(connector, &stream, from, left, usize::from(first & 0x3f));
    let to = |request: &Request| answer.clone().to(request.operation(), connector.contract());
    if let Ok(account) = connector.account(&to(&connector.probe().unwrap())) {
        assert!(is_id(&account.id));
    }
    let asked = connector.ask(&stream, &at).unwrap_or_default();
    let Some(answer) = asked.first().map(to) else { return };
    drop(connector.refusal(&answer));
    if let Ok(page) = connector.read(&stream, &at, std::slice::from_ref(&answer)) {
        check(connector, &stream, &page);
        let again = connector.read(&stream, &at, &[answer]).unwrap();
        assert_eq!(format!("{page:?}"), format!("{again:?}"));
    }
}

/// A sweep at which one question is to be asked.
fn asking(connector: &dyn Connector, stream: &Stream, from: &Cursor, left: &[&str], nth: usize) -> Sweep {
    let mut at = connector.begin(stream, from, DateTime::UNIX_EPOCH);
    at.pending.clear();
    let list = nth.saturating_sub(left.len()) % at.windows.len();
    for (place, window) in at.windows.iter_mut().enumerate() {
        if nth < left.len() || place != list {
            window.page = Place::End;
        }
    }
    if let Some(operation) = left.get(nth) {
        let (operation, cases) = ((*operation).to_owned(), vec!["10001".to_owned()]);
        at.pending.push(Pending { operation, cases, page: None });
    }
    at
}

fn check(connector: &dyn Connector, stream: &Stream, page: &Page) {
    for case in &page.cases {
        assert!(is_id(&case.id) && is_id(&case.key));
        assert!([&case.status, &case.assignee, &case.priority].into_iter().flatten().all(is_id));
    }
    for event in &page.events {
        assert!(is_id(&event.case) && is_id(&event.source));
        assert!([&event.resource, &event.from, &event.to].into_iter().flatten().all(is_id));
    }
    for named in &page.names {
        let name = named.name.as_str();
        assert!(is_id(&named.id) && name.chars().count() <= 128 && !name.contains(char::is_control));
    }
    let cursor = Cursor::default().after(page.next.clone());
    let stored = serde_json::to_string(&cursor).unwrap();
    assert_eq!(serde_json::from_str::<Cursor>(&stored).unwrap(), cursor);
    if let Ok(requests) = connector.ask(stream, &page.next) {
        assert!(requests.iter().all(|request| connector.contract().allows(request)));
        assert_eq!(requests.is_empty(), page.next.is_done());
    }
}

fn is_id(id: &Opaque) -> bool {
    let id = id.as_str();
    (1..=128).contains(&id.len()) && !id.contains(|c: char| c.is_whitespace() || c.is_control())
}
