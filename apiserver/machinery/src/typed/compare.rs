//! What differs between two values of one type.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value};

use super::{
    error::TypeErrors,
    list::ItemName,
    schema::{Handle, INVALID_ATOM, List, Map, ObjectType, Scalar, Shape, TypeRef},
    trail::Trail,
    validate::scalar_error,
};
use crate::fieldpath::{Set, value::equals};

/// The paths that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Only in the first value.
    pub(crate) removed: Set,
    /// In both, with another value.
    pub(crate) modified: Set,
    /// Only in the second value.
    pub(crate) added: Set,
}

impl Comparison {
    /// Without these paths and what is below them.
    pub(crate) fn exclude(mut self, fields: &Set) -> Self {
        let Self {
            removed,
            modified,
            added,
        } = &mut self;
        for set in [removed, modified, added] {
            set.subtract_recursively(fields);
        }
        self
    }
}

impl ObjectType {
    /// What differs between two objects.
    pub(crate) fn compare(
        &self,
        lhs: &JsonMap<String, Value>,
        rhs: &JsonMap<String, Value>,
    ) -> Result<Comparison, TypeErrors> {
        let mut walk = Walk {
            comparison: Comparison::default(),
            errors: TypeErrors::default(),
        };
        walk.members(Some(lhs), Some(rhs), self.map(), &Trail::ROOT);
        walk.errors.into_result().map(|()| walk.comparison)
    }
}

struct Walk {
    comparison: Comparison,
    errors: TypeErrors,
}

/// Whether a value was compared as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    AsLeaf,
    ByParts,
}

/// A value that is missing, there, or there on both sides.
type Side<'v> = Option<&'v Value>;

impl Walk {
    fn value(&mut self, lhs: Side<'_>, rhs: Side<'_>, type_ref: &TypeRef, at: &Trail<'_>) {
        if type_ref.is_ignored() || is_same_container(lhs, rhs) {
            return;
        }
        let atom = type_ref.resolve();
        let (left, right) = (Shape::of(atom, lhs), Shape::of(atom, rhs));
        let compared = if rhs.is_none() {
            self.shape(left, lhs, rhs, at)
        } else {
            if lhs.is_some() && !left.same_as(right) {
                self.shape(left, lhs, rhs, at);
            }
            self.shape(right, lhs, rhs, at)
        };
        if compared == Compared::ByParts {
            if lhs.is_none() {
                self.comparison.added.insert(&at.to_path());
            } else if rhs.is_none() {
                self.comparison.removed.insert(&at.to_path());
            }
        }
    }

    fn shape(
        &mut self,
        shape: Shape<'_>,
        lhs: Side<'_>,
        rhs: Side<'_>,
        at: &Trail<'_>,
    ) -> Compared {
        match shape.handle() {
            Handle::Map(map) => self.map(lhs, rhs, map, at),
            Handle::List(list) => self.list(lhs, rhs, list, at),
            Handle::Scalar(scalar) => self.scalar(lhs, rhs, scalar, at),
            Handle::Nothing => {
                self.errors.push(at, INVALID_ATOM);
                Compared::ByParts
            }
        }
    }

    fn leaf(&mut self, lhs: Side<'_>, rhs: Side<'_>, at: &Trail<'_>) -> Compared {
        match (lhs, rhs) {
            (None, _) => self.comparison.added.insert(&at.to_path()),
            (_, None) => self.comparison.removed.insert(&at.to_path()),
            (Some(l), Some(r)) if !equals(l, r) => self.comparison.modified.insert(&at.to_path()),
            _ => {}
        }
        Compared::AsLeaf
    }

    fn scalar(&mut self, lhs: Side<'_>, rhs: Side<'_>, scalar: Scalar, at: &Trail<'_>) -> Compared {
        let l_error = lhs.and_then(|v| scalar_error(scalar, v));
        let r_error = rhs.and_then(|v| scalar_error(scalar, v));
        if let (Some(l), Some(r)) = (l_error, r_error) {
            self.errors.push(at, format_args!("lhs: {l}"));
            self.errors.push(at, format_args!("rhs: {r}"));
            return Compared::ByParts;
        }
        self.leaf(lhs, rhs, at)
    }

