//! Traces: one span for every request that is sampled, with what it waits for below it.
//!
//! Mirrors `k8s.io/apiserver/pkg/endpoints/filters/traces.go` and `k8s.io/component-base/tracing`. A
//! request belongs to its caller's trace only if the caller is one of `system:masters` or
//! `system:monitoring`; of everybody else's there is a link. Spans go to the collector in batches,
//! in the background: without a collector they are dropped, and nothing waits.
//!
//! Deviations: the span of a watch ends when its stream begins; baggage is not passed on.

mod config;
mod propagation;

use std::{net::SocketAddr, time::SystemTime};

use apimachinery::ApiError;
use http::{HeaderMap, Method, Response, Uri};
use jiff::Timestamp;
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt,
    propagation::TextMapPropagator,
    trace::{Link, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Body,
    request::{RequestInfo, SYSTEM_MASTERS, UserInfo},
};

pub use config::TracingConfiguration;
pub(crate) use propagation::name_current_span;

use propagation::RequestHeaders;

/// Group of the callers that may say which trace a request belongs to, beside the masters.
const SYSTEM_MONITORING: &str = "system:monitoring";

/// Makes spans and sends them to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A request that becomes a span.
pub(crate) struct Traced<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) info: &'a RequestInfo,
    pub(crate) user: &'a UserInfo,
    pub(crate) peer: SocketAddr,
    pub(crate) audit_id: &'a str,
    pub(crate) received: Instant,
}

impl Traces {
    /// Spans of a service with this name. The connection to the collector is made when there is
    /// something to send, within the runtime that calls this.
    ///
    /// # Errors
    /// A sentence when the collector's address cannot be used.
    pub fn start(
        configuration: &TracingConfiguration,
        service: &'static str,
    ) -> Result<Self, String> {
        let TracingConfiguration {
            endpoint,
            sampling_rate_per_million,
        } = configuration;
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(format!("http://{endpoint}"))
            .build()
            .map_err(|e| format!("cannot send traces to {endpoint}: {e}"))?;
        let ratio = f64::from(*sampling_rate_per_million) / 1e6;
        let resource = Resource::builder_empty()
            .with_service_name(service)
            .with_attribute(KeyValue::new(
                "service.instance.id",
                Uuid::new_v4().to_string(),
            ));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::parent_based(Sampler::TraceIdRatioBased(ratio)))
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("k8s.io/apiserver");
        Ok(Self { provider, tracer })
    }

    /// The span of a request, as a context for what follows.
    pub(crate) fn begin(&self, request: &Traced<'_>) -> Context {
        let Traced {
            method,
            uri,
            headers,
            info,
            user,
            peer,
            audit_id,
            received,
        } = request;
        let remote = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &RequestHeaders(headers));
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("url.scheme", "https"),
            KeyValue::new("url.path", info.path.clone()),
            KeyValue::new("http.target", uri.to_string()),
            KeyValue::new("network.peer.address", peer.ip().to_string()),
            KeyValue::new("audit-id", (*audit_id).to_owned()),
        ];
        let agent = headers.get(http::header::USER_AGENT);
        if let Some(agent) = agent.and_then(|agent| agent.to_str().ok()) {
            attributes.push(KeyValue::new("user_agent.original", agent.to_owned()));
        }
        let mut span = self
            .tracer
            .span_builder(span_name(method, info))
            .with_kind(SpanKind::Server)
            .with_start_time(SystemTime::from(Timestamp::now()) - received.elapsed())
            .with_attributes(attributes);
        let names_its_trace =
            |group: &String| group == SYSTEM_MASTERS || group == SYSTEM_MONITORING;
        let parent = if user.groups.iter().any(names_its_trace) {
            remote
        } else {
            let stranger = remote.span().span_context().clone();
            if stranger.is_valid() {
                span = span.with_links(vec![Link::with_context(stranger)]);
            }
            Context::new()
        };
        let span = span.start_with_context(&self.tracer, &parent);
        parent.with_span(span).with_value(self.tracer.clone())
    }

    /// Sends what is left.
    pub async fn stop(&self) {
        let provider = self.provider.clone();
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Answers a request within its span, if it has one, which then says how it ended.
pub(crate) async fn follow(
    context: Option<Context>,
    answer: impl Future<Output = Result<Response<Body>, ApiError>>,
) -> Result<Response<Body>, ApiError> {
    let Some(context) = context else {
        return answer.await;
    };
    let answer = answer.with_context(context.clone()).await;
    let code = match &answer {
        Ok(response) => response.status().as_u16(),
        Err(error) => error.code(),
    };
    let span = context.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(code)));
    if code >= 500 {
        span.set_status(Status::error(""));
    }
    span.end();
    answer
}

/// Does a part of the work within a span of its own, if the request has one.
pub(crate) async fn step<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    let current = Context::current();
    let tracer = current.get::<SdkTracer>();
    let Some(tracer) = tracer.filter(|_| current.span().is_recording()) else {
        return work.await;
    };
    let span = tracer.start_with_context(name, &current);
    let context = current.with_span(span);
    let done = work.with_context(context.clone()).await;
    context.span().end();
    done
}

/// The request without what differs from object to object.
fn span_name(method: &Method, info: &RequestInfo) -> String {
    let Some(resource) = &info.resource else {
        return method.to_string();
    };
    let mut name = format!("{method} /apis/{}/{}", resource.group, resource.version);
    if !resource.namespace.is_empty() {
        name.push_str("/namespaces/{:namespace}");
    }
    name.extend(["/", &resource.resource]);
    if !resource.name.is_empty() {
        name.push_str("/{:name}");
    }
    if !resource.subresource.is_empty() {
        name.extend(["/", &resource.subresource]);
    }
    name
}
