//! The `timeout` parameter.

use serde_json::json;

use crate::case::{Case, case, record};

/// V15: how long a request may take.
pub(crate) fn cases() -> Vec<Case> {
    let read = |name, timeout: &str| {
        case(name)
            .post(record("a"))
            .get("a")
            .query(&format!("timeout={timeout}"))
    };
    vec![
        read("timeout: ten seconds", "10s"),
        read("timeout: a number alone", "10"),
        read("timeout: no duration", "x"),
        read("timeout: empty", ""),
        read("timeout: nothing", "0s"),
        read("timeout: negative", "-1s"),
        read("timeout: longer than there is", "10h"),
        read("timeout: a fraction", "1.5s"),
        read("timeout: two units", "1m30s"),
        read("timeout: a space", "5%20s"),
        read("timeout: an unknown unit", "1d"),
        read("timeout: a sign", "%2B5s"),
        read("timeout: a unit alone", "s"),
        read("timeout: more than can be", "9999999999999h"),
        case("timeout: list").list("timeout=x"),
        case("timeout: watch").list("watch=true&timeoutSeconds=1&timeout=x"),
        case("timeout: delete collection")
            .post(record("a"))
            .send("DELETE", "")
            .query("timeout=x")
            .get("a"),
        case("timeout: discovery")
            .send_to("GET", "/apis/{group}/v1alpha1")
            .query("timeout=x"),
        case("timeout: create")
            .post(record("a"))
            .query("timeout=x")
            .get("a"),
        case("timeout: create in time")
            .post(record("a"))
            .query("timeout=34s"),
        case("timeout: patch")
            .post(record("a"))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .query("timeout=x"),
        case("timeout: delete")
            .post(record("a"))
            .delete("a")
            .query("timeout=x")
            .get("a"),
    ]
}
