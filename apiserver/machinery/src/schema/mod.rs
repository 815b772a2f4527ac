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

/// One level of a schema.
#[derive(Clone, Debug, Default)]
struct Node {
    value_type: Option<ValueType>,
    nullable: bool,
    properties: BTreeMap<String, Self>,
    additional_properties: Option<Box<Self>>,
    items: Option<Box<Self>>,
    required: Vec<String>,
    allowed: Vec<Value>,
    default: Option<Value>,
    date_time: bool,
    max_length: Option<u64>,
    min_length: Option<u64>,
    max_items: Option<u64>,
    min_items: Option<u64>,
    max_properties: Option<u64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    preserve_unknown_fields: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueType {
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
}
