//! Server-side apply.

use serde_json::{Value, json};

use crate::case::{APPLY, Case, case, record, with};

fn spec(spec: Value) -> Value {
    with(record("a"), json!({ "spec": spec }))
}

fn data(data: Value) -> Value {
    spec(json!({ "data": data }))
}

/// A2, A3, A7: what managers own, share and give up.
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
        case("apply: null").apply("a", spec(json!({ "query": null }))),
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

/// A2, A5: what apply refuses.
pub(crate) fn refusals() -> Vec<Case> {
    let metadata = |metadata| with(record("a"), json!({ "metadata": metadata }));
    let sent = |name, body: &str| {
        case(name)
            .send("PATCH", "/a")
            .query("fieldManager=one")
            .text(APPLY, body)
    };
    vec![
        case("apply: no manager").apply("a", record("a")).query(""),
        case("apply: an empty manager")
            .apply("a", record("a"))
            .query("fieldManager="),
        case("apply: a long manager")
            .apply("a", record("a"))
            .query(&format!("fieldManager={}", "x".repeat(129))),
        case("apply: a manager that cannot be printed")
            .apply("a", record("a"))
            .query("fieldManager=a%0Ab"),
        case("apply: force that is none")
            .apply("a", record("a"))
            .query("fieldManager=one&force=maybe"),
        case("apply: an empty list of managedFields")
            .apply("a", metadata(json!({ "managedFields": [] }))),
        case("apply: managedFields").apply("a", metadata(json!({ "managedFields": [{}] }))),
        case("apply: a uid of nothing").apply(
            "a",
            metadata(json!({ "uid": "00000000-0000-0000-0000-000000000001" })),
        ),
        case("apply: another uid").apply("a", record("a")).apply(
            "a",
            metadata(json!({ "uid": "00000000-0000-0000-0000-000000000001" })),
        ),
        case("apply: another name").apply("a", metadata(json!({ "name": "b" }))),
        case("apply: another namespace").apply("a", metadata(json!({ "namespace": "other" }))),
        case("apply: another kind").apply("a", with(record("a"), json!({ "kind": "Other" }))),
        case("apply: another apiVersion")
            .apply("a", with(record("a"), json!({ "apiVersion": "v1" }))),
        case("apply: another version").apply(
            "a",
            with(record("a"), json!({ "apiVersion": "{group}/v9" })),
        ),
        case("apply: no apiVersion").apply("a", with(record("a"), json!({ "apiVersion": null }))),
        case("apply: no kind").apply("a", with(record("a"), json!({ "kind": null }))),
        case("apply: an undeclared field").apply("a", spec(json!({ "x": 1 }))),
        case("apply: an undeclared field, ignored")
            .apply("a", spec(json!({ "x": 1 })))
            .query("fieldManager=one&fieldValidation=Ignore"),
        case("apply: an undeclared field, strict")
            .apply("a", spec(json!({ "x": 1 })))
            .query("fieldManager=one&fieldValidation=Strict"),
        case("apply: a wrong type").apply("a", spec(json!({ "query": 1 }))),
        case("apply: an invalid object").apply("a", spec(json!({ "source": null, "query": "x" }))),
        case("apply: an old resourceVersion")
            .apply("a", record("a"))
            .apply(
                "a",
                with(
                    spec(json!({ "query": "x" })),
                    json!({ "metadata": { "resourceVersion": "1" } }),
                ),
            ),
        sent("apply: a list", "[]"),
        sent("apply: text", "text"),
        sent("apply: an empty body", ""),
        sent("apply: no YAML", "a: b: c"),
        sent(
            "apply: duplicate keys",
            "apiVersion: {group}/v1alpha1\nkind: DataRecord\nmetadata:\n  name: a\nspec:\n  \
            source: a\n  source: b\n",
        ),
        sent(
            "apply: duplicate keys, strict",
            "apiVersion: {group}/v1alpha1\nkind: DataRecord\nmetadata:\n  name: a\n\
            spec:\n  source: a\n  source: b\n",
        )
        .query("fieldManager=one&fieldValidation=Strict"),
        case("apply: to the status of nothing")
            .send("PATCH", "/a/status")
            .query("fieldManager=one")
            .body(APPLY, record("a")),
        case("apply: to the collection")
            .send("PATCH", "")
            .query("fieldManager=one")
            .body(APPLY, record("a")),
    ]
}
