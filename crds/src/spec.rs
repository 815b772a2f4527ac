//! The `ExtensionAPI` object and its spec.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside an impl"
)]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    pod::PodTemplate,
    rules,
    server::{BundledServer, ImageServer, ServerSpec},
    status::ExtensionApiStatus,
};

/// One aggregated API: its group and versions, where its server runs and what runs there.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "extensions.kubedojo.io",
    version = "v1alpha1",
    kind = "ExtensionAPI",
    plural = "extensionapis",
    singular = "extensionapi",
    shortname = "extapi",
    category = "api-extensions",
    status = "ExtensionApiStatus",
    derive = "PartialEq",
    doc = "An aggregated API that the operator runs, registers and keeps trusted.",
    validation = rules::name_is_a_short_label(),
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Group", type_ = "string", json_path = ".spec.group"),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Available")].status"#
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::bundled_serves_its_own_group(),
    validation = rules::bundled_serves_its_own_version(),
    validation = rules::memory_has_one_replica(),
    validation = rules::sqlite_has_one_replica(),
)]
pub struct ExtensionApiSpec {
    /// The API group that is served. It cannot be changed.
    #[schemars(length(max = 189))]
    #[x_kube(
        validation = rules::group_has_a_dot(),
        validation = rules::group_is_not_reserved(),
        validation = rules::group_is_a_subdomain(),
        validation = rules::group_is_immutable(),
    )]
    pub group: String,
    /// The versions of the group that the server serves. Each becomes one `APIService`.
    #[schemars(length(max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = rules::versions_are_not_empty(),
    )]
    pub versions: Vec<ApiVersion>,
    /// The namespace that the server runs in. It must exist. It cannot be changed.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(
        validation = rules::namespace_is_a_label(),
        validation = rules::namespace_is_immutable(),
    )]
    pub namespace: String,
    /// What answers for the API.
    pub server: ServerSpec,
    /// How many pods serve the API. Unset means 1 with storage in memory or SQLite and 2
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<i32>,
    /// How long the generated certificates last.
    #[serde(default)]
    pub tls: TlsSpec,
    /// Settings for the server's pods.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod_template: PodTemplate,
}

/// One version of the group, and where it stands among others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersion {
    /// The version, such as v1alpha1.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::version_is_a_label())]
    pub name: String,
    /// The least priority of the group among all groups. Higher is preferred by clients;
    /// custom resources have 1000.
    #[serde(default = "default_group_priority_minimum")]
    #[schemars(range(min = 1, max = 2000))]
    pub group_priority_minimum: i32,
    /// The priority of the version within its group. Unset means by Kubernetes' order of
    /// version names, where the best gets 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub version_priority: Option<i32>,
}

/// How long the generated certificates last. Both are replaced at two thirds of their life.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::serving_duration_is_long_enough(),
    validation = rules::ca_outlives_serving(),
    validation = rules::ca_duration_is_bounded(),
)]
pub struct TlsSpec {
    /// The life of the certificate authority.
    #[serde(default = "default_ca_duration")]
    #[schemars(length(max = 21))]
    #[x_kube(validation = rules::duration_is_well_formed())]
    pub ca_duration: String,
    /// The life of the serving certificate, at most a third of the authority's.
    #[serde(default = "default_serving_duration")]
    #[schemars(length(max = 21))]
    #[x_kube(validation = rules::duration_is_well_formed())]
    pub serving_duration: String,
}

/// The server of an [`ExtensionApiSpec`] as the one kind that it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServerKind<'a> {
    /// The server that ships with this release.
    Bundled(&'a BundledServer),
    /// A server from an image of the user's own.
    Image(&'a ImageServer),
}

impl ExtensionApiSpec {
    /// The one kind of server that is set; none if the object passed no validation.
    pub fn server_kind(&self) -> Option<ServerKind<'_>> {
        match (&self.server.bundled, &self.server.image) {
            (Some(bundled), None) => Some(ServerKind::Bundled(bundled)),
            (None, Some(image)) => Some(ServerKind::Image(image)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    /// How many pods serve the API, with the default filled in.
    pub fn replicas(&self) -> i32 {
        self.replicas.unwrap_or_else(|| match self.server_kind() {
            Some(ServerKind::Bundled(bundled)) if bundled.storage.postgres.is_none() => 1,
            Some(_) => 2,
            None => 1,
        })
    }
}

impl Default for TlsSpec {
    fn default() -> Self {
        Self {
            ca_duration: default_ca_duration(),
            serving_duration: default_serving_duration(),
        }
    }
}

/// Seconds in a duration such as `1h30m`; none if it is not of the form that the schema asks for.
pub fn parse_duration_seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            total = total.checked_add(
                number
                    .parse::<u32>()
                    .ok()
                    .map(i64::from)?
                    .checked_mul(seconds)?,
            )?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

fn default_group_priority_minimum() -> i32 {
    1000
}

fn default_ca_duration() -> String {
    "8760h".to_owned()
}

fn default_serving_duration() -> String {
    "2160h".to_owned()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::parse_duration_seconds;

    #[test]
    fn durations_are_hours_minutes_and_seconds_in_this_order() {
        assert_eq!(parse_duration_seconds("2160h"), Some(7_776_000));
        assert_eq!(parse_duration_seconds("1h30m5s"), Some(5405));
        assert_eq!(parse_duration_seconds("90m"), Some(5400));
        assert_eq!(parse_duration_seconds("5s"), Some(5));
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in ["", "h", "5", "5m1h", "-5m", "1.5h", "10d"] {
            assert_eq!(parse_duration_seconds(text), None, "{text}");
        }
    }
}
