//! Field sets as `FieldsV1`: a tree of JSON objects whose keys are path elements.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{
    PathElement, Set,
    value::{EscapeMarkup, push_json, push_json_string},
};

/// Deepest nesting of a field set: as deep as JSON from a client can be.
pub const DEPTH_MAX: usize = 128;

/// What most serialised elements fit in.
const SERIALIZED_BYTES: usize = 24;

/// What stands for the path itself among its children.
const SELF: &str = ".";

/// Why `FieldsV1` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldsError(String);

impl fmt::Display for FieldsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FieldsError {}

impl PathElement {
    /// The serialised element: `f:name`, `k:{"name":"a"}`, `v:"a"` or `i:0`.
    pub fn serialize(&self) -> String {
        let mut out = String::with_capacity(SERIALIZED_BYTES);
        match self {
            Self::Field(name) => {
                out.push_str("f:");
                out.push_str(name);
            }
            Self::Key(keys) => {
                out.push_str("k:{");
                for (i, (name, value)) in keys.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    push_json_string(&mut out, name, EscapeMarkup::No);
                    out.push(':');
                    push_json(&mut out, value);
                }
                out.push('}');
            }
            Self::Value(value) => {
                out.push_str("v:");
                push_json(&mut out, value);
            }
            Self::Index(index) => {
                out.push_str("i:");
                out.push_str(&index.to_string());
            }
        }
        out
    }

    /// Reads a serialised element; `None` for a kind that a later version may have added.
    pub fn deserialize(text: &str) -> Result<Option<Self>, FieldsError> {
        let mut chars = text.char_indices();
        let (Some((_, kind)), Some((_, colon))) = (chars.next(), chars.next()) else {
            return Err(FieldsError(format!(
                "a path element has at least 2 characters, got {text:?}"
            )));
        };
        if colon != ':' {
            return Err(FieldsError(format!("missing colon: {text}")));
        }
        let rest = chars.as_str();
        let invalid = |e: &dyn fmt::Display| FieldsError(format!("path element {text:?}: {e}"));
        Ok(Some(match kind {
            'f' => Self::field(rest),
            'v' => Self::value(serde_json::from_str(rest).map_err(|e| invalid(&e))?),
            'k' => {
                let Keys(keys) = serde_json::from_str(rest).map_err(|e| invalid(&e))?;
                Self::key(keys)
            }
            'i' => Self::Index(rest.parse().map_err(|e| invalid(&e))?),
            _ => return Ok(None),
        }))
    }
}

/// The keys of an item in the order of the text, without a map in between.
struct Keys(Vec<(Arc<str>, Value)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::with_capacity(1);
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, Value>()? {
            keys.push((Arc::from(&*name), value));
        }
        Ok(Keys(keys))
    }
}

impl Set {
    /// The set as `FieldsV1`.
    pub fn to_fields(&self) -> Value {
        Value::Object(encode(self))
    }

    /// Reads `FieldsV1`.
    pub fn from_fields(fields: &Value) -> Result<Self, FieldsError> {
        Ok(decode(fields, 0)?.0)
    }
}

fn encode(set: &Set) -> Map<String, Value> {
    let parents = set.children().map(|(element, child)| {
        let mut child = encode(child);
        if set.has_member(element) {
            child.insert(SELF.to_owned(), Value::Object(Map::new()));
        }
        (element.serialize(), Value::Object(child))
    });
    let leaves = set
        .members()
        .iter()
        .filter(|element| set.with_prefix(element).is_none())
        .map(|element| (element.serialize(), Value::Object(Map::new())));
    parents.chain(leaves).collect()
}

/// The set below a path, and whether the path itself is in the set.
fn decode(fields: &Value, depth: usize) -> Result<(Set, bool), FieldsError> {
    if depth > DEPTH_MAX {
        return Err(FieldsError("the fields are nested too deeply".to_owned()));
    }
    let fields = match fields {
        Value::Object(fields) => fields,
        Value::Null => return Ok((Set::default(), true)),
        _ => return Err(FieldsError("every field must be an object".to_owned())),
    };
    let mut set = Set::default();
    let mut is_member = false;
    for (key, value) in fields {
        if key == SELF {
            is_member = true;
        } else if let Some(element) = PathElement::deserialize(key)? {
            let (child, child_is_member) = decode(value, depth + 1)?;
            if child_is_member {
                set.insert_member(element.clone());
            }
            if !child.is_empty() {
                set.insert_child(element, child);
            }
        }
    }
    is_member |= set.is_empty();
    Ok((set, is_member))
}
