//! What is drawn and alerted on is what is recorded (`scanner/src/metrics/names.rs`).

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use twinflow::metrics::names::{ALL, Kind, Metric};

/// What Prometheus itself adds.
const ITS_OWN: &[&str] = &["instance", "job", "le"];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The metric of a series; only a histogram has parts.
fn metric(series: &str) -> Option<&'static Metric> {
    ALL.iter().copied().find(|metric| match metric.kind {
        Kind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].iter().any(|part| series.strip_suffix(part) == Some(metric.name))
        }
        _ => metric.name == series,
    })
}

/// Every series of an expression, with what stands behind its name.
fn series(expression: &str) -> Vec<(&str, &str)> {
    let found = expression.match_indices("twinflow_").map(|(at, _)| &expression[at..]);
    found.map(|rest| rest.split_at(rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len()))).collect()
}

/// Between brackets, split at commas.
fn listed(text: &str, close: char) -> impl Iterator<Item = &str> {
    text.split(close).next().unwrap_or_default().split(',').map(str::trim)
}

/// Holds one expression to the list, and says which metrics are in it.
fn check(expression: &str, legend: &str) -> BTreeSet<&'static str> {
    let mut metrics = BTreeSet::new();
    let mut labels: BTreeSet<&str> = ITS_OWN.iter().copied().collect();
    for (name, behind) in series(expression) {
        let metric = metric(name).unwrap_or_else(|| panic!("no metric {name}: {expression}"));
        metrics.insert(metric.name);
        labels.extend(metric.labels);
        for matcher in behind.strip_prefix('{').into_iter().flat_map(|inner| listed(inner, '}')) {
            let label = matcher.split(|c| !is_of_a_name(c)).next().unwrap_or_default();
            let there = metric.labels.contains(&label) || ITS_OWN.contains(&label);
            assert!(there, "{name} has no label {label:?}: {expression}");
        }
    }
    for word in ["by (", "on (", "without (", "ignoring ("] {
        for label in expression.split(word).skip(1).flat_map(|rest| listed(rest, ')')) {
            assert!(labels.contains(label), "no label {label:?}: {expression}");
        }
    }
    for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
        assert!(labels.contains(label.trim()), "no label {label:?}: {legend}");
    }
    assert!(!metrics.is_empty(), "{expression}");
    metrics
}

/// Every object within, however deep.
fn objects(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(map) => [value].into_iter().chain(map.values().flat_map(objects)).collect(),
        Value::Array(list) => list.iter().flat_map(objects).collect(),
        _ => vec![],
    }
}

#[test]
fn the_dashboard_draws_every_metric_there_is_and_none_that_is_not() {
    let dashboard: Value = serde_json::from_str(&read("grafana/twinflow.json")).unwrap();
    let mut drawn = BTreeSet::new();
    for object in objects(&dashboard) {
        if let Some(expression) = object["expr"].as_str() {
            drawn.extend(check(expression, object["legendFormat"].as_str().unwrap_or_default()));
        } else if let Some(query) = object["definition"].as_str() {
            let (_, label) = query.trim_end_matches(')').split_once(", ").expect("a metric and a label");
            check(query, &format!("{{{{{label}}}}}"));
        }
    }
    let all: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(drawn, all);
}

#[test]
fn the_dashboard_asks_whichever_prometheus_is_chosen_and_its_panels_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&read("grafana/twinflow.json")).unwrap();
    assert!(dashboard["schemaVersion"].as_i64() >= Some(41));
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_i64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{} lies on another", panel["title"]);
        }
        let asks = panel["type"] != "row";
        assert!(!asks || panel["datasource"]["uid"] == "${datasource}", "{panel}");
        assert!(!asks || panel["description"].as_str().is_some_and(|it| it.ends_with('.')), "{panel}");
    }
    assert!(panels.len() > 20);
}

#[test]
fn every_alert_is_on_a_metric_that_is_recorded() {
    let rules = read("prometheus/alerts.yml");
    let lines = |key: &str| -> Vec<&str> {
        rules.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key)).collect()
    };
    let alerts: BTreeSet<_> = lines("alert: ").into_iter().collect();
    let mut watched = BTreeSet::new();
    for expression in lines("expr: ") {
        watched.extend(check(expression, ""));
    }
    assert_eq!((alerts.len(), lines("expr: ").len(), lines("summary: ").len()), (6, 6, 6));
    for metric in ["leading", "oldest_due", "leases_expired", "scans", "restarts", "database_errors"] {
        assert!(watched.iter().any(|name| name.contains(metric)), "nobody is told of {metric}");
    }
}
