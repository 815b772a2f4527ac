//! From OpenAPI v3 JSON to the tree.

use serde_json::{Map, Value};

use super::{ListType, MapType, Node, Schema, ValueType};

/// Deepest nesting of a schema: far more than any kind has, little enough for the stack.
const DEPTH_MAX: usize = 64;

impl Schema {
    /// Parses a structural schema; the error names the path and the keyword.
    pub fn parse(json: Value) -> Result<Self, String> {
        let root = parse_node(&json, "", 0)?;
        if root.value_type != Some(ValueType::Object) {
            return Err("the schema of an object must have type: object".to_owned());
        }
        Ok(Self { root, json })
    }
}

fn parse_node(json: &Value, path: &str, depth: usize) -> Result<Node, String> {
    let at = |problem: &str| format!("{}: {problem}", if path.is_empty() { "." } else { path });
    if depth > DEPTH_MAX {
        return Err(at("nested too deeply"));
    }
    let map = json
        .as_object()
        .ok_or_else(|| at("a schema must be an object"))?;
    let mut node = Node::default();
    for (keyword, value) in map {
        match keyword.as_str() {
            "type" => node.value_type = Some(parse_type(value).ok_or_else(|| at("unknown type"))?),
            "nullable" => node.nullable = value == &Value::Bool(true),
            "properties" => {
                for (name, child) in members(value).ok_or_else(|| at("properties must be a map"))? {
                    let child = parse_node(child, &format!("{path}.{name}"), depth + 1)?;
                    node.properties.insert(name.clone(), child);
                }
            }
            "additionalProperties" => {
                let child = parse_node(value, &format!("{path}[*]"), depth + 1)?;
                node.additional_properties = Some(Box::new(child));
            }
            "items" => {
                let child = parse_node(value, &format!("{path}[*]"), depth + 1)?;
                node.items = Some(Box::new(child));
            }
            "required" => {
                node.validation.required = serde_json::from_value(value.clone())
                    .map_err(|_| at("required must be a list of names"))?;
            }
            "enum" => {
                node.validation.allowed = value
                    .as_array()
                    .cloned()
                    .ok_or_else(|| at("enum must be a list"))?;
            }
            "default" => node.default = Some(value.clone()),
            "format" => match value.as_str() {
                Some("date-time") => node.validation.date_time = true,
                Some("int32" | "int64" | "uint32" | "uint64" | "float" | "double") => {}
                _ => return Err(at("this format is not supported")),
            },
            "maxLength" => node.validation.max_length = value.as_u64(),
            "minLength" => node.validation.min_length = value.as_u64(),
            "maxItems" => node.validation.max_items = value.as_u64(),
            "minItems" => node.validation.min_items = value.as_u64(),
            "maxProperties" => node.validation.max_properties = value.as_u64(),
            "minimum" => node.validation.minimum = value.as_f64(),
            "maximum" => node.validation.maximum = value.as_f64(),
            "x-kubernetes-preserve-unknown-fields" => {
                node.extensions.preserve_unknown_fields = value == &Value::Bool(true);
            }
            "x-kubernetes-embedded-resource" => {
                node.extensions.embedded_resource = value == &Value::Bool(true);
            }
            "x-kubernetes-int-or-string" => {
                node.extensions.int_or_string = value == &Value::Bool(true);
            }
            "x-kubernetes-list-type" => {
                node.extensions.list_type = match value.as_str() {
                    Some("atomic") => ListType::Atomic,
                    Some("set") => ListType::Set,
                    Some("map") => ListType::Map,
                    _ => return Err(at("x-kubernetes-list-type must be atomic, set or map")),
                }
            }
            "x-kubernetes-list-map-keys" => {
                node.extensions.list_map_keys = serde_json::from_value(value.clone())
                    .map_err(|_| at("x-kubernetes-list-map-keys must be a list of names"))?;
            }
            "x-kubernetes-map-type" => {
                node.extensions.map_type = match value.as_str() {
                    Some("granular") => MapType::Granular,
                    Some("atomic") => MapType::Atomic,
                    _ => return Err(at("x-kubernetes-map-type must be granular or atomic")),
                }
            }
            "description" | "title" | "example" => {}
            other => return Err(at(&format!("the keyword {other:?} is not supported"))),
        }
    }
    if !node.properties.is_empty() && node.additional_properties.is_some() {
        return Err(at("properties and additionalProperties exclude each other"));
    }
    Ok(node)
}

fn members(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

fn parse_type(value: &Value) -> Option<ValueType> {
    Some(match value.as_str()? {
        "object" => ValueType::Object,
        "array" => ValueType::Array,
        "string" => ValueType::String,
        "integer" => ValueType::Integer,
        "number" => ValueType::Number,
        "boolean" => ValueType::Boolean,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_keyword_that_nothing_enforces_is_refused_by_path() {
        let schema =
            json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}});
        assert_eq!(
            Schema::parse(schema).unwrap_err(),
            ".a: the keyword \"pattern\" is not supported"
        );
    }

    /// O6: a boolean `additionalProperties` never gets in, so it never gets out.
    #[test]
    fn boolean_additional_properties_are_refused() {
        let schema = json!({"type": "object", "additionalProperties": true});
        assert!(Schema::parse(schema).is_err());
    }
}
