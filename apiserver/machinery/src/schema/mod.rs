//! Structural schemas: what a kind's objects may contain.
//!
//! A schema is parsed once from OpenAPI v3 JSON into a tree and then prunes, fills in defaults and
//! validates. Mirrors `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`. A keyword that this
//! module does not enforce is refused by [`Schema::parse`], so that nothing is silently unchecked:
//! `x-kubernetes-validations` is the one that a CustomResourceDefinition has and this one has not.
//!
//! An object passes through [`Schema::prune`], [`Schema::apply_defaults`] and one of
//! [`Schema::validate`], [`Schema::validate_update`] and [`Schema::validate_status_update`], in this
//! order. The rules for the object's own `metadata` are not here but in [`crate::object_meta`] and
//! [`crate::validation`].
//!
//! Deviations, all stricter than upstream: a boolean `additionalProperties` is refused; a list is no
//! string even if the string has a `format`; an `enum` of numbers compares exactly.

mod defaults;
mod embedded;
mod format;
mod list_type;
mod number;
mod outcome;
mod parse;
mod pattern;
mod prune;
mod structural;
mod validate;

#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod upstream;

use std::collections::BTreeMap;

use serde_json::Value;

use self::{
    format::{NumberFormat, StringFormat},
    pattern::Pattern,
};
pub use prune::Pruned;

/// A parsed structural schema with the JSON that it came from, which OpenAPI serves.
#[derive(Clone, Debug)]
pub struct Schema {
    root: Node,
    json: Value,
}

/// One level of a schema: its structure, what fills it, and what its values must satisfy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) value_type: Option<ValueType>,
    pub(crate) nullable: bool,
    pub(crate) properties: BTreeMap<String, Self>,
    pub(crate) additional_properties: Option<Box<Self>>,
    pub(crate) items: Option<Box<Self>>,
    pub(crate) default: Option<Value>,
    pub(crate) extensions: Extensions,
    validation: ValueValidation,
}

/// The `x-kubernetes-…` keywords of a level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub(crate) preserve_unknown_fields: bool,
    pub(crate) embedded_resource: bool,
    pub(crate) int_or_string: bool,
    pub(crate) list_type: ListType,
    pub(crate) list_map_keys: Vec<String>,
    pub(crate) map_type: MapType,
}

/// How the items of a list are told apart: `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    /// They are not: the list is one value.
    #[default]
    Atomic,
    /// By their value.
    Set,
    /// By their `x-kubernetes-list-map-keys`.
    Map,
}

/// Whether the members of a map or an object have owners of their own: `x-kubernetes-map-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MapType {
    /// They have.
    #[default]
    Granular,
    /// The map is one value.
    Atomic,
}

/// What the values of a level must satisfy.
#[derive(Clone, Debug, Default)]
struct ValueValidation {
    required: Vec<String>,
    allowed: Vec<Value>,
    string_format: Option<StringFormat>,
    number_format: Option<NumberFormat>,
    pattern: Option<Pattern>,
    max_length: Option<u64>,
    min_length: Option<u64>,
    max_items: Option<u64>,
    min_items: Option<u64>,
    max_properties: Option<u64>,
    min_properties: Option<u64>,
    minimum: Option<f64>,
    exclusive_minimum: bool,
    maximum: Option<f64>,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
    /// The junctors hold levels too, of which the structural rules leave only value validations.
    all_of: Vec<Node>,
    any_of: Vec<Node>,
    one_of: Vec<Node>,
    not: Option<Box<Node>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl ValueType {
    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl ValueValidation {
    /// Whether every value will do.
    fn is_empty(&self) -> bool {
        let Self {
            required,
            allowed,
            string_format,
            number_format,
            pattern,
            max_length,
            min_length,
            max_items,
            min_items,
            max_properties,
            min_properties,
            minimum,
            exclusive_minimum,
            maximum,
            exclusive_maximum,
            multiple_of,
            all_of,
            any_of,
            one_of,
            not,
        } = self;
        let counts = [
            max_length,
            min_length,
            max_items,
            min_items,
            max_properties,
            min_properties,
        ];
        required.is_empty()
            && allowed.is_empty()
            && string_format.is_none()
            && number_format.is_none()
            && pattern.is_none()
            && counts.iter().all(|c| c.is_none())
            && [minimum, maximum, multiple_of].iter().all(|n| n.is_none())
            && !exclusive_minimum
            && !exclusive_maximum
            && [all_of, any_of, one_of].iter().all(|l| l.is_empty())
            && not.is_none()
    }
}

impl Node {
    /// The level of a member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        self.properties
            .get(name)
            .or(self.additional_properties.as_deref())
    }

    /// The types that a value may have; none means any.
    fn types(&self) -> &[ValueType] {
        match &self.value_type {
            _ if self.extensions.int_or_string => &[ValueType::Integer, ValueType::String],
            Some(value_type) => std::slice::from_ref(value_type),
            None => &[],
        }
    }
}

/// `path.name`, or the name alone at the top.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl Schema {
    /// The JSON that the schema was parsed from.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The level of the object itself.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}
