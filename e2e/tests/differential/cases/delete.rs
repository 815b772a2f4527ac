//! Delete of one object.

use serde_json::{Value, json};

use crate::case::{Case, JSON, case, record};

/// V1, V8, V9, V10: options, preconditions and what is answered.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| case(name).post(record("a")).keep("a").delete("a");
    let options = |name, fields: Value| {
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
        options
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        begun(name).body(JSON, options).get("a")
    };
    // The garbage collector ends these soon, so nobody looks again.
    let collected = |name, fields: Value| begun(name).body(JSON, fields);
    let bare = |name, body: Value| begun(name).body(JSON, body).get("a");
    let preconditions = |name, fields| options(name, json!({ "preconditions": fields }));
    let other_uid = "00000000-0000-0000-0000-000000000001";
    vec![
        begun("delete: an object").get("a"),
        options("delete: with options", json!({})),
        options(
            "delete: a grace period",
            json!({ "gracePeriodSeconds": 30 }),
        ),
        options(
            "delete: no grace period",
            json!({ "gracePeriodSeconds": 0 }),
        ),
        options(
            "delete: a negative grace period",
            json!({ "gracePeriodSeconds": -1 }),
        ),
        options(
            "delete: in the background",
            json!({ "propagationPolicy": "Background" }),
        ),
        collected(
            "delete: in the foreground",
            json!({ "propagationPolicy": "Foreground" }),
        ),
        collected("delete: orphans", json!({ "propagationPolicy": "Orphan" })),
        options(
            "delete: an unknown policy",
            json!({ "propagationPolicy": "Other" }),
        ),
        collected(
            "delete: orphanDependents true",
            json!({ "orphanDependents": true }),
        ),
        collected(
            "delete: orphanDependents false",
            json!({ "orphanDependents": false }),
        ),
        options(
            "delete: policy and orphanDependents",
            json!({ "orphanDependents": false, "propagationPolicy": "Background" }),
        ),
        options("delete: dry run", json!({ "dryRun": ["All"] })),
        options("delete: an unknown dry run", json!({ "dryRun": ["Some"] })),
        options("delete: unknown options", json!({ "x": 1 })),
        options(
            "delete: options of a wrong type",
            json!({ "gracePeriodSeconds": "x" }),
        ),
        preconditions("delete: its uid", json!({ "uid": "{a.metadata.uid}" })),
        preconditions("delete: another uid", json!({ "uid": other_uid })),
        preconditions(
            "delete: its resourceVersion",
            json!({ "resourceVersion": "{a.metadata.resourceVersion}" }),
        ),
        preconditions(
            "delete: another resourceVersion",
            json!({ "resourceVersion": "1" }),
        ),
        preconditions(
            "delete: another uid and resourceVersion",
            json!({ "uid": other_uid, "resourceVersion": "1" }),
        ),
        bare(
            "delete: options without a kind",
            json!({ "gracePeriodSeconds": 0 }),
        ),
        bare(
            "delete: options of meta.k8s.io",
            json!({ "apiVersion": "meta.k8s.io/v1", "kind": "DeleteOptions" }),
        ),
        bare(
            "delete: options of the group",
            json!({ "apiVersion": "{group}/v1alpha1", "kind": "DeleteOptions" }),
        ),
        bare(
            "delete: options of an unknown group",
            json!({ "apiVersion": "a/b", "kind": "DeleteOptions" }),
        ),
        bare(
            "delete: another kind",
            json!({ "apiVersion": "v1", "kind": "Pod" }),
        ),
        bare("delete: the object itself", record("a")),
        begun("delete: no JSON").text(JSON, "{").get("a"),
        begun("delete: a list").text(JSON, "[]").get("a"),
        begun("delete: YAML")
            .text("application/yaml", "gracePeriodSeconds: 0\n")
            .get("a"),
        begun("delete: an unknown content type")
            .text("text/plain", "x")
            .get("a"),
        begun("delete: a grace period in the query")
            .query("gracePeriodSeconds=5")
            .get("a"),
        begun("delete: a policy in the query")
            .query("propagationPolicy=Background")
            .get("a"),
        begun("delete: an unknown policy in the query")
            .query("propagationPolicy=Other")
            .get("a"),
        begun("delete: dry run in the query")
            .query("dryRun=All")
            .get("a"),
        begun("delete: an unknown dry run in the query")
            .query("dryRun=Some")
            .get("a"),
        begun("delete: another uid in the query")
            .query(&format!("uid={other_uid}"))
            .get("a"),
        begun("delete: another resourceVersion in the query")
            .query("resourceVersion=0")
            .get("a"),
        begun("delete: orphanDependents in the query")
            .query("orphanDependents=false")
            .get("a"),
        begun("delete: query and body")
            .query("dryRun=All")
            .body(JSON, json!({}))
            .get("a"),
        begun("delete: twice").delete("a"),
        case("delete: nothing of this name").delete("a"),
        case("delete: nothing, as a dry run")
            .delete("a")
            .query("dryRun=All"),
        case("delete: in a namespace that does not exist").send_to(
            "DELETE",
            "/apis/{group}/v1alpha1/namespaces/{own}/datarecords/a",
        ),
    ]
}
