//! What server-side apply refuses.

use serde_json::json;

use super::apply::spec;
use crate::case::{APPLY, Case, case, record, with};

/// A2, A5: what apply refuses.
pub(crate) fn cases() -> Vec<Case> {
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
