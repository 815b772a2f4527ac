//! Patch: JSON patch and merge patch.
//!
//! Known deviation: operations on what is not there are refused, where upstream's library lets some
//! pass; and the refusal says which operation failed. A refused result is not repeated in the error.

use apimachinery::{ApiError, FieldError, Object, StatusReason, decode::DEPTH_MAX};
use json_patch::{PatchOperation, jsonptr::PointerBuf};
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

/// How often one JSON patch may have the whole object measured, where its moves alone do not tell how
/// deep it is: more than any patch of a person needs, few enough for the processor.
const MEASURED_MAX: usize = 64;

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

    /// 422 for fields that strict validation refuses.
    pub fn refused_strictly(fields: &str) -> ApiError {
        no_object(&format!("strict decoding error: {fields}"))
    }

    pub(crate) fn apply(&self, object: &mut Value) -> Result<(), ApiError> {
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

/// Applies one operation after the other, so that copies of copies cannot fill the memory, and moves
/// cannot nest an object deeper than it can be read again.
fn apply_operations(object: &mut Value, patch: &json_patch::Patch) -> Result<(), String> {
    let mut copied = 0;
    let mut nesting = Nesting::of(object);
    for operation in &patch.0 {
        nesting.check(object, operation)?;
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

/// How deep an object can be at most: known without looking at it anew for every operation.
struct Nesting {
    depth: usize,
    /// How often the object was looked at.
    measured: usize,
}

impl Nesting {
    fn of(object: &Value) -> Self {
        Self {
            depth: depth(object),
            measured: 1,
        }
    }

    /// Refuses an operation after which the object would be nested too deep.
    fn check(&mut self, object: &Value, operation: &PatchOperation) -> Result<(), String> {
        let levels = |pointer: &PointerBuf| pointer.tokens().count();
        let (path, inside) = match operation {
            PatchOperation::Add(add) => (&add.path, depth(&add.value)),
            PatchOperation::Replace(replace) => (&replace.path, depth(&replace.value)),
            PatchOperation::Move(from) => {
                let inside = self.depth.saturating_sub(levels(&from.from));
                (&from.path, inside)
            }
            PatchOperation::Copy(copy) => {
                let inside = self.depth.saturating_sub(levels(&copy.from));
                (&copy.path, inside)
            }
            PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
        };
        let after = levels(path) + inside;
        if after <= DEPTH_MAX {
            self.depth = self.depth.max(after);
            return Ok(());
        }
        let source = match operation {
            PatchOperation::Move(from) => object.pointer(from.from.as_str()),
            PatchOperation::Copy(copy) => object.pointer(copy.from.as_str()),
            _ => None,
        };
        let after = levels(path) + source.map_or(inside, depth);
        self.measured += 1;
        if after > DEPTH_MAX || self.measured > MEASURED_MAX {
            return Err(format!(
                "it nests the object deeper than {DEPTH_MAX} levels"
            ));
        }
        self.depth = depth(object).max(after);
        Ok(())
    }
}

/// How many lists and objects stand around each other.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
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
            if let Some(field) = Object::missing_type(&value) {
                let why = format!("Object '{field}' is missing in the patched object");
                return Err(no_object(&why));
            }
            let (mut object, unknown) = Object::decode(value).map_err(|e| no_object(&e))?;
            let has_version = object.resource_version() != before;
            self.check_kind(&object)?;
            self.check_body(namespace, name, &object)?;
            let mut unknown = self.unknown_fields(&mut object, &unknown)?;
            match validation {
                FieldValidation::Ignore => unknown.clear(),
                FieldValidation::Strict if !unknown.is_empty() => {
                    return Err(Patch::refused_strictly(&unknown.join(", ")));
                }
                FieldValidation::Strict | FieldValidation::Warn => {}
            }
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
                Err(error) => return Err(error.with_warnings(unknown)),
                Ok(mut written) => {
                    written.warnings.splice(0..0, unknown);
                    return Ok(written);
                }
            }
        }
    }
}

/// 422 for a patch whose result is no object of Kubernetes. Upstream repeats the whole result, twice;
/// an error is logged and shown where the object may not be, so this one does not.
fn no_object(why: &str) -> ApiError {
    let error = FieldError::invalid("patch", &Value::Null, why.to_owned());
    ApiError::invalid("", "", "", &[error])
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
