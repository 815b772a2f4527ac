//! Paths and methods.

use serde_json::json;

use crate::case::{Case, EVERYWHERE, JSON, MERGE_PATCH, case, record};

/// P2, P3, P12, P13, V16: what is served where, and what is not.
pub(crate) fn cases() -> Vec<Case> {
    let absolute = |name, method, path: &str| case(name).send_to(method, path);
    let base = "/apis/{group}/v1alpha1";
    let inside = format!("{base}/namespaces/{{ns}}");
    vec![
        absolute("paths: the group", "GET", "/apis/{group}"),
        absolute("paths: the version", "GET", base),
        absolute(
            "paths: the version with a slash",
            "GET",
            &format!("{base}/"),
        ),
        absolute("paths: an unknown version", "GET", "/apis/{group}/v9"),
        absolute(
            "paths: a resource of an unknown version",
            "GET",
            "/apis/{group}/v9/datarecords",
        ),
        absolute(
            "paths: an unknown resource",
            "GET",
            &format!("{base}/others"),
        ),
        absolute(
            "paths: an unknown resource in a namespace",
            "GET",
            &format!("{inside}/others"),
        ),
        absolute(
            "paths: an unknown resource by name",
            "GET",
            &format!("{inside}/others/a"),
        ),
        absolute(
            "paths: the singular name",
            "GET",
            &format!("{inside}/datarecord"),
        ),
        absolute("paths: a namespace of the group", "GET", &inside),
        absolute(
            "paths: all namespaces of the group",
            "GET",
            &format!("{base}/namespaces"),
        ),
        absolute(
            "paths: a final slash",
            "GET",
            &format!("{inside}/datarecords/"),
        ),
        absolute(
            "paths: two slashes",
            "GET",
            &format!("{inside}//datarecords"),
        ),
        absolute(
            "paths: a name without a namespace",
            "GET",
            &format!("{EVERYWHERE}/a"),
        ),
        absolute(
            "paths: too deep",
            "GET",
            &format!("{inside}/datarecords/a/status/x/y"),
        ),
        absolute("paths: POST everywhere", "POST", EVERYWHERE).body(JSON, record("a")),
        absolute("paths: PUT everywhere", "PUT", EVERYWHERE).body(JSON, record("a")),
        absolute("paths: PATCH everywhere", "PATCH", EVERYWHERE).body(MERGE_PATCH, json!({})),
        absolute(
            "paths: an unknown method",
            "FOO",
            &format!("{inside}/datarecords"),
        ),
        absolute(
            "paths: an unknown method on an object",
            "FOO",
            &format!("{inside}/datarecords/a"),
        ),
        absolute(
            "paths: OPTIONS",
            "OPTIONS",
            &format!("{inside}/datarecords"),
        ),
        absolute("paths: TRACE", "TRACE", &format!("{inside}/datarecords")),
        absolute("paths: POST to the version", "POST", base).body(JSON, json!({})),
        absolute("paths: DELETE of the version", "DELETE", base),
        absolute(
            "paths: the deprecated watch",
            "GET",
            &format!("{base}/watch/namespaces/{{ns}}/datarecords"),
        )
        .query("timeoutSeconds=1"),
        absolute(
            "paths: the deprecated watch of an object",
            "GET",
            &format!("{base}/watch/namespaces/{{ns}}/datarecords/a"),
        )
        .query("timeoutSeconds=1"),
        absolute(
            "paths: the deprecated proxy",
            "GET",
            &format!("{base}/proxy/namespaces/{{ns}}/datarecords/a"),
        ),
        absolute("paths: the group as metadata", "GET", "/apis/{group}").accept("application/yaml"),
        absolute("paths: the version as YAML", "GET", base).accept("application/yaml"),
        absolute("paths: the version as protobuf", "GET", base)
            .accept("application/vnd.kubernetes.protobuf"),
        absolute("paths: the version as text", "GET", base).accept("text/plain"),
        absolute("paths: the version as aggregated discovery", "GET", base)
            .accept("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ]
}
