//! Label and field selectors: parsed from a query string, matched against an object's header.

pub mod field;
pub mod label;

pub use field::FieldSelector;
pub use label::LabelSelector;
