//! Who owns which fields of an object, and server-side apply.
//!
//! Mirrors `k8s.io/apimachinery/pkg/util/managedfields` and the field managers that
//! `k8s.io/apiserver/pkg/endpoints/handlers` and `k8s.io/apiextensions-apiserver` make from it for
//! custom resources. It neither fills in defaults nor validates: that comes after, as for every write.
//!
//! Deviations:
//! - An applied object that does not fit the schema is 400, where upstream answers 500 without a reason.
//! - An entry of another API version is dropped, as upstream does for kinds that it compiles in; for
//!   a custom resource it fails with 500.
//! - Causes of a conflict come in the order of managers, where upstream's order is random.
//! - The scale subresource has no mapping of its own: its writes are tracked with the paths of the object.

mod cap;
mod conflict;
mod encoding;
mod last_applied;
mod manager;
mod manager_name;
mod prune;
mod timestamps;
mod updater;

pub use encoding::DecodeError;
pub use manager::FieldManager;
pub use manager_name::manager_from_user_agent;
pub use timestamps::ignore_timestamps;

#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
