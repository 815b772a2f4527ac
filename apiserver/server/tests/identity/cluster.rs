//! A cluster by script: it publishes authorities, knows tokens and answers what users may do.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What the script answers to a review instead of deciding; the code of a Status.
pub(crate) type Failure = Option<u16>;

#[derive(Debug)]
pub(crate) struct Cluster {
    /// The data of the authentication ConfigMap; `None` when there is no ConfigMap.
    pub(crate) config_map: watch::Sender<Option<BTreeMap<String, String>>>,
    /// Users by token.
    pub(crate) tokens: Mutex<BTreeMap<&'static str, Value>>,
    /// Names of users who may do everything.
    pub(crate) allowed: Mutex<Vec<&'static str>>,
    /// What fails of the next reviews, one by one; then the last one stays.
    pub(crate) failures: Mutex<Vec<Failure>>,
    /// Whether the ConfigMap may not be read; what reads it then is ended.
    pub(crate) config_map_denied: watch::Sender<bool>,
    /// How long each review takes.
    pub(crate) review_takes: Mutex<Duration>,
    /// How many reviews are being answered, and how many were at the most.
    open: AtomicUsize,
    most_open: AtomicUsize,
    /// Every review's `spec`, in the order of arrival.
    asked: Mutex<Vec<Value>>,
    /// Every review's header that says which trace it belongs to.
    traceparents: Mutex<Vec<String>>,
    written: AtomicUsize,
}

impl Cluster {
    pub(crate) fn new(data: BTreeMap<String, String>) -> Arc<Self> {
        Arc::new(Self {
            config_map: watch::Sender::new(Some(data)),
            tokens: Mutex::default(),
            allowed: Mutex::new(vec!["jane"]),
            failures: Mutex::default(),
            config_map_denied: watch::Sender::new(false),
            review_takes: Mutex::default(),
            open: AtomicUsize::default(),
            most_open: AtomicUsize::default(),
            asked: Mutex::default(),
            traceparents: Mutex::default(),
            written: AtomicUsize::default(),
        })
    }

