//! Kubernetes API machinery without I/O: what an object is, how it is named, selected, validated,
//! printed, and how an error is told.
//!
//! Everything here is a plain function or value. Storage, HTTP and Kubernetes call this crate,
//! never the other way round. The names follow `k8s.io/apimachinery` and
//! `k8s.io/apiextensions-apiserver`, so that a reader of those finds the room.

pub mod continue_token;
pub mod decode;
pub mod definition;
pub mod field;
pub mod fieldpath;
mod go_format;
pub mod jsonpath;
pub mod list_options;
pub mod managed_fields;
pub mod names;
pub mod object;
pub mod object_meta;
pub mod options;
pub mod schema;
pub mod selector;
pub mod served;
pub mod status;
pub mod table;
pub mod time;
mod typed;
pub mod validation;

pub use continue_token::ContinueToken;
pub use definition::{
    PrinterColumn, ResourceDefinition, ResourceNames, ScalePaths, Scope, SubresourceDefinition,
};
pub use field::{FieldError, FieldErrorKind};
pub use list_options::{ListOptions, ResourceVersionMatch};
pub use object::Object;
pub use served::ServedForm;
pub use status::{ApiError, GroupResource, StatusReason};
