//! What bumps the generation.

use serde_json::json;

use crate::case::{Case, MERGE_PATCH, case, record, with};

/// V6: only another spec and a deletion.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| case(name).post(record("a")).keep("a");
    vec![
        begun("generation: a spec")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .merge_patch("a", json!({ "spec": { "query": "y" } })),
        begun("generation: metadata")
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "b" } } }))
            .merge_patch("a", json!({ "metadata": { "annotations": { "a": "b" } } })),
        begun("generation: a status")
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, json!({ "status": { "syncStatus": "Stale" } })),
        begun("generation: a status by the main resource")
            .merge_patch("a", json!({ "status": { "syncStatus": "Stale" } })),
        begun("generation: an empty map").merge_patch("a", json!({ "spec": { "data": {} } })),
        begun("generation: a pruned field").merge_patch("a", json!({ "spec": { "x": 1 } })),
        begun("generation: set by a PUT").put(
            "a",
            with(
                record("a"),
                json!({
            "metadata": { "generation": 42, "resourceVersion": "{a.metadata.resourceVersion}" } }),
            ),
        ),
        case("generation: a deletion")
            .post(with(
                record("a"),
                json!({ "metadata": { "finalizers": ["example.com/x"] } }),
            ))
            .delete("a")
            .delete("a"),
    ]
}
