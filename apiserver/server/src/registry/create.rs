//! Create.

use apimachinery::{
    ApiError, FieldError, Object, StatusReason, names::generate_name,
    validation::validate_object_meta,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use storage::StorageError;

use super::{Store, WriteOptions, Written, owner_references, prepare};

/// How often a generated name is tried, as upstream's `maxNameGenerationCreateAttempts`.
const NAME_ATTEMPTS: u32 = 8;

/// Who keeps `metadata.managedFields` of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldOwnership {
    /// The write's manager owns what it changes.
    Track,
    /// An apply has settled it already.
    Settled,
}

impl Store {
    /// Creates an object and gives its served bytes.
    ///
    /// # Errors
    /// 404 or 403 for a namespace that takes no objects, 409 for a name that is taken, 422 for an
    /// object that breaks a rule.
    pub async fn create(
        &self,
        namespace: &str,
        object: Object,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        self.create_owned(namespace, object, options, FieldOwnership::Track)
            .await
    }

    pub(super) async fn create_owned(
        &self,
        namespace: &str,
        mut sent: Object,
        options: &WriteOptions,
        ownership: FieldOwnership,
    ) -> Result<Written, ApiError> {
        // A version that is no number was never anybody's, and is dropped as upstream drops it.
        let version = sent.resource_version().parse::<u64>();
        if ownership == FieldOwnership::Track && version.is_ok_and(|version| version != 0) {
            return Err(ApiError::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if self.definition.is_namespaced() {
            self.admission
                .check_namespace(namespace, &self.resource, sent.name())
                .await?;
        }
        let duplicate_owners = owner_references::drop_duplicates(
            &mut sent,
            match ownership {
                FieldOwnership::Track => owner_references::IN_THE_BODY,
                FieldOwnership::Settled => owner_references::IN_THE_RESULT,
            },
        );
        let now = Timestamp::now();
        prepare::for_create(&self.definition, &mut sent, namespace, now);
        let base = sent.metadata_str("generateName").to_owned();
        let generated = sent.name().is_empty() && !base.is_empty();
        for attempt in 0..NAME_ATTEMPTS {
            if generated {
                let name = generate_name(&base, &mut rand::rng());
                sent.set_metadata_field("name", Some(json!(name)));
            }
            let mut object = sent.clone();
            self.strategy.prepare_for_create(&mut object);
            if ownership == FieldOwnership::Track {
                self.field_manager
                    .update(None, &mut object, &options.manager, "", now);
            }
            let errors = self.validate(&object);
            if !errors.is_empty() {
                return Err(self.invalid(object.name(), &errors));
            }
            self.strategy.canonicalize(&mut object);
            if attempt == 0 && !options.dry_run && self.definition.is_namespaced() {
                self.admission
                    .charge_quotas(namespace, &self.resource, object.name())
                    .await?;
            }
            match self.write_new(namespace, &object, options).await? {
                Err(StorageError::AlreadyExists(_)) if generated => {}
                Err(StorageError::AlreadyExists(key)) => {
                    return Err(self.taken(&key, object.name()).await);
                }
                Err(error) => return Err(self.storage_error(error, "create", object.name())),
                Ok(bytes) => {
                    let warnings = duplicate_owners.into_iter();
                    return Ok(Written {
                        object: bytes,
                        created: true,
                        warnings: warnings.chain(self.warnings_on_create(&object)).collect(),
                    });
                }
            }
        }
        Err(ApiError::already_exists(self.resource(), sent.name()).with_retry_after(1))
    }

    /// Creates an object with its status, unless there is one of this name: for the records that a
    /// server brings along. Its namespace need not exist.
    ///
    /// # Errors
    /// 422 for an object that breaks a rule, or an error of the store.
    pub async fn seed(&self, namespace: &str, mut object: Object) -> Result<(), ApiError> {
        let status = object.get("status").cloned();
        prepare::for_create(&self.definition, &mut object, namespace, Timestamp::now());
        object.set("status", status);
        let errors = self.validate(&object);
        if !errors.is_empty() {
            return Err(self.invalid(object.name(), &errors));
        }
        let options = WriteOptions::default();
        match self.write_new(namespace, &object, &options).await? {
            Ok(_) | Err(StorageError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(self.storage_error(error, "create", object.name())),
        }
    }

    /// The served bytes of a new object; without a resource version when it was only tried.
    async fn write_new(
        &self,
        namespace: &str,
        object: &Object,
        options: &WriteOptions,
    ) -> Result<Result<Bytes, StorageError>, ApiError> {
        let bytes = Self::encode(object)?;
        let key = self.key(namespace, object.name());
        if options.dry_run {
            return Ok(match self.storage.get(key.clone()).await {
                Ok(Some(_)) => Err(StorageError::AlreadyExists(key)),
                Ok(None) => Ok(bytes),
                Err(error) => Err(error),
            });
        }
        match self.storage.create(key, bytes.clone()).await {
            Ok(revision) => self.served(&bytes, revision).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// 409, with a hint when the name is only taken by an object on its way out.
    async fn taken(&self, key: &str, name: &str) -> ApiError {
        let terminating = self
            .current(key, name)
            .await
            .is_ok_and(|c| c.object.is_terminating());
        let error = ApiError::already_exists(self.resource(), name);
        if terminating {
            error.with_message_prefix("object is being deleted: ")
        } else {
            error
        }
    }

    /// The rules that the URL sets for a body: same kind, same namespace, same name.
    ///
    /// # Errors
    /// 400 with the sentence that upstream uses; 422 for another kind.
    pub fn check_body(&self, namespace: &str, name: &str, object: &Object) -> Result<(), ApiError> {
        let expected = self.definition.api_version();
        if object.api_version() != expected {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({expected})",
                object.api_version()
            )));
        }
        self.check_kind(object)?;
        if !object.namespace().is_empty() && object.namespace() != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if name.is_empty() || object.name() == name {
            return Ok(());
        }
        let found = object.name();
        Err(ApiError::bad_request(if found.is_empty() {
            format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )
        } else {
            format!("the name of the object ({found}) does not match the name on the URL ({name})")
        }))
    }

    /// # Errors
    /// 422 for an object of another kind or version of the group.
    pub(super) fn check_kind(&self, object: &Object) -> Result<(), ApiError> {
        let (group, _) = object.api_version().split_once('/').unwrap_or_default();
        let expected = self.definition.api_version();
        let kind = &self.definition.names.kind;
        let error = if object.kind() != kind {
            FieldError::invalid("kind", &json!(object.kind()), format!("must be {kind}"))
        } else if object.api_version() != expected {
            let found = json!(object.api_version());
            FieldError::invalid("apiVersion", &found, format!("must be {expected}"))
        } else {
            return Ok(());
        };
        Err(ApiError::invalid(
            group,
            object.kind(),
            object.name(),
            &[error],
        ))
    }

    /// Every rule that a new object breaks.
    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = validate_object_meta(object, self.definition.is_namespaced());
        errors.extend(self.definition.schema.validate(object.fields()));
        errors.extend(self.strategy.validate(object));
        errors
    }

    fn warnings_on_create(&self, object: &Object) -> Vec<String> {
        let mut warnings = finalizer_warnings(object, |_| true);
        warnings.extend(self.strategy.warnings_on_create(object));
        warnings
    }
}

/// What upstream says about finalizers without a domain.
pub(super) fn finalizer_warnings(object: &Object, is_new: impl Fn(&str) -> bool) -> Vec<String> {
    let known = ["foregroundDeletion", "kubernetes", "orphan"];
    let mut bare: Vec<&str> = object
        .finalizers()
        .filter(|f| !f.contains('/') && !known.contains(f) && is_new(f))
        .collect();
    bare.sort_unstable();
    bare.dedup();
    let warning = |finalizer: &str| {
        format!(
            "metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name to avoid \
             accidental conflicts with other finalizer writers"
        )
    };
    bare.into_iter().map(warning).collect()
}

/// A reason that says only this much: the write has to be tried again.
pub(super) fn is_conflict(error: &ApiError) -> bool {
    error.reason() == StatusReason::Conflict
}
