//! Removing what the schema does not know.

use serde_json::{Map, Value};

use super::{Node, Schema, join};

/// Most unknown fields that one request reports; more are removed all the same.
const REPORTED_MAX: usize = 256;

/// Paths of the fields that were removed, such as `spec.list[0].colour`, sorted.
pub type Pruned = Vec<String>;

impl Schema {
    /// Removes the fields that the schema does not know and says which, and removes nulls that
    /// neither are nullable nor have a default. At the top, and in embedded resources, `apiVersion`,
    /// `kind` and `metadata` stay as they are: [`crate::object_meta`] and
    /// [`Schema::coerce_embedded`] look into the latter.
    ///
    /// Mirrors `schema/pruning/algorithm.go` and `schema/defaulting/prunenulls.go`.
    pub fn prune(&self, object: &mut Map<String, Value>) -> Pruned {
        let mut pruned = Vec::new();
        let root = Level {
            node: Some(&self.root),
            is_resource: true,
        };
        root.members(object, "", &mut pruned);
        prune_null_members(Some(&self.root), object);
        pruned.sort();
        pruned
    }

    /// Whether a default value has fields that its own level does not know.
    pub(super) fn has_unknown_fields(node: &Node, default: &Value) -> bool {
        let mut pruned = Vec::new();
        let level = Level {
            node: Some(node),
            is_resource: node.extensions.embedded_resource,
        };
        level.value(&mut default.clone(), "", &mut pruned);
        !pruned.is_empty()
    }
}

pub(super) fn is_type_or_object_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

/// A level of the schema, or nothing known at all.
#[derive(Clone, Copy)]
struct Level<'a> {
    node: Option<&'a Node>,
    is_resource: bool,
}

impl<'a> Level<'a> {
    fn of(node: Option<&'a Node>) -> Self {
        Self {
            node,
            is_resource: node.is_some_and(|n| n.extensions.embedded_resource),
        }
    }

    fn preserves(self) -> bool {
        self.node
            .is_some_and(|n| n.extensions.preserve_unknown_fields)
    }

    fn value(self, value: &mut Value, path: &str, pruned: &mut Pruned) {
        match value {
            _ if self.preserves() => self.preserved(value, path, pruned),
            Value::Object(map) => self.members(map, path, pruned),
            Value::Array(list) => {
                let items = Level::of(self.node.and_then(|n| n.items.as_deref()));
                for (i, item) in list.iter_mut().enumerate() {
                    items.value(item, &format!("{path}[{i}]"), pruned);
                }
            }
            _ => {}
        }
    }

    fn members(self, object: &mut Map<String, Value>, path: &str, pruned: &mut Pruned) {
        let preserves = self.preserves();
        object.retain(|name, value| {
            if self.is_resource && is_type_or_object_meta(name) {
                return true;
            }
            match self.node.and_then(|n| n.member(name)) {
                Some(child) => {
                    Level::of(Some(child)).value(value, &join(path, name), pruned);
                    true
                }
                None if preserves => true,
                None => {
                    if pruned.len() < REPORTED_MAX {
                        pruned.push(join(path, name));
                    }
                    false
                }
            }
        });
    }

    /// Under `x-kubernetes-preserve-unknown-fields` only what the schema specifies is pruned. It
    /// reaches through lists of lists.
    fn preserved(self, value: &mut Value, path: &str, pruned: &mut Pruned) {
        match value {
            Value::Object(map) => {
                for (name, value) in map.iter_mut() {
                    if self.is_resource && is_type_or_object_meta(name) {
                        continue;
                    }
                    if let Some(child) = self.node.and_then(|n| n.member(name)) {
                        Level::of(Some(child)).value(value, &join(path, name), pruned);
                    }
                }
            }
            Value::Array(list) => {
                let Some(items) = self.node.and_then(|n| n.items.as_deref()) else {
                    return;
                };
                for (i, item) in list.iter_mut().enumerate() {
                    Level::of(Some(items)).preserved(item, &format!("{path}[{i}]"), pruned);
                }
            }
            _ => {}
        }
    }
}

fn prune_null_members(node: Option<&Node>, object: &mut Map<String, Value>) {
    object.retain(|name, value| {
        let child = node.and_then(|n| n.member(name));
        let useless = |n: &Node| !n.nullable && n.default.is_none();
        if value.is_null() && child.is_some_and(useless) {
            return false;
        }
        prune_nulls(child, value);
        true
    });
}

fn prune_nulls(node: Option<&Node>, value: &mut Value) {
    match value {
        Value::Object(map) => prune_null_members(node, map),
        Value::Array(list) => {
            let items = node.and_then(|n| n.items.as_deref());
            for item in list {
                prune_nulls(items, item);
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
                "plain": {"type": "string"},
                "maybe": {"type": "string", "nullable": true},
                "data": {"type": "object", "additionalProperties": {"type": "string"}},
                "rows": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                    "known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            }},
        }}))
        .unwrap()
    }

    fn pruned(mut value: Value) -> (Vec<String>, Value) {
        let unknown = schema().prune(value.as_object_mut().unwrap());
        (unknown, value)
    }

    /// A5: unknown fields are removed and reported by path.
    #[test]
    fn unknown_fields_go_and_are_named() {
        let (unknown, object) = pruned(json!({
            "apiVersion": "v", "kind": "K", "metadata": {"name": "a"}, "x": 1,
            "spec": {"y": 1, "data": {"k": "v"}, "rows": [{"a": "", "b": ""}], "free": {"z": 1}},
        }));
        assert_eq!(unknown, ["spec.rows[0].b", "spec.y", "x"]);
        assert_eq!(
            object,
            json!({"apiVersion": "v", "kind": "K", "metadata": {"name": "a"},
                "spec": {"data": {"k": "v"}, "rows": [{"a": ""}], "free": {"z": 1}}})
        );
    }

    /// A5: what is specified under a preserved object is pruned all the same.
    #[test]
    fn preserved_objects_are_pruned_where_they_are_specified() {
        let (unknown, object) = pruned(json!({"spec": {"free": {"z": 1, "known": {"b": 1}}}}));
        assert_eq!(unknown, ["spec.free.known.b"]);
        assert_eq!(object, json!({"spec": {"free": {"z": 1, "known": {}}}}));
    }

    #[test]
    fn nulls_stay_only_where_they_mean_something() {
        let (unknown, object) =
            pruned(json!({"spec": {"plain": null, "maybe": null, "source": null}}));
        assert_eq!(unknown, Vec::<String>::new());
        assert_eq!(object, json!({"spec": {"maybe": null, "source": null}}));
    }
}
