//! The rules of the schema.

use serde_json::{Value, json};

use crate::case::{Case, JSON, case, record, with};

/// V14, S1: wrong types and missing fields, one and several.
pub(crate) fn cases() -> Vec<Case> {
    let created = |name, spec: Value| case(name).post(with(record("a"), json!({ "spec": spec })));
    let whole = |name, spec: Value| {
        let mut object = record("a");
        object["spec"] = spec;
        case(name).post(object)
    };
    vec![
        whole("schema: no spec", Value::Null),
        case("schema: spec is absent").post(with(record("a"), json!({ "spec": null }))),
        whole("schema: an empty spec", json!({})),
        whole("schema: a spec that is text", json!("x")),
        whole("schema: a spec that is a list", json!([])),
        created("schema: a source that is a number", json!({ "source": 1 })),
        created("schema: a source that is an object", json!({ "source": { "a": 1 } })),
        created("schema: a query that is true", json!({ "query": true })),
        created("schema: data that is text", json!({ "data": "x" })),
        created("schema: a number in data", json!({ "data": { "a": 1 } })),
        created("schema: several faults", json!({ "source": 1, "query": 2, "data": { "a": [], "b": 1.5 } })),
        created("schema: an empty source", json!({ "source": "" })),
        created("schema: unicode", json!({ "source": "\u{e4}\u{1F600}\u{2028}", "query": "<&>" })),
        case("schema: escapes of other characters").send("POST", "").text(JSON,
            "{\"apiVersion\":\"{group}/v1alpha1\",\"kind\":\"DataRecord\",\"metadata\":{\"name\":\"a\"},\
            \"spec\":{\"source\":\"\\u0041\\/\\u003c\"}}"),
        case("schema: a null field").send("POST", "").text(JSON,
            "{\"apiVersion\":\"{group}/v1alpha1\",\"kind\":\"DataRecord\",\"metadata\":{\"name\":\"a\"},\
            \"spec\":{\"source\":\"a\",\"query\":null,\"data\":null}}"),
        case("schema: null in a map").send("POST", "").text(JSON,
            "{\"apiVersion\":\"{group}/v1alpha1\",\"kind\":\"DataRecord\",\"metadata\":{\"name\":\"a\"},\
            \"spec\":{\"source\":\"a\",\"data\":{\"x\":null}}}"),
        case("schema: a null source").send("POST", "").text(JSON,
            "{\"apiVersion\":\"{group}/v1alpha1\",\"kind\":\"DataRecord\",\"metadata\":{\"name\":\"a\"},\
            \"spec\":{\"source\":null}}"),
        case("schema: a null status").send("POST", "").text(JSON,
            "{\"apiVersion\":\"{group}/v1alpha1\",\"kind\":\"DataRecord\",\"metadata\":{\"name\":\"a\"},\
            \"spec\":{\"source\":\"a\"},\"status\":null}"),
        created("schema: faults of schema and metadata", json!({ "source": 1 }))
            .post(with(record("A"), json!({ "spec": { "source": 1 } }))),
        created("schema: a large object", json!({ "data": { "a": "x".repeat(500_000) } })),
        created("schema: an object over the limit of the store",
            json!({ "data": { "a": "x".repeat(2_000_000) } })),
        created("schema: a body over the limit", json!({ "data": { "a": "x".repeat(3_200_000) } })),
    ]
}
