//! The parts of a value that a set names.

use serde_json::{Map as JsonMap, Value};

use super::schema::{Handle, List, Map, ObjectType, Shape, TypeRef};
use crate::fieldpath::{PathElement, Set};

impl ObjectType {
    /// The part of an object that these paths lead to, with the keys of every item of a list on the
    /// way.
    pub(crate) fn extract_items(
        &self,
        object: &JsonMap<String, Value>,
        items: &Set,
    ) -> JsonMap<String, Value> {
        extract_members(object, items, self.map())
    }
}

/// A value of one piece is taken as a whole, of the others what `items` names below them.
fn extract(value: &Value, items: Option<&Set>, type_ref: &TypeRef) -> Value {
    let nothing = Set::default();
    let items = items.unwrap_or(&nothing);
    match (Shape::of(type_ref.resolve(), Some(value)).handle(), value) {
        (Handle::Map(map), Value::Object(members)) if !map.atomic => {
            Value::Object(extract_members(members, items, map))
        }
        (Handle::List(list), Value::Array(members)) if !list.is_atomic() => {
            extract_list(members, items, list)
        }
        _ => value.clone(),
    }
}

fn extract_members(
    members: &JsonMap<String, Value>,
    items: &Set,
    map: &Map,
) -> JsonMap<String, Value> {
    members
        .iter()
        .filter_map(|(name, member)| {
            let below = items.with_field_prefix(name);
            let is_taken = below.is_some() || items.has_field(name);
            is_taken.then(|| (name.clone(), extract(member, below, map.type_of(name))))
        })
        .collect()
}

fn extract_list(members: &[Value], items: &Set, list: &List) -> Value {
    let taken = members.iter().filter_map(|item| {
        let element = list.element_of(item).ok()?;
        let below = items.with_prefix(&element);
        if below.is_none() && !items.has_member(&element) {
            return None;
        }
        let mut taken = extract(item, below, &list.element);
        if let (PathElement::Key(keys), Value::Object(taken)) = (&element, &mut taken) {
            for (name, _) in keys.iter() {
                if let Some(value) = item.get(&**name) {
                    taken.insert(name.to_string(), value.clone());
                }
            }
        }
        Some(taken)
    });
    Value::Array(taken.collect())
}
