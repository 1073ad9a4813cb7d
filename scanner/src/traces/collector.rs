//! The way to the collector of traces, and to nowhere else: the operator names it, no tool and no answer can.

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::{Client, redirect};
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// For the whole exchange. Spans wait meanwhile, the work does not.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const BIGGEST: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    endpoint: Url,
    /// Where HTTP runs: the exporter asks from a thread of its own.
    runtime: Handle,
}

impl Collector {
    #[expect(clippy::disallowed_methods, reason = "reaches the operator's collector and nothing else")]
    pub(super) fn at(endpoint: Url) -> Result<Self> {
        // The process-wide choice; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("twinflow/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(DEADLINE)
            .build()
            .map_err(|_| anyhow!("no HTTP client for traces could be made"))?;
        Ok(Self { client, endpoint, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        // Wherever the request says that it goes.
        let sending = self.client.post(self.endpoint.clone()).headers(head.headers).body(body);
        self.runtime.spawn(exchange(sending)).await?
    }
}

async fn exchange(sending: reqwest::RequestBuilder) -> Result<Response<Bytes>, HttpError> {
    let mut answer = sending.send().await.map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > BIGGEST {
            return Err("the answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    let mut read = Response::new(Bytes::from(body));
    *read.status_mut() = answer.status();
    Ok(read)
}
