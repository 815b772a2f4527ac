//! The status subresource.

use serde_json::json;

use crate::case::{Case, JSON, JSON_PATCH, MERGE_PATCH, case, record, with};

/// V6, V7, C1, C2: reading and writing the status alone.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| case(name).post(record("a")).keep("a");
    let stale = json!({ "status": { "syncStatus": "Stale" } });
    let current = |fields| {
        with(
            with(
                record("a"),
                json!({
        "metadata": { "resourceVersion": "{a.metadata.resourceVersion}" } }),
            ),
            fields,
        )
    };
    let patch = |name, patch| {
        begun(name)
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, patch)
    };
    let put = |name, object| begun(name).send("PUT", "/a/status").body(JSON, object);
    vec![
        begun("status: get").send("GET", "/a/status"),
        begun("status: get as a Table")
            .send("GET", "/a/status")
            .accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
        patch("status: patch", stale.clone()).get("a"),
        patch(
            "status: patch of the spec",
            json!({ "spec": { "query": "x" } }),
        )
        .get("a"),
        patch(
            "status: patch of metadata",
            json!({ "metadata": { "labels": { "a": "b" } } }),
        ),
        patch("status: patch of nothing", json!({})),
        patch(
            "status: an invalid value",
            json!({ "status": { "syncStatus": "Other" } }),
        ),
        patch(
            "status: a time that is none",
            json!({ "status": { "lastSyncTime": "yesterday" } }),
        ),
        patch("status: a wrong type", json!({ "status": "x" })),
        patch("status: null", json!({ "status": null })),
        patch("status: removed again", stale.clone())
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, json!({ "status": null })),
        begun("status: json patch").send("PATCH", "/a/status").body(
            JSON_PATCH,
            json!([{ "op": "add", "path": "/status", "value": { "syncStatus": "Stale" } }]),
        ),
        put("status: put", current(stale.clone())).get("a"),
        put(
            "status: put with another spec",
            current(json!({ "spec": { "source": "x" }, "status": { "syncStatus": "Current" } })),
        ),
        put(
            "status: put without a spec",
            with(current(stale.clone()), json!({ "spec": null })),
        ),
        put("status: put without a status", current(json!({}))),
        put(
            "status: put with labels",
            current(json!({
            "metadata": { "labels": { "a": "b" } }, "status": { "syncStatus": "Stale" } })),
        ),
        put(
            "status: put with an old resourceVersion",
            with(
                record("a"),
                json!({ "metadata": { "resourceVersion": "1" } }),
            ),
        ),
        put(
            "status: put without a resourceVersion",
            with(record("a"), stale.clone()),
        ),
        put(
            "status: put with another name",
            current(json!({ "metadata": { "name": "b" } })),
        ),
        patch("status: the main resource keeps it", stale.clone())
            .merge_patch("a", json!({ "spec": { "query": "x" } })),
        patch("status: the main resource cannot remove it", stale.clone())
            .merge_patch("a", json!({ "status": null })),
        begun("status: delete").send("DELETE", "/a/status"),
        begun("status: post")
            .send("POST", "/a/status")
            .body(JSON, record("a")),
        begun("status: watch")
            .send("GET", "/a/status")
            .query("watch=true"),
        begun("status: a subresource of it").send("GET", "/a/status/x"),
        begun("status: an absent scale").send("GET", "/a/scale"),
        begun("status: an absent scale, patched")
            .send("PATCH", "/a/scale")
            .body(MERGE_PATCH, json!({})),
        begun("status: an unknown subresource").send("GET", "/a/x"),
        begun("status: an unknown subresource, deleted").send("DELETE", "/a/x"),
        case("status: get of nothing").send("GET", "/a/status"),
        case("status: patch of nothing that exists")
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, json!({})),
        case("status: put of nothing that exists")
            .send("PUT", "/a/status")
            .body(JSON, record("a")),
        begun("status: a watch sees it")
            .watch("resourceVersion={a.metadata.resourceVersion}")
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, stale)
            .events(1),
    ]
}
