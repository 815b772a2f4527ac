//! Lists in pages.

use serde_json::json;

use crate::case::{Case, EVERYWHERE, case, record, with};

fn five(name: &'static str) -> Case {
    ["a", "b", "c", "d", "e"]
        .into_iter()
        .fold(case(name), |case, name| {
            let label = json!({ "metadata": { "labels": { "all": "1" } } });
            case.post(with(record(name), label))
        })
}

/// L4: pages of one snapshot, and tokens that are none.
pub(crate) fn cases() -> Vec<Case> {
    let paged = |name| five(name).list("limit=2").keep("page");
    let next = "limit=2&continue={page.metadata.continue}";
    let refused = |name, token: &str| five(name).list(&format!("limit=2&continue={token}"));
    vec![
        paged("paging: three pages")
            .list(next)
            .keep("page")
            .list(next),
        paged("paging: the rest at once").list("continue={page.metadata.continue}"),
        five("paging: a limit that fits").list("limit=5"),
        five("paging: a limit beyond").list("limit=50"),
        five("paging: no limit").list("limit=0"),
        five("paging: a negative limit").list("limit=-1"),
        five("paging: a limit that is none").list("limit=x"),
        five("paging: an empty limit").list("limit="),
        five("paging: with a selector")
            .list("limit=2&labelSelector=all=1")
            .keep("page")
            .list(&format!("{next}&labelSelector=all=1")),
        five("paging: with a field selector").list("limit=2&fieldSelector=metadata.name!=a"),
        paged("paging: a snapshot")
            .delete("d")
            .post(record("dd"))
            .merge_patch("c", json!({ "spec": { "query": "x" } }))
            .list(next)
            .keep("page")
            .list(next),
        paged("paging: a token and a resourceVersion").list(&format!("{next}&resourceVersion=1")),
        paged("paging: a token and resourceVersion 0").list(&format!("{next}&resourceVersion=0")),
        paged("paging: a token and a match").list(&format!(
            "{next}&resourceVersion=1&resourceVersionMatch=Exact"
        )),
        paged("paging: a token and a match alone")
            .list(&format!("{next}&resourceVersionMatch=Exact")),
        paged("paging: a token everywhere")
            .send_to("GET", EVERYWHERE)
            .query(&format!("{next}&fieldSelector=metadata.namespace={{ns}}")),
        paged("paging: a token in another namespace")
            .send_to("GET", "/apis/{group}/v1alpha1/namespaces/{own}/datarecords")
            .query(next),
        refused("paging: no base64", "!!"),
        refused("paging: no JSON", "eA"),
        refused("paging: no version", "e30"),
        refused(
            "paging: another version",
            "eyJ2IjoibWV0YS5rOHMuaW8vdjIiLCJydiI6MSwic3RhcnQiOiJhXHUwMDAwIn0",
        ),
        refused(
            "paging: no start",
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0",
        ),
        refused(
            "paging: no revision",
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJzdGFydCI6ImFcdTAwMDAifQ",
        ),
        // {"v":"meta.k8s.io/v1","rv":1,"start":"../../a\u0000"}
        refused(
            "paging: a start outside",
            "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi9hXHUwMDAwIn0",
        ),
        paged("paging: a token in a watch")
            .send("GET", "")
            .query("watch=true&timeoutSeconds=1&continue={page.metadata.continue}"),
        paged("paging: a token in a watch from a revision")
            .send("GET", "")
            .query(
                "watch=true&timeoutSeconds=1&resourceVersion={page.metadata.resourceVersion}&continue={page.metadata.continue}",
            ),
        five("paging: as a Table")
            .list("limit=2")
            .accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
        five("paging: as metadata")
            .list("limit=2")
            .accept("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
        five("paging: resourceVersion and limit")
            .list("")
            .list("limit=2&resourceVersion=0"),
    ]
}
