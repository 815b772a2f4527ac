//! Permissions are kube-apiserver's business: SubjectAccessReview for every request.
//!
//! Answers are kept for ten seconds, allowed and denied ones; equal questions that are asked at the
//! same time are asked once. Mirrors `k8s.io/apiserver/plugin/pkg/authorizer/webhook`. Deviation:
//! when there is no answer the client gets 503 with Retry-After instead of 500, so that it tries
//! again; it is refused in both cases.

use std::{fmt, time::Duration};

use apimachinery::{ApiError, StatusReason};
use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use moka::future::Cache;

use super::{Authorizer, Decision, selectors};
use crate::{
    metrics::ReviewMetrics,
    request::{RequestInfo, UserInfo},
    review::Reviews,
};

/// How long an answer counts, as upstream's delegated authorization keeps it.
const CACHE_TTL: Duration = Duration::from_secs(10);
/// Most answers that are kept, as upstream.
const CACHE_CAPACITY: u64 = 8192;
/// Questions longer than this are not kept, as upstream.
const CACHED_QUESTION_MAX_LENGTH: usize = 10_000;

/// Asks kube-apiserver what a user may do.
pub struct SubjectAccessReviewer {
    reviews: Reviews<SubjectAccessReview>,
    cache: Cache<String, Decision>,
}

impl fmt::Debug for SubjectAccessReviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectAccessReviewer")
            .finish_non_exhaustive()
    }
}

impl SubjectAccessReviewer {
    /// A reviewer with an empty cache.
    pub fn new(client: Client) -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHE_CAPACITY)
            .time_to_live(CACHE_TTL)
            .build();
        Self {
            reviews: Reviews::new(client),
            cache,
        }
    }

    async fn ask(&self, spec: SubjectAccessReviewSpec) -> Result<Decision, String> {
        let review = SubjectAccessReview {
            spec,
            ..SubjectAccessReview::default()
        };
        let status = self.reviews.ask(&review).await?.status;
        let status = status.ok_or("an answer without a status")?;
        if status.allowed {
            return Ok(Decision::Allow(status.reason.unwrap_or_default()));
        }
        if let Some(error) = status.evaluation_error.filter(|error| !error.is_empty()) {
            tracing::warn!(error, "kube-apiserver had trouble with an access review");
        }
        Ok(Decision::Deny(status.reason.unwrap_or_default()))
    }
}

impl Authorizer for SubjectAccessReviewer {
    fn decide<'a>(
        &'a self,
        user: &'a UserInfo,
        request: &'a RequestInfo,
    ) -> BoxFuture<'a, Result<Decision, ApiError>> {
        async move {
            let spec = review_spec(user, request);
            let question = serde_json::to_string(&spec).map_err(ApiError::internal)?;
            if let Some(decision) = self.cache.get(&question).await {
                return Ok(decision);
            }
            let answer = if question.len() < CACHED_QUESTION_MAX_LENGTH {
                let asked = Box::pin(self.ask(spec));
                let answer = self.cache.try_get_with(question, asked).await;
                answer.map_err(|error| error.to_string())
            } else {
                self.ask(spec).await
            };
            answer.map_err(|error| {
                ApiError::new(
                    StatusReason::ServiceUnavailable,
                    "the permission cannot be checked now, please try again",
                )
                .with_retry_after(1)
                .with_internal(format!("SubjectAccessReview: {error}"))
            })
        }
        .boxed()
    }

    fn reviews(&self) -> Option<&ReviewMetrics> {
        Some(self.reviews.metrics())
    }
}

fn review_spec(user: &UserInfo, request: &RequestInfo) -> SubjectAccessReviewSpec {
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: some(&user.uid),
        groups: Some(user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
        resource_attributes: None,
        non_resource_attributes: None,
    };
    match &request.resource {
        Some(resource) => {
            spec.resource_attributes = Some(ResourceAttributes {
                group: some(&resource.group),
                version: some(&resource.version),
                resource: some(&resource.resource),
                subresource: some(&resource.subresource),
                namespace: some(&resource.namespace),
                name: some(&resource.name),
                verb: some(&request.verb),
                field_selector: selectors::fields(request),
                label_selector: selectors::labels(request),
            });
        }
        None => {
            spec.non_resource_attributes = Some(NonResourceAttributes {
                path: some(&request.path),
                verb: some(&request.verb),
            });
        }
    }
    spec
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;

    fn question(method: &Method, path: &str) -> serde_json::Value {
        let user = UserInfo {
            name: "jane".to_owned(),
            groups: vec!["dev".to_owned()],
            ..UserInfo::default()
        };
        let request = RequestInfo::parse(method, path, None);
        serde_json::to_value(review_spec(&user, &request)).unwrap()
    }

    /// C6: a subresource is another question than its object.
    #[test]
    fn a_review_names_resource_subresource_and_object() {
        assert_eq!(
            question(&Method::PUT, "/apis/g.io/v1/namespaces/n/rs/a/status"),
            json!({"user": "jane", "groups": ["dev"], "resourceAttributes": {
                "group": "g.io", "version": "v1", "resource": "rs", "subresource": "status",
                "namespace": "n", "name": "a", "verb": "update"}})
        );
    }

    /// D5: discovery is asked for as a path, which every authenticated user may read in a cluster.
    #[test]
    fn a_review_of_another_path_names_path_and_method() {
        for path in [
            "/metrics",
            "/apis",
            "/apis/g.io",
            "/apis/g.io/v1",
            "/openapi/v3",
        ] {
            let question = question(&Method::GET, path);
            let attributes = json!({"path": path, "verb": "get"});
            assert_eq!(question["nonResourceAttributes"], attributes);
            assert!(question["resourceAttributes"].is_null());
        }
    }
}
