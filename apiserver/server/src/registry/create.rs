//! Create.

use apimachinery::{ApiError, FieldError, Object, StatusReason, names::generate_name};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use storage::{Revision, StorageError};

use super::{Store, WriteOptions, strategy};

/// How often a generated name is tried, as upstream's `maxNameGenerationCreateAttempts`.
const NAME_ATTEMPTS: u32 = 8;

impl Store {
    /// Creates an object and gives its served bytes.
    ///
    /// # Errors
    /// 409 for a name that is taken, 422 for an object that breaks a rule.
    pub async fn create(
        &self,
        namespace: &str,
        mut object: Object,
        options: WriteOptions,
    ) -> Result<Bytes, ApiError> {
        if !matches!(object.resource_version(), "" | "0") {
            return Err(ApiError::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        strategy::prepare_for_create(&self.definition, &mut object, namespace, Timestamp::now());
        let base = object.metadata_str("generateName").to_owned();
        let generated = object.name().is_empty() && !base.is_empty();
        for _ in 0..NAME_ATTEMPTS {
            if generated {
                let name = generate_name(&base, &mut rand::rng());
                object.set_metadata_field("name", Some(json!(name)));
            }
            let errors = strategy::validate(&self.definition, &object);
            if !errors.is_empty() {
                return Err(self.invalid(object.name(), &errors));
            }
            match self
                .write_new(namespace, &object, Self::encode(&object)?, options)
                .await
            {
                Err(StorageError::AlreadyExists(_)) if generated => {}
                Err(StorageError::AlreadyExists(key)) => {
                    return Err(self.taken(&key, object.name()).await);
                }
                Err(error) => return Err(self.storage_error(error, "create", object.name())),
                Ok((bytes, revision)) => return self.served(&bytes, revision),
            }
        }
        Err(ApiError::already_exists(self.resource(), object.name()).with_retry_after(1))
    }

    /// Creates an object with its status, unless there is one of this name: for the records that a
    /// server brings along.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub async fn seed(&self, namespace: &str, mut object: Object) -> Result<(), ApiError> {
        let status = object.get("status").cloned();
        strategy::prepare_for_create(&self.definition, &mut object, namespace, Timestamp::now());
        object.set("status", status);
        let errors = strategy::validate(&self.definition, &object);
        if !errors.is_empty() {
            return Err(self.invalid(object.name(), &errors));
        }
        match self
            .write_new(
                namespace,
                &object,
                Self::encode(&object)?,
                WriteOptions::default(),
            )
            .await
        {
            Ok(_) | Err(StorageError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(self.storage_error(error, "create", object.name())),
        }
    }

    async fn write_new(
        &self,
        namespace: &str,
        object: &Object,
        bytes: Bytes,
        options: WriteOptions,
    ) -> Result<(Bytes, Revision), StorageError> {
        let key = self.key(namespace, object.name());
        let revision = if options.dry_run {
            if self.storage.get(key.clone()).await?.is_some() {
                return Err(StorageError::AlreadyExists(key));
            }
            self.storage.current_revision().await?
        } else {
            self.storage.create(key, bytes.clone()).await?
        };
        Ok((bytes, revision))
    }

    /// 409, with a hint when the name is only taken by an object on its way out.
    async fn taken(&self, key: &str, name: &str) -> ApiError {
        let terminating = self
            .current(key, name)
            .await
            .is_ok_and(|c| c.object.is_terminating());
        let error = ApiError::already_exists(self.resource(), name);
        if terminating {
            return ApiError::new(
                StatusReason::AlreadyExists,
                format!("object is being deleted: {error}"),
            );
        }
        error
    }

    /// The rules that the URL sets for a body: same kind, same namespace, same name.
    ///
    /// # Errors
    /// 400 with the sentence that upstream uses; 422 for another kind.
    pub fn check_body(&self, namespace: &str, name: &str, object: &Object) -> Result<(), ApiError> {
        let expected = self.definition.api_version();
        if !object.api_version().is_empty() && object.api_version() != expected {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({expected})",
                object.api_version()
            )));
        }
        let kind = &self.definition.names.kind;
        if !object.kind().is_empty() && object.kind() != kind {
            let detail = format!("must be {kind}");
            let error = FieldError::invalid("kind", &json!(object.kind()), detail);
            return Err(self.invalid(object.name(), &[error]));
        }
        if !object.namespace().is_empty() && object.namespace() != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if !name.is_empty() && object.name() != name {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                object.name()
            )));
        }
        Ok(())
    }
}
