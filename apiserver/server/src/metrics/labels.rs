//! What a request is counted under: the labels of `k8s.io/apiserver/pkg/endpoints/metrics`.
//!
//! Every value is one of a fixed set or comes from a served definition. Nothing of what a client
//! writes becomes a value, so clients cannot make series.

use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use apimachinery::ResourceDefinition;
use http::{HeaderMap, Method, header};
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

use crate::request::RequestInfo;

/// Upstream's name for a server that is no aggregator, given to resources and discovery but not to health.
const COMPONENT: &str = "apiserver";
const DISCOVERY: &str = "/apis";
const APPLY_PATCH: &[u8] = b"application/apply-patch+yaml";
/// Subresources that are connections, whatever the method.
const CONNECT: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];
/// The paths that are no resources. What lies below one is counted as the one.
const PATHS: [&str; 8] = [
    DISCOVERY,
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/version",
];

/// What a request is about, and so the labels of what is counted for a resource in one version. Clones
/// share the names.
#[derive(Clone, Debug)]
pub(super) struct Target(Arc<Names>);

#[derive(Debug)]
struct Names {
    /// Its place in [`Targets`].
    index: usize,
    group: String,
    version: String,
    resource: String,
    /// Of a path that is no resource, the path, as upstream has it.
    subresource: String,
}

/// Everything that requests can be about.
#[derive(Debug)]
pub(super) struct Targets {
    /// By plural; several where versions or groups share it.
    resources: HashMap<String, Vec<Target>>,
    paths: Vec<Target>,
}

/// What is done, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    Get,
    List,
    Watch,
    Post,
    Put,
    Patch,
    Apply,
    Delete,
    Connect,
    /// A method that no verb stands for.
    Other,
}

/// How much a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// No resource.
    None,
    Resource,
    Namespace,
    Cluster,
}

/// What a request says about dry runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DryRun {
    No,
    All,
    Invalid,
}

/// The labels of a request; `None` where a metric does not have the label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestLabels {
    pub(super) target: Target,
    pub(super) verb: Verb,
    pub(super) scope: Scope,
    pub(super) dry_run: Option<DryRun>,
    pub(super) code: Option<u16>,
}

/// The labels of a watch that began with a list: what it is about, and its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct WatchListLabels(pub(super) Target, pub(super) Scope);

// === impl Verb, Scope, DryRun ===

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Watch => "WATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Apply => "APPLY",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Other => "other",
        }
    }
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Resource => "resource",
            Self::Namespace => "namespace",
            Self::Cluster => "cluster",
        }
    }
}

impl DryRun {
    fn as_str(self) -> &'static str {
        match self {
            Self::No => "",
            Self::All => "All",
            Self::Invalid => "invalid",
        }
    }
}

// === impl Target ===

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.0.index == other.0.index
    }
}

impl Eq for Target {}

impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.index.hash(state);
    }
}

impl Target {
    pub(super) fn is_resource(&self) -> bool {
        !self.0.resource.is_empty()
    }

    fn component(&self) -> &'static str {
        if self.is_resource() || self.0.subresource == DISCOVERY {
            COMPONENT
        } else {
            ""
        }
    }
}

// === impl Targets ===

