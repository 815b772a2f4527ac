//! Update.

use apimachinery::{ApiError, FieldError, FieldErrorKind, Object};
use bytes::Bytes;
use serde_json::json;

use super::{Current, Store, Subresource, WriteOptions, strategy};

impl Store {
    /// Replaces an object, or only its status, and gives its served bytes.
    ///
    /// An update that changes nothing writes nothing. Removing the last finalizer of an object
    /// that is being deleted deletes it.
    ///
    /// # Errors
    /// 404, 409 for an object that changed meanwhile, 422 for one that breaks a rule.
    pub async fn update(
        &self,
        namespace: &str,
        name: &str,
        object: Object,
        subresource: Subresource,
        options: WriteOptions,
    ) -> Result<Bytes, ApiError> {
        let key = self.key(namespace, name);
        let current = self.current(&key, name).await?;
        self.replace(key, name, current, object, subresource, options)
            .await
    }

    /// The rest of an update, from the state that it was made for.
    pub(super) async fn replace(
        &self,
        key: String,
        name: &str,
        current: Current,
        mut object: Object,
        subresource: Subresource,
        options: WriteOptions,
    ) -> Result<Bytes, ApiError> {
        if !object.uid().is_empty() && object.uid() != current.object.uid() {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                object.uid(),
                current.object.uid()
            );
            return Err(ApiError::conflict(self.resource(), name, &why));
        }
        match object.resource_version() {
            "" | "0" => return Err(self.version_required(name)),
            version if version != current.revision.to_string() => {
                return Err(ApiError::object_modified(self.resource(), name));
            }
            _ => {}
        }
        strategy::prepare_for_update(&self.definition, &mut object, &current.object, subresource);
        let errors = strategy::validate_update(&self.definition, &object, &current.object);
        if !errors.is_empty() {
            return Err(self.invalid(name, &errors));
        }
        let bytes = Self::encode(&object)?;
        if bytes == current.stored || options.dry_run {
            return self.served(&bytes, current.revision);
        }
        let done = object.is_terminating() && object.finalizers().next().is_none();
        let written = if done {
            self.storage.delete(key, current.revision).await
        } else {
            self.storage
                .update(key, bytes.clone(), current.revision)
                .await
        };
        self.served(
            &bytes,
            written.map_err(|e| self.storage_error(e, "update", name))?,
        )
    }

    fn version_required(&self, name: &str) -> ApiError {
        let error = FieldError {
            field: "metadata.resourceVersion".to_owned(),
            kind: FieldErrorKind::Invalid(json!(0)),
            detail: "must be specified for an update".to_owned(),
        };
        ApiError::invalid(
            &self.resource.group,
            &self.resource.resource,
            name,
            &[error],
        )
    }
}
