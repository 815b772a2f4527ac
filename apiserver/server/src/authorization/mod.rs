//! Whether a user may do what a request asks.
//!
//! There is no server without an authorizer. Mirrors
//! `k8s.io/apiserver/pkg/server/options/authorization.go`.

mod delegated;
mod selectors;

use apimachinery::{ApiError, GroupResource};
use futures::future::BoxFuture;

use crate::{
    metrics::ReviewMetrics,
    request::{RequestInfo, UserInfo, user::SYSTEM_MASTERS},
};

pub use delegated::SubjectAccessReviewer;

/// Paths that need no permission, so that kubelets and load balancers can probe.
const ALWAYS_ALLOWED: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// The answer to "may this user do this".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes; the reason is recorded where requests are audited.
    Allow(String),
    /// No; the reason is shown to the user.
    Deny(String),
}

/// Somebody who knows what users may do.
pub trait Authorizer: std::fmt::Debug + Send + Sync + 'static {
    /// Decides about one request.
    ///
    /// # Errors
    /// 503 when there is no answer; the request is then refused.
    fn decide<'a>(
        &'a self,
        user: &'a UserInfo,
        request: &'a RequestInfo,
    ) -> BoxFuture<'a, Result<Decision, ApiError>>;

    /// What it has asked kube-apiserver so far, if it asks there.
    fn reviews(&self) -> Option<&ReviewMetrics> {
        None
    }
}

/// Lets only the group `system:masters` in: for a server that stands alone.
#[derive(Clone, Copy, Debug)]
pub struct MastersOnly;

impl Authorizer for MastersOnly {
    fn decide<'a>(
        &'a self,
        _: &'a UserInfo,
        _: &'a RequestInfo,
    ) -> BoxFuture<'a, Result<Decision, ApiError>> {
        Box::pin(std::future::ready(Ok(Decision::Deny(String::new()))))
    }
}

/// Refuses what the user may not do.
///
/// # Errors
/// 403 in kube-apiserver's words, or 503 when there is no decision.
pub async fn authorize(
    authorizer: &dyn Authorizer,
    user: &UserInfo,
    request: &RequestInfo,
) -> Result<(), ApiError> {
    permit(decide(authorizer, user, request).await?, user, request)
}

/// Decides; some users and some paths need nobody to be asked.
///
/// # Errors
/// 503 when there is no decision.
pub(crate) async fn decide(
    authorizer: &dyn Authorizer,
    user: &UserInfo,
    request: &RequestInfo,
) -> Result<Decision, ApiError> {
    if user.groups.iter().any(|group| group == SYSTEM_MASTERS) || is_always_allowed(request) {
        return Ok(Decision::Allow(String::new()));
    }
    authorizer.decide(user, request).await
}

/// Refuses what was denied.
///
/// # Errors
/// 403 in kube-apiserver's words.
pub(crate) fn permit(
    decision: Decision,
    user: &UserInfo,
    request: &RequestInfo,
) -> Result<(), ApiError> {
    match decision {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(reason) => Err(forbidden(user, request, &reason)),
    }
}

pub(crate) fn is_always_allowed(request: &RequestInfo) -> bool {
    request.resource.is_none() && ALWAYS_ALLOWED.contains(&request.path.as_str())
}

/// 403 as `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go` words it.
fn forbidden(user: &UserInfo, request: &RequestInfo, reason: &str) -> ApiError {
    let (name, verb) = (&user.name, &request.verb);
    let (about, mut text) = match &request.resource {
        None => {
            let none = GroupResource {
                group: String::new(),
                resource: String::new(),
            };
            (
                (none, ""),
                format!("User \"{name}\" cannot {verb} path \"{}\"", request.path),
            )
        }
        Some(r) => {
            let place = if r.namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace \"{}\"", r.namespace)
            };
            let text = format!(
                "User \"{name}\" cannot {verb} resource \"{}\" in API group \"{}\" {place}",
                r.qualified_resource(),
                r.group,
            );
            let resource = GroupResource {
                group: r.group.clone(),
                resource: r.resource.clone(),
            };
            ((resource, r.name.as_str()), text)
        }
    };
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    ApiError::forbidden(&about.0, about.1, &text)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use rstest::rstest;

    use super::*;

    fn jane(groups: &[&str]) -> UserInfo {
        UserInfo {
            name: "jane".to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            ..UserInfo::default()
        }
    }

    async fn ask(user: &UserInfo, path: &str) -> Result<(), ApiError> {
        authorize(
            &MastersOnly,
            user,
            &RequestInfo::parse(&Method::GET, path, None),
        )
        .await
    }

    /// S3: the words that kubectl users know.
    #[rstest]
    #[case::object(
        "/apis/data.kubedojo.io/v1alpha1/namespaces/default/datarecords/a",
        "datarecords.data.kubedojo.io \"a\" is forbidden: User \"jane\" cannot get resource \"datarecords\" \
         in API group \"data.kubedojo.io\" in the namespace \"default\""
    )]
    #[case::collection(
        "/apis/data.kubedojo.io/v1alpha1/datarecords",
        "datarecords.data.kubedojo.io is forbidden: User \"jane\" cannot list resource \"datarecords\" \
         in API group \"data.kubedojo.io\" at the cluster scope"
    )]
    #[case::path("/metrics", "forbidden: User \"jane\" cannot get path \"/metrics\"")]
    #[tokio::test]
    async fn a_refusal_is_worded_as_kube_words_it(#[case] path: &str, #[case] message: &str) {
        let error = ask(&jane(&[]), path).await.unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (403, message));
    }

    /// H3: probes need no permission, and nothing that only looks like them is let in.
    #[tokio::test]
    async fn only_the_exact_health_paths_are_always_allowed() {
        assert!(ask(&UserInfo::anonymous(), "/readyz").await.is_ok());
        for path in ["/readyz/ping", "/readyz/../metrics", "/version", "/readyzz"] {
            assert!(ask(&UserInfo::anonymous(), path).await.is_err(), "{path}");
        }
    }

    #[tokio::test]
    async fn masters_may_do_everything() {
        assert!(ask(&jane(&["system:masters"]), "/metrics").await.is_ok());
    }
}
