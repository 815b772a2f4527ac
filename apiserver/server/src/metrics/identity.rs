//! Authentication and authorization: `k8s.io/apiserver/pkg/endpoints/filters/metrics.go`,
//! `authentication/token/cache`, `authenticatorfactory` and `authorizerfactory`.

use std::{fmt, time::Duration};

use apimachinery::ApiError;
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::exposition::{Counter, Histograms, Label};
use crate::{authorization::Decision, request::UserInfo};

/// Bounds of a question to kube-apiserver, in seconds.
const REVIEW_BUCKETS: [f64; 8] = [0.25, 0.5, 0.7, 1.0, 1.5, 3.0, 5.0, 10.0];
/// Bounds of a look into the cache of tokens, in seconds: the defaults of Go's client.
const CACHE_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// What kube-apiserver answers to a review that it made.
const CREATED: u16 = 201;
/// User names that upstream tells apart; all others are counted together.
const KNOWN_USERS: [&str; 5] = [
    "admin",
    "client",
    "kube_proxy",
    "kubelet",
    "system:serviceaccount:kube-system:default",
];

/// Who came and whether they were let in.
#[derive(Debug)]
pub(crate) struct IdentityMetrics {
    users: Family<Label, Counter>,
    authentications: Family<Label, Counter>,
    authentication_durations: Histograms<Label>,
    authorizations: Family<Label, Counter>,
    authorization_durations: Histograms<Label>,
}

/// The questions that one asker has put to kube-apiserver. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct ReviewMetrics {
    answers: Family<ReviewCode, Counter>,
    durations: Histograms<ReviewCode>,
}

/// What the cache of tokens did. Clones share the numbers.
#[derive(Clone, Debug)]
pub(crate) struct TokenCacheMetrics {
    lookups: Family<Label, Counter>,
    lookup_durations: Histograms<Label>,
    fetches: Family<Label, Counter>,
    active_fetches: Family<Label, Gauge>,
}

/// Counts a fetch as active until it is dropped.
#[derive(Debug)]
pub(crate) struct ActiveFetch(Gauge);

/// The code of an answer, if there was one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ReviewCode(Option<u16>);

impl EncodeLabelSet for ReviewCode {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => ("code", code).encode(encoder.encode_label()),
            None => ("code", "<error>").encode(encoder.encode_label()),
        }
    }
}

fn request_durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

// === impl IdentityMetrics ===

impl IdentityMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            users: Family::default(),
            authentications: Family::default(),
            authentication_durations: Family::new_with_constructor(request_durations),
            authorizations: Family::default(),
            authorization_durations: Family::new_with_constructor(request_durations),
        };
        registry.register(
            "authenticated_user_requests",
            "Authenticated requests, by the kind of user name",
            metrics.users.clone(),
        );
        registry.register(
            "authentication_attempts",
            "Authentications, by result",
            metrics.authentications.clone(),
        );
        registry.register(
            "authentication_duration_seconds",
            "How long authentication took, by result",
            metrics.authentication_durations.clone(),
        );
        registry.register(
            "authorization_attempts_total",
            "Authorizations, by result",
            metrics.authorizations.clone(),
        );
        registry.register(
            "authorization_duration_seconds",
            "How long authorization took, by result",
            metrics.authorization_durations.clone(),
        );
        metrics
    }

    /// Counts an authentication.
    pub(crate) fn authenticated(&self, found: &Result<UserInfo, ApiError>, took: Duration) {
        let result = match found {
            Ok(user) => {
                let name = compressed(&user.name);
                self.users.get_or_create(&[("username", name)]).inc();
                "success"
            }
            Err(_) => "error",
        };
        let label = [("result", result)];
        self.authentications.get_or_create(&label).inc();
        self.authentication_durations
            .get_or_create(&label)
            .observe(took.as_secs_f64());
    }

    /// Counts an authorization. RBAC refuses nobody, it only does not allow: upstream's `no-opinion`.
    pub(crate) fn authorized(&self, decision: &Result<Decision, ApiError>, took: Duration) {
        let result = match decision {
            Ok(Decision::Allow(_)) => "allowed",
            Ok(Decision::Deny(_)) => "no-opinion",
            Err(_) => "error",
        };
        let label = [("result", result)];
        self.authorizations.get_or_create(&label).inc();
        self.authorization_durations
            .get_or_create(&label)
            .observe(took.as_secs_f64());
    }
}

