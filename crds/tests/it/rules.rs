//! Every CEL rule, once satisfied and once broken.
//!
//! The rules are evaluated by `kube-cel` over the generated schema. Its verdict is not the API
//! server's: the cluster tests send the same objects to a real one.

use std::sync::LazyLock;

use kube_cel::{Validator, apply_defaults};
use rstest::rstest;
use serde_json::{Value, json};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(crds::generate::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
});

/// The messages of the rules that refuse the object.
fn refusals(object: &Value, old: Option<&Value>) -> Vec<String> {
    let object = apply_defaults(&SCHEMA, object);
    let old = old.map(|old| apply_defaults(&SCHEMA, old));
    match Validator::new().validate(&SCHEMA, &object, old.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

fn bundled() -> Value {
    json!({
        "apiVersion": "extensions.kubedojo.io/v1alpha1",
        "kind": "ExtensionAPI",
        "metadata": { "name": "datarecords" },
        "spec": {
            "group": "data.kubedojo.io",
            "versions": [{ "name": "v1alpha1" }],
            "namespace": "kubedojo-system",
            "server": { "bundled": { "storage": { "memory": {} } } },
        },
    })
}

const SECRET: &str = "/spec/server/bundled/storage/postgres/connectionSecretRef/name";
const KEY: &str = "/spec/server/bundled/storage/postgres/connectionSecretRef/key";

const SIZE: &str = "/spec/server/bundled/storage/sqlite/volume/size";

fn sqlite() -> Value {
    let storage = json!({ "sqlite": { "volume": { "size": "2Gi", "storageClassName": "fast" } } });
    with(bundled(), "/spec/server/bundled/storage", storage)
}

fn postgres() -> Value {
    let secret = json!({ "name": "pg", "key": "uri" });
    let storage = json!({ "postgres": { "connectionSecretRef": secret } });
    with(bundled(), "/spec/server/bundled/storage", storage)
}

fn image() -> Value {
    let mut object = bundled();
    object["spec"]["group"] = json!("reports.example.com");
    object["spec"]["versions"] = json!([{ "name": "v1" }, { "name": "v1beta1" }]);
    object["spec"]["server"] = json!({ "image": { "image": "example/reports:1" } });
    object
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    if value.is_null() {
        parent.as_object_mut().unwrap().remove(key);
    } else {
        parent[key] = value;
    }
    object
}

#[test]
fn the_smallest_objects_of_each_kind_are_accepted() {
    assert_eq!(refusals(&bundled(), None), [""; 0]);
    assert_eq!(refusals(&postgres(), None), [""; 0]);
    assert_eq!(refusals(&sqlite(), None), [""; 0]);
    assert_eq!(refusals(&image(), None), [""; 0]);
}

#[rstest]
#[case::long_name(image(), "/metadata/name", json!("a".repeat(52)))]
#[case::group(image(), "/spec/group", json!("example.com"))]
#[case::group_that_only_ends_alike(image(), "/spec/group", json!("my-k8s.io"))]
#[case::replicas(image(), "/spec/replicas", json!(3))]
#[case::memory_replicas(bundled(), "/spec/replicas", json!(1))]
#[case::sqlite_replicas(sqlite(), "/spec/replicas", json!(1))]
#[case::sqlite_size(sqlite(), SIZE, json!("500Mi"))]
#[case::sqlite_default_size(sqlite(), SIZE, Value::Null)]
#[case::sqlite_bytes(sqlite(), SIZE, json!("1073741824"))]
#[case::postgres_replicas(postgres(), "/spec/replicas", json!(3))]
#[case::postgres_key(postgres(), KEY, json!("database_url.v1"))]
#[case::postgres_default_key(postgres(), KEY, Value::Null)]
#[case::postgres_secret(postgres(), SECRET, json!("pg.app"))]
#[case::version(image(), "/spec/versions", json!([{ "name": "v2alpha10" }]))]
#[case::short_tls(bundled(), "/spec/tls", json!({ "caDuration": "6m", "servingDuration": "2m" }))]
#[case::long_tls(bundled(), "/spec/tls", json!({ "caDuration": "87600h", "servingDuration": "29200h" }))]
fn a_good_value_is_accepted(#[case] object: Value, #[case] pointer: &str, #[case] value: Value) {
    assert_eq!(refusals(&with(object, pointer, value), None), [""; 0]);
}

/// F5: groups of Kubernetes itself are refused; F8: nothing else slips past the schema.
#[rstest]
#[case::name_with_dot(image(), "/metadata/name", json!("a.b"), "metadata.name must")]
#[case::name_too_long(image(), "/metadata/name", json!("a".repeat(53)), "metadata.name must")]
#[case::dotless(image(), "/spec/group", json!("reports"), "spec.group must contain a dot")]
#[case::apps(image(), "/spec/group", json!("apps"), "spec.group must contain a dot")]
#[case::k8s(image(), "/spec/group", json!("metrics.k8s.io"), "spec.group must not be under")]
#[case::k8s_itself(image(), "/spec/group", json!("k8s.io"), "spec.group must not be under")]
#[case::kubernetes(image(), "/spec/group", json!("a.kubernetes.io"), "spec.group must not be under")]
#[case::upper_case(image(), "/spec/group", json!("Example.com"), "spec.group must be a lower-case")]
#[case::namespace(image(), "/spec/namespace", json!("a.b"), "spec.namespace must be the name")]
#[case::no_version(image(), "/spec/versions", json!([]), "spec.versions must list at least one")]
#[case::bad_version(image(), "/spec/versions", json!([{ "name": "1" }]), "spec.versions[].name must")]
#[case::no_server(image(), "/spec/server", json!({}), "spec.server must name exactly one")]
#[case::two_servers(
    image(), "/spec/server/bundled", json!({ "storage": { "memory": {} } }), "spec.server must name exactly one"
)]
#[case::no_storage(
    bundled(), "/spec/server/bundled/storage", json!({}), "spec.server.bundled.storage must name exactly one"
)]
#[case::two_storages(
    postgres(), "/spec/server/bundled/storage/memory", json!({}), "spec.server.bundled.storage must name exactly one"
)]
#[case::three_storages(
    postgres(), "/spec/server/bundled/storage/sqlite", json!({ "volume": {} }), "spec.server.bundled.storage must name exactly one"
)]
#[case::sqlite_replicas(sqlite(), "/spec/replicas", json!(2), "spec.replicas must be 1")]
#[case::sqlite_size(sqlite(), SIZE, json!("big"), "spec.server.bundled.storage.sqlite.volume.size must be a size")]
#[case::sqlite_no_size(sqlite(), SIZE, json!("0Gi"), "spec.server.bundled.storage.sqlite.volume.size must be a size")]
#[case::postgres_secret(postgres(), SECRET, json!("Pg"), "spec.server.bundled.storage.postgres.connectionSecretRef.name must be the name")]
#[case::postgres_key(postgres(), KEY, json!("a/b"), "spec.server.bundled.storage.postgres.connectionSecretRef.key must be a key")]
#[case::postgres_dots(postgres(), KEY, json!(".."), "spec.server.bundled.storage.postgres.connectionSecretRef.key must be a key")]
#[case::bundled_group(bundled(), "/spec/group", json!("example.com"), "spec.group must be data.kubedojo.io")]
#[case::bundled_version(
    bundled(), "/spec/versions", json!([{ "name": "v1" }]), "spec.versions must be v1alpha1 alone"
)]
#[case::memory_replicas(bundled(), "/spec/replicas", json!(2), "spec.replicas must be 1")]
#[case::bad_duration(bundled(), "/spec/tls", json!({ "servingDuration": "soon" }), "spec.tls durations")]
#[case::empty_duration(bundled(), "/spec/tls", json!({ "servingDuration": "" }), "spec.tls durations")]
#[case::short_serving(bundled(), "/spec/tls", json!({ "servingDuration": "1m" }), "spec.tls.servingDuration")]
#[case::short_ca(
    bundled(), "/spec/tls", json!({ "caDuration": "5m", "servingDuration": "2m" }), "spec.tls.caDuration must be at least"
)]
#[case::long_ca(bundled(), "/spec/tls", json!({ "caDuration": "87601h" }), "spec.tls.caDuration must be at most")]
fn a_bad_value_is_refused_with_a_sentence(
    #[case] object: Value,
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] start: &str,
) {
    let refusals = refusals(&with(object, pointer, value), None);
    assert!(
        refusals.iter().any(|message| message.starts_with(start)),
        "{refusals:?}"
    );
}

