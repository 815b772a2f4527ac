//! Requests, watches and their events: `k8s.io/apiserver/pkg/endpoints/metrics/metrics.go`.
//!
//! Deviations: refused requests (401, 403) count too, since a server that trusts nobody any more must
//! not look idle; the time of a watch is no latency and is not observed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use apimachinery::{ResourceDefinition, list_options::is_true};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use parking_lot::RwLock;
use prometheus_client::{
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::time::Instant;

use super::{
    exposition::{Counter, Histograms},
    labels::{DryRun, RequestLabels, Target, Targets, Verb, WatchListLabels},
};
use crate::{request::RequestInfo, response::Body};

/// Bounds of `apiserver_request_duration_seconds`.
const DURATION_BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// Bounds of `apiserver_request_sli_duration_seconds`.
const SLI_BUCKETS: [f64; 21] = [
    0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0,
    30.0, 45.0, 60.0,
];

/// Bounds of `apiserver_watch_list_duration_seconds`.
const WATCH_LIST_BUCKETS: [f64; 17] = [
    0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// How the event begins that says that all initial events were sent; the first of its kind does.
const BOOKMARK: &[u8] = br#"{"type":"BOOKMARK""#;

/// What is counted of requests.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    targets: Targets,
    /// One look-up for each answer, instead of one in every family below. Held for that alone.
    answers: RwLock<HashMap<RequestLabels, Arc<Answers>>>,
    total: Family<RequestLabels, Counter>,
    durations: Histograms<RequestLabels>,
    sli_durations: Histograms<RequestLabels>,
    sizes: Histograms<RequestLabels>,
    long_running: Family<RequestLabels, Gauge>,
    terminations: Family<RequestLabels, Counter>,
    watch_events: Family<Target, Counter>,
    watch_event_sizes: Histograms<Target>,
    watch_lists: Histograms<WatchListLabels>,
}

/// Where equal answers to equal requests are counted; `None` where they are not.
#[derive(Debug)]
struct Answers {
    total: Counter,
    durations: Option<Histogram>,
    sli_durations: Option<Histogram>,
    sizes: Option<Histogram>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Monitored {
    /// `None` for what is not served, which is not counted.
    counted: Option<(Arc<RequestMetrics>, RequestLabels)>,
    is_watch_list: bool,
}

/// A watch that runs until it is dropped.
struct RunningWatch {
    metrics: Arc<RequestMetrics>,
    labels: RequestLabels,
    open: Gauge,
    events: Counter,
    event_sizes: Histogram,
    /// While the initial events of a watch list are sent: when it was asked for.
    watch_list: Option<Instant>,
}

/// The size of a body that was not known before it was sent, observed when it is dropped.
struct SentBytes {
    sizes: Histogram,
    bytes: u64,
}

// === impl RequestMetrics ===

impl RequestMetrics {
    pub(super) fn new(definitions: &[ResourceDefinition], registry: &mut Registry) -> Self {
        let metrics = Self {
            targets: Targets::new(definitions),
            answers: RwLock::default(),
            total: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            sli_durations: Family::new_with_constructor(|| Histogram::new(SLI_BUCKETS)),
            sizes: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(1000.0, 10.0, 7))
            }),
            long_running: Family::default(),
            terminations: Family::default(),
            watch_events: Family::default(),
            watch_event_sizes: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(1024.0, 2.0, 8))
            }),
            watch_lists: Family::new_with_constructor(|| Histogram::new(WATCH_LIST_BUCKETS)),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "apiserver_request_total",
            "Requests, by what they were about and the code of the answer",
            self.total.clone(),
        );
        registry.register(
            "apiserver_request_duration_seconds",
            "Time from a request to its answer; watches do not count",
            self.durations.clone(),
        );
        registry.register(
            "apiserver_request_sli_duration_seconds",
            "The same without what others are waited for, dry runs left out",
            self.sli_durations.clone(),
        );
        registry.register(
            "apiserver_response_sizes",
            "Size of answers to reads, in bytes as they were sent",
            self.sizes.clone(),
        );
        registry.register(
            "apiserver_longrunning_requests",
            "Watches that are open",
            self.long_running.clone(),
        );
        registry.register(
            "apiserver_request_terminations_total",
            "Requests that the server ended to protect itself",
            self.terminations.clone(),
        );
        registry.register(
            "apiserver_watch_events_total",
            "Events sent to watches",
            self.watch_events.clone(),
        );
        registry.register(
            "apiserver_watch_events_sizes",
            "Size of events sent to watches, in bytes",
            self.watch_event_sizes.clone(),
        );
        registry.register(
            "apiserver_watch_list_duration_seconds",
            "Time until a watch that began with a list had sent it",
            self.watch_lists.clone(),
        );
    }

    /// Begins to count a request.
    pub(crate) fn monitor(
        self: &Arc<Self>,
        method: &Method,
        headers: &HeaderMap,
        info: &RequestInfo,
    ) -> Monitored {
        let target = self.targets.find(info).cloned();
        let counted = target.map(|target| {
            let labels = RequestLabels::new(target, method, headers, info);
            (Arc::clone(self), labels)
        });
        Monitored {
            counted,
            is_watch_list: info.parameter("sendInitialEvents").is_some_and(is_true),
        }
    }

    /// Where answers with these labels, code and all, are counted.
    fn answers(&self, labels: &RequestLabels) -> Arc<Answers> {
        if let Some(known) = self.answers.read().get(labels) {
            return Arc::clone(known);
        }
        let without_code = RequestLabels {
            code: None,
            ..labels.clone()
        };
        let without_dry_run = RequestLabels {
            dry_run: None,
            ..without_code.clone()
        };
        let is_watch = labels.verb == Verb::Watch;
        let counts_for_sli = labels.dry_run == Some(DryRun::No);
        let is_read = matches!(labels.verb, Verb::Get | Verb::List);
        let of = |family: &Histograms<RequestLabels>, labels| family.get_or_create_owned(labels);
        let answers = Arc::new(Answers {
            total: self.total.get_or_create_owned(labels),
            durations: (!is_watch).then(|| of(&self.durations, &without_code)),
            sli_durations: (!is_watch && counts_for_sli)
                .then(|| of(&self.sli_durations, &without_dry_run)),
            sizes: is_read.then(|| of(&self.sizes, &without_dry_run)),
        });
        let mut all = self.answers.write();
        Arc::clone(all.entry(labels.clone()).or_insert(answers))
    }
}

