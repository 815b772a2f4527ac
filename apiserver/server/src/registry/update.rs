//! Update.

use apimachinery::{
    ApiError, FieldError, FieldErrorKind, Object,
    managed_fields::ignore_timestamps,
    validation::{validate_object_meta, validate_object_meta_update},
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    Current, Store, Subresource, WriteOptions, Written,
    create::{FieldOwnership, finalizer_warnings},
    owner_references, prepare,
};

/// A change of an object, made for one state of it.
pub(super) struct Change<'a> {
    pub(super) key: String,
    pub(super) name: &'a str,
    pub(super) current: Current,
    pub(super) object: Object,
    pub(super) subresource: Subresource,
    pub(super) ownership: FieldOwnership,
}

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
        mut object: Object,
        subresource: Subresource,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let key = self.key(namespace, name);
        let current = self.current(&key, name).await?;
        if !object.uid().is_empty() && object.uid() != current.object.uid() {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                object.uid(),
                current.object.uid()
            );
            return Err(ApiError::conflict(self.resource(), name, &why));
        }
        let unset = matches!(object.resource_version(), "" | "0");
        if unset && self.strategy.allow_unconditional_update() {
            let version = current.revision.to_string();
            object.set_metadata_field("resourceVersion", Some(json!(version)));
        }
        let duplicate_owners =
            owner_references::drop_duplicates(&mut object, owner_references::IN_THE_BODY);
        let change = Change {
            key,
            name,
            current,
            object,
            subresource,
            ownership: FieldOwnership::Track,
        };
        let mut written = self.replace(change, options).await?;
        written.warnings.splice(0..0, duplicate_owners);
        Ok(written)
    }

    /// The rest of an update, from the state that it was made for.
    pub(super) async fn replace(
        &self,
        change: Change<'_>,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let Change {
            key,
            name,
            current,
            mut object,
            subresource,
            ownership,
        } = change;
        self.check_version(name, &object, &current)?;
        let duplicate_owners =
            owner_references::drop_duplicates(&mut object, owner_references::IN_THE_RESULT);
        let (old, now) = (&current.object, Timestamp::now());
        prepare::for_update(&self.definition, &mut object, old, subresource);
        self.strategy
            .prepare_for_update(&mut object, old, subresource);
        if ownership == FieldOwnership::Track {
            let (manager, part) = (&options.manager, subresource.as_str());
            self.field_manager
                .update(Some(old), &mut object, manager, part, now);
        }
        ignore_timestamps(old, &mut object);
        let errors = self.validate_update(&object, old, subresource);
        if !errors.is_empty() {
            return Err(self.invalid(name, &errors));
        }
        self.strategy.canonicalize(&mut object);
        let bytes = Self::encode(&object)?;
        let is_done = object.is_terminating() && object.finalizers().next().is_none();
        let revision = if bytes == current.stored || options.dry_run {
            Ok(current.revision)
        } else if is_done {
            // The client gets what was deleted, at the version that it had.
            let deleted = self.storage.delete(key, current.revision).await;
            deleted.map(|_| current.revision)
        } else {
            let update = self.storage.update(key, bytes.clone(), current.revision);
            update.await
        };
        let revision = revision.map_err(|e| self.storage_error(e, "update", name))?;
        let is_new = |finalizer: &str| old.finalizers().all(|had| had != finalizer);
        let mut warnings = Vec::from_iter(duplicate_owners);
        warnings.extend(finalizer_warnings(&object, is_new));
        warnings.extend(self.strategy.warnings_on_update(&object, old));
        Ok(Written {
            object: self.served(&bytes, revision)?,
            created: false,
            warnings,
        })
    }

    fn check_version(
        &self,
        name: &str,
        object: &Object,
        current: &Current,
    ) -> Result<(), ApiError> {
        let version = object.resource_version();
        if matches!(version, "" | "0") {
            let error = FieldError {
                field: "metadata.resourceVersion".to_owned(),
                kind: FieldErrorKind::Invalid(json!(0)),
                detail: "must be specified for an update".to_owned(),
            };
            let (group, plural) = (&self.resource.group, &self.resource.resource);
            return Err(ApiError::invalid(group, plural, name, &[error]));
        }
        match version.parse::<u64>() {
            Ok(version) if version == current.revision.0 => Ok(()),
            Ok(_) => Err(ApiError::object_modified(self.resource(), name)),
            Err(_) => Err(ApiError::bad_request(format!(
                "metadata.resourceVersion: Invalid value: {version:?}: must be a whole number"
            ))),
        }
    }

    /// Every rule that a change breaks.
    fn validate_update(
        &self,
        object: &Object,
        old: &Object,
        subresource: Subresource,
    ) -> Vec<FieldError> {
        let mut errors = validate_object_meta(object, self.definition.is_namespaced());
        errors.extend(validate_object_meta_update(object, old));
        let (schema, fields, before) = (&self.definition.schema, object.fields(), old.fields());
        errors.extend(match subresource {
            Subresource::None | Subresource::Scale => schema.validate_update(fields, before),
            Subresource::Status => schema.validate_status_update(fields, before),
        });
        errors.extend(self.strategy.validate_update(object, old));
        errors
    }
}
