//! Tables.

use serde_json::json;

use crate::case::{Case, MERGE_PATCH, case, record, with};

pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// As kubectl asks.
const KUBECTL: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
    application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// R1: columns, cells and what rows hold.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| {
        case(name)
            .post(with(
                record("a"),
                json!({ "metadata": { "labels": { "a": "b" } } }),
            ))
            .keep("a")
            .send("PATCH", "/a/status")
            .body(
                MERGE_PATCH,
                json!({ "status": {
                "syncStatus": "Current", "lastSyncTime": "2020-01-01T00:00:00Z" } }),
            )
            .post(record("b"))
    };
    let listed = |name, query: &str| begun(name).list(query).accept(TABLE);
    vec![
        listed("table: a list", ""),
        listed("table: without objects", "includeObject=None"),
        listed("table: with metadata", "includeObject=Metadata"),
        listed("table: with objects", "includeObject=Object"),
        listed("table: with something else", "includeObject=Other"),
        listed("table: an empty includeObject", "includeObject="),
        begun("table: one object").get("a").accept(TABLE),
        begun("table: one whole object")
            .get("a")
            .query("includeObject=Object")
            .accept(TABLE),
        begun("table: as kubectl asks")
            .list("limit=500")
            .accept(KUBECTL),
        begun("table: v1beta1")
            .list("")
            .accept("application/json;as=Table;v=v1beta1;g=meta.k8s.io"),
        begun("table: an unknown version")
            .list("")
            .accept("application/json;as=Table;v=v9;g=meta.k8s.io"),
        begun("table: an unknown version, then JSON")
            .list("")
            .accept("application/json;as=Table;v=v9;g=meta.k8s.io, application/json"),
        begun("table: another group")
            .list("")
            .accept("application/json;as=Table;v=v1;g=a.b"),
        begun("table: YAML")
            .list("")
            .accept("application/yaml;as=Table;v=v1;g=meta.k8s.io"),
        case("table: nothing").list("").accept(TABLE),
        case("table: an error").get("a").accept(TABLE),
        case("table: a create").post(record("a")).accept(TABLE),
        begun("table: a patch")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .accept(TABLE),
        begun("table: a delete").delete("a").accept(TABLE),
        begun("table: pretty").list("pretty=true").accept(TABLE),
        begun("table: a watch")
            .watch("resourceVersion={a.metadata.resourceVersion}")
            .accept(TABLE)
            .events(2)
            .delete("a")
            .events(1),
        begun("table: a watch without objects")
            .watch("resourceVersion={a.metadata.resourceVersion}&includeObject=None")
            .accept(TABLE)
            .events(2),
        begun("table: a watch with objects")
            .watch("resourceVersion={a.metadata.resourceVersion}&includeObject=Object")
            .accept(TABLE)
            .events(2),
        begun("table: a watch into a selector and out")
            .watch("resourceVersion={a.metadata.resourceVersion}&labelSelector=a=c")
            .accept(TABLE)
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "c" } } }))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "d" } } }))
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "c" } } }))
            .delete("a")
            .events(5),
        begun("table: a watch into a selector and out, with objects")
            .watch("resourceVersion={a.metadata.resourceVersion}&labelSelector=a=c&includeObject=Object")
            .accept(TABLE)
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "c" } } }))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "d" } } }))
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "c" } } }))
            .delete("a")
            .events(5),
        begun("table: a watch of revision 0 with bookmarks")
            .list("")
            .watch("resourceVersion=0&allowWatchBookmarks=true")
            .accept(TABLE)
            .events(3),
        begun("table: a watch with the initial events")
            .watch(
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
            )
            .accept(TABLE)
            .events(3),
        begun("table: a watch with a wrong includeObject")
            .send("GET", "")
            .query("watch=true&includeObject=Other&timeoutSeconds=1")
            .accept(TABLE),
    ]
}