impl Targets {
    pub(super) fn new(definitions: &[ResourceDefinition]) -> Self {
        let mut resources: HashMap<String, Vec<Target>> = HashMap::new();
        let mut index = 0;
        let mut target = |group: &str, version: &str, resource: &str, subresource: &str| {
            index += 1;
            Target(Arc::new(Names {
                index,
                group: group.to_owned(),
                version: version.to_owned(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
            }))
        };
        for definition in definitions {
            let plural = definition.names.plural.as_str();
            let of_plural = resources.entry(plural.to_owned()).or_default();
            let own = definition.subresources.iter().map(|s| s.name.as_str());
            let subresources = std::iter::once("")
                .chain(definition.status_subresource.then_some("status"))
                .chain(definition.scale.is_some().then_some("scale"))
                .chain(own);
            of_plural.extend(
                subresources.map(|s| target(&definition.group, &definition.version, plural, s)),
            );
        }
        let paths = PATHS.map(|path| target("", "", "", path)).to_vec();
        Self { resources, paths }
    }

    /// What a request is about; `None` for what is not served.
    pub(super) fn find(&self, info: &RequestInfo) -> Option<&Target> {
        let Some(wanted) = &info.resource else {
            return self.paths.iter().find(|target| {
                let below = info.path.strip_prefix(target.0.subresource.as_str());
                below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
            });
        };
        self.resources.get(&wanted.resource)?.iter().find(|target| {
            let names = &*target.0;
            names.group == wanted.group
                && names.version == wanted.version
                && names.subresource == wanted.subresource
        })
    }
}

// === impl RequestLabels ===

impl RequestLabels {
    pub(super) fn new(
        target: Target,
        method: &Method,
        headers: &HeaderMap,
        info: &RequestInfo,
    ) -> Self {
        let scope = scope(info);
        Self {
            target,
            verb: verb(method, headers, info, scope),
            scope,
            dry_run: Some(dry_run(info)),
            code: None,
        }
    }
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self {
            target,
            verb,
            scope,
            dry_run,
            code,
        } = self;
        if let Some(code) = code {
            ("code", *code).encode(encoder.encode_label())?;
        }
        ("component", target.component()).encode(encoder.encode_label())?;
        if let Some(dry_run) = dry_run {
            ("dry_run", dry_run.as_str()).encode(encoder.encode_label())?;
        }
        target.encode(encoder)?;
        ("scope", scope.as_str()).encode(encoder.encode_label())?;
        ("subresource", target.0.subresource.as_str()).encode(encoder.encode_label())?;
        ("verb", verb.as_str()).encode(encoder.encode_label())
    }
}

impl EncodeLabelSet for Target {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let names = &*self.0;
        ("group", names.group.as_str()).encode(encoder.encode_label())?;
        ("version", names.version.as_str()).encode(encoder.encode_label())?;
        ("resource", names.resource.as_str()).encode(encoder.encode_label())
    }
}

impl EncodeLabelSet for WatchListLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(target, scope) = self;
        target.encode(encoder)?;
        ("scope", scope.as_str()).encode(encoder.encode_label())
    }
}

/// The scope that upstream's installer gives a route.
fn scope(info: &RequestInfo) -> Scope {
    let Some(resource) = &info.resource else {
        return Scope::None;
    };
    // A selector on the name names a list too, which stays one.
    let of_collection = matches!(info.verb.as_str(), "list" | "watch" | "deletecollection");
    if info.verb == "create" || (!of_collection && !resource.name.is_empty()) {
        Scope::Resource
    } else if resource.namespace.is_empty() {
        Scope::Cluster
    } else {
        Scope::Namespace
    }
}

/// Upstream's `cleanVerb`: the method, but LIST, WATCH, APPLY and CONNECT as such.
fn verb(method: &Method, headers: &HeaderMap, info: &RequestInfo, scope: Scope) -> Verb {
    if let Some(resource) = &info.resource {
        if CONNECT.contains(&resource.subresource.as_str()) {
            return Verb::Connect;
        }
        if info.verb == "watch" {
            return Verb::Watch;
        }
    }
    match *method {
        Method::GET | Method::HEAD if matches!(scope, Scope::Resource | Scope::None) => Verb::Get,
        Method::GET | Method::HEAD => Verb::List,
        Method::POST => Verb::Post,
        Method::PUT => Verb::Put,
        Method::PATCH => {
            let content_type = headers.get(header::CONTENT_TYPE);
            if content_type.is_some_and(|value| value.as_bytes() == APPLY_PATCH) {
                Verb::Apply
            } else {
                Verb::Patch
            }
        }
        Method::DELETE => Verb::Delete,
        _ => Verb::Other,
    }
}

