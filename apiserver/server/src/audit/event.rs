//! `audit.k8s.io/v1` `Event`, as it is written.

use std::{collections::BTreeMap, net::IpAddr};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use super::objects::Metadata;
use crate::request::{ResourceRequest, UserInfo};

/// Longest `User-Agent` that is recorded whole, in bytes, as upstream.
const USER_AGENT_MAX: usize = 1024;

/// One event. Fields that are empty are left out, as upstream's encoder does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    pub(super) kind: &'static str,
    pub(super) api_version: &'static str,
    pub(super) level: &'static str,
    #[serde(rename = "auditID")]
    pub(super) audit_id: &'a str,
    pub(super) stage: &'static str,
    #[serde(rename = "requestURI")]
    pub(super) request_uri: &'a str,
    pub(super) verb: &'a str,
    pub(super) user: User<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impersonated_user: Option<User<'a>>,
    #[serde(rename = "sourceIPs")]
    pub(super) source_ips: &'a [IpAddr],
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object_ref: Option<ObjectReference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_status: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_object: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_object: Option<&'a RawValue>,
    pub(super) request_received_timestamp: String,
    pub(super) stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<&'static str, &'a str>,
}

/// `authentication.k8s.io/v1` `UserInfo`.
#[derive(Debug, Default, Serialize)]
pub(super) struct User<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a BTreeMap<String, Vec<String>>>,
}

/// What a request is about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectReference<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) uid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) api_group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) api_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) resource_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) subresource: &'a str,
}

impl Event<'_> {
    /// The event on one line.
    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

impl<'a> ObjectReference<'a> {
    /// Adds what the path does not say.
    pub(super) fn complete(&mut self, sent: &'a Metadata) {
        let Metadata {
            namespace,
            name,
            uid,
            resource_version,
        } = sent;
        let fields = [
            (&mut self.namespace, namespace),
            (&mut self.name, name),
            (&mut self.uid, uid),
            (&mut self.resource_version, resource_version),
        ];
        for (field, sent) in fields {
            if field.is_empty() {
                *field = sent.as_deref().unwrap_or_default();
            }
        }
    }
}

impl<'a> From<&'a UserInfo> for User<'a> {
    fn from(user: &'a UserInfo) -> Self {
        let UserInfo {
            name,
            uid,
            groups,
            extra,
        } = user;
        Self {
            username: name,
            uid,
            groups,
            extra: Some(extra).filter(|extra| !extra.is_empty()),
        }
    }
}

impl<'a> From<&'a ResourceRequest> for ObjectReference<'a> {
    fn from(request: &'a ResourceRequest) -> Self {
        Self {
            resource: &request.resource,
            namespace: &request.namespace,
            name: &request.name,
            uid: "",
            api_group: &request.group,
            api_version: &request.version,
            resource_version: "",
            subresource: &request.subresource,
        }
    }
}

/// `metav1.MicroTime`: RFC 3339 in UTC with six digits after the point.
pub(super) fn micro_time(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// A `User-Agent` that is not too long.
pub(super) fn user_agent(sent: &str) -> String {
    match sent.get(..USER_AGENT_MAX) {
        Some(beginning) if sent.len() > USER_AGENT_MAX => format!("{beginning}...TRUNCATED"),
        _ => sent.to_owned(),
    }
}

/// `responseStatus`: what a `metav1.Status` says, if that is the answer, and the code in any case.
pub(super) fn response_status(code: u16, status: Option<&Value>) -> Value {
    let mut shown = json!({ "metadata": {} });
    for field in ["status", "message", "reason", "details"] {
        if let Some(said) = status.and_then(|status| status.get(field)) {
            shown[field] = said.clone();
        }
    }
    shown["code"] = json!(code);
    shown
}
