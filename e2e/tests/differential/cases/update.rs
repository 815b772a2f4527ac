//! Update by PUT.

use serde_json::json;

use crate::case::{Case, JSON, case, record, with};

/// V1, V2, V7, S1: what is replaced, and what is refused.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| case(name).post(record("a")).keep("a");
    let metadata = |metadata| with(record("a"), json!({ "metadata": metadata }));
    let spec = |spec| {
        with(
            metadata(json!({ "resourceVersion": "{a.metadata.resourceVersion}" })),
            json!({ "spec": spec }),
        )
    };
    let current = || spec(json!({}));
    vec![
        begun("update: the spec")
            .put("a", spec(json!({ "query": "new" })))
            .get("a"),
        begun("update: nothing changes")
            .put("a", current())
            .get("a"),
        begun("update: labels come and go")
            .put(
                "a",
                with(current(), json!({ "metadata": { "labels": { "x": "y" } } })),
            )
            .keep("a")
            .put("a", current()),
        begun("update: fields of the server stay").put(
            "a",
            with(
                current(),
                json!({ "metadata": {
            "generation": 9, "creationTimestamp": "2020-01-01T00:00:00Z", "selfLink": "/x",
            "deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3,
        } }),
            ),
        ),
        begun("update: a status is ignored").put(
            "a",
            with(current(), json!({ "status": { "syncStatus": "Stale" } })),
        ),
        begun("update: the uid may be given").put(
            "a",
            with(
                current(),
                json!({ "metadata": { "uid": "{a.metadata.uid}" } }),
            ),
        ),
        begun("update: the field manager")
            .put("a", spec(json!({ "query": "x" })))
            .query("fieldManager=two"),
        begun("update: another uid").put(
            "a",
            with(
                current(),
                json!({ "metadata": {
            "uid": "00000000-0000-0000-0000-000000000001" } }),
            ),
        ),
        begun("update: an old resourceVersion")
            .put("a", spec(json!({ "query": "x" })))
            .put("a", spec(json!({ "query": "y" }))),
        begun("update: an old resourceVersion without a change")
            .put("a", spec(json!({ "query": "x" })))
            .put("a", spec(json!({ "query": "x" }))),
        begun("update: a resourceVersion from the future").put(
            "a",
            metadata(json!({ "resourceVersion": "9223372036854775807" })),
        ),
        begun("update: without a resourceVersion").put("a", record("a")),
        begun("update: an empty resourceVersion")
            .put("a", metadata(json!({ "resourceVersion": "" }))),
        begun("update: resourceVersion 0").put("a", metadata(json!({ "resourceVersion": "0" }))),
        begun("update: a resourceVersion that is none")
            .put("a", metadata(json!({ "resourceVersion": "x" }))),
        begun("update: a resourceVersion that is a number")
            .put("a", metadata(json!({ "resourceVersion": 1 }))),
        begun("update: another name").put("b", current()),
        begun("update: without a name").put(
            "a",
            with(current(), json!({ "metadata": { "name": null } })),
        ),
        begun("update: without metadata").put("a", with(record("a"), json!({ "metadata": null }))),
        begun("update: another namespace").put(
            "a",
            with(current(), json!({ "metadata": { "namespace": "other" } })),
        ),
        begun("update: another apiVersion")
            .put("a", with(current(), json!({ "apiVersion": "v1" }))),
        begun("update: another kind").put("a", with(current(), json!({ "kind": "Other" }))),
        begun("update: without kind and apiVersion").put(
            "a",
            with(current(), json!({ "kind": null, "apiVersion": null })),
        ),
        begun("update: a body that is no JSON")
            .send("PUT", "/a")
            .text(JSON, "{\"a\":"),
        begun("update: an empty body")
            .send("PUT", "/a")
            .header("content-type", JSON),
        begun("update: an unknown content type")
            .send("PUT", "/a")
            .body("text/html", current()),
        begun("update: no content type")
            .send("PUT", "/a")
            .body("", current()),
        begun("update: an invalid spec").put("a", spec(json!({ "source": null }))),
        begun("update: after a delete")
            .delete("a")
            .put("a", current()),
        case("update: what does not exist").put("a", record("a")),
        case("update: what does not exist, with a resourceVersion")
            .put("a", metadata(json!({ "resourceVersion": "1" }))),
        case("update: of the collection")
            .send("PUT", "")
            .body(JSON, record("a")),
    ]
}
