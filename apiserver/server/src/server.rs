//! A server: its resources, who may use them, and the chain that every request goes through.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use apimachinery::{ApiError, ResourceDefinition, StatusReason};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use storage::Storage;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    limits::Limits,
    negotiation::{self, Representation},
    openapi::OpenApi,
    registry::{SchemaOnly, Store, Strategy},
    request::{RequestInfo, UserInfo},
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

/// Everything that answers requests.
#[derive(Debug)]
pub struct ApiServer {
    stores: BTreeMap<(String, String, String), Served>,
    discovery: Discovery,
    openapi: OpenApi,
    health: Health,
    limits: Limits,
    authenticator: Authenticator,
    authorizer: Box<dyn Authorizer>,
    auditor: Option<Arc<Auditor>>,
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
        let limits = Limits::default();
        Ok(Self {
            stores,
            discovery,
            openapi,
            health,
            limits,
            authenticator,
            authorizer,
            auditor: None,
            shutdown,
        })
    }

    /// Records requests from now on.
    #[must_use]
    pub fn with_auditor(self, auditor: Option<Arc<Auditor>>) -> Self {
        Self { auditor, ..self }
    }

    /// A resource by group, version and plural.
    pub fn store(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Store>> {
        self.served(group, version, plural)
            .map(|served| &served.store)
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
        let mut user = UserInfo::default();
        let mut recording = Recording::new(self.auditor.as_ref(), || Origin {
            audit_id: audit_id.clone(),
            request_uri: parts
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            peer: connection.peer,
            received: Timestamp::now(),
        });

        let headers = parts.headers;
        let answer = self.answer(&connection, &info, headers, body, &mut user, &recording);
        let answer = AssertUnwindSafe(self.in_time(&info, answer))
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
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::default();
        }
        AccessLog {
            info: &info,
            user: &user,
            audit_id: &audit_id,
            peer: connection.peer,
        }
        .write(response.status(), received.elapsed(), failure.as_ref());
        response
    }

    async fn answer(
        &self,
        connection: &Connection,
        info: &RequestInfo,
        mut headers: HeaderMap,
        body: Incoming,
        known: &mut UserInfo,
        recording: &Recording,
    ) -> Result<Response<Body>, ApiError> {
        let place = self.limits.enter(info)?;
        let user = self
            .authenticator
            .authenticate(&mut headers, &connection.certificates)
            .await
            .inspect_err(|_| recording.begin(None, info, &headers))?;
        recording.begin(Some(&user), info, &headers);
        user.clone_into(known);
        refuse_impersonation(&headers)?;
        let decision = decide(&*self.authorizer, &user, info).await;
        recording.decided(&decision);
        permit(decision?, &user, info)?;

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
            user: &user,
            recording,
            authorizer: &*self.authorizer,
            representation,
            subresources,
            shutdown: &self.shutdown,
        };
        call.answer(body, place).await
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
            "/version" => Ok(response::json(StatusCode::OK, &version())),
            _ => Err(ApiError::path_not_found()),
        }
    }

    async fn in_time(
        &self,
        info: &RequestInfo,
        answer: impl Future<Output = Result<Response<Body>, ApiError>>,
    ) -> Result<Response<Body>, ApiError> {
        if info.is_long_running() {
            return answer.await;
        }
        match tokio::time::timeout(timeout(info)?, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::new(
                StatusReason::Timeout,
                "Timeout: request did not complete within the allotted timeout",
            )),
        }
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

/// The caller's audit ID, so that its log and ours can be read together, or a new one.
fn audit_id(headers: &HeaderMap) -> String {
    let sent = headers.get("audit-id").and_then(|id| id.to_str().ok());
    match sent.filter(|id| !id.is_empty() && id.len() <= 64) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

/// kube-apiserver resolves impersonation before it calls us. Whoever comes directly with such a
/// header is refused, since ignoring it would answer as somebody else than was asked.
fn refuse_impersonation(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
    {
        return Err(ApiError::new(
            StatusReason::Forbidden,
            "impersonation is not supported here: send the request through kube-apiserver",
        ));
    }
    Ok(())
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
