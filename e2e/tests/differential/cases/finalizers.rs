//! Finalizers and objects that are being deleted.

use serde_json::{Value, json};

use crate::case::{Case, JSON, case, record, with};

fn held(name: &'static str) -> Case {
    let hold = json!({ "metadata": { "finalizers": ["example.com/a", "example.com/b"] } });
    case(name).post(with(record("a"), hold)).keep("a")
}

fn finalizers(finalizers: Value) -> Value {
    json!({ "metadata": { "finalizers": finalizers } })
}

/// V8, V9: an object stays until the last finalizer goes.
pub(crate) fn cases() -> Vec<Case> {
    let created = |name, list: Value| case(name).post(with(record("a"), finalizers(list)));
    vec![
        held("finalizers: the whole life")
            .watch("resourceVersion={a.metadata.resourceVersion}")
            .delete("a")
            .merge_patch("a", finalizers(json!(["example.com/b"])))
            .merge_patch("a", finalizers(json!([])))
            .get("a")
            .events(3),
        held("finalizers: delete twice")
            .delete("a")
            .delete("a")
            .get("a"),
        held("finalizers: none can be added to a terminating object")
            .delete("a")
            .merge_patch("a", finalizers(json!(["example.com/a", "example.com/c"]))),
        held("finalizers: the order may change")
            .delete("a")
            .merge_patch("a", finalizers(json!(["example.com/b", "example.com/a"]))),
        held("finalizers: the spec of a terminating object may change")
            .delete("a")
            .merge_patch("a", json!({ "spec": { "query": "x" } })),
        held("finalizers: the last goes with an update")
            .delete("a")
            .keep("a")
            .put(
                "a",
                with(
                    record("a"),
                    json!({
                "metadata": { "resourceVersion": "{a.metadata.resourceVersion}" } }),
                ),
            )
            .get("a"),
        held("finalizers: the last goes with a json patch")
            .delete("a")
            .json_patch(
                "a",
                json!([{ "op": "remove", "path": "/metadata/finalizers" }]),
            )
            .get("a"),
        held("finalizers: the last goes as a dry run")
            .delete("a")
            .merge_patch("a", finalizers(Value::Null))
            .query("dryRun=All")
            .get("a"),
        held("finalizers: status leaves them")
            .send("PATCH", "/a/status")
            .body("application/merge-patch+json", finalizers(Value::Null))
            .get("a"),
        held("finalizers: delete as a dry run")
            .delete("a")
            .query("dryRun=All")
            .get("a"),
        held("finalizers: a delete in the foreground")
            .delete("a")
            .body(JSON, json!({ "propagationPolicy": "Foreground" })),
        held("finalizers: a delete that orphans")
            .delete("a")
            .body(JSON, json!({ "propagationPolicy": "Orphan" })),
        held("finalizers: an old precondition of a second delete")
            .delete("a")
            .delete("a")
            .body(
                JSON,
                json!({ "preconditions": {
                "resourceVersion": "{a.metadata.resourceVersion}" } }),
            ),
        held("finalizers: deletionTimestamp stays")
            .delete("a")
            .merge_patch("a", json!({ "metadata": { "deletionTimestamp": null } })),
        held("finalizers: deletionGracePeriodSeconds stays")
            .delete("a")
            .merge_patch(
                "a",
                json!({ "metadata": { "deletionGracePeriodSeconds": 9 } }),
            ),
        created(
            "finalizers: the same twice",
            json!(["example.com/a", "example.com/a"]),
        ),
        created("finalizers: without a domain", json!(["hold"])),
        created("finalizers: not a name", json!(["example.com/a b"])),
        created("finalizers: an empty one", json!([""])),
        created(
            "finalizers: orphan and foregroundDeletion",
            json!(["orphan", "foregroundDeletion"]),
        ),
        created("finalizers: a number", json!([1])),
        created("finalizers: of Kubernetes", json!(["kubernetes"])),
    ]
}
