//! The annotation of client-side apply, for those who change over to server-side apply.
//!
//! Only for the manager that kubectl has, as upstream. Mirrors `lastappliedmanager.go` and
//! `lastappliedupdater.go`.

use serde_json::{Map, Value};

use crate::{
    Object,
    fieldpath::{Set, value::push_json},
    typed::{Duplicates, ObjectType},
};

/// The manager whose annotation counts.
pub(super) const KUBECTL: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Most bytes of all annotations together: `TotalAnnotationSizeLimitB` of
/// `k8s.io/apimachinery/pkg/api/validation`.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// The fields that client-side apply wrote and nobody changed since: whoever else owns them, they
/// are kubectl's. `None` without a readable annotation.
pub(super) fn fields_of_last_applied(
    live: &Map<String, Value>,
    api_version: &str,
    object_type: &ObjectType,
) -> Option<Set> {
    let text = live
        .get("metadata")?
        .get("annotations")?
        .get(ANNOTATION)?
        .as_str()
        .filter(|text| !text.is_empty())?;
    let last: Map<String, Value> = serde_json::from_str(text).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return None;
    }
    for object in [live, &last] {
        object_type.validate(object, Duplicates::Refused).ok()?;
    }
    let changed = object_type.compare(&last, live).ok()?;
    let fields = object_type.to_field_set(&last).ok()?;
    Some(
        fields
            .difference(&changed.modified)
            .difference(&changed.added)
            .difference(&changed.removed),
    )
}

/// Brings the annotation of `object` up to date with what was applied, if it has one. It goes when
/// the annotations become too large with it.
pub(super) fn update_last_applied(object: &mut Object, applied: &Object) {
    let current = object
        .metadata_field("annotations")
        .and_then(|a| a.get(ANNOTATION));
    if current.and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let value = encode_last_applied(applied);
    let metadata = object.fields_mut().get_mut("metadata");
    let annotations = metadata.and_then(|m| m.get_mut("annotations"));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.insert(ANNOTATION.to_owned(), Value::from(value));
        let bytes: usize = annotations
            .iter()
            .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
            .sum();
        if bytes > ANNOTATIONS_BYTES_MAX {
            annotations.remove(ANNOTATION);
        }
    }
}

fn encode_last_applied(applied: &Object) -> String {
    let mut applied = applied.clone().into_value();
    let annotations = applied
        .get_mut("metadata")
        .and_then(|m| m.get_mut("annotations"));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let mut text = String::new();
    push_json(&mut text, &applied);
    text.push('\n');
    text
}