#[rstest]
#[case::group("/spec/group", json!("other.example.com"), "spec.group cannot be changed")]
#[case::namespace("/spec/namespace", json!("elsewhere"), "spec.namespace cannot be changed")]
fn an_identity_field_cannot_be_changed(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] start: &str,
) {
    let old = image();
    let refusals = refusals(&with(image(), pointer, value), Some(&old));
    assert!(
        refusals.iter().any(|message| message.starts_with(start)),
        "{refusals:?}"
    );
}

#[test]
fn other_fields_can_be_changed() {
    let changed = with(image(), "/spec/replicas", json!(4));
    assert_eq!(refusals(&changed, Some(&image())), [""; 0]);
}

/// A list map is how the API server refuses a version that is listed twice: it answers
/// `Duplicate value: {"name":"v1"}` for `spec.versions[1]`.
#[test]
fn versions_are_a_list_map_by_name() {
    let versions = &SCHEMA["properties"]["spec"]["properties"]["versions"];
    assert_eq!(versions["x-kubernetes-list-type"], "map");
    assert_eq!(versions["x-kubernetes-list-map-keys"], json!(["name"]));
}

/// F8: a priority that would put the group before others needs more than this object.
#[test]
fn priorities_have_bounds_in_the_schema() {
    let version = &SCHEMA["properties"]["spec"]["properties"]["versions"]["items"]["properties"];
    assert_eq!(version["groupPriorityMinimum"]["maximum"], 2000.0);
    assert_eq!(version["groupPriorityMinimum"]["default"], 1000);
    assert_eq!(version["versionPriority"]["maximum"], 1000.0);
}

#[test]
fn every_message_names_a_field_and_is_one_sentence() {
    fn walk(schema: &Value, messages: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                for rule in map
                    .get("x-kubernetes-validations")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    messages.push(rule["message"].as_str().unwrap_or_default().to_owned());
                }
                map.values().for_each(|value| walk(value, messages));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, messages)),
            _ => {}
        }
    }
    let mut messages = Vec::new();
    walk(&SCHEMA, &mut messages);
    assert!(messages.len() >= 17, "{}", messages.len());
    for message in messages {
        assert!(
            message.starts_with("spec.") || message.starts_with("metadata."),
            "{message}"
        );
        assert!(
            message.contains(": ") && !message.contains('\n'),
            "{message}"
        );
    }
}
