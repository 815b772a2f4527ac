//! Removing what the schema does not know, and filling in defaults.

use serde_json::{Map, Value};

use super::{Node, Schema};

/// Most unknown fields that one request reports; more are removed all the same.
const REPORTED_MAX: usize = 64;

/// Paths of the fields that were removed, such as `spec.colour`.
pub type Pruned = Vec<String>;

impl Schema {
    /// Removes the fields that the schema does not know and says which. At the top, `apiVersion`,
    /// `kind` and `metadata` always stay.
    pub fn prune(&self, object: &mut Map<String, Value>) -> Pruned {
        let mut pruned = Vec::new();
        prune_members(&self.root, object, "", &mut pruned);
        pruned
    }

    /// Fills in the defaults of fields that are missing.
    pub fn apply_defaults(&self, object: &mut Map<String, Value>) {
        default_members(&self.root, object);
    }
}

fn prune_members(node: &Node, object: &mut Map<String, Value>, path: &str, pruned: &mut Pruned) {
    object.retain(|name, value| {
        let child = match node.properties.get(name) {
            _ if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => {
                return true;
            }
            Some(child) => child,
            None => match &node.additional_properties {
                Some(child) => child,
                None if node.extensions.preserve_unknown_fields => return true,
                None => {
                    if pruned.len() < REPORTED_MAX {
                        pruned.push(join(path, name));
                    }
                    return false;
                }
            },
        };
        prune_value(child, value, &join(path, name), pruned);
        true
    });
}

fn prune_value(node: &Node, value: &mut Value, path: &str, pruned: &mut Pruned) {
    match value {
        Value::Object(map) => prune_members(node, map, path, pruned),
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for (i, item) in list.iter_mut().enumerate() {
                    prune_value(items, item, &format!("{path}[{i}]"), pruned);
                }
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn default_members(node: &Node, object: &mut Map<String, Value>) {
    for (name, child) in &node.properties {
        if let (false, Some(default)) = (object.contains_key(name), &child.default) {
            object.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in object.iter_mut() {
        let child = node
            .properties
            .get(name)
            .or(node.additional_properties.as_deref());
        if let Some(child) = child {
            default_value(child, value);
        }
    }
}

fn default_value(node: &Node, value: &mut Value) {
    match (value, &node.items) {
        (Value::Object(map), _) => default_members(node, map),
        (Value::Array(list), Some(items)) => {
            for item in list {
                default_value(items, item);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::parse(json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "source": {"type": "string", "default": "memory"},
                "data": {"type": "object", "additionalProperties": {"type": "string"}},
                "rows": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }},
        }}))
        .unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// A5: unknown fields are removed and reported by path.
    #[test]
    fn unknown_fields_go_and_are_named() {
        let mut o = object(
            json!({"apiVersion": "v", "kind": "K", "metadata": {"name": "a"}, "x": 1,
            "spec": {"y": 1, "data": {"k": "v"}, "rows": [{"a": "", "b": ""}], "free": {"z": 1}}}),
        );
        assert_eq!(schema().prune(&mut o), ["spec.rows[0].b", "spec.y", "x"]);
        assert_eq!(
            Value::Object(o),
            json!({"apiVersion": "v", "kind": "K", "metadata": {"name": "a"},
                "spec": {"data": {"k": "v"}, "rows": [{"a": ""}], "free": {"z": 1}}})
        );
    }

    #[test]
    fn missing_fields_get_their_default() {
        let mut o = object(json!({"spec": {}}));
        schema().apply_defaults(&mut o);
        assert_eq!(o["spec"]["source"], "memory");
    }
}
