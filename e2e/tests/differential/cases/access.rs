//! Requests of a user who may do nothing.

use serde_json::json;

use crate::case::{APPLY, Case, EVERYWHERE, JSON, MERGE_PATCH, case, record};

/// S3: every verb is refused, before the body is looked at.
pub(crate) fn cases() -> Vec<Case> {
    let refused = |name, method, suffix: &str| {
        case(name)
            .post(record("a"))
            .send(method, suffix)
            .header("impersonate-user", "nobody")
    };
    vec![
        refused("access: get", "GET", "/a"),
        refused("access: get of nothing", "GET", "/b"),
        refused("access: list", "GET", ""),
        refused("access: list by name", "GET", "").query("fieldSelector=metadata.name=a"),
        refused("access: watch", "GET", "").query("watch=true"),
        refused("access: create", "POST", "").body(JSON, json!({})),
        refused("access: update", "PUT", "/a").body(JSON, json!({})),
        refused("access: patch", "PATCH", "/a").body(MERGE_PATCH, json!({})),
        refused("access: apply", "PATCH", "/b")
            .query("fieldManager=x")
            .body(APPLY, json!({})),
        refused("access: delete", "DELETE", "/a"),
        refused("access: delete of a collection", "DELETE", ""),
        refused("access: status", "GET", "/a/status"),
        refused("access: patch of a status", "PATCH", "/a/status").body(MERGE_PATCH, json!({})),
        refused("access: an unknown subresource", "GET", "/a/x"),
        refused("access: an unknown method", "FOO", "/a"),
        case("access: list everywhere")
            .send_to("GET", EVERYWHERE)
            .header("impersonate-user", "nobody"),
        case("access: an unknown resource")
            .send_to("GET", "/apis/{group}/v1alpha1/namespaces/{ns}/others")
            .header("impersonate-user", "nobody"),
        case("access: discovery")
            .send_to("GET", "/apis/{group}/v1alpha1")
            .header("impersonate-user", "nobody"),
    ]
}
