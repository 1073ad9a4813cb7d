//! What an operator sees of the real program: numbers, traces and a log that programs read.

use crate::support::bench::{Bench, story};
use crate::support::clock::TestClock;
use crate::support::engines::sqlite;
use crate::support::program::{Home, REPOSITORY, github};
use axum::Router;
use axum::body::Bytes;
use axum::http::Uri;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use twinflow::store::{Claiming, State, StoreError};
use twinflow_fixtures::github::TOKEN;
use twinflow_fixtures::{Fault, GitHub, RetryAfter, Service, ServiceOptions};

type Sent = Arc<Mutex<Vec<(String, Bytes)>>>;

/// A collector of traces, and what it was sent: paths and bodies.
async fn collector() -> (String, Sent) {
    let sent = Sent::default();
    let kept = Arc::clone(&sent);
    let routes = Router::new().fallback(async move |to: Uri, body: Bytes| {
        kept.lock().unwrap().push((to.to_string(), body));
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, routes).await });
    (url, sent)
}

/// Messages and strings within a message of Protocol Buffers, with the numbers of their fields.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut all = vec![];
    while !message.is_empty() {
        let tag = varint(&mut message);
        let length = match tag & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            _ => 4,
        };
        let (held, rest) = message.split_at(length);
        all.push((tag >> 3, held));
        message = rest;
    }
    all
}

fn varint(message: &mut &[u8]) -> u64 {
    let length = message.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
    let (bytes, rest) = message.split_at(length);
    *message = rest;
    bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f))
}

fn within(messages: Vec<&[u8]>, number: u64) -> Vec<&[u8]> {
    messages.into_iter().flat_map(fields).filter(|(it, _)| *it == number).map(|(_, held)| held).collect()
}

/// The name of every span behind those of the spans it lies in (opentelemetry-proto, `trace.proto`).
fn nested(bodies: &[Bytes]) -> BTreeSet<String> {
    let bodies = bodies.iter().map(|body| &**body).collect();
    let spans = within(within(within(bodies, 1), 2), 2);
    let part = |span, number| within(vec![span], number).first().copied().unwrap_or_default();
    let by_id: BTreeMap<_, _> =
        spans.iter().map(|span| (part(span, 2), (part(span, 4), part(span, 5)))).collect();
    let path = |mut id| {
        let mut names = vec![];
        while let Some((parent, name)) = by_id.get(id) {
            names.insert(0, String::from_utf8_lossy(name));
            id = *parent;
        }
        if id.is_empty() { names.join(" > ") } else { format!("? > {}", names.join(" > ")) }
    };
    by_id.keys().map(|id| path(id)).collect()
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
    let told = String::from_utf8_lossy(&bodies.concat()).into_owned();
    let nested = nested(&bodies);
    assert!(nested.contains("scan > stream > page") && !nested.contains("? >"), "{nested:?}");
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
    assert_eq!(number(&text, "twinflow_worker_scans"), Some(1.0));
    assert!(number(&text, r#"twinflow_requests_total{tool="github"}"#) >= Some(3.0));
    assert_eq!(number(&text, "twinflow_fenced_writes_total"), Some(0.0));
    for secret in [REPOSITORY, TOKEN, "127.0.0.1"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn number(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// On one thread, which is where numbers are recorded for this test alone.
#[tokio::test]
async fn a_scan_counts_its_requests_pauses_and_pages_by_tool_and_every_write_that_came_too_late() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let clock = TestClock::new();
    let world = GitHub::new(&story(260, &clock), "acme/shop");
    let tool = Service::start(world, ServiceOptions::default()).await.unwrap();
    let bench = Bench::new(clock.clone(), sqlite(&clock).await, tool, &["acme/shop"]).await;
    let before = bench.tool.asked();
    let slow = Fault::TooManyRequests { retry_after: Some(RetryAfter::Secs(17)) };
    bench.tool.faults().on_request(before + 3, slow);

    let recording = metrics::set_default_local_recorder(&recorder);
    assert_eq!(bench.scan().await.state, State::Complete);
    let asked = bench.tool.asked() - before;
    let scan = bench.store().open_scan(bench.connection.id, uuid::Uuid::from_u128(9)).await.unwrap();
    let claim = async |owner, takeover| {
        let claiming = Claiming { takeover, ..Claiming::new(owner, Duration::from_secs(60)) };
        bench.store().claim(scan, &claiming).await.unwrap().unwrap()
    };
    let (early, _late) = (claim("one", false).await, claim("another", true).await);
    assert_eq!(bench.store().renew(&early).await, Err(StoreError::Fenced));
    drop(recording);

    let text = recorder.handle().render();
    let told = |series: &str| number(&text, series).unwrap_or_else(|| panic!("no {series}\n{text}"));
    assert_eq!(told(r#"twinflow_requests_total{tool="github"}"#) as usize, asked);
    assert_eq!(told(r#"twinflow_scans_ended_total{state="complete",tool="github"}"#), 1.0);
    assert_eq!(told(r#"twinflow_slow_downs_total{tool="github"}"#), 1.0);
    assert_eq!(told(r#"twinflow_wait_seconds_sum{tool="github"}"#), 17.0);
    assert!(told(r#"twinflow_page_seconds_count{tool="github"}"#) > 2.0);
    assert!(
        told(r#"twinflow_page_seconds_sum{tool="github"}"#) >= 17.0,
        "a page takes as long as it is waited for"
    );
    assert_eq!(told("twinflow_worker_scans"), 0.0);
    assert_eq!(told("twinflow_fenced_writes_total"), 1.0);
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
    for said in ["claimed", "settled"] {
        assert_eq!(message(said)["tenant"], "00000000-0000-0000-0000-000000000001");
    }
    assert!(message("claimed")["epoch"].is_u64() && message("answered")["bytes"].is_u64());
    assert_eq!(
        (&message("answered")["tool"], &message("answered")["level"]),
        (&"github".into(), &"DEBUG".into())
    );
    assert!(lines.iter().all(|line| line["at"].as_str().is_some_and(|at| at.ends_with('Z'))));
    assert!(!ran.err.contains("not in the list") && !ran.err.contains("(withheld)"), "{}", ran.err);
}
