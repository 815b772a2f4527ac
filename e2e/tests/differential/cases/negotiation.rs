//! Representations and encodings.

use serde_json::json;

use crate::case::{Case, JSON, case, record, with};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const YAML: &str = "application/yaml";

/// R3, R4, X1: Accept, Content-Type and Accept-Encoding.
pub(crate) fn cases() -> Vec<Case> {
    let begun = |name| case(name).post(record("a")).keep("a");
    let accepted = |name, accept: &str| begun(name).get("a").accept(accept);
    let posted =
        |name, content_type: &str| case(name).send("POST", "").body(content_type, record("a"));
    let yaml = "apiVersion: {group}/v1alpha1\nkind: DataRecord\nmetadata:\n  name: a\nspec:\n  \
        source: yes-it-is\n  query: \"1\"\n";
    let large = |name| {
        case(name).post(with(
            record("a"),
            json!({ "spec": { "data": { "a": "x".repeat(200_000) } } }),
        ))
    };
    let encoded = |name, encoding: &str| large(name).get("a").header("accept-encoding", encoding);
    vec![
        accepted("negotiation: JSON", "application/json"),
        accepted("negotiation: anything", "*/*"),
        accepted("negotiation: any application", "application/*"),
        accepted("negotiation: an empty Accept", ""),
        accepted("negotiation: YAML", YAML),
        accepted("negotiation: protobuf", PROTOBUF),
        accepted(
            "negotiation: protobuf, then JSON",
            &format!("{PROTOBUF},application/json"),
        ),
        accepted("negotiation: CBOR", "application/cbor"),
        accepted(
            "negotiation: CBOR, then JSON",
            "application/cbor, application/json",
        ),
        accepted("negotiation: text", "text/plain"),
        accepted(
            "negotiation: HTML, then anything",
            "text/html,application/xml;q=0.9,*/*;q=0.8",
        ),
        accepted(
            "negotiation: JSON with less weight than YAML",
            "application/json;q=0.1,application/yaml;q=0.9",
        ),
        accepted("negotiation: JSON with weight 0", "application/json;q=0"),
        accepted("negotiation: a charset", "application/json;charset=utf-8"),
        accepted(
            "negotiation: pretty as a parameter",
            "application/json;pretty=1",
        ),
        accepted("negotiation: an unknown parameter", "application/json;a=b"),
        accepted("negotiation: a stream", "application/json;stream=watch"),
        accepted("negotiation: JSON in capitals", "Application/JSON"),
        accepted("negotiation: no media type", "x"),
        begun("negotiation: a list as YAML").list("").accept(YAML),
        begun("negotiation: a list as protobuf")
            .list("")
            .accept(PROTOBUF),
        case("negotiation: an error as YAML").get("a").accept(YAML),
        case("negotiation: an error as protobuf")
            .get("a")
            .accept(PROTOBUF),
        case("negotiation: an error as text")
            .get("a")
            .accept("text/plain"),
        case("negotiation: an error as CBOR, then protobuf, then JSON")
            .get("a")
            .accept("application/cbor,application/vnd.kubernetes.protobuf,application/json"),
        begun("negotiation: a delete as YAML")
            .delete("a")
            .accept(YAML),
        begun("negotiation: a delete as text")
            .delete("a")
            .accept("text/plain")
            .get("a"),
        case("negotiation: a create that is refused its answer")
            .post(record("a"))
            .accept("text/plain")
            .get("a"),
        posted(
            "negotiation: POST JSON with a charset",
            "application/json; charset=utf-8",
        ),
        posted("negotiation: POST JSON in capitals", "Application/JSON"),
        posted("negotiation: POST without a type", ""),
        posted("negotiation: POST CBOR", "application/cbor"),
        posted("negotiation: POST anything", "*/*"),
        posted("negotiation: POST a type that is none", "json"),
        posted(
            "negotiation: POST a form",
            "application/x-www-form-urlencoded",
        ),
        posted("negotiation: POST JSON as YAML", YAML),
        case("negotiation: POST YAML")
            .send("POST", "")
            .text(YAML, yaml),
        case("negotiation: POST YAML with duplicates")
            .send("POST", "")
            .text(YAML, &format!("{yaml}  query: \"2\"\n")),
        case("negotiation: POST YAML with unknown fields")
            .send("POST", "")
            .text(YAML, &format!("{yaml}  x: \"2\"\n")),
        case("negotiation: POST bad YAML")
            .send("POST", "")
            .text(YAML, "a: b: c"),
        case("negotiation: POST two documents of YAML")
            .send("POST", "")
            .text(YAML, &format!("{yaml}---\n{yaml}")),
        case("negotiation: POST YAML as JSON")
            .send("POST", "")
            .text(JSON, yaml),
        case("negotiation: POST protobuf")
            .send("POST", "")
            .text(PROTOBUF, "k8s"),
        begun("negotiation: PUT YAML").send("PUT", "/a").text(
            YAML,
            &yaml.replace(
                "name: a",
                "name: a\n  resourceVersion: \"{a.metadata.resourceVersion}\"",
            ),
        ),
        encoded("negotiation: gzip", "gzip"),
        encoded("negotiation: gzip of several", "gzip, deflate, br"),
        encoded("negotiation: gzip with a weight", "br, gzip;q=0.5"),
        encoded("negotiation: any encoding", "*"),
        encoded("negotiation: identity", "identity"),
        large("negotiation: gzip of a list")
            .list("")
            .header("accept-encoding", "gzip"),
        large("negotiation: gzip of a Table")
            .list("includeObject=Object")
            .accept("application/json;as=Table;v=v1;g=meta.k8s.io")
            .header("accept-encoding", "gzip"),
        large("negotiation: gzip of a write")
            .merge_patch("a", json!({ "spec": { "query": "x" } }))
            .header("accept-encoding", "gzip"),
        begun("negotiation: no gzip of a small answer")
            .get("a")
            .header("accept-encoding", "gzip"),
        begun("negotiation: a watch as YAML")
            .send("GET", "")
            .query("watch=true&timeoutSeconds=1")
            .accept(YAML),
        begun("negotiation: a watch as text")
            .send("GET", "")
            .query("watch=true&timeoutSeconds=1")
            .accept("text/plain"),
        begun("negotiation: a watch as protobuf, then JSON")
            .send("GET", "")
            .query("watch=true&timeoutSeconds=1&resourceVersion={a.metadata.resourceVersion}")
            .accept(&format!(
                "{PROTOBUF};stream=watch,application/json;stream=watch"
            )),
        begun("negotiation: a watch as a JSON stream")
            .send("GET", "")
            .query("watch=true&timeoutSeconds=1&resourceVersion={a.metadata.resourceVersion}")
            .accept("application/json;stream=watch"),
    ]
}
