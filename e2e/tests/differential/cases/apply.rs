//! Server-side apply.

use serde_json::{Value, json};

use crate::case::{APPLY, Case, case, record, with};

pub(super) fn spec(spec: Value) -> Value {
    with(record("a"), json!({ "spec": spec }))
}

fn data(data: Value) -> Value {
    spec(json!({ "data": data }))
}

fn owners(digit: &str) -> Value {
    json!({ "metadata": { "ownerReferences": [{ "apiVersion": "example.com/v1", "kind": "Owner",
        "name": "x", "uid": format!("00000000-0000-0000-0000-00000000000{digit}") }] } })
}

/// A2, A3, A7, N11: what managers own, share and give up.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("apply: creates")
            .apply("a", data(json!({ "a": "1" })))
            .get("a"),
        case("apply: creates with labels").apply(
            "a",
            with(
                record("a"),
                json!({ "metadata": { "labels": { "a": "b" } } }),
            ),
        ),
        case("apply: the same again")
            .apply("a", record("a"))
            .apply("a", record("a"))
            .get("a"),
        case("apply: another value")
            .apply("a", spec(json!({ "query": "x" })))
            .apply("a", spec(json!({ "query": "y" }))),
        case("apply: a field that is no longer applied goes")
            .apply("a", data(json!({ "a": "1", "b": "2" })))
            .apply("a", data(json!({ "a": "1" }))),
        case("apply: a conflict")
            .apply("a", spec(json!({ "query": "x" })))
            .apply("a", spec(json!({ "query": "y" })))
            .query("fieldManager=two")
            .get("a"),
        case("apply: two conflicts")
            .apply("a", spec(json!({ "query": "x", "data": { "a": "1" } })))
            .apply("a", spec(json!({ "query": "y", "data": { "a": "2" } })))
            .query("fieldManager=two"),
        case("apply: a conflict with an update")
            .post(spec(json!({ "query": "x" })))
            .apply("a", spec(json!({ "query": "y" }))),
        case("apply: conflicts with two managers")
            .apply("a", spec(json!({ "query": "x" })))
            .apply("a", spec(json!({ "query": "x" })))
            .query("fieldManager=two")
            .apply("a", spec(json!({ "query": "y" })))
            .query("fieldManager=three"),
        case("apply: by force")
            .apply("a", spec(json!({ "query": "x" })))
            .apply("a", spec(json!({ "query": "y" })))
            .query("fieldManager=two&force=true"),
        case("apply: force=yes")
            .apply("a", record("a"))
            .query("fieldManager=one&force=yes"),
        case("apply: force=")
            .apply("a", record("a"))
            .query("fieldManager=one&force="),
        case("apply: force=0")
            .apply("a", record("a"))
            .query("fieldManager=one&force=0"),
        case("apply: shared fields")
            .apply("a", spec(json!({ "query": "x" })))
            .apply("a", spec(json!({ "query": "x" })))
            .query("fieldManager=two")
            .apply("a", spec(json!({}))),
        case("apply: over what an update made")
            .post(record("a"))
            .apply("a", data(json!({ "a": "1" }))),
        case("apply: an update takes a field over")
            .apply("a", spec(json!({ "query": "x" })))
            .merge_patch("a", json!({ "spec": { "query": "y" } })),
        case("apply: an update removes a field")
            .apply("a", spec(json!({ "query": "x" })))
            .merge_patch("a", json!({ "spec": { "query": null } })),
        case("apply: updates of two managers")
            .post(record("a"))
            .merge_patch("a", json!({ "spec": { "query": "y" } }))
            .query("fieldManager=two")
            .merge_patch("a", json!({ "spec": { "query": "z" } }))
            .query("fieldManager=three"),
        case("apply: managedFields are cleared by an update")
            .apply("a", record("a"))
            .merge_patch("a", json!({ "metadata": { "managedFields": [{}] } })),
        case("apply: managedFields are set to nothing by an update")
            .apply("a", record("a"))
            .merge_patch("a", json!({ "metadata": { "managedFields": [] } })),
        case("apply: managedFields that are invalid")
            .apply("a", record("a"))
            .merge_patch(
                "a",
                json!({ "metadata": { "managedFields": [{ "operation": "X" }] } }),
            ),
        case("apply: managedFields of a create are kept").post(with(
            record("a"),
            json!({ "metadata": { "managedFields": [{
                "manager": "m", "operation": "Apply", "apiVersion": "{group}/v1alpha1",
                "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:source": {} } },
                "time": "2020-01-01T00:00:00Z",
            }] } }),
        )),
        case("apply: nothing instead of what is owned")
            .apply("a", data(json!({ "a": "1" })))
            .apply("a", data(json!({}))),
        case("apply: YAML")
            .send("PATCH", "/a")
            .query("fieldManager=one")
            .text(
                APPLY,
                "apiVersion: {group}/v1alpha1\nkind: DataRecord\nmetadata:\n  name: a\nspec:\n  source: yaml\n",
            ),
        case("apply: without a name in the body").apply(
            "a",
            with(record("a"), json!({ "metadata": { "name": null } })),
        ),
        case("apply: a status is dropped").apply(
            "a",
            with(record("a"), json!({ "status": { "syncStatus": "Stale" } })),
        ),
        case("apply: to the status")
            .post(record("a"))
            .send("PATCH", "/a/status")
            .query("fieldManager=one")
            .body(
                APPLY,
                with(
                    record("a"),
                    json!({ "spec": null, "status": { "syncStatus": "Stale" } }),
                ),
            ),
        case("apply: finalizers of two managers")
            .apply(
                "a",
                with(
                    record("a"),
                    json!({ "metadata": { "finalizers": ["example.com/a"] } }),
                ),
            )
            .apply(
                "a",
                with(
                    record("a"),
                    json!({ "metadata": { "finalizers": ["example.com/b"] } }),
                ),
            )
            .query("fieldManager=two")
            .merge_patch("a", json!({ "metadata": { "finalizers": null } })),
        case("apply: by way of two versions of a field").apply("a", data(json!({ "a": "1" })))
            .apply("a", data(json!({ "b": "1" }))).query("fieldManager=two")
            .apply("a", record("a")),
        case("apply: a create by POST names its manager").post(record("a"))
            .query("fieldManager=one")
            .apply("a", spec(json!({ "query": "x" }))).query("fieldManager=one"),
        case("apply: a JSON patch takes a field over").apply("a", spec(json!({ "query": "x" })))
            .json_patch("a", json!([{ "op": "replace", "path": "/spec/query", "value": "y" }]))
            .query("fieldManager=two"),
        case("apply: a PUT takes a field over").apply("a", spec(json!({ "query": "x" }))).keep("a")
            .put("a", with(spec(json!({ "query": "y" })),
                json!({ "metadata": { "resourceVersion": "{a.metadata.resourceVersion}" } })))
            .query("fieldManager=two"),
        case("apply: labels and annotations of two managers")
            .apply("a", with(record("a"), json!({ "metadata": { "labels": { "a": "1" } } })))
            .apply("a", with(record("a"), json!({ "metadata": { "labels": { "b": "1" },
                "annotations": { "c": "1" } } }))).query("fieldManager=two")
            .apply("a", record("a")),
        case("apply: owner references of two managers")
            .apply("a", with(record("a"), owners("1")))
            .apply("a", with(record("a"), owners("2"))).query("fieldManager=two"),
        case("apply: what an update of the status owns").post(record("a"))
            .send("PATCH", "/a/status").query("fieldManager=two")
            .body("application/merge-patch+json", json!({ "status": { "syncStatus": "Stale" } }))
            .apply("a", spec(json!({ "query": "x" }))),
        case("apply: seen by a watch").post(record("b")).keep("b")
            .watch("resourceVersion={b.metadata.resourceVersion}")
            .apply("a", record("a")).apply("a", record("a"))
            .apply("a", spec(json!({ "query": "x" }))).events(2),
        case("apply: to what is being deleted")
            .apply("a", with(record("a"), json!({ "metadata": { "finalizers": ["example.com/a"] } })))
            .delete("a").apply("a", record("a")).get("a"),
        case("apply: as a Table").apply("a", record("a"))
            .accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
        case("apply: dry run")
            .apply("a", record("a"))
            .query("fieldManager=one&dryRun=All")
            .get("a"),
        case("apply: with a resourceVersion creates").apply(
            "a",
            with(
                record("a"),
                json!({ "metadata": { "resourceVersion": "1" } }),
            ),
        ),
        case("apply: its resourceVersion")
            .apply("a", record("a"))
            .keep("a")
            .apply(
                "a",
                with(
                    spec(json!({ "query": "x" })),
                    json!({ "metadata": { "resourceVersion": "{a.metadata.resourceVersion}" } }),
                ),
            ),
    ]
}
