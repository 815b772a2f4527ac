//! Objects inside of objects: `x-kubernetes-embedded-resource`. Mirrors `schema/objectmeta`.

use serde_json::{Map, Value};

use super::{Node, Pruned, Schema, join};
use crate::{
    field::FieldError,
    object_meta::coerce_object_meta,
    validation::{NameRule, api_version_problem, dns1035_label_problems, validate_object_meta_at},
};

impl Schema {
    /// Brings the `metadata` of embedded resources into the form of an `ObjectMeta` and says which
    /// unknown fields were removed. The error is about the first field of a wrong type; upstream
    /// answers it with 400.
    pub fn coerce_embedded(&self, object: &mut Map<String, Value>) -> Result<Pruned, FieldError> {
        let mut unknown = Vec::new();
        coerce_members(&self.root, object, "", &mut unknown)?;
        unknown.sort();
        Ok(unknown)
    }

    /// As [`Schema::coerce_embedded`], for a default value and its own level.
    pub(super) fn coerce_default(
        node: &Node,
        default: &Value,
        path: &str,
    ) -> Result<(), FieldError> {
        coerce_value(node, &mut default.clone(), path, &mut Vec::new())
    }
}

fn coerce_members(
    node: &Node,
    map: &mut Map<String, Value>,
    path: &str,
    unknown: &mut Pruned,
) -> Result<(), FieldError> {
    for (name, value) in map.iter_mut() {
        let child_path = join(path, name);
        if node.extensions.embedded_resource {
            match name.as_str() {
                "apiVersion" | "kind" if !value.is_string() => {
                    return Err(FieldError::invalid(child_path, value, "must be a string"));
                }
                "metadata" => {
                    let fields = coerce_object_meta(value).map_err(|problem| {
                        FieldError::invalid(child_path.clone(), value, problem)
                    })?;
                    unknown.extend(fields.into_iter().map(|f| join(&child_path, &f)));
                }
                _ => {}
            }
        }
        if let Some(child) = node.properties.get(name) {
            coerce_value(child, value, &child_path, unknown)?;
        } else if let Some(child) = &node.additional_properties {
            coerce_value(child, value, &format!("{path}[{name}]"), unknown)?;
        }
    }
    Ok(())
}

fn coerce_value(
    node: &Node,
    value: &mut Value,
    path: &str,
    unknown: &mut Pruned,
) -> Result<(), FieldError> {
    match (value, &node.items) {
        (Value::Object(map), _) => coerce_members(node, map, path, unknown),
        (Value::Array(list), Some(items)) => {
            for (i, item) in list.iter_mut().enumerate() {
                coerce_value(items, item, &format!("{path}[{i}]"), unknown)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Every broken rule of embedded resources.
pub(super) fn validate(node: &Node, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    members(node, object, "", &mut errors);
    errors
}

/// As [`validate`], for a default value and its own level.
pub(super) fn validate_value(node: &Node, value: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(node, value, path, &mut errors);
    errors
}

fn members(node: &Node, map: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    if node.extensions.embedded_resource {
        resource(map, path, errors);
    }
    for (name, value) in map {
        if let Some(child) = node.properties.get(name) {
            walk(child, value, &join(path, name), errors);
        } else if let Some(child) = &node.additional_properties {
            walk(child, value, &format!("{path}[{name}]"), errors);
        }
    }
}

fn walk(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match (value, &node.items) {
        (Value::Object(map), _) => members(node, map, path, errors),
        (Value::Array(list), Some(items)) => {
            for (i, item) in list.iter().enumerate() {
                walk(items, item, &format!("{path}[{i}]"), errors);
            }
        }
        _ => {}
    }
}

/// The type and the metadata of one embedded resource.
fn resource(map: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    for name in ["apiVersion", "kind"] {
        if !map.contains_key(name) {
            errors.push(FieldError::required(join(path, name), ""));
        }
    }
    for (name, value) in map {
        let field = join(path, name);
        match (name.as_str(), value) {
            ("apiVersion" | "kind", Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::invalid(field, value, "must not be empty"));
            }
            ("apiVersion", Value::String(text)) => {
                if let Some(problem) = api_version_problem(text) {
                    errors.push(FieldError::invalid(field, value, problem));
                }
            }
            ("kind", Value::String(text)) => {
                let problems = dns1035_label_problems(&text.to_lowercase());
                if !problems.is_empty() {
                    let problems = problems.join(",");
                    let problem =
                        format!("may have mixed case, but should otherwise match: {problems}");
                    errors.push(FieldError::invalid(field, value, problem));
                }
            }
            ("apiVersion" | "kind", _) => {
                errors.push(FieldError::invalid(field, value, "must be a string"));
            }
            ("metadata", _) => {
                let mut metadata = value.clone();
                if let Err(problem) = coerce_object_meta(&mut metadata) {
                    errors.push(FieldError::invalid(field, value, problem));
                    continue;
                }
                let Value::Object(mut metadata) = metadata else {
                    continue;
                };
                // An embedded resource need not have a name.
                metadata
                    .entry("name")
                    .or_insert_with(|| Value::from("fakename"));
                let namespaced = metadata.contains_key("namespace");
                errors.extend(validate_object_meta_at(
                    &metadata,
                    namespaced,
                    NameRule::PathSegment,
                    &field,
                ));
            }
            _ => {}
        }
    }
}
