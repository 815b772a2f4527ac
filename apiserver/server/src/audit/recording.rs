//! One request on its way: what is learnt about it, and the events that are made of it.
//!
//! Mirrors `pkg/audit/context.go` and `pkg/endpoints/filters/audit.go`. Without an auditor, or where
//! the policy says `None`, nothing is kept and nothing is made.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use apimachinery::ApiError;
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Auditor,
    event::{Event, ObjectReference, User, micro_time, response_status, user_agent},
    objects::{self, Sent, Shown, Style},
    policy::{Level, Stage, Verdict},
    source_ips::source_ips,
};
use crate::{
    authorization::Decision,
    request::{RequestInfo, UserInfo},
    response::Body,
};

const DECISION: &str = "authorization.k8s.io/decision";
const REASON: &str = "authorization.k8s.io/reason";
/// As upstream marks events whose objects were too large.
const TRUNCATED: &str = "audit.k8s.io/truncated";

/// Follows one request, if requests are recorded. What is learnt on the way is set at most once, from
/// wherever it is known.
#[derive(Debug)]
pub(crate) struct Recording(Option<Box<Track>>);

/// In a box, so that a request that is not recorded has no room for it.
#[derive(Debug)]
struct Track {
    auditor: Arc<Auditor>,
    origin: Origin,
    active: OnceLock<Active>,
    impersonated: OnceLock<UserInfo>,
    decision: OnceLock<(Option<&'static str>, String)>,
    sent: OnceLock<Sent>,
    has_panicked: bool,
    outcome: Option<Outcome>,
    /// No event follows.
    has_ended: bool,
}

/// What is known of a request before anything was read of it.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) audit_id: String,
    pub(crate) request_uri: String,
    pub(crate) peer: SocketAddr,
    pub(crate) received: Timestamp,
}

/// A request that is recorded.
#[derive(Debug)]
struct Active {
    verdict: Verdict,
    /// None where authentication failed.
    user: Option<UserInfo>,
    info: RequestInfo,
    source_ips: Vec<IpAddr>,
    user_agent: String,
}

/// How a request ended.
#[derive(Debug)]
struct Outcome {
    status: Value,
    shown: Shown,
}

// === impl Recording ===

impl Recording {
    /// A recording of a request that has just come.
    pub(crate) fn new(auditor: Option<&Arc<Auditor>>, origin: impl FnOnce() -> Origin) -> Self {
        Self(auditor.map(|auditor| {
            Box::new(Track {
                auditor: Arc::clone(auditor),
                origin: origin(),
                active: OnceLock::new(),
                impersonated: OnceLock::new(),
                decision: OnceLock::new(),
                sent: OnceLock::new(),
                has_panicked: false,
                outcome: None,
                has_ended: false,
            })
        }))
    }

    /// It is known who sends the request, or that this cannot be known: the policy decides.
    pub(crate) fn begin(&self, user: Option<&UserInfo>, info: &RequestInfo, headers: &HeaderMap) {
        if let Some(track) = &self.0 {
            track.begin(user, info, headers);
        }
    }

    /// Whom the user acts as. The event's `user` stays who was authenticated.
    pub(crate) fn impersonates(&self, user: &UserInfo) {
        if let Some((track, _)) = self.active() {
            // There is one user that a request acts as.
            let _ = track.impersonated.set(user.clone());
        }
    }

    /// What was decided about the request.
    pub(crate) fn decided(&self, decision: &Result<Decision, ApiError>) {
        if let Some((track, _)) = self.active() {
            let said = match decision {
                Ok(Decision::Allow(reason)) => (Some("allow"), reason.clone()),
                Ok(Decision::Deny(reason)) => (Some("forbid"), reason.clone()),
                Err(_) => (None, "internal error".to_owned()),
            };
            // It is decided once.
            let _ = track.decision.set(said);
        }
    }

    /// The body that was sent, which may be no object.
    pub(crate) fn sent(&self, body: &Bytes, headers: &HeaderMap) {
        if let Some((track, active)) = self.active() {
            let is_patch = active.info.verb == "patch";
            let sent = Sent::read(body, headers, is_patch, active.verdict.into());
            // A body is read once.
            let _ = track.sent.set(sent);
        }
    }

    /// The handler panicked.
    pub(crate) fn panicked(&mut self) {
        if let Some(track) = &mut self.0 {
            track.has_panicked = true;
        }
    }

    /// The answer, before it is written as the client wants it. A watch is followed to its end.
    pub(crate) async fn answered(
        self,
        response: Response<Body>,
        failure: Option<&ApiError>,
    ) -> Response<Body> {
        match self.0 {
            Some(track) => Box::pin(track.answered(response, failure)).await,
            None => response,
        }
    }

    fn active(&self) -> Option<(&Track, &Active)> {
        let track = self.0.as_deref()?;
        Some((track, track.active.get()?))
    }
}

// === impl Track ===

