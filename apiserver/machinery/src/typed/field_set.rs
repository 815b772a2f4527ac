//! The paths that a value has.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::{
    error::TypeErrors,
    list::ItemName,
    schema::{Atom, Handle, INVALID_ATOM, List, Map, ObjectType, Shape, TypeRef},
    trail::Trail,
};
use crate::fieldpath::{PathElement, Set};

impl ObjectType {
    /// The paths of all leaves of an object, of all items of lists and of all members of maps that
    /// are no named field.
    pub(crate) fn to_field_set(&self, object: &JsonMap<String, Value>) -> Result<Set, TypeErrors> {
        let mut errors = TypeErrors::default();
        let set = visit_members(object, self.map(), &Trail::ROOT, &mut errors);
        errors.into_result().map(|()| set)
    }

    /// The set with the paths of all named fields that it has something below.
    pub(crate) fn ensure_named_fields_are_members(&self, mut set: Set) -> Set {
        ensure_named(&mut set, self.atom());
        set
    }
}

/// What a value adds: paths below it, and whether its own path is a leaf.
#[derive(Default)]
struct Below {
    set: Set,
    is_leaf: bool,
}

impl Below {
    fn parts(set: Set) -> Self {
        let is_leaf = false;
        Self { set, is_leaf }
    }
}

fn visit(value: &Value, type_ref: &TypeRef, at: &Trail<'_>, errors: &mut TypeErrors) -> Below {
    let leaf = Below {
        set: Set::default(),
        is_leaf: true,
    };
    match Shape::of(type_ref.resolve(), Some(value)).handle() {
        Handle::Scalar(_) => leaf,
        Handle::Map(map) if map.atomic => leaf,
        Handle::List(list) if list.is_atomic() => leaf,
        Handle::Map(map) => {
            let members = value.as_object();
            Below::parts(members.map_or_else(Set::default, |m| visit_members(m, map, at, errors)))
        }
        Handle::List(list) => Below::parts(visit_list(value, list, at, errors)),
        Handle::Nothing => {
            errors.push(at, INVALID_ATOM);
            Below::default()
        }
    }
}

fn visit_members(
    members: &JsonMap<String, Value>,
    map: &Map,
    at: &Trail<'_>,
    errors: &mut TypeErrors,
) -> Set {
    let mut set = Set::default();
    for (name, member) in members {
        let type_ref = map.type_of(name);
        if type_ref.is_ignored() {
            continue;
        }
        let below = visit(member, type_ref, &at.field(name), errors);
        let is_empty = match member {
            Value::Null => true,
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        let element = PathElement::field(name);
        if below.is_leaf || is_empty || !map.fields.contains_key(name) {
            set.insert_member(element.clone());
        }
        set.insert_child(element, below.set);
    }
    set
}

/// An item that is there more than once is owned as a whole.
fn visit_list(value: &Value, list: &List, at: &Trail<'_>, errors: &mut TypeErrors) -> Set {
    let mut items: BTreeMap<ItemName<'_>, Option<&Value>> = BTreeMap::new();
    for item in value.as_array().into_iter().flatten() {
        if let Ok(name) = list.name_of(item) {
            items
                .entry(name)
                .and_modify(|first| *first = None)
                .or_insert(Some(item));
        }
    }
    let mut set = Set::default();
    for (name, item) in items {
        let element = name.to_element();
        set.insert_member(element.clone());
        if let Some(item) = item {
            let below = visit(item, &list.element, &at.item(&name), errors);
            set.insert_child(element, below.set);
        }
    }
    set
}

fn ensure_named(set: &mut Set, atom: &Atom) {
    let mut named = Vec::new();
    for (element, child) in set.children_mut() {
        if atom.names(element) {
            named.push(element.clone());
        }
        ensure_named(child, atom.below(element));
    }
    for element in named {
        set.insert_member(element);
    }
}
