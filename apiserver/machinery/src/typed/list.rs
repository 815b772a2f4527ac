//! How the items of a list are named in a path.

use std::{cmp::Ordering, sync::Arc};

use serde_json::Value;

use super::schema::{List, ListRelationship};
use crate::{
    fieldpath::{PathElement, value::compare},
    go_format::quote,
};

impl List {
    pub(super) fn is_atomic(&self) -> bool {
        matches!(self.relationship, ListRelationship::Atomic)
    }

    /// The name of an item of a set or a list with keys.
    pub(super) fn name_of<'v>(&'v self, item: &'v Value) -> Result<ItemName<'v>, String> {
        match &self.relationship {
            ListRelationship::Atomic => Err("invalid indexing of non-associative list".to_owned()),
            ListRelationship::Set => set_name(item),
            ListRelationship::Keys(keys) => self.keyed_name(keys, item),
        }
    }

    /// The path element of an item of a set or a list with keys.
    pub(super) fn element_of(&self, item: &Value) -> Result<PathElement, String> {
        self.name_of(item).map(|name| name.to_element())
    }

    fn keyed_name<'v>(
        &'v self,
        keys: &'v [Arc<str>],
        item: &'v Value,
    ) -> Result<ItemName<'v>, String> {
        let item = match item {
            Value::Object(item) => item,
            Value::Null => {
                return Err("associative list with keys may not have a null element".to_owned());
            }
            _ => {
                return Err("associative list with keys may not have non-map elements".to_owned());
            }
        };
        let mut found = Vec::new();
        for key in keys {
            let value = match item.get(&**key) {
                Some(value) => Some(value),
                None => self.key_default(key)?,
            };
            match value {
                Some(value) if keys.len() == 1 => return Ok(ItemName::Key((key, value))),
                value => found.extend(value.map(|value| (key, value))),
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
        found.sort_by_key(|(key, _)| *key);
        Ok(ItemName::Keys(found))
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

fn set_name(item: &Value) -> Result<ItemName<'_>, String> {
    match item {
        Value::Object(_) => {
            Err("associative list without keys has an element that's a map type".to_owned())
        }
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => {
            Err("associative list without keys has an element that's an explicit null".to_owned())
        }
        scalar => Ok(ItemName::Value(scalar)),
    }
}

/// What tells an item from the others of its list. A path element that borrows.
#[derive(Clone, Debug)]
pub(super) enum ItemName<'v> {
    Value(&'v Value),
    Key((&'v Arc<str>, &'v Value)),
    /// Sorted by the name of the key.
    Keys(Vec<(&'v Arc<str>, &'v Value)>),
}

impl ItemName<'_> {
    pub(super) fn to_element(&self) -> PathElement {
        match self {
            Self::Value(value) => PathElement::value((*value).clone()),
            _ => PathElement::key(self.keys().iter().map(owned).collect()),
        }
    }

    fn keys(&self) -> &[(&Arc<str>, &Value)] {
        match self {
            Self::Value(_) => &[],
            Self::Key(pair) => std::slice::from_ref(pair),
            Self::Keys(pairs) => pairs,
        }
    }
}

fn owned((key, value): &(&Arc<str>, &Value)) -> (Arc<str>, Value) {
    (Arc::clone(key), (*value).clone())
}

/// The order of the path elements, for names of one list.
impl Ord for ItemName<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Self::Value(l), Self::Value(r)) = (self, other) {
            return compare(l, r);
        }
        let (l, r) = (self.keys(), other.keys());
        l.iter()
            .zip(r)
            .map(|((l_key, l), (r_key, r))| l_key.cmp(r_key).then_with(|| compare(l, r)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| l.len().cmp(&r.len()))
    }
}

impl PartialOrd for ItemName<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ItemName<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ItemName<'_> {}
