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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apimachinery::ScalePaths;
    use serde_json::{Value, json};
    use storage::MemoryStorage;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        admission::AnyNamespace,
        registry::{Patch, ScaleChange, Store, WriteOptions},
        testing::thing_definition,
    };

    /// Notes what it sees.
    #[derive(Debug)]
    struct Noting;

    impl Strategy for Noting {
        fn prepare_for_create(&self, object: &mut Object) {
            let name = json!(object.name());
            object.set("status", Some(json!({ "phase": name })));
        }

        fn validate(&self, object: &Object) -> Vec<FieldError> {
            let size = &object.get("spec").unwrap_or(&Value::Null)["size"];
            if size == 13 {
                return vec![FieldError::invalid("spec.size", size, "brings bad luck")];
            }
            Vec::new()
        }

        fn warnings_on_create(&self, object: &Object) -> Vec<String> {
            vec![format!("{} is new", object.name())]
        }

        fn warnings_on_update(&self, object: &Object, _old: &Object) -> Vec<String> {
            vec![format!("{} is changed", object.name())]
        }
    }

    fn store() -> Arc<Store> {
        let mut definition = thing_definition();
        definition.scale = Some(ScalePaths {
            spec_replicas: ".spec.size".to_owned(),
            status_replicas: ".status.size".to_owned(),
            label_selector: None,
        });
        let (strategy, namespaces) = (Arc::new(Noting), Arc::new(AnyNamespace));
        let (storage, shutdown) = (Arc::new(MemoryStorage::default()), CancellationToken::new());
        Store::start(definition, strategy, namespaces, storage, shutdown)
            .unwrap()
            .0
    }

    fn thing(metadata: &Value, size: u32) -> Object {
        Object::from_value(json!({
            "apiVersion": "test.io/v1", "kind": "Thing", "metadata": metadata,
            "spec": { "size": size },
        }))
        .unwrap()
    }

    /// V4: as upstream's `BeforeCreate` does it, the name is made first.
    #[tokio::test]
    async fn a_new_object_is_prepared_with_the_name_that_was_made_for_it() {
        let (store, options) = (store(), WriteOptions::default());
        let object = thing(&json!({ "generateName": "job-" }), 1);
        let written = store.create("default", object, &options).await.unwrap();
        let made = Object::from_slice(&written.object).unwrap();
        assert!(made.name().starts_with("job-"));
        assert_eq!(made.get("status").unwrap()["phase"], made.name());
        assert_eq!(written.warnings, [format!("{} is new", made.name())]);
    }

    #[tokio::test]
    async fn a_rule_of_the_kind_holds_for_new_objects_and_for_every_change() {
        let (store, options) = (store(), WriteOptions::default());
        let unlucky = thing(&json!({ "name": "a" }), 13);
        let error = store.create("default", unlucky, &options).await;
        let message =
            "Thing.test.io \"a\" is invalid: spec.size: Invalid value: 13: brings bad luck";
        assert_eq!(error.unwrap_err().to_string(), message);

        let object = thing(&json!({ "name": "a" }), 1);
        store.create("default", object, &options).await.unwrap();
        let scale = |size| Patch::merge(json!({ "spec": { "replicas": size } })).unwrap();
        let bad = scale(13);
        let refused = store.update_scale("default", "a", ScaleChange::Patch(&bad), &options);
        assert_eq!(refused.await.unwrap_err().to_string(), message);
        let good = scale(2);
        let changed = store.update_scale("default", "a", ScaleChange::Patch(&good), &options);
        assert_eq!(changed.await.unwrap().warnings, ["a is changed"]);
    }
}
