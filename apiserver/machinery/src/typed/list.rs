//! How the items of a list are named in a path.

use std::sync::Arc;

use serde_json::Value;

use super::schema::{List, ListRelationship};
use crate::fieldpath::{PathElement, value::quote};

impl List {
    pub(super) fn is_atomic(&self) -> bool {
        matches!(self.relationship, ListRelationship::Atomic)
    }

    /// The path element of an item of a set or a list with keys.
    pub(super) fn element_of(&self, item: &Value) -> Result<PathElement, String> {
        match &self.relationship {
            ListRelationship::Atomic => Err("invalid indexing of non-associative list".to_owned()),
            ListRelationship::Set => set_element(item),
            ListRelationship::Keys(keys) => self.keyed_element(keys, item),
        }
    }

    fn keyed_element(&self, keys: &[Arc<str>], item: &Value) -> Result<PathElement, String> {
        let item = match item {
            Value::Object(item) => item,
            Value::Null => {
                return Err("associative list with keys may not have a null element".to_owned());
            }
            _ => {
                return Err("associative list with keys may not have non-map elements".to_owned());
            }
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            match item.get(&**key) {
                Some(value) => found.push((Arc::clone(key), value.clone())),
                None => {
                    if let Some(default) = self.key_default(key)? {
                        found.push((Arc::clone(key), default.clone()));
                    }
                }
            }
        }
        if found.is_empty() && !keys.is_empty() {
            let keys: Vec<String> = keys.iter().map(|k| quote(k)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and \
                 doesn't have default values for any key fields)",
                keys.join(" ")
            ));
        }
        Ok(PathElement::key(found))
    }

    fn key_default(&self, key: &str) -> Result<Option<&Value>, String> {
        let Some(map) = &self.element.resolve().map else {
            return Err(format!(
                "couldn't find default value for {key}: associative list may not have non-map types"
            ));
        };
        let default = map.fields.get(key).and_then(|f| f.default.as_ref());
        Ok(default.filter(|d| !d.is_null()))
    }
}

fn set_element(item: &Value) -> Result<PathElement, String> {
    match item {
        Value::Object(_) => {
            Err("associative list without keys has an element that's a map type".to_owned())
        }
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => {
            Err("associative list without keys has an element that's an explicit null".to_owned())
        }
        scalar => Ok(PathElement::value(scalar.clone())),
    }
}
