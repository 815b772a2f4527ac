//! Writes that are only tried.

use serde_json::json;

use crate::case::{Case, case, record, with};

/// A6: everything is checked, nothing is written.
pub(crate) fn cases() -> Vec<Case> {
    let dry = "dryRun=All";
    let invalid = with(record("a"), json!({ "spec": null }));
    let changed = with(
        record("a"),
        json!({
            "metadata": { "resourceVersion": "{a.metadata.resourceVersion}" }, "spec": { "query": "x" },
        }),
    );
    let begun = |name| case(name).post(record("a")).keep("a");
    vec![
        case("dry run: create")
            .post(record("a"))
            .query(dry)
            .get("a"),
        case("dry run: create, generated name")
            .post(with(
                record("a"),
                json!({ "metadata": { "name": null, "generateName": "gen-" } }),
            ))
            .query(dry)
            .list(""),
        case("dry run: create, invalid").post(invalid).query(dry),
        case("dry run: create, unknown value")
            .post(record("a"))
            .query("dryRun=all"),
        case("dry run: create, empty value")
            .post(record("a"))
            .query("dryRun=")
            .get("a"),
        case("dry run: create, twice the value")
            .post(record("a"))
            .query("dryRun=All&dryRun=All"),
        case("dry run: create, one wrong value")
            .post(record("a"))
            .query("dryRun=All&dryRun=x"),
        begun("dry run: create, taken").post(record("a")).query(dry),
        begun("dry run: update")
            .put("a", changed.clone())
            .query(dry)
            .get("a"),
        begun("dry run: update, unknown value")
            .put("a", changed)
            .query("dryRun=x"),
        begun("dry run: update, conflict")
            .put(
                "a",
                with(
                    record("a"),
                    json!({ "metadata": { "resourceVersion": "1" } }),
                ),
            )
            .query(dry),
        begun("dry run: patch")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .query(dry)
            .get("a"),
        begun("dry run: patch, unknown value")
            .merge_patch("a", json!({}))
            .query("dryRun=x"),
        begun("dry run: delete").delete("a").query(dry).get("a"),
        begun("dry run: no event")
            .watch("resourceVersion={a.metadata.resourceVersion}")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .query(dry)
            .post(record("b"))
            .query(dry)
            .delete("a")
            .query(dry)
            .merge_patch("a", json!({ "spec": { "query": "y" } }))
            .events(1),
        begun("dry run: status")
            .send("PATCH", "/a/status")
            .query(dry)
            .body(
                "application/merge-patch+json",
                json!({ "status": { "syncStatus": "Stale" } }),
            )
            .get("a"),
    ]
}
