//! Owner references that stand twice. The garbage collector leaves objects alone whose owners are of a
//! kind that it does not know.

use serde_json::{Value, json};

use crate::case::{Case, case, record, with};

fn owner(digit: u8, name: &str) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Owner", "name": name,
        "uid": format!("00000000-0000-0000-0000-00000000000{digit}") })
}

/// V12: the first of equal references is kept, and the client is warned.
pub(crate) fn cases() -> Vec<Case> {
    let owned = |owners: Value| json!({ "metadata": { "ownerReferences": owners } });
    let twice = || {
        owned(json!([
            owner(1, "x"),
            owner(2, "y"),
            owner(1, "x"),
            owner(2, "y")
        ]))
    };
    let begun = |name| case(name).post(record("a")).keep("a");
    let version = json!({ "metadata": { "resourceVersion": "{a.metadata.resourceVersion}" } });
    let current = || with(record("a"), version.clone());
    vec![
        case("owners: twice in a create").post(with(record("a"), twice())),
        case("owners: twice in a strict create")
            .post(with(record("a"), twice()))
            .query("fieldValidation=Strict"),
        case("owners: of one uid and two names").post(with(
            record("a"),
            owned(json!([owner(1, "x"), owner(1, "y")])),
        )),
        begun("owners: twice in an update").put("a", with(current(), twice())),
        begun("owners: twice in a merge patch").merge_patch("a", twice()),
        begun("owners: twice in a JSON patch").json_patch(
            "a",
            json!([{ "op": "add", "path": "/metadata/ownerReferences",
                "value": [owner(1, "x"), owner(1, "x")] }]),
        ),
        begun("owners: twice in an update of the status")
            .send("PUT", "/a/status")
            .body(crate::case::JSON, with(current(), twice())),
        begun("owners: twice in a patch of the status")
            .send("PATCH", "/a/status")
            .body(crate::case::MERGE_PATCH, twice()),
        case("owners: twice in an apply").apply("a", with(record("a"), twice())),
        begun("owners: twice in an apply over an object").apply("a", with(record("a"), twice())),
    ]
}
