//! Whether a value is of its type.

use std::collections::BTreeSet;

use serde_json::{Map as JsonMap, Value};

use super::{
    error::{TypeErrors, kind_of},
    schema::{Handle, INVALID_ATOM, List, Map, ObjectType, Scalar, Shape, TypeRef},
    trail::Trail,
};

/// Whether a set or a list with keys may have an item twice, as stored objects may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicates {
    Allowed,
    Refused,
}

impl ObjectType {
    /// Checks an object against its type.
    pub(crate) fn validate(
        &self,
        object: &JsonMap<String, Value>,
        duplicates: Duplicates,
    ) -> Result<(), TypeErrors> {
        let mut walk = Walk {
            duplicates,
            errors: TypeErrors::default(),
        };
        walk.members(object, self.map(), &Trail::ROOT);
        walk.errors.into_result()
    }
}

/// What is wrong with a scalar; null is always right.
pub(super) fn scalar_error(scalar: Scalar, value: &Value) -> Option<String> {
    let expected = match (scalar, value) {
        (_, Value::Null)
        | (Scalar::Numeric, Value::Number(_))
        | (Scalar::String, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => return None,
        (Scalar::Numeric, _) => "numeric (int or float)",
        (Scalar::String, _) => "string",
        (Scalar::Boolean, _) => "boolean",
        (Scalar::Untyped, _) => "any scalar",
    };
    Some(format!("expected {expected}, got {}", kind_of(value)))
}

struct Walk {
    duplicates: Duplicates,
    errors: TypeErrors,
}

impl Walk {
    fn value(&mut self, value: &Value, type_ref: &TypeRef, at: &Trail<'_>) {
        if type_ref.is_ignored() {
            return;
        }
        match Shape::of(type_ref.resolve(), Some(value)).handle() {
            Handle::Map(map) => self.map(value, map, at),
            Handle::List(list) => self.list(value, list, at),
            Handle::Scalar(scalar) => {
                if let Some(error) = scalar_error(scalar, value) {
                    self.errors.push(at, error);
                }
            }
            Handle::Nothing => self.errors.push(at, INVALID_ATOM),
        }
    }

    fn map(&mut self, value: &Value, map: &Map, at: &Trail<'_>) {
        match value {
            Value::Object(members) => self.members(members, map, at),
            Value::Null => {}
            other => {
                let message = format!("expected map, got {}", kind_of(other));
                self.errors.push(at, message);
            }
        }
    }

    fn members(&mut self, members: &JsonMap<String, Value>, map: &Map, at: &Trail<'_>) {
        for (name, member) in members {
            let type_ref = map.type_of(name);
            let at = at.field(name);
            if type_ref.is_undeclared() {
                return self.errors.push(&at, "field not declared in schema");
            }
            self.value(member, type_ref, &at);
        }
    }

    fn list(&mut self, value: &Value, list: &List, at: &Trail<'_>) {
        let items = match value {
            Value::Array(items) => items,
            Value::Null => return,
            other => {
                let message = format!("expected list, got {}", kind_of(other));
                return self.errors.push(at, message);
            }
        };
        if list.is_atomic() {
            for (i, item) in items.iter().enumerate() {
                self.value(item, &list.element, &at.position(i));
            }
            return;
        }
        let mut seen = BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            let name = match list.name_of(item) {
                Ok(name) => name,
                Err(e) => return self.errors.push(at, format_args!("element {i}: {e}")),
            };
            if self.duplicates == Duplicates::Refused && seen.contains(&name) {
                let message = format!("duplicate entries for key {}", name.to_element());
                self.errors.push(at, message);
            }
            self.value(item, &list.element, &at.item(&name));
            seen.insert(name);
        }
    }
}
