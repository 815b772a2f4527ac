//! Merging an applied value into a live one.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::{
    error::TypeErrors,
    list::ItemName,
    schema::{Handle, INVALID_ATOM, List, Map, ObjectType, Scalar, Shape, TypeRef},
    trail::Trail,
    validate::scalar_error,
};

impl ObjectType {
    /// The live object with the applied one over it, which wins. Both are valid for the type.
    pub(crate) fn merge(
        &self,
        live: &JsonMap<String, Value>,
        applied: &JsonMap<String, Value>,
    ) -> Result<JsonMap<String, Value>, TypeErrors> {
        let mut errors = TypeErrors::default();
        let (live, applied) = (Some(live), Some(applied));
        let merged = merge_members(live, applied, self.map(), &Trail::ROOT, &mut errors);
        errors.into_result().map(|()| merged)
    }
}

type Side<'v> = Option<&'v Value>;

/// `None` when there is nothing left to write.
fn value(
    lhs: Side<'_>,
    rhs: Side<'_>,
    type_ref: &TypeRef,
    at: &Trail<'_>,
    errors: &mut TypeErrors,
) -> Option<Value> {
    if type_ref.is_ignored() {
        return None;
    }
    // What only one side has stays as it is. That side is never the object's own metadata, which
    // every object has, so nothing below is ignored.
    if let (Some(only), None) | (None, Some(only)) = (lhs, rhs) {
        return Some(only.clone());
    }
    // Only the deduced shape of the winning side counts.
    let shape = Shape::of(type_ref.resolve(), rhs.or(lhs));
    match shape.handle() {
        Handle::Scalar(scalar) => merge_scalar(lhs, rhs, scalar, at, errors),
        Handle::Map(map) => merge_map(lhs, rhs, map, at, errors),
        Handle::List(list) => merge_list(lhs, rhs, list, at, errors),
        Handle::Nothing => {
            errors.push(at, INVALID_ATOM);
            None
        }
    }
}

fn leaf(lhs: Side<'_>, rhs: Side<'_>) -> Option<Value> {
    rhs.or(lhs).cloned()
}

fn merge_scalar(
    lhs: Side<'_>,
    rhs: Side<'_>,
    scalar: Scalar,
    at: &Trail<'_>,
    errors: &mut TypeErrors,
) -> Option<Value> {
    let l_error = lhs.and_then(|v| scalar_error(scalar, v));
    let r_error = rhs.and_then(|v| scalar_error(scalar, v));
    if let (Some(l), Some(r)) = (l_error, r_error) {
        errors.push(at, format_args!("lhs: {l}"));
        errors.push(at, format_args!("rhs: {r}"));
        return None;
    }
    leaf(lhs, rhs)
}

fn merge_map(
    lhs: Side<'_>,
    rhs: Side<'_>,
    map: &Map,
    at: &Trail<'_>,
    errors: &mut TypeErrors,
) -> Option<Value> {
    let l = lhs.and_then(Value::as_object).filter(|m| !m.is_empty());
    let r = rhs.and_then(Value::as_object).filter(|m| !m.is_empty());
    if map.atomic || (l.is_none() && r.is_none()) {
        return leaf(lhs, rhs);
    }
    let out = merge_members(l, r, map, at, errors);
    (!out.is_empty()).then_some(Value::Object(out))
}

fn merge_members(
    l: Option<&JsonMap<String, Value>>,
    r: Option<&JsonMap<String, Value>>,
    map: &Map,
    at: &Trail<'_>,
    errors: &mut TypeErrors,
) -> JsonMap<String, Value> {
    let mut out = JsonMap::new();
    let mut member = |name: &String, l: Side<'_>, r: Side<'_>| {
        if let Some(merged) = value(l, r, map.type_of(name), &at.field(name), errors) {
            out.insert(name.clone(), merged);
        }
    };
    let mut shared = 0;
    for (name, l_member) in l.into_iter().flatten() {
        let r_member = r.and_then(|r| r.get(name));
        shared += usize::from(r_member.is_some());
        member(name, Some(l_member), r_member);
    }
    for (name, r_member) in r.filter(|r| r.len() > shared).into_iter().flatten() {
        if l.is_none_or(|l| !l.contains_key(name)) {
            member(name, None, Some(r_member));
        }
    }
    out
}

