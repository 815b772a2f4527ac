//! A server: its resources, who may use them, and the chain that every request goes through.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use apimachinery::{ApiError, ResourceDefinition, StatusReason};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use storage::Storage;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "otlp")]
use crate::traces::{self, Traced, Traces};
use crate::{
    access_log::AccessLog,
    admission::Admission,
    audit::{Auditor, Origin, Recording},
    authentication::Authenticator,
    authorization::{Authorizer, decide, permit},
    discovery::Discovery,
    encoding::Encoding,
    endpoints::Call,
    health::Health,
    impersonation,
    limits::Limits,
    metrics::{Counter, Metrics, Monitored},
    negotiation::{self, Representation},
    openapi::OpenApi,
    registry::{SchemaOnly, Store, Strategy},
    request::{Caller, RequestInfo},
    response::{self, Body},
    subresource::CustomSubresource,
    transport::Connection,
};

/// How long a request may take unless it is a watch, as upstream's `RequestTimeout`.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A kind to serve: what it is, and what it does beyond its schema.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What the kind is.
    pub definition: ResourceDefinition,
    /// Its hooks.
    pub strategy: Arc<dyn Strategy>,
    /// Who answers the subresources of the definition, by name.
    pub subresources: BTreeMap<String, Arc<dyn CustomSubresource>>,
}

impl From<ResourceDefinition> for Resource {
    fn from(definition: ResourceDefinition) -> Self {
        Self {
            definition,
            strategy: Arc::new(SchemaOnly),
            subresources: BTreeMap::new(),
        }
    }
}

/// A resource while it is served.
#[derive(Debug)]
struct Served {
    store: Arc<Store>,
    subresources: BTreeMap<String, Arc<dyn CustomSubresource>>,
}

/// What is known of a request before it is answered.
#[derive(Clone, Copy, Debug)]
struct Received<'a> {
    connection: &'a Connection,
    info: &'a RequestInfo,
    monitored: &'a Monitored,
    recording: &'a Recording,
}

/// Everything that answers requests.
#[derive(Debug)]
pub struct ApiServer {
    stores: BTreeMap<(String, String, String), Served>,
    discovery: Discovery,
    openapi: OpenApi,
    health: Health,
    limits: Limits,
    metrics: Metrics,
    authenticator: Authenticator,
    authorizer: Box<dyn Authorizer>,
    auditor: Option<Arc<Auditor>>,
    #[cfg(feature = "otlp")]
    traces: Option<Arc<Traces>>,
    shutdown: CancellationToken,
}

impl ApiServer {
    /// A server of these resources in this store. Its background tasks end with `shutdown`.
    ///
    /// # Errors
    /// A sentence that names the resource whose definition is wrong.
    pub fn new(
        resources: Vec<Resource>,
        admission: &Arc<dyn Admission>,
        storage: &Arc<dyn Storage>,
        authenticator: Authenticator,
        authorizer: Box<dyn Authorizer>,
        mut health: Health,
        shutdown: CancellationToken,
    ) -> Result<Self, String> {
        let definitions: Vec<_> = resources.iter().map(|r| r.definition.clone()).collect();
        let discovery = Discovery::new(&definitions);
        let openapi = OpenApi::new(&definitions);
        let asked = Arc::clone(storage);
        health.add_readiness_check("storage", move || asked.condition());
        let mut stores = BTreeMap::new();
        for Resource {
            definition,
            strategy,
            subresources,
        } in resources
        {
            check_subresources(&definition, &subresources)?;
            let resource = definition.group_resource();
            let key = (
                resource.group.clone(),
                definition.version.clone(),
                resource.resource.clone(),
            );
            let (store, _feed) = Store::start(
                definition,
                strategy,
                Arc::clone(admission),
                Arc::clone(storage),
                shutdown.clone(),
            )
            .map_err(|e| format!("{resource}: {e}"))?;
            let cacher = Arc::clone(store.cacher());
            let name = format!("watch-cache-{}.{}.{}", key.2, key.1, key.0);
            health.add_readiness_check(name, move || {
                if cacher.is_ready() {
                    Ok(())
                } else {
                    Err("not loaded yet".to_owned())
                }
            });
            let served = Served {
                store,
                subresources,
            };
            stores.insert(key, served);
        }
        let mut metrics = Metrics::new(&definitions);
        metrics.add_delegated(&authenticator, &*authorizer);
        let caches = stores.values().map(|served: &Served| &served.store);
        metrics.add_caches(caches.map(|store| (store.resource(), store.cacher())));
        let limits = Limits::new(Arc::clone(&metrics.inflight));
        Ok(Self {
            stores,
            discovery,
            openapi,
            health,
            limits,
            metrics,
            authenticator,
            authorizer,
            auditor: None,
            #[cfg(feature = "otlp")]
            traces: None,
            shutdown,
        })
    }