/// Upstream's `cleanDryRun`.
fn dry_run(info: &RequestInfo) -> DryRun {
    let mut asked = info.query.iter().filter(|(key, _)| key == "dryRun");
    match asked.next() {
        None => DryRun::No,
        Some((_, first)) if first == "All" && asked.all(|(_, more)| more == "All") => DryRun::All,
        Some(_) => DryRun::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::testing::thing_definition;

    fn labels(method: &str, target: &str, content_type: &str) -> Option<String> {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        let method: Method = method.parse().unwrap();
        let info = RequestInfo::parse(&method, path, query);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        let targets = Targets::new(&[thing_definition()]);
        let found = targets.find(&info)?;
        let labels = RequestLabels::new(found.clone(), &method, &headers, &info);
        Some(format!(
            "{} {} {:?} {:?} {:?}",
            found.component(),
            labels.verb.as_str(),
            labels.scope.as_str(),
            labels.dry_run.map_or("none", DryRun::as_str),
            found.0.subresource
        ))
    }

    /// X11: verb, scope and dry run as upstream's `cleanVerb`, `requestScope` and `cleanDryRun` have them.
    #[rstest]
    #[case("GET", "/apis/test.io/v1/things", r#"apiserver LIST "cluster" "" """#)]
    #[case("HEAD", "/apis/test.io/v1/things", r#"apiserver LIST "cluster" "" """#)]
    #[case(
        "GET",
        "/apis/test.io/v1/namespaces/n/things",
        r#"apiserver LIST "namespace" "" """#
    )]
    #[case(
        "GET",
        "/apis/test.io/v1/namespaces/n/things/a",
        r#"apiserver GET "resource" "" """#
    )]
    #[case(
        "GET",
        "/apis/test.io/v1/things?fieldSelector=metadata.name%3Da",
        r#"apiserver LIST "cluster" "" """#
    )]
    #[case(
        "GET",
        "/apis/test.io/v1/things?watch=1",
        r#"apiserver WATCH "cluster" "" """#
    )]
    #[case(
        "GET",
        "/apis/test.io/v1/watch/things",
        r#"apiserver WATCH "cluster" "" """#
    )]
    #[case(
        "POST",
        "/apis/test.io/v1/namespaces/n/things",
        r#"apiserver POST "resource" "" """#
    )]
    #[case(
        "POST",
        "/apis/test.io/v1/namespaces/n/things?dryRun=All&dryRun=All",
        r#"apiserver POST "resource" "All" """#
    )]
    #[case(
        "PUT",
        "/apis/test.io/v1/namespaces/n/things/a/status?dryRun=some",
        r#"apiserver PUT "resource" "invalid" "status""#
    )]
    #[case(
        "PATCH",
        "/apis/test.io/v1/namespaces/n/things/a",
        r#"apiserver PATCH "resource" "" """#
    )]
    #[case(
        "DELETE",
        "/apis/test.io/v1/namespaces/n/things/a",
        r#"apiserver DELETE "resource" "" """#
    )]
    #[case(
        "DELETE",
        "/apis/test.io/v1/namespaces/n/things",
        r#"apiserver DELETE "namespace" "" """#
    )]
    #[case(
        "BREW",
        "/apis/test.io/v1/things",
        r#"apiserver other "cluster" "" """#
    )]
    #[case("GET", "/readyz", r#" GET "" "" "/readyz""#)]
    #[case("GET", "/apis/test.io/v1", r#"apiserver GET "" "" "/apis""#)]
    #[case("BREW", "/metrics", r#" other "" "" "/metrics""#)]
    fn requests_are_labelled_as_upstream_labels_them(
        #[case] method: &str,
        #[case] target: &str,
        #[case] expected: &str,
    ) {
        let found = labels(method, target, "application/json");
        assert_eq!(found.as_deref(), Some(expected));
    }

    #[test]
    fn an_apply_is_told_from_other_patches() {
        let found = labels(
            "PATCH",
            "/apis/test.io/v1/namespaces/n/things/a",
            "application/apply-patch+yaml",
        );
        assert_eq!(
            found.as_deref(),
            Some(r#"apiserver APPLY "resource" "" """#)
        );
    }

    #[rstest]
    #[case("/")]
    #[case("/metricsx")]
    #[case("/apis/test.io/v1/others")]
    #[case("/apis/test.io/v2/things")]
    #[case("/apis/other.io/v1/things")]
    #[case("/apis/test.io/v1/namespaces/n/things/a/nothing")]
    fn what_is_not_served_is_not_labelled(#[case] path: &str) {
        assert_eq!(labels("GET", path, "application/json"), None);
    }
}
