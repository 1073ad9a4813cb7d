//! What an operator sees of the real program: numbers, traces and a log that programs read.

use crate::support::program::{Home, REPOSITORY, github};
use axum::Router;
use axum::body::Bytes;
use axum::http::Uri;
use serde_json::Value;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use twinflow_fixtures::Fault;
use twinflow_fixtures::github::TOKEN;

/// A collector of traces, and what it was sent: paths and bodies.
async fn collector() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let sent: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let kept = Arc::clone(&sent);
    let routes = Router::new().fallback(async move |to: Uri, body: Bytes| {
        kept.lock().unwrap().push((to.to_string(), String::from_utf8_lossy(&body).into_owned()));
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, routes).await });
    (url, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_told_of_a_scan_its_streams_and_pages_and_of_nothing_that_was_read() {
    let (url, sent) = collector().await;
    let tool = github(30).await;
    let mut home = Home::allowing(&[&tool]);
    home.connect_github(&tool).done();
    home.set("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
    home.run("connections").done();
    assert!(sent.lock().unwrap().is_empty(), "nothing was scanned");
    let scan = home.run("scan --json").done().json()[0]["id"].as_str().unwrap().to_owned();
    let (paths, bodies): (Vec<_>, Vec<_>) = sent.lock().unwrap().iter().cloned().unzip();
    let told = bodies.concat();
    assert!(!paths.is_empty() && paths.iter().all(|path| path == "/v1/traces"), "{paths:?}");
    for there in ["scan", "stream", "page", "github", "complete", "epoch", "requests", scan.as_str()] {
        assert!(told.contains(there), "no {there}: {told}");
    }
    let (owner, repository) = REPOSITORY.split_once('/').unwrap();
    for read in [TOKEN, owner, repository, tool.url().as_str(), "127.0.0.1", "scanner/src", "SELECT"] {
        assert!(!told.contains(read), "{read}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_does_no_scan_any_harm() {
    let tool = github(3).await;
    let home = Home::allowing(&[&tool]);
    home.connect_github(&tool).done();
    let ran = home.run("scan --log info --otlp-endpoint http://127.0.0.1:1").done();
    assert!(ran.err.contains("settled") && !ran.err.contains("127.0.0.1:1"), "{}", ran.err);
}

async fn shown(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_under_way_shows_its_numbers_on_the_port_it_was_given_and_on_no_other() {
    let tool = github(120).await;
    let home = Home::allowing(&[&tool]);
    home.connect_github(&tool).done();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let line = format!("scan --metrics-addr {address}");
    home.run(&line).complains(&[&address, "taken", "--metrics-addr"]);

    drop(held);
    let before = tool.asked();
    tool.faults().on_request(before + 3, Fault::Hang);
    let mut child = home.command(&line).spawn().unwrap();
    while tool.asked() < before + 3 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let text = shown(&address).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let number = |series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}\n{text}")).parse().unwrap()
    };
    assert!((number("twinflow_worker_scans") - 1.0).abs() < f64::EPSILON);
    assert!(number(r#"twinflow_requests_total{tool="github"}"#) >= 3.0);
    assert!(number(r#"twinflow_fenced_writes_total"#).abs() < f64::EPSILON);
    for secret in [REPOSITORY, TOKEN, "127.0.0.1"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_for_programs_is_one_object_a_line() {
    let tool = github(30).await;
    let home = Home::allowing(&[&tool]);
    home.connect_github(&tool).done();
    let ran = home.run("scan --quiet --log debug --log-format json").done();
    let lines: Vec<Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let message = |said: &str| lines.iter().find(|line| line["message"] == said).unwrap();
    assert_eq!(message("settled")["state"], "complete");
    assert!(message("claimed")["epoch"].is_u64() && message("answered")["bytes"].is_u64());
    assert_eq!(
        (&message("answered")["tool"], &message("answered")["level"]),
        (&"github".into(), &"DEBUG".into())
    );
    assert!(lines.iter().all(|line| line["at"].as_str().is_some_and(|at| at.ends_with('Z'))));
    assert!(!ran.err.contains("not in the list") && !ran.err.contains("(withheld)"), "{}", ran.err);
}
