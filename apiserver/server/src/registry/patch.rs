//! Patch: JSON patch and merge patch.

use apimachinery::{ApiError, Object, StatusReason};
use bytes::Bytes;
use json_patch::PatchOperation;
use serde_json::Value;

use super::{FieldValidation, Store, Subresource, WriteOptions};

/// How often a patch without a resource version is tried, as upstream's `MaxRetryWhenPatchConflicts`.
const ATTEMPTS: u32 = 5;
/// Most operations of one JSON patch, as upstream's `maxJSONPatchOperations`.
const OPERATIONS_MAX: usize = 10_000;

/// Most bytes that the copy operations of one JSON patch may make, as upstream's
/// `AccumulatedCopySizeLimit`.
const COPIED_MAX: usize = 3 * 1024 * 1024;

/// A decoded patch.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
}

impl Patch {
    /// Decodes a patch by its content type.
    ///
    /// # Errors
    /// 415 for another type, 400 for a malformed document, 413 for too many operations.
    pub fn decode(content_type: &str, body: &[u8]) -> Result<Self, ApiError> {
        let malformed =
            |e: serde_json::Error| ApiError::bad_request(format!("error decoding patch: {e}"));
        match content_type {
            "application/json-patch+json" => {
                let patch: json_patch::Patch = serde_json::from_slice(body).map_err(malformed)?;
                if patch.0.len() > OPERATIONS_MAX {
                    return Err(ApiError::new(
                        StatusReason::RequestEntityTooLarge,
                        format!(
                            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                            patch.0.len()
                        ),
                    ));
                }
                Ok(Self::Json(patch))
            }
            "application/merge-patch+json" => {
                let value: Value = serde_json::from_slice(body).map_err(malformed)?;
                if !value.is_object() {
                    return Err(ApiError::bad_request("a merge patch must be a JSON object"));
                }
                Ok(Self::Merge(value))
            }
            other => Err(ApiError::new(
                StatusReason::UnsupportedMediaType,
                format!(
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json; it was {other:?}"
                ),
            )),
        }
    }

    fn apply(&self, object: &mut Value) -> Result<(), String> {
        match self {
            Self::Json(patch) => apply_operations(object, patch),
            Self::Merge(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
        }
    }
}

/// Applies one operation after the other, so that copies of copies cannot fill the memory.
fn apply_operations(object: &mut Value, patch: &json_patch::Patch) -> Result<(), String> {
    let mut copied = 0;
    for operation in &patch.0 {
        if let PatchOperation::Copy(copy) = operation {
            let source = object.pointer(copy.from.as_str());
            copied += source.map_or(0, |value| value.to_string().len());
            if copied > COPIED_MAX {
                return Err(format!(
                    "its copy operations make more than {COPIED_MAX} bytes"
                ));
            }
        }
        json_patch::patch(object, std::slice::from_ref(operation)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

impl Store {
    /// Changes an object, or only its status, and gives its served bytes and the unknown fields
    /// that the patch brought.
    ///
    /// # Errors
    /// 404, 409 for an object that changed meanwhile, 422 for a result that breaks a rule.
    pub async fn patch(
        &self,
        namespace: &str,
        name: &str,
        patch: &Patch,
        subresource: Subresource,
        validation: FieldValidation,
        options: WriteOptions,
    ) -> Result<(Bytes, Vec<String>), ApiError> {
        let key = self.key(namespace, name);
        let mut attempt = 1;
        loop {
            let current = self.current(&key, name).await?;
            let bytes = self.served(&current.stored, current.revision)?;
            let mut value: Value = serde_json::from_slice(&bytes).map_err(ApiError::internal)?;
            let before = value.pointer("/metadata/resourceVersion").cloned();
            patch
                .apply(&mut value)
                .map_err(|e| Self::patch_failed(&e))?;
            let has_version = value.pointer("/metadata/resourceVersion").cloned() != before;
            let mut object = Object::from_value(value).map_err(ApiError::bad_request)?;
            self.check_body(namespace, name, &object)?;
            let unknown = self.check_fields(&mut object, validation)?;
            let written = self
                .replace(key.clone(), name, current, object, subresource, options)
                .await;
            match written {
                Err(error)
                    if error.reason() == StatusReason::Conflict
                        && !has_version
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                written => return Ok((written?, unknown)),
            }
        }
    }

    /// 422 without causes, as upstream answers a patch that does not fit the object.
    fn patch_failed(why: &str) -> ApiError {
        ApiError::new(
            StatusReason::Invalid,
            format!("the server rejected our request due to an error in our request: {why}"),
        )
    }
}
