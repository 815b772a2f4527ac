//! What a request asks for, read from its method, path and query: `RequestInfo`.
//!
//! The path is parsed once; authorization and routing both read the result, so they cannot
//! disagree. Mirrors `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`. Deviation: a path
//! with an empty, `.` or `..` segment, or an encoded slash, is never a resource path.

pub(crate) mod user;

use http::Method;
use percent_encoding::percent_decode_str;

use apimachinery::{list_options::is_true, selector::FieldSelector};

pub(crate) use user::Caller;
#[cfg(feature = "otlp")]
pub(crate) use user::SYSTEM_MASTERS;
pub use user::UserInfo;

/// Longest path that is parsed, in bytes; group, version, names and namespace fit many times.
const PATH_MAX_LENGTH: usize = 4096;

/// A request, as authorization and routing see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// The path as it came, without the query.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, … for resources; the lower-case method for other paths.
    pub verb: String,
    /// The resource, if the path names one.
    pub resource: Option<ResourceRequest>,
    /// Decoded query parameters in their order.
    pub query: Vec<(String, String)>,
}

/// The part of a request that names a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceRequest {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Plural name.
    pub resource: String,
    /// Object name; empty for a collection.
    pub name: String,
    /// Subresource such as `status`; empty for the object itself.
    pub subresource: String,
    /// What follows the subresource in the path, without the slash between.
    pub path_tail: String,
}

