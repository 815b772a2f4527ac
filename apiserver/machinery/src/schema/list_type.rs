//! Lists that are sets or maps hold nothing twice. Mirrors `schema/listtype/validation.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ListType, Node, join};
use crate::{field::FieldError, go_format};

/// The duplicates in all lists of an object that are sets or maps.
pub(super) fn validate(node: &Node, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    members(node, object, "", &mut errors);
    errors
}

/// The item of the old list that an item of the new one stands for: by its keys in a map, none in
/// other lists.
pub(super) fn counterpart<'a>(node: &Node, old: &'a [Value], item: &Value) -> Option<&'a Value> {
    let keys = &node.extensions.list_map_keys;
    if node.extensions.list_type != ListType::Map || keys.is_empty() || !item.is_object() {
        return None;
    }
    old.iter()
        .find(|o| o.is_object() && keys.iter().all(|k| o.get(k) == item.get(k)))
}

fn members(node: &Node, map: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    for (name, member) in map {
        if let Some(child) = node.properties.get(name) {
            value(child, member, &join(path, name), errors);
        } else if let Some(child) = &node.additional_properties {
            value(child, member, &format!("{path}[{name}]"), errors);
        }
    }
}

fn value(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => members(node, map, path, errors),
        Value::Array(list) => array(node, list, path, errors),
        _ => {}
    }
}

fn array(node: &Node, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    match node.extensions.list_type {
        ListType::Atomic => {}
        ListType::Set => {
            for (i, item) in repeated(list.iter().cloned()) {
                errors.push(FieldError::duplicate(format!("{path}[{i}]"), &item));
            }
        }
        ListType::Map => map_list(node, list, path, errors),
    }
    if let Some(items) = &node.items {
        for (i, item) in list.iter().enumerate() {
            value(items, item, &format!("{path}[{i}]"), errors);
        }
    }
}

fn map_list(node: &Node, list: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let stray = list
        .iter()
        .position(|item| !item.is_null() && !item.is_object());
    if let Some((i, item)) = stray.and_then(|i| Some((i, list.get(i)?))) {
        let problem = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(format!("{path}[{i}]"), item, problem));
        return;
    }
    let keys = &node.extensions.list_map_keys;
    let key_of = |item: &Value| -> Value {
        keys.iter()
            .filter_map(|k| Some((k.clone(), item.get(k)?.clone())))
            .collect::<Map<String, Value>>()
            .into()
    };
    for (i, key) in repeated(list.iter().map(key_of)) {
        errors.push(FieldError::duplicate(format!("{path}[{i}]"), &key));
    }
}

/// The second occurrence of every value that occurs more than once, with its index.
fn repeated(values: impl Iterator<Item = Value>) -> Vec<(usize, Value)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut repeated = Vec::new();
    for (i, value) in values.enumerate() {
        let times = seen.entry(go_format::json(&value)).or_default();
        *times += 1;
        if *times == 2 {
            repeated.push((i, value));
        }
    }
    repeated
}
