//! What happens to every object before it is written, whatever its kind: pure functions.
//!
//! Mirrors `BeforeCreate` and `BeforeUpdate` of `k8s.io/apiserver/pkg/registry/rest` and the strategy
//! of custom resources in `k8s.io/apiextensions-apiserver/pkg/registry/customresource/strategy.go`.

use apimachinery::{Object, ResourceDefinition, time::format_time};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Subresource;

/// Fields of `metadata` that a create does not take from the client.
const CLEARED_ON_CREATE: [&str; 6] = [
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];

/// Fills in what the server owns and removes what a client may not set.
pub(super) fn for_create(
    definition: &ResourceDefinition,
    object: &mut Object,
    namespace: &str,
    now: Timestamp,
) {
    normalise(definition, object);
    for field in CLEARED_ON_CREATE {
        object.set_metadata_field(field, None);
    }
    let namespace = (!namespace.is_empty()).then(|| json!(namespace));
    object.set_metadata_field("namespace", namespace);
    object.set_metadata_field("uid", Some(json!(uuid::Uuid::new_v4().to_string())));
    object.set_metadata_field("creationTimestamp", Some(json!(format_time(now))));
    object.set_metadata_field("generation", Some(json!(1)));
    if definition.status_subresource {
        object.set("status", None);
    }
    definition.schema.apply_defaults(object.fields_mut());
}

/// Keeps what an update may not change, and counts the generation.
pub(super) fn for_update(
    definition: &ResourceDefinition,
    object: &mut Object,
    old: &Object,
    subresource: Subresource,
) {
    normalise(definition, object);
    match subresource {
        Subresource::Status => {
            let status = object.get("status").cloned();
            let mut kept = old.clone();
            for field in ["managedFields", "resourceVersion"] {
                kept.set_metadata_field(field, object.metadata_field(field).cloned());
            }
            kept.set("status", status);
            *object = kept;
        }
        Subresource::None | Subresource::Scale => {
            keep_metadata(object, old);
            if definition.status_subresource {
                object.set("status", old.get("status").cloned());
            }
        }
    }
    definition.schema.apply_defaults(object.fields_mut());
    let generation = old.generation() + i64::from(!same_content(definition, object, old));
    object.set_metadata_field("generation", Some(json!(generation)));
}

/// Marks an object that has to wait for its finalizers.
pub(super) fn mark_deleted(object: &mut Object, now: Timestamp) {
    if !object.is_terminating() {
        object.set_metadata_field("deletionTimestamp", Some(json!(format_time(now))));
        object.set_metadata_field("deletionGracePeriodSeconds", Some(json!(0)));
        let generation = object.generation() + 1;
        object.set_metadata_field("generation", Some(json!(generation)));
    }
}

/// What an update that leaves it out keeps; what it changes is left for validation to refuse.
fn keep_metadata(object: &mut Object, old: &Object) {
    let mut keep = |field| {
        object.set_metadata_field(field, old.metadata_field(field).cloned());
    };
    keep("creationTimestamp");
    if old.is_terminating() {
        keep("deletionTimestamp");
    }
    for field in ["uid", "name", "namespace", "deletionGracePeriodSeconds"] {
        if object.metadata_field(field).is_none() {
            object.set_metadata_field(field, old.metadata_field(field).cloned());
        }
    }
}

fn normalise(definition: &ResourceDefinition, object: &mut Object) {
    object.set("apiVersion", Some(Value::from(definition.api_version())));
    object.set("kind", Some(Value::from(definition.names.kind.as_str())));
    object.set_metadata_field("selfLink", None);
    if let Some(metadata) = object
        .fields_mut()
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.retain(|name, value| name == "managedFields" || !is_empty(value));
    }
}

/// What `metav1.ObjectMeta` leaves out when it is encoded.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Whether two objects are equal in everything that counts for the generation: all but metadata,
/// and status where that is a subresource.
fn same_content(definition: &ResourceDefinition, a: &Object, b: &Object) -> bool {
    let counts = |(key, _): &(&String, &Value)| {
        *key != "metadata" && !(*key == "status" && definition.status_subresource)
    };
    let (a, b) = (a.fields().iter(), b.fields().iter());
    a.filter(counts).eq(b.filter(counts))
}
