//! Paths of fields, and sets of them: who owns what in an object.
//!
//! Mirrors `sigs.k8s.io/structured-merge-diff/v6/fieldpath` and the parts of its `value` package
//! that order and print values.
//!
//! Deviations: an integer in a serialised path stays exact, where upstream reads it as a float; a
//! path nested deeper than [`DEPTH_MAX`] is refused.

mod element;
mod serialize;
mod set;
pub(crate) mod value;

pub use element::PathElement;
pub use serialize::{DEPTH_MAX, FieldsError};
pub use set::Set;

/// A path as clients see it: `.spec.rows[name="a"].cell`.
pub fn path_string(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
