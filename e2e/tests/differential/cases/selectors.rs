//! Label and field selectors.

use serde_json::json;

use crate::case::{Case, EVERYWHERE, case, record, with};

fn selected(name: &'static str, query: &str) -> Case {
    let labelled = |name, labels| with(record(name), json!({ "metadata": { "labels": labels } }));
    case(name)
        .post(labelled("one", json!({ "app": "a", "tier": "1" })))
        .post(labelled("two", json!({ "app": "b", "tier": "" })))
        .post(record("three"))
        .list(query)
}

/// L6: what is selected, and what cannot be read.
pub(crate) fn cases() -> Vec<Case> {
    let label = |name, selector: &str| selected(name, &format!("labelSelector={selector}"));
    let field = |name, selector: &str| selected(name, &format!("fieldSelector={selector}"));
    vec![
        label("selectors: label equals", "app=a"),
        label("selectors: label equals twice", "app==a"),
        label("selectors: label is not", "app!=a"),
        label("selectors: label in", "app%20in%20(a,b)"),
        label("selectors: label not in", "app%20notin%20(a)"),
        label("selectors: label exists", "tier"),
        label("selectors: label does not exist", "!tier"),
        label("selectors: label is empty", "tier="),
        label("selectors: label greater", "tier%20%3E%200"),
        label("selectors: label less than text", "tier%20%3C%20x"),
        label("selectors: two labels", "app=a,tier=1"),
        label("selectors: spaces", "%20app%20=%20a%20"),
        label("selectors: nothing", ""),
        label("selectors: only a comma", ","),
        label("selectors: no label", "=a"),
        label("selectors: an open list", "app%20in%20(a"),
        label("selectors: an empty list", "app%20in%20()"),
        label("selectors: an unknown operator", "app%20is%20a"),
        label("selectors: a label that is none", "-app=a"),
        label("selectors: a value that is none", "app=a%20b"),
        label(
            "selectors: a long value",
            &format!("app={}", "x".repeat(64)),
        ),
        label("selectors: a prefix", "example.com/app=a"),
        label("selectors: two prefixes", "a/b/c=a"),
        label("selectors: a label exists and does not", "app,!app"),
        field("selectors: the name", "metadata.name=one"),
        field("selectors: the name twice equal", "metadata.name==one"),
        field("selectors: not the name", "metadata.name!=one"),
        field("selectors: the namespace", "metadata.namespace={ns}"),
        field("selectors: another namespace", "metadata.namespace=other"),
        field(
            "selectors: name and namespace",
            "metadata.name=one,metadata.namespace={ns}",
        ),
        field(
            "selectors: two names",
            "metadata.name=one,metadata.name=two",
        ),
        field("selectors: an unknown field", "spec.source=test"),
        field("selectors: an unknown metadata field", "metadata.uid=x"),
        field("selectors: a label as a field", "metadata.labels.app=a"),
        field("selectors: a field of the status", "status.syncStatus!=x"),
        field(
            "selectors: a good field and an unknown one",
            "metadata.name=one,spec.source=x",
        ),
        selected("selectors: an unknown field of a delete", "")
            .send("DELETE", "")
            .query("fieldSelector=spec.source=test")
            .list(""),
        field("selectors: no operator", "metadata.name"),
        field("selectors: an escape", "metadata.name=o%5C,e"),
        field("selectors: a bad escape", "metadata.name=o%5Ce"),
        field("selectors: no field", "=one"),
        field("selectors: a name that is none", "metadata.name=A_b"),
        field("selectors: an empty name", "metadata.name="),
        field("selectors: only a comma in fields", ","),
        selected(
            "selectors: label and field",
            "labelSelector=app&fieldSelector=metadata.name=two",
        ),
        selected("selectors: everywhere", "")
            .send_to("GET", EVERYWHERE)
            .query("fieldSelector=metadata.namespace={ns}&labelSelector=app=a"),
        label("selectors: a bad selector in a watch", "=a")
            .send("GET", "")
            .query("watch=true&labelSelector==a"),
        field("selectors: a bad field in a watch", "metadata.name=one")
            .send("GET", "")
            .query("watch=true&fieldSelector=spec.source=a"),
    ]
}
