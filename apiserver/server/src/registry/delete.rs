//! Delete and deletecollection.

use apimachinery::{ApiError, GroupResource, ListOptions, Object};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use storage::StorageError;

use super::{Current, ListResult, Store, prepare};
use crate::cacher::Selection;

/// How often a delete without preconditions is tried against concurrent writers.
const ATTEMPTS: u32 = 16;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// How a delete is to be done: `metav1.DeleteOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Only an object with this UID.
    pub uid: Option<String>,
    /// Only an object at this resource version.
    pub resource_version: Option<String>,
    /// What happens to dependents.
    pub propagation_policy: Option<PropagationPolicy>,
    /// Do everything but delete.
    pub dry_run: bool,
}

/// What the garbage collector does with the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropagationPolicy {
    /// They stay and lose their owner.
    Orphan,
    /// They go afterwards.
    Background,
    /// They go first.
    Foreground,
}

/// What a delete did.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// The object is gone; this was its UID.
    Gone {
        /// The object's UID.
        uid: String,
    },
    /// The object waits for its finalizers; its served bytes.
    Waiting(Bytes),
}

impl Store {
    /// Deletes an object, or marks it when it has finalizers.
    ///
    /// # Errors
    /// 404, or 409 for a failed precondition.
    pub async fn delete(
        &self,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let key = self.key(namespace, name);
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let current = self.current(&key, name).await?;
            self.check_preconditions(name, &current, options)?;
            match self.try_delete(&key, current, options).await {
                Err(error @ StorageError::Conflict { .. }) => last = Some(error),
                Err(error) => return Err(self.storage_error(error, "delete", name)),
                Ok(deleted) => return deleted,
            }
        }
        let error = last.unwrap_or(StorageError::NotFound(key));
        Err(self
            .storage_error(error, "delete", name)
            .with_retry_after(1))
    }

    /// Deletes the selected objects of a namespace, one after the other, and gives those that were
    /// there; a page of them where the options limit the list.
    ///
    /// # Errors
    /// As [`Store::list`], and the first error that is not about an object which is gone already.
    pub async fn delete_collection(
        &self,
        namespace: &str,
        selection: &Selection,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<ListResult, ApiError> {
        let found = self.list(namespace, selection, list).await?;
        for entry in &found.entries {
            let (namespace, name) = (&entry.header.namespace, &entry.header.name);
            match self.delete(namespace, name, options).await {
                Err(error) if error.code() != 404 => return Err(error),
                _ => {}
            }
        }
        Ok(found)
    }

    fn check_preconditions(
        &self,
        name: &str,
        current: &Current,
        options: &DeleteOptions,
    ) -> Result<(), ApiError> {
        let (uid, version) = (current.object.uid(), current.revision.to_string());
        let why = match (&options.uid, &options.resource_version) {
            (Some(wanted), _) if wanted != uid => format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). \
                 The object might have been deleted and then recreated"
            ),
            (_, Some(wanted)) if *wanted != version => format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the \
                 ResourceVersion in record ({version}). The object might have been modified"
            ),
            _ => return Ok(()),
        };
        // Upstream names the kind here, not the plural.
        let kind = GroupResource {
            group: self.resource.group.clone(),
            resource: self.definition.names.kind.clone(),
        };
        Err(ApiError::conflict(&kind, name, &why))
    }

    async fn try_delete(
        &self,
        key: &str,
        current: Current,
        options: &DeleteOptions,
    ) -> Result<Result<Deleted, ApiError>, StorageError> {
        let Current {
            mut object,
            stored,
            revision,
        } = current;
        set_propagation_finalizers(&mut object, options.propagation_policy);
        let uid = object.uid().to_owned();
        if object.finalizers().next().is_none() {
            if !options.dry_run {
                self.storage.delete(key.to_owned(), revision).await?;
            }
            return Ok(Ok(Deleted::Gone { uid }));
        }
        prepare::mark_deleted(&mut object, Timestamp::now());
        let bytes = Bytes::from(object.encode_stored());
        let written = if bytes == stored || options.dry_run {
            revision
        } else {
            self.storage
                .update(key.to_owned(), bytes.clone(), revision)
                .await?
        };
        Ok(self.served(&bytes, written).map(Deleted::Waiting))
    }
}

/// The policy becomes a finalizer that the garbage collector removes when it is done.
fn set_propagation_finalizers(object: &mut Object, policy: Option<PropagationPolicy>) {
    let Some(policy) = policy else { return };
    let mut finalizers: Vec<String> = object
        .finalizers()
        .filter(|f| !matches!(*f, ORPHAN | FOREGROUND))
        .map(str::to_owned)
        .collect();
    match policy {
        PropagationPolicy::Orphan => finalizers.push(ORPHAN.to_owned()),
        PropagationPolicy::Foreground => finalizers.push(FOREGROUND.to_owned()),
        PropagationPolicy::Background => {}
    }
    let value = (!finalizers.is_empty()).then(|| Value::from(finalizers));
    object.set_metadata_field("finalizers", value);
}

impl Deleted {
    /// The answer for an object that is gone: `metav1.Status` with its UID.
    pub fn status(store: &Store, name: &str, uid: &str) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {
                "name": name, "group": store.resource().group,
                "kind": store.resource().resource, "uid": uid,
            },
        })
    }
}