fn merge_list(
    lhs: Side<'_>,
    rhs: Side<'_>,
    list: &List,
    at: &Trail<'_>,
    errors: &mut TypeErrors,
) -> Option<Value> {
    let l = lhs.and_then(Value::as_array).filter(|l| !l.is_empty());
    let r = rhs.and_then(Value::as_array).filter(|r| !r.is_empty());
    if list.is_atomic() || (l.is_none() && r.is_none()) {
        return leaf(lhs, rhs);
    }
    let l = index(l, list, at, errors);
    let r = index(r, list, at, errors);
    if let Some(twice) = r.first_duplicate() {
        errors.push(
            at,
            format_args!("duplicate entries for key {}", twice.to_element()),
        );
    }
    if !errors.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(l.items.len().max(r.items.len()));
    // Upstream drops the errors of single items; both sides were validated before.
    let mut ignored = TypeErrors::default();
    interleave(&l, &r, &mut |name, l_item, r_item| {
        let at = at.item(name);
        out.extend(value(l_item, r_item, &list.element, &at, &mut ignored));
    });
    (!out.is_empty()).then_some(Value::Array(out))
}

/// The items of a list in order, and where each name is first.
struct Index<'v> {
    items: Vec<(ItemName<'v>, &'v Value)>,
    positions: BTreeMap<ItemName<'v>, Position>,
}

#[derive(Clone, Copy)]
struct Position {
    first: usize,
    is_only: bool,
}

impl<'v> Index<'v> {
    fn first_duplicate(&self) -> Option<&ItemName<'v>> {
        let duplicate = self.positions.iter().find(|(_, at)| !at.is_only);
        duplicate.map(|(name, _)| name)
    }

    fn has(&self, name: &ItemName<'v>) -> bool {
        self.positions.contains_key(name)
    }

    /// The item of this name; null when there are several.
    fn only(&self, name: &ItemName<'v>) -> Side<'v> {
        let position = self.positions.get(name)?;
        if position.is_only {
            self.items.get(position.first).map(|(_, item)| *item)
        } else {
            Some(&Value::Null)
        }
    }
}

fn index<'v>(
    items: Option<&'v Vec<Value>>,
    list: &'v List,
    at: &Trail<'_>,
    errors: &mut TypeErrors,
) -> Index<'v> {
    let mut index = Index {
        items: Vec::new(),
        positions: BTreeMap::new(),
    };
    for (i, item) in items.into_iter().flatten().enumerate() {
        let name = match list.name_of(item) {
            Ok(name) => name,
            Err(e) => {
                errors.push(at, format_args!("name {i}: {e}"));
                continue;
            }
        };
        let position = Position {
            first: index.items.len(),
            is_only: true,
        };
        index
            .positions
            .entry(name.clone())
            .and_modify(|p| p.is_only = false)
            .or_insert(position);
        index.items.push((name, item));
    }
    index
}

/// Calls `emit` with the items of both lists in the order of the result: shared items in the order
/// of the applied list; the others stay where they are, live ones first.
fn interleave<'v>(
    live: &Index<'v>,
    applied: &Index<'v>,
    emit: &mut dyn FnMut(&ItemName<'v>, Side<'v>, Side<'v>),
) {
    let mut shared = applied
        .items
        .iter()
        .map(|(name, _)| name)
        .filter(|name| live.has(name));
    let mut next_shared = shared.next();
    let mut merged = vec![false; applied.items.len()];
    let (mut l, mut r) = (0, 0);
    loop {
        let (l_item, r_item) = (live.items.get(l), applied.items.get(r));
        if let (Some((l_name, _)), Some((r_name, r_value))) = (l_item, r_item) {
            if l_name == r_name {
                emit(l_name, live.only(l_name), Some(r_value));
                mark(&mut merged, r);
                (l, r) = (l + 1, r + 1);
                next_shared = shared.next();
                continue;
            }
            let is_out_of_order = next_shared.is_some_and(|next| next != l_name);
            if is_out_of_order && applied.has(l_name) {
                // It comes later, with its applied item.
                l += 1;
                continue;
            }
        }
        if let Some((name, item)) = l_item {
            match applied.positions.get(name) {
                None => {
                    emit(name, Some(item), None);
                    l += 1;
                    continue;
                }
                Some(position) => {
                    if merged.get(position.first).copied().unwrap_or_default() {
                        l += 1;
                    }
                }
            }
        }
        if let Some((name, item)) = r_item {
            mark(&mut merged, r);
            emit(name, live.only(name), Some(item));
            r += 1;
            if next_shared == Some(name) {
                next_shared = shared.next();
            }
        } else if l_item.is_none() {
            return;
        }
    }
}

fn mark(merged: &mut [bool], at: usize) {
    if let Some(mark) = merged.get_mut(at) {
        *mark = true;
    }
}
