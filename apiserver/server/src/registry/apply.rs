//! Server-side apply.

use apimachinery::{ApiError, Object};
use jiff::Timestamp;

use super::{
    Store, Subresource, WriteOptions, Written,
    create::{FieldOwnership, is_conflict},
    patch::ATTEMPTS,
    update::Change,
};

/// What a client applies.
#[derive(Clone, Debug)]
pub struct Apply {
    /// The fields that the manager wants, and nothing else.
    pub object: Object,
    /// Takes fields that others own, instead of refusing.
    pub force: bool,
}

/// What an apply did.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It changed the object.
    Written(Written),
    /// There is no object: this is the one to [create](Store::create_applied), which needs a
    /// permission of its own.
    Absent(Object),
}

impl Store {
    /// Applies to an object, or only to its status.
    ///
    /// # Errors
    /// 409 with a cause for each field that another manager owns, 400 for an object of another
    /// kind, 422 for a result that breaks a rule.
    pub async fn apply(
        &self,
        namespace: &str,
        name: &str,
        apply: &Apply,
        subresource: Subresource,
        options: &WriteOptions,
    ) -> Result<Applied, ApiError> {
        let key = self.key(namespace, name);
        let part = subresource.as_str();
        let mut attempt = 1;
        loop {
            let current = self.find(&key, name).await?;
            let live = current.as_ref().map(|current| current.as_served(self));
            let merged = self.field_manager.apply(
                live.as_ref(),
                &apply.object,
                &options.manager,
                part,
                apply.force,
                Timestamp::now(),
            )?;
            self.check_body(namespace, name, &merged)?;
            let Some(current) = current else {
                self.check_can_create(name, &merged, subresource)?;
                return Ok(Applied::Absent(merged));
            };
            let change = Change {
                key: key.clone(),
                name,
                current,
                object: merged,
                subresource,
                ownership: FieldOwnership::Settled,
            };
            let has_version = apply.object.metadata_field("resourceVersion").is_some();
            match self.replace(change, options).await {
                Err(error) if is_conflict(&error) && !has_version && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                written => return written.map(Applied::Written),
            }
        }
    }

    /// Creates what an apply found absent.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub async fn create_applied(
        &self,
        namespace: &str,
        merged: Object,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        self.create_owned(namespace, merged, options, FieldOwnership::Settled)
            .await
    }

    fn check_can_create(
        &self,
        name: &str,
        object: &Object,
        subresource: Subresource,
    ) -> Result<(), ApiError> {
        if subresource != Subresource::None {
            return Err(ApiError::not_found(self.resource(), name));
        }
        let uid = object.uid();
        if uid.is_empty() {
            return Ok(());
        }
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        Err(ApiError::conflict(self.resource(), name, &why))
    }
}
