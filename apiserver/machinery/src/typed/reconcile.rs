//! Bringing an old field set in line with a schema that changed since.
//!
//! A list or map that became atomic is owned as a whole by who owned a part of it. What went from
//! atomic to granular needs no change: the whole still covers its parts.

use super::{
    error::TypeErrors,
    schema::{Handle, INVALID_ATOM, List, Map, ObjectType, Shape, TypeRef},
    trail::Trail,
};
use crate::fieldpath::{PathElement, Set};

impl ObjectType {
    /// The set in terms of the schema; `None` when it is already.
    pub(crate) fn reconcile(&self, set: &Set) -> Result<Option<Set>, TypeErrors> {
        let mut walk = Walk {
            now_atomic: Set::default(),
            errors: TypeErrors::default(),
        };
        walk.map(Some(set), IsWhole::No, self.map(), &Trail::ROOT);
        walk.errors.into_result()?;
        let atomic = walk.now_atomic;
        Ok((!atomic.is_empty()).then(|| set.recursive_difference(&atomic).union(&atomic)))
    }
}

/// Whether a path is owned, and nothing below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsWhole {
    Yes,
    No,
}

struct Walk {
    now_atomic: Set,
    errors: TypeErrors,
}

impl Walk {
    fn visit(&mut self, set: Option<&Set>, whole: IsWhole, type_ref: &TypeRef, at: &Trail<'_>) {
        if type_ref.is_ignored() {
            return;
        }
        match Shape::of(type_ref.resolve(), None).handle() {
            Handle::Scalar(_) => {}
            Handle::Map(map) => self.map(set, whole, map, at),
            Handle::List(list) => self.list(set, whole, list, at),
            Handle::Nothing => self.errors.push(at, INVALID_ATOM),
        }
    }

    fn list(&mut self, set: Option<&Set>, whole: IsWhole, list: &List, at: &Trail<'_>) {
        if whole == IsWhole::No && list.is_atomic() {
            self.now_atomic.insert(&at.to_path());
        } else if let Some(set) = set {
            for_each_element(set, |element, below, whole| {
                self.visit(below, whole, &list.element, &at.element(element));
            });
        }
    }

    fn map(&mut self, set: Option<&Set>, whole: IsWhole, map: &Map, at: &Trail<'_>) {
        if map.fields.is_empty() && map.element.is_untyped_or_deduced() {
            return;
        }
        let Some(set) = set else { return };
        if whole == IsWhole::No && map.atomic {
            self.now_atomic.insert(&at.to_path());
            return;
        }
        for_each_element(set, |element, below, whole| {
            let type_ref = match element {
                PathElement::Field(name) => map.type_of(name),
                _ => &map.element,
            };
            if !type_ref.is_undeclared() {
                self.visit(below, whole, type_ref, &at.element(element));
            }
        });
    }
}

fn for_each_element(set: &Set, mut f: impl FnMut(&PathElement, Option<&Set>, IsWhole)) {
    for (element, below) in set.children() {
        f(element, Some(below), IsWhole::No);
    }
    for element in set.members() {
        if set.with_prefix(element).is_none() {
            f(element, None, IsWhole::Yes);
        }
    }
}
