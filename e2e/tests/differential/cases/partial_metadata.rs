//! Metadata alone.

use serde_json::json;

use crate::case::{Case, case, record, with};

const ONE: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
/// As the metadata client asks.
const CLIENT: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;\
    g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// R2: one object, lists and watches.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| {
        case(name)
            .post(with(
                record("a"),
                json!({ "metadata": { "labels": { "a": "b" } } }),
            ))
            .keep("a")
    };
    vec![
        begun("metadata: one object").get("a").accept(ONE),
        begun("metadata: a list").list("").accept(LIST),
        begun("metadata: a list in pages")
            .post(record("b"))
            .list("limit=1")
            .accept(LIST),
        begun("metadata: as the metadata client asks")
            .list("")
            .accept(CLIENT),
        begun("metadata: the list form of one object")
            .get("a")
            .accept(LIST),
        begun("metadata: the single form of a list")
            .list("")
            .accept(ONE),
        begun("metadata: v1beta1")
            .list("")
            .accept("application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io"),
        begun("metadata: an unknown version")
            .get("a")
            .accept("application/json;as=PartialObjectMetadata;v=v9;g=meta.k8s.io"),
        begun("metadata: an unknown form")
            .get("a")
            .accept("application/json;as=Other;v=v1;g=meta.k8s.io"),
        case("metadata: a create").post(record("a")).accept(ONE),
        begun("metadata: a patch")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .accept(ONE),
        begun("metadata: a delete").delete("a").accept(ONE),
        case("metadata: a delete that waits")
            .post(with(
                record("a"),
                json!({ "metadata": { "finalizers": ["example.com/x"] } }),
            ))
            .delete("a")
            .accept(ONE),
        begun("metadata: a watch")
            .watch("resourceVersion={a.metadata.resourceVersion}")
            .accept(ONE)
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .delete("a")
            .events(2),
        begun("metadata: a watch into a selector and out")
            .watch("resourceVersion={a.metadata.resourceVersion}&labelSelector=a=c")
            .accept(ONE)
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "c" } } }))
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "d" } } }))
            .merge_patch("a", json!({ "metadata": { "labels": { "a": "c" } } }))
            .delete("a")
            .events(5),
        begun("metadata: a watch of revision 0 with bookmarks")
            .list("")
            .watch("resourceVersion=0&allowWatchBookmarks=true")
            .accept(ONE)
            .events(2),
        begun("metadata: a watch with the initial events")
            .watch(
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
            )
            .accept(ONE)
            .events(2),
        begun("metadata: a watch in the list form")
            .watch("resourceVersion={a.metadata.resourceVersion}&timeoutSeconds=3")
            .accept(LIST)
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .end(),
        begun("metadata: of a status")
            .send("GET", "/a/status")
            .accept(ONE),
        case("metadata: an error").get("a").accept(ONE),
    ]
}
