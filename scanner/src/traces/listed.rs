//! Holds spans to the lists of the log, last of all before they leave: whatever a layer or a library put into them, a
//! name, a value, an event, what is not foreseen is not sent.

use crate::log::words::{Held, SPANS, held};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceState};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Listed<E>(pub(super) E);

impl<E: SpanExporter> SpanExporter for Listed<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(batch.into_iter().map(listed).collect()).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Only ids, times and what is in the lists.
fn listed(span: SpanData) -> SpanData {
    let name = SPANS.iter().find(|it| **it == span.name).copied().unwrap_or("(not in the list of spans)");
    let context = &span.span_context;
    let (trace, id, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
    SpanData {
        span_context: SpanContext::new(trace, id, flags, false, TraceState::NONE),
        span_kind: SpanKind::Internal,
        name: name.into(),
        attributes: span.attributes.iter().filter_map(attribute).collect(),
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        ..span
    }
}

fn attribute(given: &KeyValue) -> Option<KeyValue> {
    let (name, value) = held(given.key.as_str(), &given.value.as_str())?;
    Some(match value? {
        Held::Number(number) => KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX)),
        Held::Text(text) => KeyValue::new(name, text),
    })
}
