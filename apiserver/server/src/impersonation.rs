//! Acting as somebody else: `Impersonate-User`, `-Uid`, `-Group` and `-Extra-*`.
//!
//! kube-apiserver resolves these headers before it passes a request on, so they come from direct
//! clients only. Whoever sends them needs the verb `impersonate` for each thing that they name.
//! Mirrors `k8s.io/apiserver/pkg/endpoints/filters/impersonation`, without its constrained form.

use apimachinery::ApiError;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use crate::{
    authorization::{Authorizer, authorize},
    request::{RequestInfo, ResourceRequest, UserInfo},
};

const PREFIX: &str = "impersonate-";
const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA_PREFIX: &str = "impersonate-extra-";
/// Groups and extra values in one request: each needs an answer of kube-apiserver.
const VALUES_MAX: usize = 100;
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Whether a request asks for it at all.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let mut names = headers.keys();
    names.any(|name| name.as_str().starts_with(PREFIX))
}

/// Whom a user asks to be, if they ask and may. The headers are removed in every case.
///
/// # Errors
/// 400 for headers that name nobody, 403 for a user who may not, 503 when nobody knows.
pub(crate) async fn impersonate(
    headers: &mut HeaderMap,
    user: &UserInfo,
    authorizer: &dyn Authorizer,
) -> Result<Option<UserInfo>, ApiError> {
    let asked = Asked::take(headers)?;
    let Some(name) = asked.user.clone() else {
        return Ok(None);
    };
    for question in asked.questions(&name) {
        let question = RequestInfo {
            path: String::new(),
            verb: "impersonate".to_owned(),
            resource: Some(question),
            query: Vec::new(),
        };
        authorize(authorizer, user, &question).await?;
    }
    let mut groups = asked.groups;
    if let Some((namespace, _)) = service_account(&name).filter(|_| groups.is_empty()) {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    let mut impersonated = UserInfo {
        name,
        uid: asked.uid.unwrap_or_default(),
        groups,
        ..UserInfo::default()
    };
    for (key, value) in asked.extra {
        impersonated.extra.entry(key).or_default().push(value);
    }
    Ok(Some(impersonated.with_group_of_everybody()))
}

/// What the headers say.
#[derive(Debug, Default)]
struct Asked {
    user: Option<String>,
    uid: Option<String>,
    groups: Vec<String>,
    extra: Vec<(String, String)>,
}

impl Asked {
    fn take(headers: &mut HeaderMap) -> Result<Self, ApiError> {
        let names: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with(PREFIX))
            .cloned()
            .collect();
        let mut asked = Self::default();
        let mut unknown = None;
        for name in names {
            let values: Result<Vec<String>, _> = headers
                .get_all(&name)
                .iter()
                .map(|value| String::from_utf8(value.as_bytes().to_vec()))
                .collect();
            headers.remove(&name);
            let values = values.map_err(|_| {
                ApiError::bad_request(format!("the header {name} is not text in UTF-8"))
            })?;
            let first = || values.first().filter(|value| !value.is_empty()).cloned();
            match name.as_str() {
                USER => asked.user = first(),
                UID => asked.uid = first(),
                GROUP => asked.groups = values,
                other => match other.strip_prefix(EXTRA_PREFIX) {
                    Some(key) => {
                        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
                        let values = values.into_iter().map(|value| (key.clone(), value));
                        asked.extra.extend(values);
                    }
                    None => unknown = Some(name),
                },
            }
        }
        if let Some(name) = unknown {
            return Err(ApiError::bad_request(format!(
                "the header {name} is not known: ignoring it would answer as somebody else"
            )));
        }
        let values = asked.groups.len() + asked.extra.len();
        if values > VALUES_MAX {
            return Err(ApiError::bad_request(format!(
                "impersonation with {values} groups and extra values, more than {VALUES_MAX}"
            )));
        }
        if asked.user.is_none() && (values > 0 || asked.uid.is_some()) {
            return Err(ApiError::bad_request(
                "requested impersonation of groups, a uid or extra values without impersonating \
                 a user: set the header Impersonate-User",
            ));
        }
        Ok(asked)
    }

    /// What the user must be allowed to impersonate, one by one.
    fn questions(&self, name: &str) -> Vec<ResourceRequest> {
        let core = |resource: &str, namespace: &str, name: &str| ResourceRequest {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..ResourceRequest::default()
        };
        let identity = |resource: &str, subresource: &str, name: &str| ResourceRequest {
            group: "authentication.k8s.io".to_owned(),
            version: "v1".to_owned(),
            subresource: subresource.to_owned(),
            ..core(resource, "", name)
        };
        let who = match service_account(name) {
            Some((namespace, account)) => core("serviceaccounts", namespace, account),
            None => core("users", "", name),
        };
        let groups = self.groups.iter().map(|group| core("groups", "", group));
        let extra = self.extra.iter();
        let extra = extra.map(|(key, value)| identity("userextras", key, value));
        let uid = self.uid.iter().map(|uid| identity("uids", "", uid));
        let rest = groups.chain(extra).chain(uid);
        std::iter::once(who).chain(rest).collect()
    }
}

/// Namespace and name of a service account's user name.
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    let is_one = |part: &str| !part.is_empty() && !part.contains(':');
    (is_one(namespace) && is_one(name)).then_some((namespace, name))
}

#[cfg(test)]
mod tests;
