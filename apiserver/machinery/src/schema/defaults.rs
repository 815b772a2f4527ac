//! Filling in defaults. Mirrors `schema/defaulting/algorithm.go`.

use serde_json::{Map, Value};

use super::{Node, Schema};

impl Schema {
    /// Fills in the defaults of fields that are missing, or null without being nullable. A default
    /// gets the defaults of its own members in turn.
    pub fn apply_defaults(&self, object: &mut Map<String, Value>) {
        default_members(&self.root, object);
    }
}

fn default_members(node: &Node, object: &mut Map<String, Value>) {
    for (name, child) in &node.properties {
        if let Some(default) = &child.default
            && object.get(name).is_none_or(|v| is_void(child, v))
        {
            object.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in object.iter_mut() {
        if let Some(child) = node.properties.get(name) {
            default_value(child, value);
        } else if let Some(child) = &node.additional_properties {
            default_void(child, value);
            default_value(child, value);
        }
    }
}

fn default_value(node: &Node, value: &mut Value) {
    match (value, &node.items) {
        (Value::Object(map), _) => default_members(node, map),
        (Value::Array(list), Some(items)) => {
            for item in list {
                default_void(items, item);
                default_value(items, item);
            }
        }
        _ => {}
    }
}

/// A null that may not be one becomes the default, if there is one.
fn default_void(node: &Node, value: &mut Value) {
    if let Some(default) = node.default.as_ref().filter(|_| is_void(node, value)) {
        value.clone_from(default);
    }
}

fn is_void(node: &Node, value: &Value) -> bool {
    value.is_null() && !node.nullable
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::missing(json!({}), json!({"a": "x"}))]
    #[case::null(json!({"a": null}), json!({"a": "x"}))]
    #[case::set(json!({"a": ""}), json!({"a": ""}))]
    #[case::nullable_null(json!({"a": "", "n": null}), json!({"a": "", "n": null}))]
    #[case::nested(json!({"a": "", "o": {}}), json!({"a": "", "o": {"b": 1}}))]
    #[case::no_parent_is_made(json!({"a": ""}), json!({"a": ""}))]
    #[case::list(json!({"a": "", "l": [{}, {"b": 2}]}), json!({"a": "", "l": [{"b": 1}, {"b": 2}]}))]
    #[case::null_in_map(json!({"a": "", "m": {"k": null}}), json!({"a": "", "m": {"k": {"b": 1}}}))]
    fn defaults_are_filled_in_as_upstream(#[case] given: Value, #[case] expected: Value) {
        let inner =
            json!({"type": "object", "properties": {"b": {"type": "integer", "default": 1}}});
        let mut in_map = inner.clone();
        in_map["default"] = json!({});
        let schema = Schema::parse(json!({"type": "object", "properties": {"spec": {
        "type": "object", "properties": {
            "a": {"type": "string", "default": "x"},
            "n": {"type": "string", "nullable": true},
            "o": inner, "l": {"type": "array", "items": inner},
            "m": {"type": "object", "additionalProperties": in_map},
        }}}}))
        .unwrap();
        let mut object = json!({"spec": given});
        schema.apply_defaults(object.as_object_mut().unwrap());
        assert_eq!(object["spec"], expected);
    }
}
