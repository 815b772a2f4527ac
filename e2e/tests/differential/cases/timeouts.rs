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
        case("timeout: list").list("timeout=x"),
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
