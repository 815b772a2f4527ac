//! A cluster by script: it publishes authorities, knows tokens and answers what users may do.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
        let failure = {
            let mut failures = self.failures.lock();
            match failures.len() {
                0 => None,
                1 => failures[0],
                _ => failures.remove(0),
            }
        };
        if let Some(code) = failure {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": "scripted", "code": code});
            return whole(code, &status);
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

    /// Every change from now on, as events of a watch.
    fn changes(&self) -> impl Stream<Item = Value> + Send + Sync + 'static {
        let receiver = self.config_map.subscribe();
        stream::unfold(receiver, |mut receiver| async move {
            receiver.changed().await.ok()?;
            let event = match &*receiver.borrow_and_update() {
                Some(data) => json!({"type": "MODIFIED", "object": config_map(data)}),
                None => json!({"type": "DELETED", "object": config_map(&BTreeMap::new())}),
            };
            Some((event, receiver))
        })
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