    /// Records requests from now on.
    #[must_use]
    pub fn with_auditor(mut self, auditor: Option<Arc<Auditor>>) -> Self {
        if let Some(auditor) = &auditor {
            self.metrics.add_auditor(auditor);
        }
        Self { auditor, ..self }
    }

    /// Traces requests from now on.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn with_traces(self, traces: Option<Arc<Traces>>) -> Self {
        Self { traces, ..self }
    }

    /// A resource by group, version and plural.
    pub fn store(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Store>> {
        self.served(group, version, plural)
            .map(|served| &served.store)
    }

    /// Where failed TLS handshakes are counted.
    pub(crate) fn handshake_errors(&self) -> &Counter {
        &self.metrics.handshake_errors
    }

    fn served(&self, group: &str, version: &str, plural: &str) -> Option<&Served> {
        self.stores
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Answers a request: the whole way, on one screen.
    pub async fn handle(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let received = Instant::now();
        let (parts, body) = request.into_parts();
        let info = RequestInfo::parse(&parts.method, parts.uri.path(), parts.uri.query());
        let audit_id = audit_id(&parts.headers);
        let encoding = Encoding::requested(&parts.headers, &info);
        let mut caller = Caller::default();
        let metrics = &self.metrics.requests;
        let monitored = metrics.monitor(&parts.method, &parts.headers, &info);
        let mut recording = Recording::new(self.auditor.as_ref(), || Origin {
            audit_id: audit_id.clone(),
            request_uri: parts
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            peer: connection.peer,
            received: Timestamp::now(),
        });

        let request = Received {
            connection: &connection,
            info: &info,
            monitored: &monitored,
            recording: &recording,
        };
        let mut headers = parts.headers;
        let answer = async {
            self.identify(request, &mut headers, &mut caller).await?;
            #[cfg(feature = "otlp")]
            let span = self.traces.as_ref().map(|traces| {
                traces.begin(&Traced {
                    method: &parts.method,
                    uri: &parts.uri,
                    headers: &headers,
                    info: &info,
                    user: &caller.authenticated,
                    peer: connection.peer,
                    audit_id: &audit_id,
                    received,
                })
            });
            let answer = self.answer(request, headers, body, &mut caller);
            #[cfg(feature = "otlp")]
            let answer = traces::follow(span, Box::pin(answer));
            answer.await
        };
        let answer = AssertUnwindSafe(self.in_time(request, answer))
            .catch_unwind()
            .await;
        let answer = answer.unwrap_or_else(|_| {
            recording.panicked();
            Err(ApiError::internal("the handler panicked"))
        });

        let mut response = answer
            .as_ref()
            .map_or_else(response::error, |_| Response::default());
        let failure = match answer {
            Ok(answer) => {
                response = answer;
                None
            }
            Err(error) => Some(error),
        };
        response = recording.answered(response, failure.as_ref()).await;
        if failure.is_some() || !info.is_long_running() {
            response = encoding.encode(response).await;
        }
        finish_headers(response.headers_mut(), &audit_id);
        let mut response = monitored.finish(response, received.elapsed());
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::default();
        }
        let is_http2 = parts.version == Version::HTTP_2;
        if is_http2 && !caller.user().is_known() && turns_away(response.status()) {
            connection.ending.cancel();
        }
        AccessLog {
            info: &info,
            caller: &caller,
            audit_id: &audit_id,
            peer: connection.peer,
        }
        .write(response.status(), received.elapsed(), failure.as_ref());
        response
    }

    /// Finds out who asks.
    async fn identify(
        &self,
        request: Received<'_>,
        headers: &mut HeaderMap,
        caller: &mut Caller,
    ) -> Result<(), ApiError> {
        let Received {
            connection,
            info,
            recording,
            ..
        } = request;
        let begun = Instant::now();
        let user = self
            .authenticator
            .authenticate(headers, &connection.certificates, info)
            .await;
        let identity = &self.metrics.identity;
        identity.authenticated(&user, begun.elapsed());
        recording.begin(user.as_ref().ok(), info, headers);
        caller.authenticated = user?;
        Ok(())
    }

    async fn answer(
        &self,
        request: Received<'_>,
        mut headers: HeaderMap,
        body: Incoming,
        caller: &mut Caller,
    ) -> Result<Response<Body>, ApiError> {
        let Received {
            info,
            monitored,
            recording,
            ..
        } = request;
        let user = &caller.authenticated;
        if impersonation::is_asked_for(&headers) {
            let asked = impersonation::impersonate(&mut headers, user, &*self.authorizer);
            caller.impersonated = Box::pin(asked).await?;
        }
        if let Some(user) = &caller.impersonated {
            recording.impersonates(user);
        }
        let user = caller.user();
        let place = self.limits.enter(user, info);
        let place = place.inspect_err(|error| monitored.terminated(error.code()))?;
        let begun = Instant::now();
        let decision = decide(&*self.authorizer, user, info);
        #[cfg(feature = "otlp")]
        let decision = traces::step("Authorize", decision);
        let decision = decision.await;
        let identity = &self.metrics.identity;
        identity.authorized(&decision, begun.elapsed());
        recording.decided(&decision);
        permit(decision?, user, info)?;

        let Some(resource) = &info.resource else {
            return self.answer_path(info, &headers);
        };
        let Served {
            store,
            subresources,
        } = self
            .served(&resource.group, &resource.version, &resource.resource)
            .ok_or_else(ApiError::path_not_found)?;
        let representation = if subresources.contains_key(&resource.subresource) {
            Representation::Object
        } else if info.is_long_running() {
            negotiation::watch_representation(&headers)?
        } else {
            negotiation::representation(&headers)?
        };
        let call = Call {
            store,
            info,
            resource,
            headers: &headers,
            user,
            recording,
            authorizer: &*self.authorizer,
            representation,
            subresources,
            shutdown: &self.shutdown,
        };
        let answer = call.answer(body, place);
        #[cfg(feature = "otlp")]
        let answer = traces::step("Handle", Box::pin(answer));
        answer.await
    }

    /// Paths that are no resources; all are answered from memory.
    fn answer_path(
        &self,
        info: &RequestInfo,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, ApiError> {
        if let Some(answer) = self.health.respond(info) {
            return Ok(answer);
        }
        if let Some(answer) = self.discovery.respond(&info.path, headers) {
            return answer;
        }
        if let Some(answer) = self
            .openapi
            .respond(&info.path, info.parameter("hash"), headers)
        {
            return answer;
        }
        match info.path.as_str() {
            "/metrics" => self.metrics.respond(),
            "/version" => Ok(response::json(StatusCode::OK, &version())),
            _ => Err(ApiError::path_not_found()),
        }
    }

    async fn in_time(
        &self,
        request: Received<'_>,
        answer: impl Future<Output = Result<Response<Body>, ApiError>>,
    ) -> Result<Response<Body>, ApiError> {
        let Received {
            info, monitored, ..
        } = request;
        if info.is_long_running() {
            return answer.await;
        }
        let in_time = tokio::time::timeout(timeout(info)?, answer).await;
        in_time.unwrap_or_else(|_| {
            let error = ApiError::new(
                StatusReason::Timeout,
                "Timeout: request did not complete within the allotted timeout",
            );
            monitored.terminated(error.code());
            Err(error)
        })
    }
}

/// How long a request may take: what the client asks for, if that is less than the longest.
fn timeout(info: &RequestInfo) -> Result<Duration, ApiError> {
    let asked = info.parameter("timeout").filter(|text| !text.is_empty());
    let Some(text) = asked else {
        return Ok(REQUEST_TIMEOUT);
    };
    let asked: SignedDuration = text.parse().map_err(|e| {
        ApiError::bad_request(format!(
            "invalid timeout specified in the request URL - {text:?}: {e}"
        ))
    })?;
    let asked = Duration::try_from(asked)
        .ok()
        .filter(|asked| !asked.is_zero());
    Ok(asked.map_or(REQUEST_TIMEOUT, |asked| asked.min(REQUEST_TIMEOUT)))
}

/// Every subresource that is promised has somebody who answers it, and the other way round.
fn check_subresources(
    definition: &ResourceDefinition,
    handlers: &BTreeMap<String, Arc<dyn CustomSubresource>>,
) -> Result<(), String> {
    let defined: Vec<&str> = definition
        .subresources
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    let problem =
        |name: &str, what: &str| Err(format!("{}/{name}: {what}", definition.group_resource()));
    if let Some(name) = defined
        .iter()
        .find(|name| matches!(**name, "status" | "scale"))
    {
        return problem(name, "this subresource is the library's own");
    }
    if let Some(name) = defined.iter().find(|name| !handlers.contains_key(**name)) {
        return problem(name, "nobody answers this subresource");
    }
    match handlers
        .keys()
        .find(|name| !defined.contains(&name.as_str()))
    {
        Some(name) => problem(name, "this subresource is not in the definition"),
        None => Ok(()),
    }
}

/// Whether somebody unknown loses a connection of HTTP/2 with this answer. Else one is enough to make
/// refusals without end (CVE-2023-44487); upstream closes it in the same cases.
fn turns_away(code: StatusCode) -> bool {
    matches!(
        code,
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
    )
}

/// The caller's audit ID, so that its log and ours can be read together, or a new one.
fn audit_id(headers: &HeaderMap) -> String {
    let sent = headers.get("audit-id").and_then(|id| id.to_str().ok());
    match sent.filter(|id| !id.is_empty() && id.len() <= 64) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

fn finish_headers(headers: &mut HeaderMap, audit_id: &str) {
    if let Ok(id) = HeaderValue::from_str(audit_id) {
        headers.insert("audit-id", id);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert_with(|| HeaderValue::from_static("no-cache, private"));
}

/// `version.Info`, with this library's own version.
fn version() -> serde_json::Value {
    json!({
        "major": env!("CARGO_PKG_VERSION_MAJOR"), "minor": env!("CARGO_PKG_VERSION_MINOR"),
        "gitVersion": concat!("v", env!("CARGO_PKG_VERSION")), "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// V15: a client can ask for less time, never for more, and is told what is no time.
    #[rstest]
    #[case("", Some(60_000))]
    #[case("timeout=10s", Some(10_000))]
    #[case("timeout=1m30s", Some(60_000))]
    #[case("timeout=500ms", Some(500))]
    #[case("timeout=0s", Some(60_000))]
    #[case("timeout=-1s", Some(60_000))]
    #[case("timeout=10", None)]
    #[case("timeout=soon", None)]
    fn a_client_can_ask_for_less_time(#[case] query: &str, #[case] expected: Option<u64>) {
        let info = RequestInfo::parse(&Method::GET, "/apis/g/v/rs", Some(query));
        let found = timeout(&info);
        assert_eq!(
            found.map_err(|e| e.code()).ok(),
            expected.map(Duration::from_millis)
        );
    }
}
