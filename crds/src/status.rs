//! What the operator reports about an `ExtensionAPI`.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside an impl"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The types of the conditions in [`ExtensionApiStatus::conditions`].
pub mod condition {
    /// The API is registered, trusted, answered by enough pods and available.
    pub const READY: &str = "Ready";
    /// What the API server says of the registered API, with its own reason and message.
    pub const AVAILABLE: &str = "Available";
    /// Enough pods are ready.
    pub const WORKLOAD_READY: &str = "WorkloadReady";
    /// The certificates are issued and valid.
    pub const TLS_READY: &str = "TLSReady";
    /// Every version has its `APIService`.
    pub const REGISTERED: &str = "Registered";
    /// Something else holds the group and version, or a name that is needed.
    pub const CONFLICT: &str = "Conflict";
    /// A change is on its way.
    pub const PROGRESSING: &str = "Progressing";
}

/// What the operator last saw of an `ExtensionAPI`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionApiStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready sums up the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Each served version and whether it is available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["groupVersion".into()]))]
    pub apis: Vec<ApiStatus>,
    /// The certificates in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,
    /// How many pods exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// One served version.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiStatus {
    /// Group and version, such as data.example.com/v1.
    pub group_version: String,
    /// Whether the API server can reach it.
    pub available: bool,
    /// Why, in the API server's word.
    pub reason: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// The certificates in use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// The end of the certificate authority's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_not_after: Option<Time>,
    /// The end of the serving certificate's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_not_after: Option<Time>,
}
