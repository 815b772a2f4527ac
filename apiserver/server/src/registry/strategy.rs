//! What happens to an object before it is written: pure functions, named as upstream's strategy
//! hooks (`k8s.io/apiserver/pkg/registry/rest/{create,update}.go`).

use apimachinery::{
    FieldError, Object, ResourceDefinition, time::format_time, validation::validate_object_meta,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Subresource;

/// Fields of `metadata` that only the server sets.
const SERVER_OWNED: [&str; 5] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];

/// Fills in what the server owns and removes what a client may not set.
pub(super) fn prepare_for_create(
    definition: &ResourceDefinition,
    object: &mut Object,
    namespace: &str,
    now: Timestamp,
) {
    normalise(definition, object);
    for field in SERVER_OWNED {
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
pub(super) fn prepare_for_update(
    definition: &ResourceDefinition,
    object: &mut Object,
    old: &Object,
    subresource: Subresource,
) {
    match subresource {
        Subresource::Status => {
            let status = object.get("status").cloned();
            *object = old.clone();
            object.set("status", status);
        }
        Subresource::None => {
            normalise(definition, object);
            for field in ["name", "namespace"].into_iter().chain(SERVER_OWNED) {
                object.set_metadata_field(field, old.metadata_field(field).cloned());
            }
            if definition.status_subresource {
                object.set("status", old.get("status").cloned());
            }
        }
    }
    definition.schema.apply_defaults(object.fields_mut());
    if !same_content(definition, object, old) {
        object.set_metadata_field("generation", Some(json!(old.generation() + 1)));
    }
}

/// Every broken rule of a new object.
pub(super) fn validate(definition: &ResourceDefinition, object: &Object) -> Vec<FieldError> {
    let mut errors = validate_object_meta(object, definition.is_namespaced());
    errors.extend(definition.schema.validate(object.fields()));
    errors
}

/// Every broken rule of a change.
pub(super) fn validate_update(
    definition: &ResourceDefinition,
    object: &Object,
    old: &Object,
) -> Vec<FieldError> {
    let mut errors = validate(definition, object);
    if old.is_terminating() {
        let added = object
            .finalizers()
            .find(|new| old.finalizers().all(|had| had != *new));
        if let Some(finalizer) = added {
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                format!(
                    "no new finalizers can be added if the object is being deleted, found new \
                     finalizers [{finalizer:?}]"
                ),
            ));
        }
    }
    errors
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

fn normalise(definition: &ResourceDefinition, object: &mut Object) {
    object.set("apiVersion", Some(Value::from(definition.api_version())));
    object.set("kind", Some(Value::from(definition.names.kind.as_str())));
    for field in ["selfLink", "resourceVersion", "managedFields"] {
        object.set_metadata_field(field, None);
    }
    if let Some(metadata) = object
        .fields_mut()
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.retain(|_, value| !is_empty(value));
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
    let counts =
        |key: &String| key != "metadata" && !(key == "status" && definition.status_subresource);
    let content = |object: &Object| -> Vec<(String, Value)> {
        let fields = object.fields().iter().filter(|(key, _)| counts(key));
        fields
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    content(a) == content(b)
}