/// Upstream's `compressUsername`: names do not belong into metrics.
fn compressed(name: &str) -> &'static str {
    match KNOWN_USERS.iter().find(|known| **known == name) {
        Some(known) => known,
        None if name.contains('@') => "email_id",
        None => "other",
    }
}

// === impl ReviewMetrics ===

impl Default for ReviewMetrics {
    fn default() -> Self {
        Self {
            answers: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(REVIEW_BUCKETS)),
        }
    }
}

impl ReviewMetrics {
    /// Counts a question.
    pub(crate) fn asked<T>(&self, answer: &Result<T, kube::Error>, took: Duration) {
        let code = ReviewCode(match answer {
            Ok(_) => Some(CREATED),
            Err(kube::Error::Api(status)) => Some(status.code),
            Err(_) => None,
        });
        self.answers.get_or_create(&code).inc();
        self.durations
            .get_or_create(&code)
            .observe(took.as_secs_f64());
    }

    pub(super) fn register_authentication(&self, registry: &mut Registry) {
        registry.register(
            "apiserver_delegated_authn_request_total",
            "TokenReviews sent to kube-apiserver, by status code",
            self.answers.clone(),
        );
        registry.register(
            "apiserver_delegated_authn_request_duration_seconds",
            "How long TokenReviews took, by status code",
            self.durations.clone(),
        );
    }

    pub(super) fn register_authorization(&self, registry: &mut Registry) {
        registry.register(
            "apiserver_delegated_authz_request_total",
            "SubjectAccessReviews sent to kube-apiserver, by status code",
            self.answers.clone(),
        );
        registry.register(
            "apiserver_delegated_authz_request_duration_seconds",
            "How long SubjectAccessReviews took, by status code",
            self.durations.clone(),
        );
    }
}

// === impl TokenCacheMetrics ===

impl Default for TokenCacheMetrics {
    fn default() -> Self {
        Self {
            lookups: Family::default(),
            lookup_durations: Family::new_with_constructor(|| Histogram::new(CACHE_BUCKETS)),
            fetches: Family::default(),
            active_fetches: Family::default(),
        }
    }
}

impl TokenCacheMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "authentication_token_cache_request_total",
            "Look-ups of tokens, by whether the answer was known",
            self.lookups.clone(),
        );
        registry.register(
            "authentication_token_cache_request_duration_seconds",
            "How long look-ups of tokens took",
            self.lookup_durations.clone(),
        );
        registry.register(
            "authentication_token_cache_fetch_total",
            "Tokens that were asked for elsewhere, by whether there was an answer",
            self.fetches.clone(),
        );
        registry.register(
            "authentication_token_cache_active_fetch_count",
            "Look-ups that wait for an answer, and questions that are being asked",
            self.active_fetches.clone(),
        );
    }

    /// Counts a look-up whose answer was there.
    pub(crate) fn hit(&self, took: Duration) {
        self.looked_up("hit", took);
    }

    /// Counts a look-up that had to wait for an answer.
    pub(crate) fn missed(&self, took: Duration) {
        self.looked_up("miss", took);
    }

    fn looked_up(&self, status: &'static str, took: Duration) {
        let label = [("status", status)];
        self.lookups.get_or_create(&label).inc();
        self.lookup_durations
            .get_or_create(&label)
            .observe(took.as_secs_f64());
    }

    /// A look-up waits for an answer.
    pub(crate) fn blocked(&self) -> ActiveFetch {
        self.active("blocked")
    }

    /// A question is being asked.
    pub(crate) fn in_flight(&self) -> ActiveFetch {
        self.active("in_flight")
    }

    fn active(&self, status: &'static str) -> ActiveFetch {
        let gauge = self
            .active_fetches
            .get_or_create_owned(&[("status", status)]);
        gauge.inc();
        ActiveFetch(gauge)
    }

    /// Counts a question that was asked.
    pub(crate) fn fetched<T, E>(&self, answer: &Result<T, E>) {
        let status = if answer.is_ok() { "ok" } else { "error" };
        self.fetches.get_or_create(&[("status", status)]).inc();
    }
}

impl Drop for ActiveFetch {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// X11: names of users are no labels, as upstream's `compressUsername`.
    #[rstest]
    #[case("kubelet", "kubelet")]
    #[case("jane@example.com", "email_id")]
    #[case("system:anonymous", "other")]
    #[case("", "other")]
    fn user_names_are_compressed(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(compressed(name), expected);
    }
}
