//! Watches from a revision.

use serde_json::json;

use crate::case::{Case, MERGE_PATCH, case, record, with};

fn begun(name: &'static str) -> Case {
    case(name)
        .post(with(
            record("a"),
            json!({ "metadata": { "labels": { "x": "1" } } }),
        ))
        .keep("a")
}

fn label(value: &str) -> serde_json::Value {
    json!({ "metadata": { "labels": { "x": value } } })
}

/// W1, W2, W3, W4, W7, W8: events, their order, and how a watch begins and ends.
pub(crate) fn cases() -> Vec<Case> {
    let from = |query: &str| format!("resourceVersion={{a.metadata.resourceVersion}}&{query}");
    let ended = |name, query: &str| {
        begun(name)
            .watch(&format!("timeoutSeconds=3&{query}"))
            .end()
    };
    let refused = |name, query: &str| {
        begun(name)
            .send("GET", "")
            .query(&format!("watch=true&timeoutSeconds=3&{query}"))
    };
    vec![
        begun("watch: every change")
            .watch(&from(""))
            .post(record("b"))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .send("PATCH", "/a/status")
            .body(MERGE_PATCH, json!({ "status": { "syncStatus": "Stale" } }))
            .delete("a")
            .delete("b")
            .post(record("a"))
            .events(6),
        begun("watch: no event for no change")
            .watch(&from(""))
            .merge_patch("a", json!({}))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .events(1),
        begun("watch: into a selector and out")
            .watch(&from("labelSelector=x=2"))
            .merge_patch("a", label("2"))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .merge_patch("a", label("3"))
            .merge_patch("a", label("2"))
            .delete("a")
            .events(5),
        begun("watch: outside of a selector")
            .watch(&from("labelSelector=x=2"))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .delete("a")
            .post(with(record("b"), label("2")))
            .events(1),
        begun("watch: a name")
            .watch(&from("fieldSelector=metadata.name=b"))
            .post(record("c"))
            .post(record("b"))
            .events(1),
        begun("watch: a delete of a collection")
            .post(record("b"))
            .watch(&from(""))
            .send("DELETE", "")
            .events(3),
        begun("watch: everything from its own revision on")
            .merge_patch("a", label("2"))
            .merge_patch("a", label("3"))
            .delete("a")
            .watch(&from(""))
            .events(3),
        begun("watch: with bookmarks")
            .watch(&from("allowWatchBookmarks=true"))
            .merge_patch("a", label("2"))
            .events(1),
        ended("watch: without a revision", ""),
        begun("watch: revision 0")
            .list("")
            .watch("timeoutSeconds=3&resourceVersion=0")
            .end(),
        begun("watch: revision 0, with bookmarks")
            .list("")
            .watch("timeoutSeconds=3&resourceVersion=0&allowWatchBookmarks=true")
            .end(),
        begun("watch: revision 0, with bookmarks and a selector that nothing has")
            .list("")
            .watch("resourceVersion=0&allowWatchBookmarks=true&labelSelector=none")
            .events(1),
        ended("watch: an empty revision", "resourceVersion="),
        ended(
            "watch: without a revision, with bookmarks",
            "allowWatchBookmarks=true",
        ),
        ended(
            "watch: without a revision, with a selector",
            "labelSelector=x=2",
        ),
        begun("watch: the initial state in the order of names")
            .post(record("c"))
            .post(record("b"))
            .watch("timeoutSeconds=3")
            .end(),
        begun("watch: nothing happens")
            .watch(&from("timeoutSeconds=3"))
            .end(),
        begun("watch: a revision from the future")
            .watch("timeoutSeconds=3&resourceVersion=9223372036854775807")
            .end(),
        refused("watch: a revision that is none", "resourceVersion=x"),
        refused("watch: a negative revision", "resourceVersion=-1"),
        refused(
            "watch: a match",
            "resourceVersion=1&resourceVersionMatch=Exact",
        ),
        refused(
            "watch: a match that is NotOlderThan",
            "resourceVersion=1&resourceVersionMatch=NotOlderThan",
        ),
        refused(
            "watch: an unknown match",
            "resourceVersion=1&resourceVersionMatch=x",
        ),
        refused("watch: a match alone", "resourceVersionMatch=NotOlderThan"),
        begun("watch: watch=1")
            .watch_at("")
            .query(&from("watch=1&timeoutSeconds=3"))
            .end(),
        begun("watch: watch=")
            .watch_at("")
            .query(&from("watch=&timeoutSeconds=3"))
            .end(),
        begun("watch: watch=yes")
            .watch_at("")
            .query(&from("watch=yes&timeoutSeconds=3"))
            .end(),
        begun("watch: a timeout that is none")
            .send("GET", "")
            .query("watch=true&timeoutSeconds=x"),
        begun("watch: a limit")
            .watch(&from("timeoutSeconds=3&limit=1"))
            .end(),
        begun("watch: a shard selector")
            .watch(&from("shardSelector=x&timeoutSeconds=3"))
            .end(),
        begun("watch: everywhere")
            .watch_at("")
            .query(&from("watch=true&fieldSelector=metadata.namespace={ns}"))
            .merge_patch("a", label("2"))
            .events(1),
        begun("watch: an object that goes and comes back")
            .watch(&from(""))
            .delete("a")
            .post(record("a"))
            .delete("a")
            .events(3),
        begun("watch: pretty")
            .watch(&from("pretty=true"))
            .merge_patch("a", label("2"))
            .events(1),
        begun("watch: with gzip")
            .watch(&from(""))
            .header("accept-encoding", "gzip")
            .merge_patch("a", label("2"))
            .events(1),
    ]
}