// === impl Monitored ===

impl Monitored {
    /// Counts that the server ended the request to protect itself, with this code.
    pub(crate) fn terminated(&self, code: u16) {
        if let Some((metrics, labels)) = &self.counted {
            let labels = RequestLabels {
                dry_run: None,
                code: Some(code),
                ..labels.clone()
            };
            metrics.terminations.get_or_create(&labels).inc();
        }
    }

    /// Counts the answer. A watch counts as open until its body is dropped, and as answered then.
    pub(crate) fn finish(self, response: Response<Body>, took: Duration) -> Response<Body> {
        let Self {
            counted,
            is_watch_list,
        } = self;
        let Some((metrics, mut labels)) = counted else {
            return response;
        };
        let status = response.status();
        if !labels.target.is_resource() && status == StatusCode::NOT_FOUND {
            return response;
        }
        labels.code = Some(status.as_u16());
        if labels.verb == Verb::Watch && status.is_success() {
            let mut watch = RunningWatch::start(metrics, labels);
            watch.watch_list = Instant::now().checked_sub(took).filter(|_| is_watch_list);
            return response.map(|body| watch.follow(body));
        }
        let answers = metrics.answers(&labels);
        answers.total.inc();
        let seconds = took.as_secs_f64();
        for durations in [&answers.durations, &answers.sli_durations]
            .into_iter()
            .flatten()
        {
            durations.observe(seconds);
        }
        let Some(sizes) = &answers.sizes else {
            return response;
        };
        if let Some(size) = size(&response) {
            sizes.observe(float(size));
            return response;
        }
        let mut sent = SentBytes {
            sizes: sizes.clone(),
            bytes: 0,
        };
        response.map(|body| {
            body.map_frame(move |frame| {
                sent.add(&frame);
                frame
            })
            .boxed_unsync()
        })
    }
}

/// The size of a body, if that is known before it is sent.
fn size(response: &Response<Body>) -> Option<u64> {
    response.body().size_hint().exact().or_else(|| {
        let length = response.headers().get(header::CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of answers are far below 2^52"
)]
fn float(size: u64) -> f64 {
    size as f64
}

// === impl RunningWatch ===

impl RunningWatch {
    fn start(metrics: Arc<RequestMetrics>, labels: RequestLabels) -> Self {
        let open = metrics.long_running.get_or_create_owned(&RequestLabels {
            dry_run: None,
            code: None,
            ..labels.clone()
        });
        open.inc();
        Self {
            open,
            events: metrics.watch_events.get_or_create_owned(&labels.target),
            event_sizes: metrics
                .watch_event_sizes
                .get_or_create_owned(&labels.target),
            metrics,
            labels,
            watch_list: None,
        }
    }

    /// Counts every frame, which is one event.
    fn follow(mut self, body: Body) -> Body {
        body.map_frame(move |frame| {
            self.sent(&frame);
            frame
        })
        .boxed_unsync()
    }

    fn sent(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else {
            return;
        };
        self.events.inc();
        self.event_sizes.observe(float(data.len() as u64));
        if let Some(begun) = self.watch_list.take_if(|_| data.starts_with(BOOKMARK)) {
            let labels = WatchListLabels(self.labels.target.clone(), self.labels.scope);
            let histogram = self.metrics.watch_lists.get_or_create_owned(&labels);
            histogram.observe(begun.elapsed().as_secs_f64());
        }
    }
}

// === impl SentBytes ===

impl SentBytes {
    fn add(&mut self, frame: &Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}

impl Drop for RunningWatch {
    fn drop(&mut self) {
        self.open.dec();
        self.metrics.answers(&self.labels).total.inc();
    }
}

impl Drop for SentBytes {
    fn drop(&mut self) {
        self.sizes.observe(float(self.bytes));
    }
}