    pub(crate) fn client(self: &Arc<Self>) -> Client {
        let cluster = Arc::clone(self);
        let service = tower::service_fn(move |request| {
            let cluster = Arc::clone(&cluster);
            async move { Ok::<_, Infallible>(cluster.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// The questions so far whose spec has this field.
    pub(crate) fn asked(&self, field: &str) -> Vec<Value> {
        let asked = self.asked.lock();
        let found = asked.iter().filter(|spec| spec.get(field).is_some());
        found.cloned().collect()
    }

    /// The traces that the questions so far say they belong to.
    #[cfg_attr(
        not(feature = "otlp-tests"),
        expect(dead_code, reason = "only traces need it")
    )]
    pub(crate) fn traceparents(&self) -> Vec<String> {
        self.traceparents.lock().clone()
    }

    /// How often something other than a review was written.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// How many reviews were being answered at the same time, at the most.
    pub(crate) fn most_asked_at_once(&self) -> usize {
        self.most_open.load(Ordering::SeqCst)
    }

    async fn answer(&self, request: Request<Body>) -> Response<BoxBody<Bytes, Infallible>> {
        let (parts, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .expect("the script is well-formed")
            .to_bytes();
        let path = parts.uri.path();
        let is_watch = parts.uri.query().is_some_and(|q| q.contains("watch="));
        if parts.method == Method::GET {
            return match path.rsplit('/').next().unwrap_or_default() {
                "configmaps" if *self.config_map_denied.borrow() => failed(403),
                "configmaps" if is_watch => streamed(self.changes()),
                "configmaps" => whole(200, &self.config_maps()),
                _ if is_watch => streamed(stream::pending()),
                "namespaces" => whole(200, &list("Namespace", &[namespace("default")])),
                _ => whole(200, &list("ResourceQuota", &[quota()])),
            };
        }
        let mut review: Value = serde_json::from_slice(&body).unwrap_or_default();
        let kind = path.rsplit('/').next().unwrap_or_default();
        if !matches!(kind, "tokenreviews" | "subjectaccessreviews") {
            self.written.fetch_add(1, Ordering::SeqCst);
            return whole(200, &review);
        }
        self.asked.lock().push(review["spec"].clone());
        if let Some(Ok(parent)) = parts.headers.get("traceparent").map(|value| value.to_str()) {
            self.traceparents.lock().push(parent.to_owned());
        }
        let _open = Open::begin(self);
        let takes = *self.review_takes.lock();
        tokio::time::sleep(takes).await;
        let failure = {
            let mut failures = self.failures.lock();
            match failures.len() {
                0 => None,
                1 => failures[0],
                _ => failures.remove(0),
            }
        };
        if let Some(code) = failure {
            return failed(code);
        }
        review["status"] = match kind {
            "tokenreviews" => self.token(&review["spec"]),
            _ => self.decision(&review["spec"]),
        };
        whole(201, &review)
    }

    fn token(&self, spec: &Value) -> Value {
        let tokens = self.tokens.lock();
        match spec["token"].as_str().and_then(|token| tokens.get(token)) {
            Some(user) => json!({"authenticated": true, "user": user}),
            None => json!({"authenticated": false, "error": "not known"}),
        }
    }

    fn decision(&self, spec: &Value) -> Value {
        let user = spec["user"].as_str().unwrap_or_default();
        json!({"allowed": self.allowed.lock().contains(&user), "reason": "as scripted"})
    }

    fn config_maps(&self) -> Value {
        let data = self.config_map.borrow().clone();
        let items: Vec<Value> = data.iter().map(config_map).collect();
        list("ConfigMap", &items)
    }

    /// The ConfigMap as it is and every change from now on, as events of a watch that ends when it is
    /// not allowed any more.
    fn changes(&self) -> impl Stream<Item = Value> + Send + Sync + 'static {
        let (mut receiver, denied) = (
            self.config_map.subscribe(),
            self.config_map_denied.subscribe(),
        );
        receiver.mark_changed();
        stream::unfold(
            (receiver, denied),
            |(mut receiver, mut denied)| async move {
                tokio::select! {
                    biased;
                    _ = denied.wait_for(|denied| *denied) => return None,
                    changed = receiver.changed() => changed.ok()?,
                }
                let event = match &*receiver.borrow_and_update() {
                    Some(data) => json!({"type": "MODIFIED", "object": config_map(data)}),
                    None => json!({"type": "DELETED", "object": config_map(&BTreeMap::new())}),
                };
                Some((event, (receiver, denied)))
            },
        )
    }
}

/// A review that is being answered.
struct Open<'a>(&'a Cluster);

impl<'a> Open<'a> {
    fn begin(cluster: &'a Cluster) -> Self {
        let now = cluster.open.fetch_add(1, Ordering::SeqCst) + 1;
        cluster.most_open.fetch_max(now, Ordering::SeqCst);
        Self(cluster)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn config_map(data: &BTreeMap<String, String>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {
            "name": "extension-apiserver-authentication", "namespace": "kube-system",
            "resourceVersion": "2", "uid": "u",
        },
    })
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}})
}

/// Counts everything that is created in `default`.
fn quota() -> Value {
    let counted = json!({"count/things.test.io": "5"});
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "all", "namespace": "default", "resourceVersion": "1"},
        "spec": {"hard": counted},
        "status": {"hard": counted, "used": {"count/things.test.io": "0"}},
    })
}

fn list(kind: &str, items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": format!("{kind}List"), "metadata": {"resourceVersion": "1"}, "items": items})
}

fn failed(code: u16) -> Response<BoxBody<Bytes, Infallible>> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": "scripted", "code": code});
    whole(code, &status)
}

fn whole(code: u16, value: &Value) -> Response<BoxBody<Bytes, Infallible>> {
    let body = http_body_util::Full::new(Bytes::from(value.to_string()));
    let response = Response::builder().status(code);
    response
        .body(body.boxed())
        .expect("the script is well-formed")
}

fn streamed(
    events: impl Stream<Item = Value> + Send + Sync + 'static,
) -> Response<BoxBody<Bytes, Infallible>> {
    let frames = events.map(|event| Ok(Frame::data(Bytes::from(format!("{event}\n")))));
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}
