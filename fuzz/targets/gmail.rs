//! Whatever the bytes, as Gmail's answer they are a page or are refused.
#![no_main]

mod answers;

use libfuzzer_sys::fuzz_target;
use twinflow_connectors::{Cursor, find};

/// Where the history is read, and where messages are listed.
fn cursors() -> [Cursor; 2] {
    let history = Cursor { bookmark: Some("100".to_owned()), ..Cursor::default() };
    let gmail = find("gmail").unwrap();
    let stream = gmail.stream("mailbox").unwrap();
    let mut listing = gmail.begin(&stream, &Cursor::default(), chrono::DateTime::UNIX_EPOCH);
    listing.windows.iter_mut().for_each(|window| window.operation = "messages".to_owned());
    [history, Cursor { sweep: Some(listing), ..Cursor::default() }]
}

fuzz_target!(|input: &[u8]| {
    answers::feed("gmail", "mailbox", &["message", "labels"], input);
    cursors().iter().for_each(|from| answers::feed_from("gmail", "mailbox", from, &[], input));
});
