//! The aggregator: kube-apiserver's front-proxy certificate, and the user in its headers.
//!
//! Headers are read only after the certificate was verified against the request-header CA and its
//! name is allowed. Mirrors `k8s.io/apiserver/pkg/authentication/request/headerrequest`.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::{Outcome, certificates::Subject, trust::FrontProxyTrust};
use crate::request::UserInfo;

/// Header prefix that is removed from every request, whatever the configuration says.
const IDENTITY_PREFIX: &str = "x-remote-";

/// Takes every identity header out of a request.
pub(super) fn take_identity_headers(
    headers: &mut HeaderMap,
    front_proxy: Option<&FrontProxyTrust>,
) -> HeaderMap {
    let is_identity = |name: &str| {
        name.starts_with(IDENTITY_PREFIX)
            || front_proxy.is_some_and(|proxy| proxy.owns_header(name))
    };
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_identity(name.as_str()))
        .cloned()
        .collect();
    let mut taken = HeaderMap::new();
    for name in names {
        for value in headers.get_all(&name) {
            taken.append(name.clone(), value.clone());
        }
        headers.remove(&name);
    }
    taken
}

/// The user that a verified front proxy speaks for.
pub(super) fn authenticate(
    front_proxy: &FrontProxyTrust,
    owner: &Result<Subject, String>,
    presented: &HeaderMap,
) -> Outcome {
    let Some(name) = first(presented, &front_proxy.username_headers) else {
        return Outcome::Absent;
    };
    let subject = match owner {
        Ok(subject) => subject,
        Err(reason) => return Outcome::Rejected(format!("front-proxy certificate: {reason}")),
    };
    let allowed = &front_proxy.allowed_names;
    if !allowed.is_empty() && !allowed.contains(&subject.common_name) {
        return Outcome::Rejected(format!(
            "front-proxy certificate: the name {:?} is not allowed",
            subject.common_name
        ));
    }
    Outcome::User(UserInfo {
        name,
        uid: first(presented, &front_proxy.uid_headers).unwrap_or_default(),
        groups: front_proxy
            .group_headers
            .iter()
            .flat_map(|h| all(presented, h))
            .collect(),
        extra: extra(presented, &front_proxy.extra_prefixes),
    })
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .map(str::to_owned)
        .collect()
}

fn first(headers: &HeaderMap, names: &[String]) -> Option<String> {
    names.iter().find_map(|name| {
        all(headers, name)
            .into_iter()
            .find(|value| !value.is_empty())
    })
}

fn extra(headers: &HeaderMap, prefixes: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in headers.keys() {
        let key = prefixes
            .iter()
            .find_map(|prefix| name.as_str().strip_prefix(prefix.as_str()));
        if let Some(key) = key {
            let key = percent_decode_str(key).decode_utf8_lossy().to_lowercase();
            extra
                .entry(key)
                .or_default()
                .extend(all(headers, name.as_str()));
        }
    }
    extra
}
