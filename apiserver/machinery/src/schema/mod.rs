//! Structural schemas: what a kind's objects may contain.
//!
//! A schema is parsed once from OpenAPI v3 JSON into a tree and then prunes, fills in defaults and
//! validates. Mirrors `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`. A keyword that this
//! module does not enforce is refused by [`Schema::parse`], so that nothing is silently unchecked.
//!
//! The rules for `metadata` are not here but in [`crate::validation`].

mod parse;
mod prune;
mod validate;

use std::collections::BTreeMap;

use serde_json::Value;

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
#[derive(Clone, Debug, Default)]
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
    date_time: bool,
    max_length: Option<u64>,
    min_length: Option<u64>,
    max_items: Option<u64>,
    min_items: Option<u64>,
    max_properties: Option<u64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
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
