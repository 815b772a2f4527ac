//! Patch: JSON patch and merge patch.
//!
//! Known deviation: operations on what is not there are refused, where upstream's library lets some
//! pass; and the refusal says which operation failed.

use apimachinery::{ApiError, FieldError, Object, StatusReason};
use json_patch::PatchOperation;
use serde_json::{Map, Value};

use super::{
    FieldValidation, Store, Subresource, WriteOptions, Written,
    create::{FieldOwnership, is_conflict},
    update::Change,
};

/// How often a patch without a resource version is tried, as upstream's `MaxRetryWhenPatchConflicts`.
pub(super) const ATTEMPTS: u32 = 5;
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
    /// Decodes a JSON patch.
    ///
    /// # Errors
    /// 400 for what is no list, 413 for too many operations, 422 for one that is none.
    pub fn json(body: &[u8]) -> Result<Self, ApiError> {
        let operations: Vec<Map<String, Value>> = serde_json::from_slice(body)
            .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
        if operations.len() > OPERATIONS_MAX {
            return Err(ApiError::new(
                StatusReason::RequestEntityTooLarge,
                format!(
                    "Request entity too large: The allowed maximum operations in a JSON patch is \
                     {OPERATIONS_MAX}, got {}",
                    operations.len()
                ),
            ));
        }
        let operations = operations.into_iter().map(Value::Object).collect();
        let patch = serde_json::from_value(operations);
        patch
            .map(Self::Json)
            .map_err(|e| Self::failed(&e.to_string()))
    }

    /// Takes a decoded merge patch.
    ///
    /// # Errors
    /// 400 for what is no object.
    pub fn merge(patch: Value) -> Result<Self, ApiError> {
        if patch.is_object() {
            Ok(Self::Merge(patch))
        } else {
            Err(ApiError::bad_request(
                "Invalid JSON Patch: a merge patch must be a JSON object",
            ))
        }
    }

    pub(super) fn apply(&self, object: &mut Value) -> Result<(), ApiError> {
        match self {
            Self::Json(patch) => apply_operations(object, patch).map_err(|e| Self::failed(&e)),
            Self::Merge(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
        }
    }

    /// 422 without causes, as upstream answers a patch that does not fit the object.
    fn failed(why: &str) -> ApiError {
        ApiError::new(
            StatusReason::Invalid,
            format!("the server rejected our request due to an error in our request: {why}"),
        )
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
    /// Changes an object, or only its status, and gives its served bytes; the unknown fields that
    /// the patch brought are among the warnings.
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
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let key = self.key(namespace, name);
        let mut attempt = 1;
        loop {
            let current = self.current(&key, name).await?;
            let before = current.revision.to_string();
            let mut value = current.as_served(self).into_value();
            patch.apply(&mut value)?;
            let (mut object, unknown) = Object::decode(value).map_err(|e| no_object(&e))?;
            let has_version = object.resource_version() != before;
            self.check_kind(&object)?;
            self.check_body(namespace, name, &object)?;
            let unknown = self.check_fields(&mut object, &[], &unknown, validation)?;
            let change = Change {
                key: key.clone(),
                name,
                current,
                object,
                subresource,
                ownership: FieldOwnership::Track,
            };
            match self.replace(change, options).await {
                Err(error) if is_conflict(&error) && !has_version && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                written => {
                    let mut written = written?;
                    written.warnings.splice(0..0, unknown);
                    return Ok(written);
                }
            }
        }
    }
}

/// 422 for a patch whose result is no object of Kubernetes.
fn no_object(why: &str) -> ApiError {
    let error = FieldError::invalid("patch", &Value::Null, why.to_owned());
    ApiError::invalid("", "", "", &[error])
}
