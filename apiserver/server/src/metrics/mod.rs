//! What the server counts, under the names of Kubernetes' own servers, so that their dashboards, alerts and
//! SLO tooling work unchanged; `GET /metrics` shows it.
//!
//! There is no global registry: a server owns one, and its parts count by handles that were made when it was
//! built. Names, labels and bounds are those of Kubernetes 1.36: `k8s.io/apiserver/pkg/endpoints/metrics`,
//! `endpoints/filters/metrics.go`, `storage/cacher/metrics`, `authenticatorfactory`, `authorizerfactory`.
//! `docs/metrics.md` lists them all. It deliberately does not have upstream's metrics of parts that are not
//! here (etcd, flow control, admission plugins, the Go runtime).

mod audit;
mod cache;
#[cfg(test)]
mod delegated_tests;
mod exposition;
mod identity;
mod inflight;
mod labels;
mod process;
mod requests;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use apimachinery::{ApiError, GroupResource, ResourceDefinition};
use http::{Response, StatusCode};
use prometheus_client::registry::Registry;

use audit::AuditCollector;
use cache::CacheCollector;
use exposition::CONTENT_TYPE;
use identity::IdentityMetrics;
use inflight::InflightCollector;
use process::ProcessCollector;
use requests::RequestMetrics;

use crate::{
    audit::Auditor,
    authentication::Authenticator,
    authorization::Authorizer,
    cacher::Cacher,
    response::{self, Body},
};

pub(crate) use cache::CacheCounts;
pub use exposition::Counter;
pub use identity::ReviewMetrics;
pub(crate) use identity::TokenCacheMetrics;
pub(crate) use inflight::{Inflight, InflightRequest, RequestKind};
pub(crate) use requests::Monitored;

/// The metrics of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Arc<RequestMetrics>,
    pub(crate) identity: IdentityMetrics,
    pub(crate) inflight: Arc<Inflight>,
    pub(crate) handshake_errors: Counter,
}

impl Metrics {
    /// Metrics of a server with these resources. The definitions are where label values come from.
    pub(crate) fn new(definitions: &[ResourceDefinition]) -> Self {
        let mut registry = Registry::default();
        let requests = Arc::new(RequestMetrics::new(definitions, &mut registry));
        let identity = IdentityMetrics::new(&mut registry);
        let inflight = Arc::new(Inflight::default());
        registry.register_collector(Box::new(InflightCollector(Arc::clone(&inflight))));
        let handshake_errors = Counter::default();
        registry.register(
            "apiserver_tls_handshake_errors_total",
            "TLS handshakes that failed",
            handshake_errors.clone(),
        );
        registry.register_collector(Box::new(ProcessCollector));
        Self {
            registry,
            requests,
            identity,
            inflight,
            handshake_errors,
        }
    }

    /// Adds what those who decide about users count.
    pub(crate) fn add_delegated(
        &mut self,
        authenticator: &Authenticator,
        authorizer: &dyn Authorizer,
    ) {
        if let Some(tokens) = authenticator.token_reviewer() {
            tokens.reviews().register_authentication(&mut self.registry);
            tokens.cache_metrics().register(&mut self.registry);
        }
        if let Some(reviews) = authorizer.reviews() {
            reviews.register_authorization(&mut self.registry);
        }
    }

    /// Adds what an auditor counts.
    pub(crate) fn add_auditor(&mut self, auditor: &Arc<Auditor>) {
        let collector = AuditCollector(Arc::clone(auditor));
        self.registry.register_collector(Box::new(collector));
    }

    /// Adds what the watch caches count.
    pub(crate) fn add_caches<'a>(
        &mut self,
        caches: impl Iterator<Item = (&'a GroupResource, &'a Arc<Cacher>)>,
    ) {
        let mut of_resource: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (GroupResource { group, resource }, cache) in caches {
            let versions = of_resource.entry((group.clone(), resource.clone()));
            versions.or_default().push(Arc::clone(cache));
        }
        let collector = CacheCollector {
            caches: of_resource,
        };
        self.registry.register_collector(Box::new(collector));
    }

    /// The answer to `GET /metrics`.
    ///
    /// # Errors
    /// 500 when a metric cannot be written, which is a mistake in it.
    pub(crate) fn respond(&self) -> Result<Response<Body>, ApiError> {
        let text = exposition::text(&self.registry).map_err(ApiError::internal)?;
        Ok(response::bytes(StatusCode::OK, CONTENT_TYPE, text.into()))
    }
}
