//! The parts of a value whose paths can change when items are removed.

use serde_json::{Map as JsonMap, Value};

use super::schema::{Handle, List, Map, ObjectType, Shape, TypeRef};
use crate::fieldpath::Set;

impl ObjectType {
    /// A part of the object that loses the same paths as the whole object when these items are
    /// removed from it. `fields` are the object's own.
    pub(crate) fn touched_by(
        &self,
        object: &JsonMap<String, Value>,
        items: &Set,
        fields: &Set,
    ) -> JsonMap<String, Value> {
        touched_members(object, items, Some(fields), self.map())
    }
}

fn touched_members(
    members: &JsonMap<String, Value>,
    items: &Set,
    fields: Option<&Set>,
    map: &Map,
) -> JsonMap<String, Value> {
    let mut out = JsonMap::new();
    let mut witness = None;
    for (name, member) in members {
        let below_fields = fields.and_then(|fields| fields.with_field_prefix(name));
        if items.has_field(name) {
            out.insert(name.clone(), member.clone());
        } else if let Some(below) = items.with_field_prefix(name) {
            let touched = touched(member, below, below_fields, map.type_of(name));
            out.insert(name.clone(), touched);
        } else if below_fields.is_some() || fields.is_some_and(|fields| fields.has_field(name)) {
            witness = Some((name, &Value::Null));
        } else {
            witness = witness.or(Some((name, member)));
        }
    }
    // What becomes of the map's own path depends on whether anything is left, and whether that has a
    // path.
    if let Some((name, member)) = witness {
        out.insert(name.clone(), member.clone());
    }
    out
}

fn touched(value: &Value, items: &Set, fields: Option<&Set>, type_ref: &TypeRef) -> Value {
    match (Shape::of(type_ref.resolve(), Some(value)).handle(), value) {
        (Handle::Map(map), Value::Object(members)) if !map.atomic => {
            Value::Object(touched_members(members, items, fields, map))
        }
        (Handle::List(list), Value::Array(members)) => {
            let touched = touched_items(members, items, list);
            touched.map_or_else(|| value.clone(), Value::Array)
        }
        _ => value.clone(),
    }
}

/// `None` when all items count: one that loses a part may get the name of another one.
fn touched_items(members: &[Value], items: &Set, list: &List) -> Option<Vec<Value>> {
    let loses_whole_items = items.children().all(|(item, _)| items.has_member(item));
    if list.is_atomic() || !loses_whole_items {
        return None;
    }
    let mut out = Vec::new();
    for item in members {
        if items.has_member(&list.element_of(item).ok()?) {
            out.push(item.clone());
        }
    }
    Some(out)
}
