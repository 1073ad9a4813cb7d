//! The private port: `/metrics` as Prometheus reads it, `/healthz` as supervisors do, and nothing else. Neither is
//! protected, so it listens on loopback unless another address is given.

use super::names::{self, Kind};
use super::record;
use anyhow::{Context as _, Result, anyhow, bail};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often what was recorded is summed up, so that it does not pile up where nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// For a command that runs long.
#[derive(clap::Args, Clone, Debug)]
pub struct PortArgs {
    /// Show metrics on this address, at /metrics, and /healthz; a port alone is one on 127.0.0.1. The port is private:
    /// who reaches it may read it [example: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub metrics_addr: Option<SocketAddr>,
}

fn address(given: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = given.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    given.parse().map_err(|_| "neither a port nor an address with one, such as 127.0.0.1:9464".to_owned())
}

impl PortArgs {
    /// Opens the port, if one was asked for; it closes when this is dropped.
    pub async fn open(&self) -> Result<Option<Port>> {
        let Some(address) = self.metrics_addr else { return Ok(None) };
        // First, so that nothing is recorded for a port that is not to be had.
        let listener = listen(address).await?;
        let recorder = recorder()?;
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| anyhow!("metrics are recorded already"))?;
        record::begin();
        Ok(Some(Port::serve(listener, handle)?))
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            bail!("{address} is taken by another program; choose another with --metrics-addr")
        }
        Err(error) => bail!("{address} cannot be listened on ({}); check --metrics-addr", error.kind()),
    }
}

/// What keeps the numbers, with every metric described.
pub(super) fn recorder() -> Result<PrometheusRecorder> {
    let mut builder = PrometheusBuilder::new();
    for metric in names::ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    let recorder = builder.build_recorder();
    metrics::with_local_recorder(&recorder, || {
        for metric in names::ALL {
            match metric.kind {
                Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
                Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.help),
            }
        }
    });
    Ok(recorder)
}

/// An open port.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Port {
    fn serve(listener: TcpListener, handle: PrometheusHandle) -> Result<Self> {
        let address = listener.local_addr().context("the port for metrics has no address")?;
        let shown = handle.clone();
        let metrics = get(async move || ([(CONTENT_TYPE, TEXT)], shown.render()));
        let routes = Router::new().route("/metrics", metrics).route("/healthz", get(async || "ok"));
        let serving = tokio::spawn(async move {
            // It ends only with the task: what goes wrong with one reader is over with that one.
            let _ = axum::serve(listener, routes).await;
        });
        let upkeep = tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        });
        Ok(Self { address, tasks: [serving, upkeep] })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    /// The whole answer: its head and its body.
    async fn ask(port: &Port, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(port.address()).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is heard");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    async fn opened() -> (PrometheusRecorder, Port) {
        let recorder = recorder().expect("a recorder");
        let listener = listen(address("0").expect("a port")).await.expect("a port");
        let port = Port::serve(listener, recorder.handle()).expect("it listens");
        (recorder, port)
    }

    #[tokio::test]
    async fn it_shows_metrics_and_health_and_nothing_else() {
        let (recorder, port) = opened().await;
        metrics::with_local_recorder(&recorder, || record::looked(5));
        assert!(port.address().ip().is_loopback());
        let (head, body) = ask(&port, "/metrics").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(TEXT), "{head}");
        assert!(body.contains("twinflow_looks_found_total 5"), "{body}");
        let (head, body) = ask(&port, "/healthz").await;
        assert!(head.starts_with("HTTP/1.1 200") && body == "ok", "{head} {body}");
        for path in ["/", "/metrics/", "/debug", "/healthz/x"] {
            assert!(ask(&port, path).await.0.starts_with("HTTP/1.1 404"), "{path}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_refused_by_its_number_and_closed_when_it_is_let_go() {
        let (_recorder, port) = opened().await;
        let taken = port.address();
        let refused = listen(taken).await.expect_err("taken").to_string();
        assert!(refused.contains(&taken.to_string()) && refused.contains("--metrics-addr"), "{refused}");
        drop(port);
        while listen(taken).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_port_alone_is_one_on_loopback() {
        assert_eq!(address("9464"), Ok(SocketAddr::from(([127, 0, 0, 1], 9464))));
        assert_eq!(address("0.0.0.0:9464"), Ok(SocketAddr::from(([0, 0, 0, 0], 9464))));
        for bad in ["", "host", "localhost:9464", "70000", "1.2.3.4"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
