//! What a kind adds to the rules of its schema, by upstream's names of the hooks
//! (`k8s.io/apiserver/pkg/registry/rest/{create,update}.go`).

use std::fmt::Debug;

use apimachinery::{FieldError, Object};

use super::Subresource;

/// The hooks of a kind. Each has a default that does nothing, so that a kind which is all schema
/// needs none: [`SchemaOnly`].
///
/// Hooks are pure: they see objects, never the store or the network.
pub trait Strategy: Debug + Send + Sync + 'static {
    /// Changes a new object before it is validated.
    fn prepare_for_create(&self, _object: &mut Object) {}

    /// Changes an object before its update is validated.
    fn prepare_for_update(&self, _object: &mut Object, _old: &Object, _subresource: Subresource) {}

    /// Every rule that a new object breaks, beside those of its schema.
    fn validate(&self, _object: &Object) -> Vec<FieldError> {
        Vec::new()
    }

    /// Every rule that a change breaks; by default those of a new object.
    fn validate_update(&self, object: &Object, _old: &Object) -> Vec<FieldError> {
        self.validate(object)
    }

    /// Brings an object that is valid into its canonical form.
    fn canonicalize(&self, _object: &mut Object) {}

    /// Whether an update without a resource version overwrites whatever is there.
    fn allow_unconditional_update(&self) -> bool {
        false
    }

    /// What the client should know about a new object that is accepted all the same.
    fn warnings_on_create(&self, _object: &Object) -> Vec<String> {
        Vec::new()
    }

    /// What the client should know about a change that is accepted all the same.
    fn warnings_on_update(&self, _object: &Object, _old: &Object) -> Vec<String> {
        Vec::new()
    }
}

/// The strategy of a kind whose schema says everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct SchemaOnly;

impl Strategy for SchemaOnly {}
