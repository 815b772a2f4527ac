//! Unknown and duplicate fields.

use serde_json::json;

use crate::case::{Case, JSON, MERGE_PATCH, case, record, with};

/// A5, X2: what is warned of, ignored and refused.
pub(crate) fn cases() -> Vec<Case> {
    let unknown = || {
        with(
            record("a"),
            json!({ "spec": { "x": 1, "y": { "z": 1 } }, "w": true }),
        )
    };
    let twice = "{\"apiVersion\":\"{group}/v1alpha1\",\"kind\":\"DataRecord\",\
        \"metadata\":{\"name\":\"a\"},\"spec\":{\"source\":\"a\",\"source\":\"b\"}}";
    let ignore = "fieldValidation=Ignore";
    let warn = "fieldValidation=Warn";
    let strict = "fieldValidation=Strict";
    let begun = |name| case(name).post(record("a")).keep("a");
    let put = |name| {
        let version = json!({ "metadata": { "resourceVersion": "{a.metadata.resourceVersion}" } });
        begun(name).put("a", with(unknown(), version))
    };
    let merge = |name| begun(name).merge_patch("a", json!({ "spec": { "x": 1, "query": "q" } }));
    let json_patch =
        |name| begun(name).json_patch("a", json!([{ "op": "add", "path": "/spec/x", "value": 1 }]));
    let repeated = "{\"spec\":{\"query\":\"1\",\"query\":\"2\"}}";
    vec![
        case("field validation: create").post(unknown()),
        case("field validation: create, Ignore")
            .post(unknown())
            .query(ignore),
        case("field validation: create, Warn")
            .post(unknown())
            .query(warn),
        case("field validation: create, Strict")
            .post(unknown())
            .query(strict),
        case("field validation: create, unknown value")
            .post(unknown())
            .query("fieldValidation=x"),
        case("field validation: create, empty value")
            .post(unknown())
            .query("fieldValidation="),
        case("field validation: create, duplicates")
            .send("POST", "")
            .text(JSON, twice),
        case("field validation: create, duplicates, Ignore")
            .send("POST", "")
            .text(JSON, twice)
            .query(ignore),
        case("field validation: create, duplicates, Strict")
            .send("POST", "")
            .text(JSON, twice)
            .query(strict),
        case("field validation: create, unknown metadata").post(with(
            record("a"),
            json!({ "metadata": { "x": 1, "labels": { "a": "b" } } }),
        )),
        case("field validation: create, unknown metadata, Strict")
            .post(with(record("a"), json!({ "metadata": { "x": 1 } })))
            .query(strict),
        case("field validation: create, unknown fields in a reference").post(with(
            record("a"),
            json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap",
                "name": "x", "uid": "00000000-0000-0000-0000-000000000001", "x": 1 }] } }),
        )),
        case("field validation: create, another case of a letter")
            .post(with(record("a"), json!({ "spec": { "Query": "x" } }))),
        case("field validation: create, a quote in a name")
            .post(with(record("a"), json!({ "spec": { "a\"b": 1 } }))),
        case("field validation: create, a newline in a name")
            .post(with(record("a"), json!({ "spec": { "a\nb": 1 } }))),
        case("field validation: create, unknown in a status")
            .post(with(record("a"), json!({ "status": { "x": 1 } }))),
        case("field validation: update, unknown value")
            .put("a", unknown())
            .query("fieldValidation=x"),
        put("field validation: update"),
        put("field validation: update, Ignore").query(ignore),
        put("field validation: update, Strict").query(strict),
        merge("field validation: merge patch"),
        merge("field validation: merge patch, Ignore").query(ignore),
        merge("field validation: merge patch, Strict").query(strict),
        merge("field validation: merge patch, unknown value").query("fieldValidation=x"),
        begun("field validation: merge patch, duplicates")
            .send("PATCH", "/a")
            .text(MERGE_PATCH, repeated),
        begun("field validation: merge patch, duplicates, Strict")
            .send("PATCH", "/a")
            .text(MERGE_PATCH, repeated)
            .query(strict),
        json_patch("field validation: json patch"),
        json_patch("field validation: json patch, Strict").query(strict),
        begun("field validation: json patch, duplicates")
            .send("PATCH", "/a")
            .text(
                "application/json-patch+json",
                "[{\"op\":\"add\",\"op\":\"add\",\
                \"path\":\"/spec/query\",\"value\":\"q\"}]",
            ),
        begun("field validation: status")
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, json!({ "status": { "x": 1 } })),
        begun("field validation: status, Strict")
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, json!({ "status": { "x": 1 } }))
            .query(strict),
        case("field validation: many warnings").post(with(
            record("a"),
            json!({ "spec":
            (0..60).map(|i| (format!("{}{i:02}", "x".repeat(100)), json!(1)))
                .collect::<serde_json::Map<_, _>>() }),
        )),
    ]
}