    fn map(&mut self, lhs: Side<'_>, rhs: Side<'_>, map: &Map, at: &Trail<'_>) -> Compared {
        let l = lhs.and_then(Value::as_object).filter(|m| !m.is_empty());
        let r = rhs.and_then(Value::as_object).filter(|m| !m.is_empty());
        if map.atomic || (l.is_none() && r.is_none()) {
            return self.leaf(lhs, rhs, at);
        }
        self.members(l, r, map, at);
        Compared::ByParts
    }

    fn members(
        &mut self,
        l: Option<&JsonMap<String, Value>>,
        r: Option<&JsonMap<String, Value>>,
        map: &Map,
        at: &Trail<'_>,
    ) {
        let mut shared = 0;
        for (name, l_member) in l.into_iter().flatten() {
            let r_member = r.and_then(|r| r.get(name));
            shared += usize::from(r_member.is_some());
            self.value(Some(l_member), r_member, map.type_of(name), &at.field(name));
        }
        for (name, r_member) in r.filter(|r| r.len() > shared).into_iter().flatten() {
            if l.is_none_or(|l| !l.contains_key(name)) {
                self.value(None, Some(r_member), map.type_of(name), &at.field(name));
            }
        }
    }

    fn list(&mut self, lhs: Side<'_>, rhs: Side<'_>, list: &List, at: &Trail<'_>) -> Compared {
        let l = lhs.and_then(Value::as_array).filter(|l| !l.is_empty());
        let r = rhs.and_then(Value::as_array).filter(|r| !r.is_empty());
        if list.is_atomic() || (l.is_none() && r.is_none()) {
            return self.leaf(lhs, rhs, at);
        }
        let mut items: BTreeMap<ItemName<'_>, [Occurrences<'_>; 2]> = BTreeMap::new();
        for (side, list_of_side) in [l, r].into_iter().enumerate() {
            for (i, item) in list_of_side.into_iter().flatten().enumerate() {
                match list.name_of(item) {
                    Ok(name) => {
                        if let Some(occurrences) = items.entry(name).or_default().get_mut(side) {
                            occurrences.push(item);
                        }
                    }
                    Err(e) => self.errors.push(at, format_args!("element {i}: {e}")),
                }
            }
        }
        for (name, [l, r]) in &items {
            self.items(l, r, list, &at.item(name));
        }
        Compared::ByParts
    }

    /// Compares the items of one name; one that is there more than once counts as a whole.
    fn items(&mut self, lhs: &Occurrences<'_>, rhs: &Occurrences<'_>, list: &List, at: &Trail<'_>) {
        match (lhs.more.is_empty(), rhs.more.is_empty()) {
            (true, true) => self.value(lhs.first, rhs.first, &list.element, at),
            (false, false) => {
                if !lhs.equals(rhs) {
                    self.comparison.modified.insert(&at.to_path());
                }
            }
            (false, true) => {
                if rhs.first.is_some() {
                    self.value(None, rhs.first, &list.element, at);
                }
                self.comparison.removed.insert(&at.to_path());
            }
            (true, false) => {
                if lhs.first.is_some() {
                    self.value(lhs.first, None, &list.element, at);
                }
                self.comparison.added.insert(&at.to_path());
            }
        }
    }
}

/// Whether there is nothing to find: most parts of an object do not change.
fn is_same_container(lhs: Side<'_>, rhs: Side<'_>) -> bool {
    match (lhs, rhs) {
        (Some(Value::Object(l)), Some(Value::Object(r))) => l == r,
        (Some(Value::Array(l)), Some(Value::Array(r))) => l == r,
        _ => false,
    }
}

/// The items of one name in a list; more than one only in lists that break their own rule.
#[derive(Default)]
struct Occurrences<'v> {
    first: Side<'v>,
    more: Vec<&'v Value>,
}

impl<'v> Occurrences<'v> {
    fn push(&mut self, item: &'v Value) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.more.push(item);
        }
    }

    fn all(&self) -> impl Iterator<Item = &'v Value> {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    fn equals(&self, other: &Self) -> bool {
        self.more.len() == other.more.len()
            && self.all().zip(other.all()).all(|(l, r)| equals(l, r))
    }
}
