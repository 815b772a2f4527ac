//! Delete of a collection.

use serde_json::json;

use crate::case::{Case, EVERYWHERE, JSON, case, record, with};

fn begun(name: &'static str) -> Case {
    let labelled = |name, value| {
        with(
            record(name),
            json!({ "metadata": { "labels": { "a": value } } }),
        )
    };
    case(name)
        .post(labelled("one", "1"))
        .post(labelled("two", "2"))
        .post(with(
            labelled("three", "2"),
            json!({ "metadata": { "finalizers": ["example.com/x"] } }),
        ))
}

/// V1, V11: what is deleted and what is answered. Each ends with what is left.
pub(crate) fn cases() -> Vec<Case> {
    let deleted = |name, query: &str| begun(name).send("DELETE", "").query(query).list("");
    vec![
        deleted("delete collection: all", ""),
        deleted("delete collection: a label", "labelSelector=a=1"),
        deleted(
            "delete collection: a label that nothing has",
            "labelSelector=a=9",
        ),
        deleted(
            "delete collection: a field",
            "fieldSelector=metadata.name=two",
        ),
        deleted(
            "delete collection: another field",
            "fieldSelector=spec.source=test",
        ),
        deleted("delete collection: no selector", "labelSelector=a=="),
        deleted(
            "delete collection: a selector that is none",
            "labelSelector=,,",
        ),
        deleted("delete collection: limit", "limit=1"),
        deleted("delete collection: dry run", "dryRun=All"),
        deleted("delete collection: an unknown dry run", "dryRun=x"),
        deleted("delete collection: a grace period", "gracePeriodSeconds=3"),
        deleted(
            "delete collection: an unknown policy",
            "propagationPolicy=x",
        ),
        deleted(
            "delete collection: resourceVersionMatch alone",
            "resourceVersionMatch=Exact",
        ),
        deleted("delete collection: a resourceVersion", "resourceVersion=0"),
        begun("delete collection: options in the body")
            .send("DELETE", "")
            .body(JSON, json!({ "propagationPolicy": "Background" }))
            .list(""),
        begun("delete collection: a precondition")
            .send("DELETE", "")
            .body(JSON, json!({ "preconditions": { "uid": "x" } }))
            .list(""),
        begun("delete collection: another kind")
            .send("DELETE", "")
            .body(JSON, json!({ "apiVersion": "v1", "kind": "Pod" }))
            .list(""),
        case("delete collection: of nothing").send("DELETE", ""),
        case("delete collection: as a Table")
            .post(record("a"))
            .send("DELETE", "")
            .accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
        case("delete collection: of all namespaces").send_to("DELETE", EVERYWHERE),
        case("delete collection: of a namespace that does not exist").send_to(
            "DELETE",
            "/apis/{group}/v1alpha1/namespaces/{own}/datarecords",
        ),
    ]
}
