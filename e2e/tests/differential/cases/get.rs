//! GET of one object.

use serde_json::json;

use crate::case::{Case, JSON, case, record};

/// V1, L2, L3, S1: reading by name.
pub(crate) fn cases() -> Vec<Case> {
    let read = |name| case(name).post(record("a")).keep("a").send("GET", "/a");
    vec![
        read("get: resourceVersion 0")
            .list("")
            .get("a")
            .query("resourceVersion=0"),
        read("get: its own resourceVersion").query("resourceVersion={a.metadata.resourceVersion}"),
        read("get: an empty resourceVersion").query("resourceVersion="),
        read("get: a resourceVersion that is none").query("resourceVersion=x"),
        read("get: a resourceVersion from the future").query("resourceVersion=9223372036854775807"),
        read("get: a negative resourceVersion").query("resourceVersion=-1"),
        read("get: unknown parameters").query("a=b&limit=x&watch=maybe"),
        read("get: pretty").query("pretty=true"),
        read("get: pretty=1").query("pretty=1"),
        read("get: pretty=0").query("pretty=0"),
        read("get: pretty for a browser").header("user-agent", "Mozilla/5.0"),
        read("get: pretty for curl").header("user-agent", "curl/8"),
        read("get: not pretty for curl that says so")
            .header("user-agent", "curl/8")
            .query("pretty=false"),
        read("get: the watch parameter is ignored").query("watch=true"),
        read("get: with a body").body(JSON, json!({})),
        case("get: nothing of this name").get("a"),
        case("get: pretty errors").get("a").query("pretty=true"),
        case("get: a name that no object can have").get("A%20b"),
        case("get: a name with an escaped slash").get("a%2Fb"),
        case("get: in a namespace that does not exist").send_to(
            "GET",
            "/apis/{group}/v1alpha1/namespaces/{own}/datarecords/a",
        ),
        case("get: HEAD of an object")
            .post(record("a"))
            .send("HEAD", "/a"),
        case("get: HEAD of nothing").send("HEAD", "/a"),
        case("get: HEAD of a list").send("HEAD", ""),
        case("get: a short name is no path")
            .send_to("GET", "/apis/{group}/v1alpha1/namespaces/{ns}/dr/a"),
    ]
}