impl Track {
    fn begin(&self, user: Option<&UserInfo>, info: &RequestInfo, headers: &HeaderMap) {
        let verdict = self.auditor.policy.evaluate(user, info);
        if verdict.level == Level::None {
            return;
        }
        let sent = headers.get(header::USER_AGENT);
        let sent = sent.and_then(|value| value.to_str().ok());
        let active = Active {
            verdict,
            user: user.cloned(),
            info: info.clone(),
            source_ips: source_ips(headers, self.origin.peer.ip()),
            user_agent: user_agent(sent.unwrap_or_default()),
        };
        if self.active.set(active).is_ok() && user.is_some() {
            self.record(Stage::RequestReceived, None, self.origin.received);
        }
    }

    async fn answered(
        mut self: Box<Self>,
        response: Response<Body>,
        failure: Option<&ApiError>,
    ) -> Response<Body> {
        let Some(active) = self.active.get() else {
            return response;
        };
        let verdict = active.verdict;
        let is_long_running = active.info.is_long_running();
        let has_objects = active.info.resource.is_some() && !is_long_running;
        let is_peeked_at = verdict.level >= Level::RequestResponse || active.info.verb == "delete";
        let code = response.status().as_u16();
        let (response, shown, status) = match failure {
            Some(error) => {
                let status = error.to_status();
                let shown = if verdict.level >= Level::RequestResponse {
                    objects::show(status.to_string().as_bytes(), false)
                } else {
                    Shown::default()
                };
                (response, shown, Some(status))
            }
            None if has_objects && is_peeked_at => {
                objects::answered(response, verdict.into()).await
            }
            None => (response, Shown::default(), None),
        };
        let status = response_status(code, status.as_ref());
        self.outcome = Some(Outcome { status, shown });
        if is_long_running && failure.is_none() {
            let outcome = self.outcome.as_ref();
            self.record(Stage::ResponseStarted, outcome, Timestamp::now());
            return response.map(|body| {
                let followed = Followed { body, _track: self };
                followed.boxed_unsync()
            });
        }
        response
    }

    fn end(&mut self) {
        let Some(active) = self.active.get().filter(|_| !self.has_ended) else {
            return;
        };
        self.has_ended = true;
        let closed_early = || Outcome {
            status: json!({"metadata": {}, "status": "Success",
                "message": "Connection closed early", "code": 200}),
            shown: Shown::default(),
        };
        let is_first = self.outcome.is_none();
        let outcome = self.outcome.take().unwrap_or_else(closed_early);
        let now = Timestamp::now();
        if self.has_panicked {
            return self.record(Stage::Panic, Some(&outcome), now);
        }
        // As upstream, a failed authentication has this event alone.
        let has_failed = outcome.status["code"] != 200;
        let is_unknown = active.user.is_none();
        if is_unknown || (active.info.is_long_running() && (is_first || has_failed)) {
            self.record(Stage::ResponseStarted, Some(&outcome), now);
        }
        if !is_unknown {
            self.record(Stage::ResponseComplete, Some(&outcome), now);
        }
    }

    /// Makes an event and hands it on.
    fn record(&self, stage: Stage, outcome: Option<&Outcome>, time: Timestamp) {
        let Some(active) = self.active.get() else {
            return;
        };
        let origin = &self.origin;
        if active.verdict.omit_stages.contains(stage) {
            return;
        }
        let sent = self.sent.get();
        let mut event = Event {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: active.verdict.level.as_str(),
            audit_id: &origin.audit_id,
            stage: stage.as_str(),
            request_uri: &origin.request_uri,
            verb: &active.info.verb,
            user: active.user.as_ref().map(User::from).unwrap_or_default(),
            impersonated_user: self.impersonated.get().map(User::from),
            source_ips: &active.source_ips,
            user_agent: &active.user_agent,
            object_ref: active.info.resource.as_ref().map(ObjectReference::from),
            response_status: outcome.map(|outcome| &outcome.status),
            request_object: sent.and_then(|sent| sent.shown.object.as_deref()),
            response_object: outcome.and_then(|outcome| outcome.shown.object.as_deref()),
            request_received_timestamp: micro_time(origin.received),
            stage_timestamp: micro_time(time),
            annotations: BTreeMap::new(),
        };
        if let (Some(reference), Some(sent)) = (&mut event.object_ref, sent) {
            reference.complete(&sent.metadata);
        }
        if let Some((decision, reason)) = self.decision.get() {
            event
                .annotations
                .extend(decision.map(|said| (DECISION, said)));
            event.annotations.insert(REASON, reason);
        }
        let is_left_out = |shown: &Shown| shown.is_left_out;
        if sent.is_some_and(|sent| is_left_out(&sent.shown))
            || outcome.is_some_and(|outcome| is_left_out(&outcome.shown))
        {
            event.annotations.insert(TRUNCATED, "true");
        }
        self.auditor.record(&event.encode());
    }
}

impl Drop for Track {
    /// Also when the client goes away: what was begun has an end.
    fn drop(&mut self) {
        self.end();
    }
}

impl From<Verdict> for Style {
    fn from(verdict: Verdict) -> Self {
        Self {
            level: verdict.level,
            omit_managed_fields: verdict.omit_managed_fields,
        }
    }
}

/// The body of a watch; the recording ends with it.
#[derive(Debug)]
struct Followed {
    body: Body,
    _track: Box<Track>,
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
