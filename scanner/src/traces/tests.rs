use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

const SECRET: &str = "https://x.example/?token=tf_secret Dear all";

/// A collector that records what it is sent: where to, with which headers, and what.
async fn collector() -> (String, Arc<Mutex<Vec<String>>>) {
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&sent);
    let routes = Router::new().fallback(async move |to: Uri, headers: HeaderMap, body: Bytes| {
        let request = format!("{to} {headers:?} {}", String::from_utf8_lossy(&body));
        kept.lock().expect("no panic").push(request);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(listener, routes).await });
    (url, sent)
}

/// All that a collector is sent of what happens in this.
async fn sent_of(work: impl FnOnce()) -> String {
    let (url, sent) = collector().await;
    let traces = Traces::to(&url).expect("an endpoint");
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, work);
    traces.flush().await;
    sent.lock().expect("no panic").concat()
}

#[tokio::test]
async fn spans_reach_the_collector_with_what_is_listed_and_nothing_that_was_planted() {
    let sent = sent_of(|| {
        let scan = uuid::Uuid::nil();
        let span =
            info_span!("scan", %scan, tool = "jira", state = SECRET, cases = 7, token = SECRET, url = SECRET);
        let _in_it = span.enter();
        span.record("state", "complete");
        tracing::error!(error = SECRET, "{SECRET}");
        info_span!("page", tool = %SECRET, epoch = ?SECRET, otel.name = SECRET).in_scope(|| {});
        info_span!("page", tool = SECRET, otel.status_code = "ERROR", otel.status_description = SECRET)
            .in_scope(|| {});
        info_span!(target: "sqlx::query", "scan", tool = "gmail").in_scope(|| {});
        info_span!("tf_secret").in_scope(|| {});
        let follows = info_span!("stream", operation = "issues");
        follows.follows_from(span.id());
    })
    .await;
    assert!(sent.starts_with("/v1/traces "), "{sent}");
    for there in
        ["scan", "stream", "page", "twinflow", "jira", "complete", "cases", "issues", "(not in the list"]
    {
        assert!(sent.contains(there), "no {there}: {sent}");
    }
    for planted in
        ["tf_secret", "token", "x.example", "Dear", "gmail", "traces/tests.rs", "busy_ns", "thread"]
    {
        assert!(!sent.contains(planted), "{planted}: {sent}");
    }
}

#[tokio::test]
async fn where_nothing_happened_nothing_is_sent() {
    assert_eq!(sent_of(|| tracing::error!("{SECRET}")).await, "");
}

#[tokio::test]
async fn a_collector_that_never_answers_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let traces = Traces::to(&url).expect("an endpoint");
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, || info_span!("scan").in_scope(|| {}));
    let began = tokio::time::Instant::now();
    traces.flush().await;
    assert!(began.elapsed() < PATIENCE * 2);
}

#[test]
fn an_endpoint_is_a_base_or_the_whole_and_is_not_repeated_when_it_is_wrong() {
    for (given, asked) in [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("https://otel.example/base/", "https://otel.example/base/v1/traces"),
        ("https://otel.example/v1/traces", "https://otel.example/v1/traces"),
    ] {
        assert_eq!(traces_at(given).expect("an endpoint").as_str(), asked);
    }
    for bad in ["passphrase", "ftp://passphrase", "http://u:passphrase@x", "http://x?k=passphrase", "http:"] {
        let error = traces_at(bad).expect_err(bad).to_string();
        assert!(!error.contains("passphrase") && error.contains("--otlp-endpoint"), "{error}");
    }
}
