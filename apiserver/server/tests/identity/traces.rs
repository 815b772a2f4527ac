//! Traces of requests, as a collector gets them.

use std::{convert::Infallible, fmt::Write, net::SocketAddr, sync::Arc};

use apiserver::traces::{Traces, TracingConfiguration};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, status::StatusCode},
};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;

use crate::server::{Rig, THINGS, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
/// Before a message of gRPC: whether it is compressed, and its length.
const PREFIX_LENGTH: usize = 5;

/// Takes what servers export, over gRPC.
#[derive(Debug, Default)]
struct Collector {
    exports: Mutex<Vec<ExportTraceServiceRequest>>,
}

impl Collector {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let collector = Arc::new(Self::default());
        let taking = Arc::clone(&collector);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = Arc::clone(&taking);
                let service = service_fn(move |request| Arc::clone(&collector).take(request));
                let connection = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        (collector, address)
    }

    async fn take(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
        let body = request.into_body().collect().await.expect("all comes");
        let message = body.to_bytes().slice(PREFIX_LENGTH..);
        let export = ExportTraceServiceRequest::decode(message).expect("it is an export");
        self.exports.lock().push(export);

        let answer = ExportTraceServiceResponse::default().encode_to_vec();
        let mut message = BytesMut::new();
        message.put_u8(0);
        message.put_u32(u32::try_from(answer.len()).expect("it is short"));
        message.extend_from_slice(&answer);
        let done = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let frames = [Frame::data(message.freeze()), Frame::trailers(done)].map(Ok);
        let body = StreamBody::new(futures::stream::iter(frames));
        let response = Response::builder().header("content-type", "application/grpc");
        Ok(response
            .body(BodyExt::boxed(body))
            .expect("it is well-formed"))
    }

    fn spans(&self) -> Vec<Span> {
        let exports = self.exports.lock();
        let resources = exports.iter().flat_map(|export| &export.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn service(&self) -> Option<String> {
        let exports = self.exports.lock();
        let resource = exports.first()?.resource_spans.first()?.resource.clone()?;
        attribute(&resource.attributes, "service.name")
    }
}

/// A server of which a part of the requests is traced, and the collector.
struct Stage {
    rig: Rig,
    traces: Arc<Traces>,
    collector: Arc<Collector>,
}

impl Stage {
    async fn new(sampling_rate_per_million: u32) -> Self {
        let (collector, address) = Collector::start().await;
        let configuration = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n\
             endpoint: {address}\nsamplingRatePerMillion: {sampling_rate_per_million}\n"
        );
        let configuration = TracingConfiguration::parse(configuration.as_bytes());
        let configuration = configuration.expect("it is right");
        let traces = Traces::start(&configuration, "things").expect("the address is one");
        let traces = Arc::new(traces);
        let sent = Some(Arc::clone(&traces));
        let rig = Rig::prepared(|surroundings| surroundings.with_traces(sent)).await;
        Self {
            rig,
            traces,
            collector,
        }
    }

    /// Asks as a user of a group, as part of a trace that is sampled.
    async fn get(&self, user: &str, group: &str, target: &str) {
        let credential = self.rig.clients.client(user, &[group]);
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let headers = [("traceparent", parent.as_str()), ("audit-id", "audited")];
        self.rig.get(Some(&credential), target, &headers).await;
    }

    /// The spans of all requests with this path, once all were sent.
    async fn spans(&self, path: &str) -> Vec<Span> {
        self.traces.stop().await;
        let spans = self.collector.spans().into_iter();
        spans
            .filter(|span| attribute(&span.attributes, "url.path").as_deref() == Some(path))
            .collect()
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// X10: a master's request is a span in the trace that it names.
#[tokio::test]
async fn a_request_of_a_master_belongs_to_the_trace_that_it_names() {
    let stage = Stage::new(0).await;
    let path = format!("{THINGS}/absent");
    stage
        .get("root", "system:masters", &format!("{path}?pretty=true"))
        .await;
    let spans = stage.spans(&path).await;
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:?}");
    };
    assert_eq!(
        (
            hex(&span.trace_id).as_str(),
            hex(&span.parent_span_id).as_str()
        ),
        (TRACE, SPAN)
    );
    assert_eq!(
        span.name,
        "GET /apis/test.io/v1/namespaces/{:namespace}/things/{:name}"
    );
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.target", format!("{path}?pretty=true").as_str()),
        ("http.response.status_code", "404"),
        ("audit-id", "audited"),
        ("network.peer.address", "127.0.0.1"),
    ] {
        assert_eq!(
            attribute(&span.attributes, key).as_deref(),
            Some(value),
            "{key}"
        );
    }
    assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    assert_eq!(stage.collector.service().as_deref(), Some("things"));
}

