use super::line::LONGEST;
use super::words::{FIELDS, MESSAGES, SPANS};
use super::*;
use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

struct Still;

impl crate::clock::Time for Still {
    fn now(&self) -> DateTime<chrono::Utc> {
        DateTime::UNIX_EPOCH
    }
    fn sleep(&self, _: std::time::Duration) -> futures::future::BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn chance(&self) -> f64 {
        0.0
    }
}

/// What is logged at the lowest level while this runs.
fn logged(format: Format, run: impl FnOnce()) -> Vec<String> {
    let lines = Arc::new(Mutex::new(vec![]));
    let kept = Arc::clone(&lines);
    let write = move |line: &str| kept.lock().expect("no panic").push(line.to_owned());
    let layer = Lines { clock: Clock::from(Still), format, write };
    let all = tracing_subscriber::registry().with(layer.with_filter(ours(Level::TRACE)));
    tracing::subscriber::with_default(all, run);
    lines.lock().expect("no panic").clone()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

const BOTH: [Format; 2] = [Format::Text, Format::Json];
const SECRET: &str = "SELECT * FROM x?token=tf_secret\r\n\u{1b}[2J\u{202e}Dear all,\u{2028}";

#[test]
fn an_event_of_ours_is_one_line_of_known_words() {
    let settled = || {
        let scan = Uuid::nil();
        tracing::info!(%scan, epoch = 3, state = "complete", operation = "issues", tool = "jira", "settled");
    };
    let scan = Uuid::nil();
    let line = format!("scan={scan} epoch=3 state=complete operation=issues tool=jira");
    let text = format!("1970-01-01T00:00:00.000Z INFO twinflow::log::tests: settled {line}");
    assert_eq!(logged(Format::Text, settled), [text]);
    let json = format!(
        r#"{{"at":"1970-01-01T00:00:00.000Z","level":"INFO","target":"twinflow::log::tests","message":"settled","scan":"{scan}","epoch":3,"state":"complete","operation":"issues","tool":"jira"}}"#
    );
    assert_eq!(logged(Format::Json, settled), [json]);
}

#[test]
fn background_work_is_told_in_numbers_and_words() {
    let lines = logged(Format::Json, || {
        tracing::warn!(seconds = 31, "database is away");
        tracing::info!(slots = 4, "shutting down");
        tracing::warn!(crashes = 3, error = "busy", "quarantined");
        tracing::info!(scans = 12, "fired");
    });
    let told: Vec<_> = lines.iter().map(|line| parsed(line)).collect();
    assert_eq!(told[0]["message"], "database is away");
    assert_eq!(
        [&told[0]["seconds"], &told[1]["slots"], &told[3]["scans"]],
        [&json!(31), &json!(4), &json!(12)]
    );
    assert_eq!([&told[2]["crashes"], &told[2]["error"]], [&json!(3), &json!("busy")]);
}

#[test]
fn nothing_unforeseen_is_printed_whoever_says_it_and_however() {
    for format in BOTH {
        let lines = logged(format, || {
            tracing::error!("{SECRET}");
            tracing::error!(token = SECRET, "settled");
            tracing::error!(SECRET);
            tracing::warn!(scan = SECRET, state = SECRET, epoch = ?SECRET, operation = %SECRET, "claimed");
            tracing::trace!(target: "twinflow::scan", scan = ?Some(SECRET), bytes = SECRET.len(), "{SECRET}");
            tracing::trace_span!("twinflow", query = SECRET).in_scope(|| tracing::info!("claimed"));
        });
        assert_eq!(lines.len(), 6);
        for line in &lines {
            assert!(!["SELECT", "tf_secret", "Dear"].iter().any(|it| line.contains(it)), "{line}");
            assert!(!line.contains(|c: char| c.is_control() || !c.is_ascii()), "{line}");
        }
        assert_eq!(lines[3].matches("(withheld)").count(), 4, "{}", lines[3]);
    }
}

#[test]
fn libraries_are_not_heard_even_where_their_names_begin_like_ours() {
    for format in BOTH {
        let lines = logged(format, || {
            tracing::error!(target: "sqlx::query", summary = SECRET, "settled");
            tracing::error!(target: "reqwest::connect", "{SECRET}");
            tracing::error!(target: "twinflow_elsewhere", "settled");
        });
        assert_eq!(lines, [""; 0]);
    }
}

#[test]
fn a_line_is_one_line_and_no_longer_than_it_may_be() {
    let line = one_line(&SECRET.repeat(100));
    assert!(
        (LONGEST..LONGEST + 10).contains(&line.len())
            && !line.contains(|c: char| c.is_control() || !c.is_ascii())
    );
    assert_eq!(one_line("plain"), "plain");
}

/// Text that tries something, an id, a number, a word of ours, or a part of a line itself.
fn anything() -> impl Strategy<Value = String> {
    let crafted = [
        "",
        "settled",
        "complete",
        "jira",
        "18446744073709551616",
        "+7",
        "-1",
        "007",
        "1e9",
        "\"",
        "\\u000a",
        "}\n{",
        "{00000000-0000-0000-0000-000000000000}",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
    ];
    let crafted = proptest::sample::select(crafted.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        any::<String>(),
        ".{0,600}",
        "[0-9]{0,30}",
        crafted,
        any::<[u8; 16]>().prop_map(|it| Uuid::from_bytes(it).to_string())
    ]
}

proptest! {
    #[test]
    fn one_event_is_one_line_of_listed_fields_whatever_it_carries(a in anything(), b in anything(), c in anything()) {
        let say = || {
            tracing::info!(scan = %a, state = b, epoch = %c, tool = ?a, bytes = ?b, other = c, "settled");
            tracing::warn!(target: "twinflow::x", connection = ?c, error = a, seconds = b, "{a}{b}");
        };
        let listed: BTreeSet<_> = FIELDS.iter().map(|(name, _)| *name).chain(["at", "level", "target", "message"]).collect();
        for format in BOTH {
            let lines = logged(format, say);
            prop_assert_eq!(lines.len(), 2);
            for line in lines {
                prop_assert!(line.len() < LONGEST + 200 && !line.contains(|c: char| c.is_control() || !c.is_ascii()));
                if format == Format::Text {
                    continue;
                }
                let Value::Object(object) = parsed(&line) else { panic!("{line}") };
                prop_assert!(object.keys().all(|key| listed.contains(key.as_str())), "{}", line);
                let message = object["message"].as_str().unwrap_or_default();
                prop_assert!(MESSAGES.contains(&message) || message.starts_with("(not in"), "{}", line);
            }
        }
    }
}

/// The Rust files under a folder, as text.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut all = vec![];
    for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("log/tests.rs") {
            all.push((path.display().to_string(), std::fs::read_to_string(&path).expect("text")));
        }
    }
    all
}

/// The last, or the first, string of a macro's arguments.
fn strings(call: &str) -> Vec<&str> {
    call.split(");").next().unwrap_or_default().split('"').skip(1).step_by(2).collect()
}

#[test]
fn whatever_this_program_says_or_traces_is_in_the_lists() {
    let all = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let (mut said, mut traced) = (BTreeSet::new(), BTreeSet::new());
    for (file, text) in all.iter().filter(|(file, _)| !file.ends_with("tests.rs")) {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for call in text.split(&format!("tracing::{level}!(")).skip(1) {
                let message = strings(call).last().copied().unwrap_or_default();
                assert!(MESSAGES.contains(&message), "{file} says {message:?}");
                said.insert(message);
            }
            for call in text.split(&format!("{level}_span!(")).skip(1) {
                let name = strings(call).first().copied().unwrap_or_default();
                assert!(SPANS.contains(&name), "{file} traces {name:?}");
                traced.insert(name);
            }
        }
    }
    assert!(said.len() > 7 && traced == SPANS.iter().copied().collect(), "{said:?} {traced:?}");
}
