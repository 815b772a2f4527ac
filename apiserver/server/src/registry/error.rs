//! The one place where a store's errors become a client's.

use apimachinery::ApiError;
use storage::StorageError;

use super::Store;

impl Store {
    pub(super) fn storage_error(&self, error: StorageError, verb: &str, name: &str) -> ApiError {
        let resource = self.resource();
        match error {
            StorageError::AlreadyExists(_) => ApiError::already_exists(resource, name),
            StorageError::NotFound(_) => ApiError::not_found(resource, name),
            StorageError::Conflict { .. } => ApiError::object_modified(resource, name),
            StorageError::Compacted { .. } => {
                ApiError::expired("The resourceVersion for the provided list is too old.")
                    .with_internal(error)
            }
            StorageError::FutureRevision { wanted, current } => {
                ApiError::resource_version_too_large(wanted.0, current.0)
            }
            StorageError::Unavailable(_) => ApiError::store_unavailable(resource, verb, error),
        }
    }
}
