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

impl Store {
    /// Applies to an object, or only to its status; creates the object when there is none and
    /// `may_create` allows it.
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
        may_create: impl AsyncFn() -> Result<(), ApiError>,
    ) -> Result<Written, ApiError> {
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
                may_create().await?;
                let ownership = FieldOwnership::Settled;
                return self
                    .create_owned(namespace, merged, options, ownership)
                    .await;
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
                written => return written,
            }
        }
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
