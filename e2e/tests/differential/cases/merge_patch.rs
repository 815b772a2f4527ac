//! Merge patch, and patches of types that are none.

use serde_json::{Value, json};

use crate::case::{Case, MERGE_PATCH, case, record, with};

/// A1, A4, V7: fields that come and go, and what is refused.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| {
        let fields = json!({ "spec": { "query": "q", "data": { "a": "1", "b": "2" } } });
        case(name).post(with(record("a"), fields)).keep("a")
    };
    let patched = |name, patch: Value| begun(name).merge_patch("a", patch);
    let metadata = |name, metadata| patched(name, json!({ "metadata": metadata }));
    let sent = |name, body: &str| begun(name).send("PATCH", "/a").text(MERGE_PATCH, body);
    let typed = |name, content_type: &str| {
        begun(name)
            .send("PATCH", "/a")
            .body(content_type, json!({ "spec": { "query": "n" } }))
    };
    vec![
        patched(
            "merge patch: a field",
            json!({ "spec": { "query": "new" } }),
        )
        .get("a"),
        patched(
            "merge patch: null removes",
            json!({ "spec": { "data": { "a": null } } }),
        ),
        patched("merge patch: nothing", json!({})).get("a"),
        patched(
            "merge patch: the same value",
            json!({ "spec": { "query": "q" } }),
        )
        .get("a"),
        patched(
            "merge patch: what is required",
            json!({ "spec": { "source": null } }),
        ),
        patched("merge patch: the whole spec", json!({ "spec": null })),
        patched(
            "merge patch: a wrong type",
            json!({ "spec": { "query": 1 } }),
        ),
        patched(
            "merge patch: an unknown field",
            json!({ "spec": { "x": 1 } }),
        ),
        patched(
            "merge patch: a status is ignored",
            json!({ "status": { "syncStatus": "Stale" } }),
        ),
        patched("merge patch: another kind", json!({ "kind": "Other" })),
        patched(
            "merge patch: another apiVersion",
            json!({ "apiVersion": "v1" }),
        ),
        patched("merge patch: no kind", json!({ "kind": null })),
        patched("merge patch: an empty kind", json!({ "kind": "" })),
        patched("merge patch: no apiVersion", json!({ "apiVersion": null })),
        patched(
            "merge patch: neither",
            json!({ "apiVersion": null, "kind": null }),
        ),
        patched("merge patch: a kind that is a number", json!({ "kind": 1 })),
        metadata("merge patch: a label", json!({ "labels": { "a": "b" } })),
        metadata(
            "merge patch: a null label that is not there",
            json!({ "labels": { "a": null } }),
        ),
        metadata("merge patch: another name", json!({ "name": "b" })),
        metadata("merge patch: no name", json!({ "name": null })),
        metadata(
            "merge patch: another namespace",
            json!({ "namespace": "b" }),
        ),
        metadata("merge patch: no namespace", json!({ "namespace": null })),
        metadata(
            "merge patch: another uid",
            json!({ "uid": "00000000-0000-0000-0000-000000000001" }),
        ),
        metadata("merge patch: no uid", json!({ "uid": null })),
        metadata(
            "merge patch: no creationTimestamp",
            json!({ "creationTimestamp": null }),
        ),
        metadata(
            "merge patch: its resourceVersion",
            json!({ "resourceVersion": "{a.metadata.resourceVersion}", "labels": { "a": "b" } }),
        ),
        metadata(
            "merge patch: an old resourceVersion",
            json!({ "resourceVersion": "1", "labels": { "a": "b" } }),
        ),
        metadata(
            "merge patch: an empty resourceVersion",
            json!({ "resourceVersion": "" }),
        ),
        metadata(
            "merge patch: resourceVersion 0",
            json!({ "resourceVersion": "0" }),
        ),
        metadata(
            "merge patch: no resourceVersion",
            json!({ "resourceVersion": null }),
        ),
        metadata(
            "merge patch: a resourceVersion that is none",
            json!({ "resourceVersion": "x" }),
        ),
        metadata("merge patch: the generation", json!({ "generation": 9 })),
        metadata(
            "merge patch: a deletionTimestamp",
            json!({ "deletionTimestamp": "2020-01-01T00:00:00Z" }),
        ),
        metadata(
            "merge patch: metadata of a wrong type",
            json!({ "labels": "x" }),
        ),
        patched("merge patch: no metadata", json!({ "metadata": null })),
        sent("merge patch: null", "null"),
        sent("merge patch: a list", "[]"),
        sent("merge patch: text", "\"a\""),
        sent("merge patch: no JSON", "{"),
        sent("merge patch: an empty body", ""),
        typed(
            "patch: strategic merge",
            "application/strategic-merge-patch+json",
        ),
        typed("patch: JSON", "application/json"),
        typed("patch: no type at all", ""),
        typed("patch: an unknown type", "text/plain"),
        typed(
            "patch: merge patch in capitals",
            "application/Merge-Patch+json",
        ),
        typed(
            "patch: merge patch with a parameter",
            "application/merge-patch+json;charset=utf-8",
        ),
        typed("patch: the field manager", MERGE_PATCH).query("fieldManager=two"),
        typed("patch: force false", MERGE_PATCH).query("force=false"),
        typed("patch: force true", MERGE_PATCH).query("force=true"),
        typed("patch: force that is none", MERGE_PATCH).query("force=maybe"),
        case("merge patch: what does not exist").merge_patch("a", json!({})),
        case("merge patch: the collection")
            .send("PATCH", "")
            .body(MERGE_PATCH, json!({})),
    ]
}
