//! Nulls in objects and patches.

use serde_json::{Value, json};

use crate::case::{APPLY, Case, JSON, case, record};

/// A record with nulls, which [`crate::case::with`] would take for a removal.
fn nulls(metadata: &Value, spec: &str) -> String {
    format!(
        "{{\"apiVersion\":\"{{group}}/v1alpha1\",\"kind\":\"DataRecord\",\"metadata\":{metadata},\
         \"spec\":{{\"source\":\"a\",{spec}}}}}"
    )
}

/// S1, A1, A2: where null says nothing it is dropped.
pub(crate) fn cases() -> Vec<Case> {
    let named = json!({ "name": "a" });
    let created = |name, spec: &str| {
        let body = nulls(&named, spec);
        case(name).send("POST", "").text(JSON, &body)
    };
    let updated = |name, spec: &str| {
        let version = json!({ "name": "a", "resourceVersion": "{a.metadata.resourceVersion}" });
        let case = case(name).post(record("a")).keep("a");
        case.send("PUT", "/a").text(JSON, &nulls(&version, spec))
    };
    let applied = |case: Case, spec: &str| {
        let case = case
            .send("PATCH", "/a")
            .query("fieldManager=one&force=true");
        case.text(APPLY, &nulls(&named, spec))
    };
    let data = "\"query\":null,\"data\":{\"x\":null,\"y\":\"1\"}";
    let unknown = "\"unknown\":null,\"data\":{\"x\":null}";
    let add = |path: &str| json!([{ "op": "add", "path": path, "value": null }]);
    vec![
        created("nulls: a create", data).get("a"),
        created("nulls: a create with an unknown field", unknown),
        created("nulls: a strict create", data).query("fieldValidation=Strict"),
        updated("nulls: an update", data).get("a"),
        updated("nulls: an update that only adds nulls", "\"query\":null").get("a"),
        case("nulls: a JSON patch")
            .post(record("a"))
            .json_patch("a", add("/spec/query"))
            .json_patch("a", add("/spec/source")),
        case("nulls: a merge patch of a map")
            .post(record("a"))
            .merge_patch("a", json!({ "spec": { "data": { "x": null, "y": "1" } } }))
            .merge_patch("a", json!({ "spec": { "data": { "x": null } } })),
        applied(case("nulls: an apply"), data).get("a"),
        applied(case("nulls: an apply of a field"), "\"query\":null").get("a"),
        applied(applied(case("nulls: an apply again"), "\"data\":null"), "\"data\":null").get("a"),
        applied(applied(case("nulls: an apply over a value"), "\"query\":\"1\""), "\"query\":null")
            .get("a"),
        applied(case("nulls: an apply over an object").post(record("a")), data).get("a"),
        applied(case("nulls: an apply with an unknown field"), unknown),
        case("nulls: an apply without a source").send("PATCH", "/a").query("fieldManager=one").text(
            APPLY,
            "{\"apiVersion\":\"{group}/v1alpha1\",\"kind\":\"DataRecord\",\"spec\":{\"source\":null}}",
        ),
        case("nulls: a status")
            .post(record("a"))
            .send("PATCH", "/a/status")
            .body(crate::case::JSON_PATCH, json!([{ "op": "add", "path": "/status",
                "value": { "syncStatus": "Stale", "lastSyncTime": null } }])),
        case("nulls: metadata").send("POST", "").text(JSON, &nulls(
            &json!({ "name": "a", "finalizers": null, "ownerReferences": null, "managedFields": null }),
            "\"query\":null",
        )),
    ]
}