impl RequestInfo {
    /// Reads a request. Whatever is no resource path is a path of another kind, never an error.
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Self {
        let query = parse_query(query.unwrap_or_default());
        let segments = if path.len() <= PATH_MAX_LENGTH {
            segments(path)
        } else {
            None
        };
        let resource = segments.and_then(|s| parse_resource(&s));
        let mut info = Self {
            path: path.to_owned(),
            verb: method.as_str().to_ascii_lowercase(),
            resource: None,
            query,
        };
        if let Some((mut resource, is_deprecated_watch)) = resource {
            info.verb = info.resource_verb(method, &mut resource, is_deprecated_watch);
            info.resource = Some(resource);
        }
        info
    }

    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a query parameter, in their order.
    pub fn parameters(&self, name: &str) -> Vec<&str> {
        let named = self.query.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether the request may stay open for long and so is outside the usual limits.
    pub fn is_long_running(&self) -> bool {
        self.resource.is_some() && self.verb == "watch"
    }

    fn resource_verb(
        &self,
        method: &Method,
        resource: &mut ResourceRequest,
        is_deprecated_watch: bool,
    ) -> String {
        let collection = resource.name.is_empty();
        let verb = match *method {
            _ if is_deprecated_watch => "watch",
            Method::GET | Method::HEAD if collection => {
                if self.parameter("watch").is_some_and(is_true) {
                    "watch"
                } else {
                    "list"
                }
            }
            Method::GET | Method::HEAD => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if collection => "deletecollection",
            Method::DELETE => "delete",
            _ => "",
        };
        if collection && matches!(verb, "list" | "watch" | "deletecollection") {
            let fields = FieldSelector::parse(self.parameter("fieldSelector").unwrap_or_default());
            let named = fields
                .ok()
                .and_then(|f| f.required_value("metadata.name").map(str::to_owned));
            resource.name = named.filter(|name| !name.contains('/')).unwrap_or_default();
        }
        verb.to_owned()
    }
}

impl ResourceRequest {
    /// Resource and subresource, as `datarecords/status`.
    pub fn qualified_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// The decoded segments, unless the path is not in its one normal form.
fn segments(path: &str) -> Option<Vec<String>> {
    path.strip_prefix('/')?
        .split('/')
        .map(|raw| {
            let segment = percent_decode_str(raw).decode_utf8().ok()?;
            let normal = !matches!(&*segment, "" | "." | "..") && !segment.contains('/');
            normal.then(|| segment.into_owned())
        })
        .collect()
}

/// `/apis/GROUP/VERSION/[watch/][namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE…]]`.
fn parse_resource(segments: &[String]) -> Option<(ResourceRequest, bool)> {
    let [apis, group, version, rest @ ..] = segments else {
        return None;
    };
    if apis != "apis" || rest.is_empty() {
        return None;
    }
    let (rest, is_deprecated_watch) = match rest {
        [watch, rest @ ..] if watch == "watch" && !rest.is_empty() => (rest, true),
        rest => (rest, false),
    };
    let (namespace, rest) = match rest {
        [namespaces, namespace, rest @ ..] if namespaces == "namespaces" && !rest.is_empty() => {
            (namespace.clone(), rest)
        }
        rest => (String::new(), rest),
    };
    let (resource, rest) = rest.split_first()?;
    let mut rest = rest.iter();
    let mut next = || rest.next().cloned().unwrap_or_default();
    let (name, subresource) = (next(), next());
    let tail: Vec<&str> = rest.map(String::as_str).collect();
    let request = ResourceRequest {
        group: group.clone(),
        version: version.clone(),
        namespace,
        resource: resource.clone(),
        name,
        subresource,
        path_tail: tail.join("/"),
    };
    Some((request, is_deprecated_watch))
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => (decode(key), decode(value)),
            None => (decode(pair), String::new()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn brief(method: &str, target: &str) -> String {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(p, q)| (p, Some(q)));
        let info = RequestInfo::parse(&method.parse().unwrap(), path, query);
        match &info.resource {
            None => format!("{} {}", info.verb, info.path),
            Some(r) => format!(
                "{} {}/{} {} in {:?} named {:?}",
                info.verb,
                r.group,
                r.version,
                r.qualified_resource(),
                r.namespace,
                r.name
            ),
        }
    }

    /// P12: every form of a resource path.
    #[rstest]
    #[case("GET", "/apis/g/v/rs", "list g/v rs in \"\" named \"\"")]
    #[case("GET", "/apis/g/v/rs?watch=true", "watch g/v rs in \"\" named \"\"")]
    #[case("GET", "/apis/g/v/rs?watch=false", "list g/v rs in \"\" named \"\"")]
    #[case("GET", "/apis/g/v/namespaces/n/rs", "list g/v rs in \"n\" named \"\"")]
    #[case(
        "GET",
        "/apis/g/v/namespaces/n/rs/a",
        "get g/v rs in \"n\" named \"a\""
    )]
    #[case(
        "GET",
        "/apis/g/v/namespaces/n/rs/a?watch=1",
        "get g/v rs in \"n\" named \"a\""
    )]
    #[case(
        "PUT",
        "/apis/g/v/namespaces/n/rs/a/status",
        "update g/v rs/status in \"n\" named \"a\""
    )]
    #[case(
        "POST",
        "/apis/g/v/namespaces/n/rs",
        "create g/v rs in \"n\" named \"\""
    )]
    #[case(
        "DELETE",
        "/apis/g/v/namespaces/n/rs",
        "deletecollection g/v rs in \"n\" named \"\""
    )]
    #[case("DELETE", "/apis/g/v/rs/a", "delete g/v rs in \"\" named \"a\"")]
    #[case("PATCH", "/apis/g/v/rs/a", "patch g/v rs in \"\" named \"a\"")]
    #[case("GET", "/apis/g/v", "get /apis/g/v")]
    #[case("GET", "/healthz", "get /healthz")]
    fn resource_paths_are_read_as_upstream_reads_them(
        #[case] method: &str,
        #[case] target: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(brief(method, target), expected);
    }

    /// L6: a selector on the name makes it a named request, for authorization too.
    #[test]
    fn a_field_selector_on_the_name_names_the_request() {
        assert_eq!(
            brief("GET", "/apis/g/v/rs?fieldSelector=metadata.name%3Da"),
            "list g/v rs in \"\" named \"a\""
        );
    }

    /// P13: the deprecated watch prefix is authorised as watch, never as get.
    #[test]
    fn the_watch_prefix_has_the_verb_watch() {
        assert_eq!(
            brief("GET", "/apis/g/v/watch/rs/a"),
            "watch g/v rs in \"\" named \"a\""
        );
    }

    /// M14: no encoding makes a path mean something else to the router than to
    /// authorization.
    #[rstest]
    #[case("/apis/g/v/namespaces/a%2Fb/rs")]
    #[case("/apis/g/v//rs")]
    #[case("/apis/g/v/rs/")]
    #[case("/apis/g/v/namespaces/n/../rs")]
    #[case("/apis/g/v/%2e%2e/rs")]
    #[case("apis/g/v/rs")]
    fn a_path_that_is_not_normal_is_no_resource(#[case] path: &str) {
        assert_eq!(RequestInfo::parse(&Method::GET, path, None).resource, None);
    }

    proptest! {
        #[test]
        fn never_panics(path in "/?[a-z/%.0-9]{0,60}", query in "\\PC{0,30}") {
            let _ = RequestInfo::parse(&Method::GET, &path, Some(&query));
        }
    }
}
