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

/// The items of an old list, to be found by the items of the new one that they stand for: by their
/// keys in a map, none in other lists.
pub(super) struct OldItems<'a> {
    keys: &'a [String],
    items: BTreeMap<String, &'a Value>,
}

impl<'a> OldItems<'a> {
    pub(super) fn of(node: &'a Node, old: &'a [Value]) -> Self {
        let keys = match node.extensions.list_type {
            ListType::Map => node.extensions.list_map_keys.as_slice(),
            ListType::Atomic | ListType::Set => &[],
        };
        let with_keys = old
            .iter()
            .filter(|item| !keys.is_empty() && item.is_object());
        let items = with_keys.map(|item| (go_format::json(&key_of(keys, item)), item));
        Self {
            keys,
            items: items.collect(),
        }
    }

    pub(super) fn counterpart(&self, item: &Value) -> Option<&'a Value> {
        if self.items.is_empty() || !item.is_object() {
            return None;
        }
        let key = go_format::json(&key_of(self.keys, item));
        self.items.get(&key).copied()
    }
}

/// The members of an item that tell it apart.
fn key_of(keys: &[String], item: &Value) -> Value {
    keys.iter()
        .filter_map(|k| Some((k.clone(), item.get(k)?.clone())))
        .collect::<Map<String, Value>>()
        .into()
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
    for (i, key) in repeated(list.iter().map(|item| key_of(keys, item))) {
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
