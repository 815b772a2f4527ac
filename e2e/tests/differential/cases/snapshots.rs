//! Lists of a state that has changed since.

use serde_json::{Value, json};

use super::table::TABLE;
use crate::case::{Case, case, record, with};

/// Five records, of which the fourth is `mark`; then one is changed, one deleted, one new. The list
/// makes kube-apiserver's cache as new as its store: until then it may answer with an older state.
fn changed(name: &'static str) -> Case {
    let post = |case: Case, name| {
        let label = json!({ "metadata": { "labels": { "all": "1" } } });
        case.post(with(record(name), label))
    };
    ["a", "b", "c", "d"]
        .into_iter()
        .fold(case(name), post)
        .keep("mark")
        .merge_patch("b", query("new"))
        .merge_patch("a", json!({ "metadata": { "labels": { "all": "2" } } }))
        .delete("c")
        .post(record("cc"))
        .keep("last")
        .list("")
}

fn query(value: &str) -> Value {
    json!({ "spec": { "query": value } })
}

/// L2, L3, L4: whatever happens, a page belongs to the state of the first one.
pub(crate) fn cases() -> Vec<Case> {
    const EXACT: &str =
        "resourceVersion={mark.metadata.resourceVersion}&resourceVersionMatch=Exact";
    const NEWER: &str =
        "resourceVersion={mark.metadata.resourceVersion}&resourceVersionMatch=NotOlderThan";
    const NEXT: &str = "limit=2&continue={page.metadata.continue}";
    let paged = |name, first: &str, more: &str| {
        changed(name)
            .list(&format!("limit=2&{first}{more}"))
            .keep("page")
            .delete("d")
            .merge_patch("b", query("newer"))
            .list(&format!("{NEXT}{more}"))
            .keep("page")
            .list(&format!("{NEXT}{more}"))
    };
    vec![
        changed("snapshots: exactly an old state").list(EXACT),
        changed("snapshots: exactly the newest state")
            .list("resourceVersion={last.metadata.resourceVersion}&resourceVersionMatch=Exact"),
        changed("snapshots: not older than an old state").list(NEWER),
        changed("snapshots: not older than the newest state").list(
            "resourceVersion={last.metadata.resourceVersion}&resourceVersionMatch=NotOlderThan",
        ),
        changed("snapshots: an old state with a selector")
            .list(&format!("{EXACT}&labelSelector=all=1")),
        changed("snapshots: an old state by a name")
            .list(&format!("{EXACT}&fieldSelector=metadata.name=c")),
        changed("snapshots: an old state as a Table")
            .list(EXACT)
            .accept(TABLE),
        changed("snapshots: every state of an object")
            .list(EXACT)
            .merge_patch("a", query("1"))
            .keep("one")
            .merge_patch("a", query("2"))
            .keep("two")
            .delete("a")
            .list("")
            .list("resourceVersion={one.metadata.resourceVersion}&resourceVersionMatch=Exact")
            .list("resourceVersion={two.metadata.resourceVersion}&resourceVersionMatch=Exact")
            .list(
                "resourceVersion={two.metadata.resourceVersion}&resourceVersionMatch=NotOlderThan",
            ),
        paged("snapshots: pages of the newest state", "", ""),
        paged("snapshots: pages of exactly an old state", EXACT, ""),
        paged("snapshots: pages of at least an old state", NEWER, ""),
        paged(
            "snapshots: pages of a revision without a match",
            "resourceVersion={mark.metadata.resourceVersion}",
            "",
        ),
        paged("snapshots: pages with a selector", "", "&labelSelector=all"),
        paged(
            "snapshots: pages of an old state with a selector",
            EXACT,
            "&labelSelector=all=1",
        ),
        changed("snapshots: pages as Tables")
            .list("limit=2")
            .accept(TABLE)
            .keep("page")
            .delete("cc")
            .list(NEXT)
            .accept(TABLE),
        changed("snapshots: all deleted between pages")
            .list("limit=2")
            .keep("page")
            .send("DELETE", "")
            .list(NEXT)
            .list(""),
    ]
}
