//! Checking an object against the schema, in the words that a CustomResourceDefinition uses.

use serde_json::{Map, Value, json};

use super::{Node, Schema, ValueType};
use crate::field::{FieldError, FieldErrorKind};

/// Most broken rules that one request reports.
const REPORTED_MAX: usize = 64;

impl Schema {
    /// Every broken rule, by path.
    pub fn validate(&self, object: &Map<String, Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        members(&self.root, object, "", &mut errors);
        errors.truncate(REPORTED_MAX);
        errors
    }
}

fn members(node: &Node, object: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    for name in &node.validation.required {
        if !object.contains_key(name) {
            errors.push(FieldError::required(join(path, name), ""));
        }
    }
    if let Some(max) = node
        .validation
        .max_properties
        .filter(|max| object.len() as u64 > *max)
    {
        let kind = FieldErrorKind::Invalid(json!(object.len()));
        errors.push(FieldError {
            field: path.to_owned(),
            kind,
            detail: format!("must have at most {max} properties"),
        });
    }
    for (name, member) in object {
        if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        if let Some(child) = node.properties.get(name) {
            value(child, member, &join(path, name), errors);
        } else if let Some(child) = &node.additional_properties {
            value(child, member, &join(path, name), errors);
        }
    }
}

fn value(node: &Node, found: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if errors.len() >= REPORTED_MAX || (found.is_null() && node.nullable) {
        return;
    }
    if let Some(wanted) = node.value_type.filter(|t| !has_type(*t, found)) {
        errors.push(FieldError::type_invalid(
            path,
            &json!(type_name(found)),
            format!(
                "{path} in body must be of type {}: {}",
                wanted.name(),
                json!(type_name(found)),
            ),
        ));
        return;
    }
    if !node.validation.allowed.is_empty() && !node.validation.allowed.contains(found) {
        let supported: Vec<&str> = node
            .validation
            .allowed
            .iter()
            .filter_map(Value::as_str)
            .collect();
        errors.push(FieldError::not_supported(path, found, &supported));
    }
    match found {
        Value::Object(map) => members(node, map, path, errors),
        Value::Array(list) => array(node, list, path, errors),
        Value::String(text) => string(node, text, path, errors),
        Value::Number(number) => range(node, number.as_f64(), path, errors),
        Value::Null | Value::Bool(_) => {}
    }
}

fn array(node: &Node, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let length = list.len() as u64;
    if let Some(max) = node.validation.max_items.filter(|max| length > *max) {
        errors.push(FieldError::invalid(
            path,
            &json!(length),
            format!("{path} in body should have at most {max} items"),
        ));
    }
    if let Some(min) = node.validation.min_items.filter(|min| length < *min) {
        errors.push(FieldError::invalid(
            path,
            &json!(length),
            format!("{path} in body should have at least {min} items"),
        ));
    }
    if let Some(items) = &node.items {
        for (i, item) in list.iter().enumerate() {
            value(items, item, &format!("{path}[{i}]"), errors);
        }
    }
}

fn string(node: &Node, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count() as u64;
    if let Some(max) = node.validation.max_length.filter(|max| length > *max) {
        errors.push(FieldError {
            field: path.to_owned(),
            kind: FieldErrorKind::TooLong,
            detail: format!("may not be more than {max} bytes"),
        });
    }
    if let Some(min) = node.validation.min_length.filter(|min| length < *min) {
        errors.push(FieldError::invalid(
            path,
            &json!(text),
            format!("{path} in body should be at least {min} chars long"),
        ));
    }
    if node.validation.date_time && text.parse::<jiff::Timestamp>().is_err() {
        errors.push(FieldError::invalid(
            path,
            &json!(text),
            format!("{path} in body must be of type date-time: {}", json!(text)),
        ));
    }
}

fn range(node: &Node, number: Option<f64>, path: &str, errors: &mut Vec<FieldError>) {
    let Some(number) = number else { return };
    if let Some(min) = node.validation.minimum.filter(|min| number < *min) {
        errors.push(FieldError::invalid(
            path,
            &json!(number),
            format!("{path} in body should be greater than or equal to {min}"),
        ));
    }
    if let Some(max) = node.validation.maximum.filter(|max| number > *max) {
        errors.push(FieldError::invalid(
            path,
            &json!(number),
            format!("{path} in body should be less than or equal to {max}"),
        ));
    }
}

fn has_type(wanted: ValueType, found: &Value) -> bool {
    match wanted {
        ValueType::Object => found.is_object(),
        ValueType::Array => found.is_array(),
        ValueType::String => found.is_string(),
        ValueType::Boolean => found.is_boolean(),
        ValueType::Number => found.is_number(),
        ValueType::Integer => found.is_i64() || found.is_u64(),
    }
}

fn type_name(found: &Value) -> &'static str {
    match found {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(object: Value) -> Vec<String> {
        let schema = Schema::parse(
            json!({"type": "object", "required": ["spec"], "properties": {
                "spec": {"type": "object", "required": ["source"], "properties": {
                    "source": {"type": "string", "minLength": 1},
                    "data": {"type": "object", "additionalProperties": {"type": "string"}},
                }},
                "status": {"type": "object", "properties": {
                    "syncStatus": {"type": "string", "enum": ["Current", "Stale"]},
                    "lastSyncTime": {"type": "string", "format": "date-time"},
                }},
            }}),
        )
        .unwrap();
        schema
            .validate(object.as_object().unwrap())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_good_object_has_no_errors() {
        let object = json!({"metadata": {"x": 1}, "spec": {"source": "pg", "data": {"a": "b"}},
            "status": {"syncStatus": "Stale", "lastSyncTime": "2024-01-01T00:00:00Z"}});
        assert_eq!(errors(object), Vec::<String>::new());
    }

    #[test]
    fn every_broken_rule_is_named_by_path() {
        let object = json!({"spec": {"data": {"a": 1}},
            "status": {"syncStatus": "Old", "lastSyncTime": "today"}});
        assert_eq!(
            errors(object),
            [
                "spec.source: Required value",
                "spec.data.a: Invalid value: \"integer\": spec.data.a in body must be of type string: \"integer\"",
                "status.lastSyncTime: Invalid value: \"today\": status.lastSyncTime in body must be of type date-time: \"today\"",
                "status.syncStatus: Unsupported value: \"Old\": supported values: \"Current\", \"Stale\"",
            ]
        );
        assert_eq!(errors(json!({})), ["spec: Required value"]);
    }
}
