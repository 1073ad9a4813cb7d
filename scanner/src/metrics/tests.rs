use super::names::{ALL, Kind};
use super::port::recorder;
use super::*;
use crate::store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Everything that can be recorded, once, with this for a tool.
fn all_of_it(tool: &str) {
    begin();
    scans(&State::ALL.iter().map(|state| (*state, 3)).collect::<Vec<_>>());
    oldest_due(SECOND);
    leases_expired(1);
    quarantined();
    leading(true);
    ticked(SECOND);
    fired(2);
    bells_outstanding(4);
    bells_rung(5);
    bell_answered();
    bells_were_garbage(1);
    slots(4);
    drop(under_way());
    worker_restarted();
    looked(7);
    State::ALL.iter().for_each(|state| scan_ended(*state, tool));
    fenced();
    request(tool);
    slow_down(tool);
    waited(tool, SECOND);
    page_kept(tool, SECOND);
    database_error(true);
    database_error(false);
}

fn rendered(record: impl FnOnce()) -> String {
    let recorder = recorder().expect("a recorder");
    ::metrics::with_local_recorder(&recorder, record);
    recorder.handle().render()
}

/// Name of the metric, labels and value of each line.
fn series(text: &str) -> Vec<(String, BTreeMap<String, String>, f64)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|it| it.split_once('='));
        let labels = labels.map(|(label, word)| (label.to_owned(), word.trim_matches('"').to_owned()));
        (name.to_owned(), labels.collect(), value.parse().expect("a number"))
    });
    read.collect()
}

/// Without what Prometheus puts behind the name of a histogram.
fn plain(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[test]
fn what_is_recorded_is_in_the_list_and_what_is_in_the_list_is_recorded() {
    let text = rendered(|| all_of_it("jira"));
    let recorded: BTreeSet<_> = series(&text).iter().map(|(name, ..)| plain(name).to_owned()).collect();
    let listed: BTreeSet<_> = ALL.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(recorded, listed);
    assert_eq!(listed.len(), ALL.len(), "a name twice");
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{text}");
        assert!(text.contains(&format!("# TYPE {} {kind}\n", metric.name)), "{text}");
        assert!(metric.name.starts_with("twinflow_"), "{}", metric.name);
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        assert_eq!(metric.unit == names::Unit::Seconds, metric.name.ends_with("_seconds"), "{}", metric.name);
    }
}

#[test]
fn a_label_is_a_word_of_our_own_source_whatever_it_is_recorded_of() {
    let tools = twinflow_connectors::ALL.iter().map(|it| it.contract().tool).chain(["other"]);
    let words: BTreeSet<_> = tools.chain(State::ALL.iter().map(|it| it.word())).chain(CLASSES).collect();
    let text = rendered(|| {
        let hostile = ["https://x/?token=tf_secret", "6d1b1ee0-0000-4000-8000-000000000001", "a\"b\n", ""];
        hostile.into_iter().chain(["jira", "gmail"]).for_each(all_of_it);
    });
    let mut seen = 0;
    for (name, labels, _) in series(&text) {
        let metric = ALL.iter().find(|metric| metric.name == plain(&name)).expect("in the list");
        let said: BTreeSet<_> = labels.keys().map(String::as_str).filter(|it| *it != "le").collect();
        assert_eq!(said, metric.labels.iter().copied().collect(), "{name}");
        for (label, word) in labels.iter().filter(|(label, _)| *label != "le") {
            assert!(["tool", "state", "class"].contains(&label.as_str()), "{name} {label}");
            assert!(words.contains(word.as_str()), "{name} {label}={word}");
            seen += 1;
        }
    }
    assert!(seen > 30 && !text.contains("tf_secret"), "{seen}");
}

#[test]
fn numbers_are_what_was_recorded_and_histograms_have_their_buckets() {
    let text = rendered(|| {
        begin();
        request("jira");
        request("jira");
        looked(3);
        let held = (under_way(), under_way());
        drop(held.0);
        page_kept("jira", Duration::from_millis(300));
        std::mem::forget(held.1);
    });
    for line in [
        "twinflow_requests_total{tool=\"jira\"} 2",
        "twinflow_requests_total{tool=\"gmail\"} 0",
        "twinflow_fenced_writes_total 0",
        "twinflow_looks_found_total 3",
        "twinflow_worker_scans 1",
        "twinflow_page_seconds_bucket{tool=\"jira\",le=\"0.25\"} 0",
        "twinflow_page_seconds_bucket{tool=\"jira\",le=\"0.5\"} 1",
        "twinflow_page_seconds_sum{tool=\"jira\"} 0.3",
    ] {
        assert!(text.lines().any(|it| it == line), "no {line}\n{text}");
    }
}

#[test]
fn where_nothing_is_recorded_every_call_is_without_effect() {
    all_of_it("jira");
}
