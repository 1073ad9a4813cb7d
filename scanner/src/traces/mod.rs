//! Traces for OpenTelemetry: what a scan spent its time on, as spans scan → stream → page. Off unless an endpoint is
//! given. [`Listed`] holds every span to the list of the log, `collector.rs` is the one way there.

mod collector;
mod listed;
#[cfg(test)]
mod tests;

use crate::log::is_ours;
use anyhow::{Result, anyhow, bail};
use collector::Collector;
use listed::Listed;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

/// What the end of the program waits for, at most.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// To the collector at this base URL, or at the whole URL of its traces.
    pub(crate) fn to(endpoint: &str) -> Result<Self> {
        let endpoint = traces_at(endpoint)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.as_str())
            .with_http_client(Collector::at(endpoint)?)
            .build()
            // Its errors quote the environment.
            .map_err(|_| anyhow!("no traces can be sent as the variables OTEL_EXPORTER_OTLP_* ask"))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Listed(exporter))
            .with_sampler(Sampler::AlwaysOn)
            // Nothing of the environment or the machine.
            .with_resource(Resource::builder_empty().with_service_name("twinflow").build())
            .build();
        Ok(Self { provider })
    }

    /// Spans of ours alone; what is logged within them stays in the log.
    pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let spans = filter_fn(|about| about.is_span() && *about.level() <= Level::INFO && is_ours(about));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("twinflow"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(spans.with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what was not sent yet, unless that takes long: the work is done, and its record is in the database.
    pub(crate) async fn flush(self) {
        let (done, flushed) = oneshot::channel::<()>();
        // No task of the runtime, whose end would wait for it.
        std::thread::spawn(move || {
            let _ = self.provider.shutdown_with_timeout(PATIENCE);
            drop(done);
        });
        let _ = tokio::time::timeout(PATIENCE, flushed).await;
    }
}

/// Not repeated when it is wrong: it may hold a password.
fn traces_at(endpoint: &str) -> Result<Url> {
    const PATH: &str = "/v1/traces";
    let Ok(mut url) = Url::parse(endpoint) else {
        bail!("--otlp-endpoint is no URL; give it as http://host:4318");
    };
    let plain = url.username().is_empty() && url.password().is_none();
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() || !plain || url.query().is_some() {
        bail!("--otlp-endpoint cannot be used; give it as http://host:4318, without user or query");
    }
    let base = url.path().trim_end_matches('/');
    if !base.ends_with(PATH) {
        let whole = format!("{base}{PATH}");
        url.set_path(&whole);
    }
    Ok(url)
}
