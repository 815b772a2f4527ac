//! Create.

use serde_json::json;

use crate::case::{Case, JSON, case, record, with};

/// V1, V3, V4, V5: what is created, and what the server sets itself.
pub(crate) fn cases() -> Vec<Case> {
    let full = json!({ "spec": { "query": "q", "data": { "a": "1" } } });
    let labelled = json!({ "metadata": { "labels": { "a": "b" }, "annotations": { "c": "d" } } });
    let server_owned = json!({ "metadata": {
        "uid": "00000000-0000-0000-0000-000000000001", "generation": 7, "selfLink": "/x",
        "creationTimestamp": "2020-01-01T00:00:00Z", "deletionTimestamp": "2020-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 30,
    } });
    let version = |version: &str| json!({ "metadata": { "resourceVersion": version } });
    vec![
        case("create: an object and what GET then gives")
            .post(with(record("a"), full))
            .get("a"),
        case("create: with labels and annotations").post(with(record("a"), labelled)),
        case("create: fields of the server are overwritten")
            .post(with(record("a"), server_owned))
            .get("a"),
        case("create: a status is dropped").post(with(
            record("a"),
            json!({ "status": { "syncStatus": "Current" } }),
        )),
        case("create: a generated name").post(with(
            record("a"),
            json!({ "metadata": { "name": null, "generateName": "gen-" } }),
        )),
        case("create: generateName beside a name is kept").post(with(
            record("a"),
            json!({ "metadata": { "generateName": "gen-" } }),
        )),
        case("create: a long generateName is cut")
            .post(with(
                record("a"),
                json!({ "metadata": {
                "name": null, "generateName": format!("{}gen-{}", "x".repeat(54), "x".repeat(100)),
            } }),
            ))
            .list("limit=0"),
        case("create: the namespace may stand in the body").post(with(
            record("a"),
            json!({ "metadata": { "namespace": "{ns}" } }),
        )),
        case("create: apiVersion and kind may be missing").post(with(
            record("a"),
            json!({ "apiVersion": null, "kind": null }),
        )),
        case("create: resourceVersion 0 is as none").post(with(record("a"), version("0"))),
        case("create: an empty resourceVersion is as none").post(with(record("a"), version(""))),
        case("create: a second one of the same name")
            .post(record("a"))
            .post(record("a")),
        case("create: over an object that is being deleted")
            .post(with(
                record("a"),
                json!({ "metadata": { "finalizers": ["example.com/hold"] } }),
            ))
            .delete("a")
            .post(record("a")),
        case("create: again after a delete")
            .post(record("a"))
            .delete("a")
            .post(record("a")),
        case("create: by POST to a name")
            .send("POST", "/a")
            .body(JSON, record("a")),
        case("create: by POST to another name")
            .send("POST", "/b")
            .body(JSON, record("a")),
        case("create: owner references are kept").post(with(
            record("a"),
            json!({ "metadata": {
            "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "x",
                "uid": "00000000-0000-0000-0000-000000000002", "blockOwnerDeletion": true }],
        } }),
        )),
        case("create: the field manager of the query")
            .post(record("a"))
            .query("fieldManager=somebody"),
        case("create: pretty")
            .post(record("a"))
            .query("pretty=true"),
    ]
}

/// V2, V3, V13, V14: what is refused.
pub(crate) fn refusals() -> Vec<Case> {
    let metadata = |metadata| with(record("a"), json!({ "metadata": metadata }));
    vec![
        case("create: another namespace").post(metadata(json!({ "namespace": "other" }))),
        case("create: another apiVersion").post(with(record("a"), json!({ "apiVersion": "v1" }))),
        case("create: another version of the group")
            .post(with(record("a"), json!({ "apiVersion": "{group}/v9" }))),
        case("create: another kind").post(with(record("a"), json!({ "kind": "Other" }))),
        case("create: kind and apiVersion are not equal")
            .post(with(record("a"), json!({ "apiVersion": "a/b/c" }))),
        case("create: without a name").post(metadata(json!({ "name": null }))),
        case("create: without metadata").post(with(record("a"), json!({ "metadata": null }))),
        case("create: an empty name").post(metadata(json!({ "name": "" }))),
        case("create: with a resourceVersion").post(metadata(json!({ "resourceVersion": "1" }))),
        case("create: with a resourceVersion that is none")
            .post(metadata(json!({ "resourceVersion": "x" }))),
        case("create: an empty body")
            .send("POST", "")
            .header("content-type", JSON),
        case("create: a body that is no JSON")
            .send("POST", "")
            .text(JSON, "{"),
        case("create: a body with text after it")
            .send("POST", "")
            .text(JSON, &format!("{} x", record("a"))),
        case("create: a body that is an array")
            .send("POST", "")
            .body(JSON, json!([])),
        case("create: a body that is null")
            .send("POST", "")
            .text(JSON, "null"),
        case("create: a body that is text")
            .send("POST", "")
            .text(JSON, "\"a\""),
        case("create: an empty object").post(json!({})),
        case("create: metadata that is no object")
            .post(with(record("a"), json!({ "metadata": "x" }))),
        case("create: a label that is no text").post(metadata(json!({ "labels": { "a": 1 } }))),
        case("create: labels that are a list").post(metadata(json!({ "labels": ["a"] }))),
        case("create: a creationTimestamp that is none")
            .post(metadata(json!({ "creationTimestamp": "yesterday" }))),
        case("create: a generation that is text").post(metadata(json!({ "generation": "1" }))),
        case("create: a list").post(json!({
            "apiVersion": "{group}/v1alpha1", "kind": "DataRecordList", "items": [record("a")],
        })),
        case("create: an unknown content type")
            .send("POST", "")
            .body("text/plain", record("a")),
        case("create: a merge patch")
            .send("POST", "")
            .body("application/merge-patch+json", record("a")),
        case("create: deep JSON is refused").send("POST", "").text(
            JSON,
            &format!(
                "{{\"apiVersion\":\"{{group}}/v1alpha1\",\"kind\":\"DataRecord\",\"x\":{}{}}}",
                "[".repeat(11_000),
                "]".repeat(11_000),
            ),
        ),
        case("create: in a namespace that does not exist")
            .send_to(
                "POST",
                "/apis/{group}/v1alpha1/namespaces/{own}/datarecords",
            )
            .body(JSON, record("a")),
        case("create: in a namespace that is being deleted")
            .send_to("POST", "/api/v1/namespaces")
            .body(
                JSON,
                json!({ "metadata": { "name": "{own}", "finalizers": ["example.com/x"] } }),
            )
            .send_to("DELETE", "/api/v1/namespaces/{own}")
            .send_to(
                "POST",
                "/apis/{group}/v1alpha1/namespaces/{own}/datarecords",
            )
            .body(JSON, record("a"))
            .query("dryRun=All")
            .until(403)
            .send_to("PATCH", "/api/v1/namespaces/{own}")
            .body(
                "application/merge-patch+json",
                json!({ "metadata": { "finalizers": null } }),
            ),
    ]
}
