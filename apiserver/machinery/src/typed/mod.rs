//! Values with a schema that says how their parts are owned and merged.
//!
//! Mirrors `sigs.k8s.io/structured-merge-diff/v6/typed`, the conversion of schemas in
//! `k8s.io/kube-openapi/pkg/schemaconv`, and what
//! `k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder` adds to a custom resource's schema.
//! Where the schema says nothing, types are deduced: maps are merged by member, lists are one value.
//!
//! Deviations: messages name the kind of a wrong value, where upstream prints Go's inner form of the
//! value; a string with a `format` must be a string, where upstream takes any scalar; the object's
//! own `metadata.managedFields` is not content, so no walk sees it.

mod compare;
mod error;
mod extract;
mod field_set;
mod gone;
mod list;
mod merge;
mod object_meta;
mod reconcile;
mod remove;
mod schema;
mod trail;
mod validate;

pub(crate) use compare::Comparison;
pub(crate) use error::TypeErrors;
pub(crate) use gone::PathsChange;
pub(crate) use schema::ObjectType;
pub(crate) use validate::Duplicates;
