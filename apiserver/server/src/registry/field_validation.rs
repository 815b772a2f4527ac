//! What happens to fields that the schema does not know: `fieldValidation`.

use apimachinery::{ApiError, FieldError, Object};
use serde_json::json;

use super::Store;

/// How strict a write is about unknown fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped silently.
    Ignore,
    /// They are dropped and the client is warned.
    #[default]
    Warn,
    /// The write is refused.
    Strict,
}

impl FieldValidation {
    /// Reads the query parameter.
    ///
    /// # Errors
    /// 422 for an unknown value.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                let error = FieldError::not_supported("fieldValidation", &json!(other), &supported);
                Err(ApiError::invalid(
                    "meta.k8s.io",
                    "CreateOptions",
                    "",
                    &[error],
                ))
            }
        }
    }
}

impl Store {
    /// Drops the fields that the schema does not know and gives the warnings for the client.
    ///
    /// # Errors
    /// 400 that names them all when the validation is strict.
    pub fn check_fields(
        &self,
        object: &mut Object,
        validation: FieldValidation,
    ) -> Result<Vec<String>, ApiError> {
        let unknown = self.definition.schema.prune(object.fields_mut());
        let texts = unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\""));
        match validation {
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Warn => Ok(texts.collect()),
            FieldValidation::Strict if unknown.is_empty() => Ok(Vec::new()),
            FieldValidation::Strict => {
                let list: Vec<String> = texts.collect();
                let kind = &self.definition.names.kind;
                Err(ApiError::bad_request(format!(
                    "{kind} in version \"{}\" cannot be handled as a {kind}: strict decoding error: {}",
                    self.definition.version,
                    list.join(", ")
                )))
            }
        }
    }
}
