//! Removing the parts of a value that a set names.

use serde_json::{Map as JsonMap, Value};

use super::schema::{Handle, List, Map, ObjectType, Shape, TypeRef};
use crate::fieldpath::Set;

impl ObjectType {
    /// The object without these items. A map or list that loses its last item becomes null, as
    /// upstream.
    pub(crate) fn remove_items(
        &self,
        mut object: JsonMap<String, Value>,
        items: &Set,
    ) -> JsonMap<String, Value> {
        remove_members(&mut object, items, self.map());
        object
    }
}

fn remove_items(value: Value, items: &Set, type_ref: &TypeRef) -> Value {
    if type_ref.is_ignored() {
        return value;
    }
    match Shape::of(type_ref.resolve(), Some(&value)).handle() {
        Handle::Map(map) => remove_from_map(value, items, map),
        Handle::List(list) => remove_from_list(value, items, list),
        Handle::Scalar(_) => value,
        Handle::Nothing => Value::Null,
    }
}

fn remove_from_map(value: Value, items: &Set, map: &Map) -> Value {
    let Value::Object(mut members) = value else {
        return Value::Null;
    };
    if map.atomic {
        return Value::Null;
    }
    remove_members(&mut members, items, map);
    if members.is_empty() {
        Value::Null
    } else {
        Value::Object(members)
    }
}

fn remove_members(members: &mut JsonMap<String, Value>, items: &Set, map: &Map) {
    members.retain(|name, member| {
        if items.has_field(name) {
            return false;
        }
        if let Some(below) = items.with_field_prefix(name) {
            *member = remove_items(member.take(), below, map.type_of(name));
        }
        true
    });
}

fn remove_from_list(value: Value, items: &Set, list: &List) -> Value {
    let Value::Array(mut members) = value else {
        return Value::Null;
    };
    if list.is_atomic() {
        return Value::Null;
    }
    members.retain_mut(|item| {
        let Ok(element) = list.element_of(item) else {
            return true;
        };
        if items.has_member(&element) {
            return false;
        }
        if let Some(below) = items.with_prefix(&element) {
            *item = remove_items(item.take(), below, &list.element);
        }
        true
    });
    if members.is_empty() {
        Value::Null
    } else {
        Value::Array(members)
    }
}
