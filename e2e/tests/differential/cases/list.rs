//! LIST.

use serde_json::json;

use crate::case::{Case, EVERYWHERE, case, record, with};

/// L1, L2, L3, L5: items, their order, and resource versions.
pub(crate) fn cases() -> Vec<Case> {
    let two = |name| case(name).post(record("b")).post(record("a")).keep("a");
    let listed = |name, query: &str| two(name).list(query);
    let at = |query: &str| format!("resourceVersion={{a.metadata.resourceVersion}}&{query}");
    vec![
        case("list: nothing").list(""),
        case("list: nothing in a namespace that does not exist")
            .send_to("GET", "/apis/{group}/v1alpha1/namespaces/{own}/datarecords"),
        listed("list: in the order of names", ""),
        two("list: all namespaces")
            .send_to("GET", EVERYWHERE)
            .query("fieldSelector=metadata.namespace={ns}"),
        two("list: an exact revision")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .list(&at("resourceVersionMatch=Exact")),
        two("list: an exact revision before a delete")
            .delete("b")
            .list(&at("resourceVersionMatch=Exact")),
        listed(
            "list: not older than",
            &at("resourceVersionMatch=NotOlderThan"),
        ),
        listed("list: at least", &at("")),
        two("list: at least, with a limit")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .list(&at("limit=5")),
        two("list: resourceVersion 0")
            .list("")
            .list("resourceVersion=0"),
        two("list: resourceVersion 0 with a limit")
            .list("")
            .list("resourceVersion=0&limit=1"),
        two("list: 0 and NotOlderThan")
            .list("")
            .list("resourceVersion=0&resourceVersionMatch=NotOlderThan"),
        listed(
            "list: 0 and Exact",
            "resourceVersion=0&resourceVersionMatch=Exact",
        ),
        listed(
            "list: a match without a revision",
            "resourceVersionMatch=Exact",
        ),
        listed(
            "list: NotOlderThan without a revision",
            "resourceVersionMatch=NotOlderThan",
        ),
        listed("list: an unknown match", &at("resourceVersionMatch=Other")),
        listed(
            "list: an unknown match without a revision",
            "resourceVersionMatch=Other",
        ),
        listed("list: a revision that is none", "resourceVersion=x"),
        listed("list: a negative revision", "resourceVersion=-1"),
        listed(
            "list: a revision from the future",
            "resourceVersion=9223372036854775807",
        ),
        listed(
            "list: exactly a revision from the future",
            "resourceVersion=9223372036854775807&resourceVersionMatch=Exact",
        ),
        listed("list: an empty revision", "resourceVersion="),
        listed("list: sendInitialEvents", "sendInitialEvents=true"),
        listed(
            "list: sendInitialEvents with a match",
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        ),
        listed("list: sendInitialEvents false", "sendInitialEvents=false"),
        listed("list: allowWatchBookmarks", "allowWatchBookmarks=true"),
        listed("list: watch false", "watch=false"),
        listed("list: watch 0", "watch=0"),
        listed("list: timeoutSeconds", "timeoutSeconds=5"),
        listed("list: timeoutSeconds that is none", "timeoutSeconds=x"),
        listed("list: unknown parameters", "a=b"),
        listed("list: pretty", "pretty=true"),
        listed("list: a shard selector", "shardSelector=x"),
        two("list: after a delete").delete("a").list(""),
        case("list: objects that are being deleted")
            .post(with(
                record("a"),
                json!({ "metadata": { "finalizers": ["example.com/x"] } }),
            ))
            .delete("a")
            .list(""),
        two("list: a named request by a field").list("fieldSelector=metadata.name=a"),
        two("list: a revision twice")
            .list("")
            .list("resourceVersion=0&resourceVersion=x"),
    ]
}
