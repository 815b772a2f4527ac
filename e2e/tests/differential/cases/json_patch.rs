//! JSON patch.

use serde_json::{Value, json};

use crate::case::{Case, JSON_PATCH, case, record, with};

/// A1, A4: operations that work, and those that do not.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| {
        let fields = json!({ "spec": { "query": "q", "data": { "a": "1", "b": "2" } } });
        case(name).post(with(record("a"), fields)).keep("a")
    };
    let one = |name, operation: Value| begun(name).json_patch("a", json!([operation]));
    let sent = |name, body: &str| begun(name).send("PATCH", "/a").text(JSON_PATCH, body);
    let add = |path: &str, value: Value| json!({ "op": "add", "path": path, "value": value });
    let remove = |path: &str| json!({ "op": "remove", "path": path });
    let replace =
        |path: &str, value: Value| json!({ "op": "replace", "path": path, "value": value });
    let test = |path: &str, value: Value| json!({ "op": "test", "path": path, "value": value });
    let from = |op: &str, from: &str, path: &str| json!({ "op": op, "from": from, "path": path });
    vec![
        one("json patch: add", add("/spec/data/c", json!("3"))),
        one(
            "json patch: add over a value",
            add("/spec/query", json!("new")),
        ),
        one(
            "json patch: add below nothing",
            add("/spec/none/a", json!("1")),
        ),
        one(
            "json patch: add a label below nothing",
            add("/metadata/labels/a", json!("1")),
        ),
        one("json patch: remove", remove("/spec/query")),
        one("json patch: remove nothing", remove("/spec/none")),
        one(
            "json patch: remove what is required",
            remove("/spec/source"),
        ),
        one("json patch: replace", replace("/spec/query", json!("new"))),
        one(
            "json patch: replace nothing",
            replace("/spec/none", json!("new")),
        ),
        one(
            "json patch: replace without a change",
            replace("/spec/query", json!("q")),
        )
        .get("a"),
        one(
            "json patch: copy",
            from("copy", "/spec/data/a", "/spec/data/c"),
        ),
        one(
            "json patch: copy nothing",
            from("copy", "/spec/none", "/spec/data/c"),
        ),
        one(
            "json patch: move",
            from("move", "/spec/data/a", "/spec/data/c"),
        ),
        one(
            "json patch: move nothing",
            from("move", "/spec/none", "/spec/data/c"),
        ),
        one(
            "json patch: a test that passes",
            test("/spec/query", json!("q")),
        ),
        one(
            "json patch: a test that fails",
            test("/spec/query", json!("other")),
        ),
        one(
            "json patch: a test of nothing",
            test("/spec/none", json!("q")),
        ),
        one(
            "json patch: a test of nothing for null",
            test("/spec/none", Value::Null),
        ),
        one(
            "json patch: a test of the resourceVersion",
            test("/metadata/resourceVersion", json!("1")),
        ),
        one(
            "json patch: an unknown operation",
            json!({ "op": "upsert", "path": "/spec/query" }),
        ),
        one(
            "json patch: no operation",
            json!({ "path": "/spec/query", "value": "x" }),
        ),
        one("json patch: no path", json!({ "op": "add", "value": "x" })),
        one(
            "json patch: no value",
            json!({ "op": "add", "path": "/spec/query" }),
        ),
        one(
            "json patch: a path without a slash",
            replace("spec", json!({})),
        ),
        one("json patch: the whole document", replace("", json!({}))),
        one(
            "json patch: another name",
            replace("/metadata/name", json!("b")),
        ),
        one(
            "json patch: another namespace",
            replace("/metadata/namespace", json!("b")),
        ),
        one(
            "json patch: another uid",
            replace(
                "/metadata/uid",
                json!("00000000-0000-0000-0000-000000000001"),
            ),
        ),
        one("json patch: another kind", replace("/kind", json!("Other"))),
        one(
            "json patch: another apiVersion",
            replace("/apiVersion", json!("v1")),
        ),
        one(
            "json patch: an old resourceVersion",
            replace("/metadata/resourceVersion", json!("1")),
        ),
        one(
            "json patch: the generation",
            replace("/metadata/generation", json!(9)),
        ),
        one("json patch: a wrong type", replace("/spec/query", json!(1))),
        one(
            "json patch: metadata of a wrong type",
            replace("/metadata/labels", json!("x")),
        ),
        one(
            "json patch: escapes in a path",
            add("/metadata/annotations", json!({ "a/b": "1" })),
        )
        .json_patch(
            "a",
            json!([replace("/metadata/annotations/a~1b", json!("2"))]),
        ),
        sent("json patch: an empty list", "[]").get("a"),
        sent("json patch: an object", "{}"),
        sent("json patch: null", "null"),
        sent("json patch: no JSON", "["),
        sent("json patch: an empty body", ""),
        sent("json patch: a list of texts", "[\"a\"]"),
        begun("json patch: more operations than are allowed").json_patch(
            "a",
            Value::Array(vec![test("/spec/query", json!("q")); 10_001]),
        ),
        begun("json patch: the content type in capitals")
            .send("PATCH", "/a")
            .text("Application/JSON-Patch+JSON", "[]"),
        begun("json patch: the content type with a parameter")
            .send("PATCH", "/a")
            .text("application/json-patch+json; charset=utf-8", "[]"),
        case("json patch: what does not exist").json_patch("a", json!([])),
    ]
}
