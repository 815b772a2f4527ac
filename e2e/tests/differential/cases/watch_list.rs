//! Watches that begin with the current state.

use serde_json::json;

use crate::case::{Case, case, record, with};

/// W5, W6: the initial events, the bookmark that ends them, and parameters that do not fit.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| {
        let label = json!({ "metadata": { "labels": { "x": "1" } } });
        case(name)
            .post(record("b"))
            .post(with(record("a"), label))
            .keep("a")
    };
    let whole = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let refused = |name, query: &str| {
        begun(name)
            .send("GET", "")
            .query(&format!("watch=true&timeoutSeconds=3&{query}"))
    };
    vec![
        begun("watch list: the state, the bookmark, then changes")
            .watch(whole)
            .events(3)
            .delete("b")
            .events(1),
        begun("watch list: revision 0")
            .list("")
            .watch(&format!("{whole}&resourceVersion=0"))
            .events(3),
        begun("watch list: its own revision")
            .watch(&format!(
                "{whole}&resourceVersion={{a.metadata.resourceVersion}}"
            ))
            .events(3),
        begun("watch list: a selector")
            .watch(&format!("{whole}&labelSelector=x"))
            .events(2),
        begun("watch list: a selector that nothing has")
            .watch(&format!("{whole}&labelSelector=y"))
            .events(1),
        begun("watch list: to the end")
            .watch(&format!("{whole}&timeoutSeconds=3"))
            .end(),
        begun("watch list: without bookmarks")
            .watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=3")
            .end(),
        begun("watch list: sendInitialEvents false")
            .watch(
                "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true\
            &timeoutSeconds=3",
            )
            .end(),
        begun("watch list: sendInitialEvents false from a revision")
            .watch(
                "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&timeoutSeconds=3\
            &resourceVersion={a.metadata.resourceVersion}",
            )
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .end(),
        begun("watch list: a revision from the future")
            .send("GET", "")
            .query(&format!(
                "watch=true&{whole}&timeoutSeconds=3&resourceVersion=9223372036854775807"
            )),
        refused(
            "watch list: no match",
            "sendInitialEvents=true&allowWatchBookmarks=true",
        ),
        refused("watch list: no match, false", "sendInitialEvents=false"),
        refused(
            "watch list: an exact match",
            "sendInitialEvents=true&resourceVersionMatch=Exact",
        ),
        refused(
            "watch list: an unknown match",
            "sendInitialEvents=true&resourceVersionMatch=x",
        ),
        refused(
            "watch list: a value that is none",
            "sendInitialEvents=maybe&resourceVersionMatch=NotOlderThan",
        ),
        refused(
            "watch list: a revision that is none",
            &format!("{whole}&resourceVersion=x"),
        ),
        refused("watch list: a token", &format!("{whole}&continue=x")),
    ]
}
