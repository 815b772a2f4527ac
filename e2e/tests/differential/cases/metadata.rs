//! The rules of metadata.

use serde_json::{Value, json};

use crate::case::{Case, case, record, with};

/// V2, V12, S1: names, labels, annotations and owner references.
pub(crate) fn cases() -> Vec<Case> {
    let created =
        |name, metadata: Value| case(name).post(with(record("a"), json!({ "metadata": metadata })));
    let reference = |fields: Value| {
        let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x",
            "uid": "00000000-0000-0000-0000-000000000001" });
        object
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        object
    };
    let owned = |name, fields| created(name, json!({ "ownerReferences": [reference(fields)] }));
    let controllers = json!([
        reference(json!({ "controller": true })),
        reference(
            json!({ "controller": true, "name": "y", "uid": "00000000-0000-0000-0000-000000000002" })
        )
    ]);
    vec![
        created(
            "metadata rules: a capital in the name",
            json!({ "name": "A" }),
        ),
        created(
            "metadata rules: an underscore in the name",
            json!({ "name": "a_b" }),
        ),
        created(
            "metadata rules: a dot in the name",
            json!({ "name": "a.b" }),
        ),
        created(
            "metadata rules: a slash in the name",
            json!({ "name": "a/b" }),
        ),
        created("metadata rules: the name ..", json!({ "name": ".." })),
        created(
            "metadata rules: a percent in the name",
            json!({ "name": "a%b" }),
        ),
        created(
            "metadata rules: a name of 253",
            json!({ "name": "x".repeat(253) }),
        ),
        created(
            "metadata rules: a name of 254",
            json!({ "name": "x".repeat(254) }),
        ),
        created(
            "metadata rules: a name that is a number",
            json!({ "name": 1 }),
        ),
        created(
            "metadata rules: a generateName that is none",
            json!({ "name": null, "generateName": "Agen-" }),
        ),
        created(
            "metadata rules: a label key that is none",
            json!({ "labels": { "a b": "x" } }),
        ),
        created(
            "metadata rules: a label value that is none",
            json!({ "labels": { "a": "x y" } }),
        ),
        created(
            "metadata rules: a long label value",
            json!({ "labels": { "a": "x".repeat(64) } }),
        ),
        created(
            "metadata rules: a long label key",
            json!({ "labels": { "x".repeat(64): "" } }),
        ),
        created(
            "metadata rules: an empty label key",
            json!({ "labels": { "": "x" } }),
        ),
        created(
            "metadata rules: a label prefix that is none",
            json!({ "labels": { "A_/b": "x" } }),
        ),
        created(
            "metadata rules: two bad labels",
            json!({ "labels": { "a b": "x", "c": "x y" } }),
        ),
        created(
            "metadata rules: a null label",
            json!({ "labels": { "a": null } }),
        ),
        created("metadata rules: empty labels", json!({ "labels": {} })),
        created(
            "metadata rules: an annotation key that is none",
            json!({ "annotations": { "a b": "x" } }),
        ),
        created(
            "metadata rules: capitals in an annotation key",
            json!({ "annotations": { "Example.com/A": "x" } }),
        ),
        created(
            "metadata rules: large annotations",
            json!({ "annotations": { "a": "x".repeat(256 * 1024) } }),
        ),
        created(
            "metadata rules: an annotation that is a number",
            json!({ "annotations": { "a": 1 } }),
        ),
        created(
            "metadata rules: a negative generation",
            json!({ "generation": -1 }),
        ),
        owned(
            "metadata rules: an owner without a uid",
            json!({ "uid": "" }),
        ),
        owned(
            "metadata rules: an owner without a name",
            json!({ "name": "" }),
        ),
        owned(
            "metadata rules: an owner without a kind",
            json!({ "kind": "" }),
        ),
        owned(
            "metadata rules: an owner without an apiVersion",
            json!({ "apiVersion": "" }),
        ),
        owned(
            "metadata rules: an owner of a bad apiVersion",
            json!({ "apiVersion": "a/b/c" }),
        ),
        owned(
            "metadata rules: an owner that is an event",
            json!({ "apiVersion": "v1", "kind": "Event" }),
        ),
        created(
            "metadata rules: two controllers",
            json!({ "ownerReferences": controllers }),
        ),
        created(
            "metadata rules: the same owner twice",
            json!({ "ownerReferences": [reference(json!({})), reference(json!({}))] }),
        ),
        created(
            "metadata rules: several faults at once",
            json!({ "name": "A", "labels": { "a b": "x" }, "finalizers": ["x y"] }),
        ),
        created(
            "metadata rules: null fields",
            json!({ "labels": null, "annotations": null }),
        ),
        case("metadata rules: a namespace that cannot be")
            .send_to("POST", "/apis/{group}/v1alpha1/namespaces/A_b/datarecords")
            .body("application/json", record("a")),
    ]
}