/// X10: what a request waits for is a span below its own.
#[tokio::test]
async fn the_steps_of_a_request_are_spans_below_it() {
    let stage = Stage::new(1_000_000).await;
    stage.get("jane", "people", THINGS).await;
    let spans = stage.spans(THINGS).await;
    let request = spans.first().expect("the request is traced");
    let steps = stage.collector.spans().into_iter();
    let mut steps: Vec<String> = steps
        .filter(|span| span.parent_span_id == request.span_id)
        .map(|span| span.name)
        .collect();
    steps.sort();
    assert_eq!(steps, ["Authorize", "Handle"]);
}

/// X10: an ordinary user cannot join a trace nor have requests traced: there is only a link.
#[tokio::test]
async fn a_trace_that_an_ordinary_user_names_is_only_linked() {
    let stage = Stage::new(0).await;
    stage.get("jane", "people", THINGS).await;
    assert_eq!(stage.spans(THINGS).await, []);

    let stage = Stage::new(1_000_000).await;
    stage.get("jane", "people", THINGS).await;
    let spans = stage.spans(THINGS).await;
    let span = spans.first().expect("the request is traced");
    assert_ne!(hex(&span.trace_id), TRACE);
    assert_eq!(span.parent_span_id, Vec::<u8>::new());
    let linked: Vec<String> = span.links.iter().map(|link| hex(&link.trace_id)).collect();
    assert_eq!(linked, [TRACE]);
}

/// X10: who gathers metrics and traces of the cluster may name a trace too.
#[tokio::test]
async fn monitoring_belongs_to_the_trace_that_it_names() {
    let stage = Stage::new(0).await;
    stage.get("jane", "system:monitoring", THINGS).await;
    let spans = stage.spans(THINGS).await;
    let traces: Vec<String> = spans.iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(traces, [TRACE]);
}

/// X10: kube-apiserver learns which span asks it.
#[tokio::test]
async fn a_question_to_the_cluster_names_the_span_that_waits_for_it() {
    let stage = Stage::new(1_000_000).await;
    stage.get("jane", "people", THINGS).await;
    let spans = stage.spans(THINGS).await;
    let request = spans.first().expect("the request is traced");
    let all = stage.collector.spans();
    let waiting = all
        .iter()
        .find(|span| span.name == "Authorize" && span.parent_span_id == request.span_id);
    let waiting = waiting.expect("the decision is a span");
    let named = format!("00-{}-{}-01", hex(&waiting.trace_id), hex(&waiting.span_id));
    assert_eq!(stage.rig.cluster.traceparents().last(), Some(&named));
}

/// X10: a server's fault is a span in error.
#[tokio::test]
async fn a_failure_of_the_server_is_a_span_in_error() {
    let stage = Stage::new(1_000_000).await;
    stage.rig.cluster.failures.lock().push(Some(403));
    stage.get("tim", "people", THINGS).await;
    let spans = stage.spans(THINGS).await;
    let span = spans.first().expect("the request is traced");
    let code = attribute(&span.attributes, "http.response.status_code");
    assert_eq!(code.as_deref(), Some("503"));
    let status = span.status.as_ref().map(|status| status.code);
    assert_eq!(status, Some(StatusCode::Error as i32));
}

/// X10: without a collector requests are answered as ever.
#[tokio::test]
async fn nothing_waits_for_a_collector_that_is_away() {
    let configuration = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n\
        endpoint: 127.0.0.1:1\nsamplingRatePerMillion: 1000000\n";
    let configuration = TracingConfiguration::parse(configuration.as_bytes()).expect("it is right");
    let traces = Traces::start(&configuration, "things").expect("the address is one");
    let sent = Some(Arc::new(traces));
    let rig = Rig::prepared(|surroundings| surroundings.with_traces(sent)).await;
    let jane = rig.clients.client("jane", &["people"]);
    let answered = async || rig.get(Some(&jane), THINGS, &[]).await.code == 200;
    eventually("requests are answered", answered).await;
}
