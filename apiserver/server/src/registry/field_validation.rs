//! What happens to fields that the schema does not know: `fieldValidation`.

use apimachinery::{ApiError, Object};

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

impl Store {
    /// Drops the fields that the schema does not know and gives the warnings for the client: about
    /// keys that stood twice in the body, about those fields, and about `unknown` ones that were
    /// dropped before.
    ///
    /// # Errors
    /// 400 that names them all when the validation is strict.
    pub fn check_fields(
        &self,
        object: &mut Object,
        duplicates: &[String],
        unknown: &[String],
        validation: FieldValidation,
    ) -> Result<Vec<String>, ApiError> {
        let unknown = self.unknown_fields(object, unknown)?;
        let duplicates = duplicates
            .iter()
            .map(|p| format!("duplicate field \"{p}\""));
        let texts: Vec<String> = duplicates.chain(unknown).collect();
        match validation {
            FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Warn => Ok(texts),
            FieldValidation::Strict if texts.is_empty() => Ok(texts),
            FieldValidation::Strict => {
                let list = texts.join(", ");
                Err(self.cannot_handle(&format!("strict decoding error: {list}")))
            }
        }
    }

    /// Drops the fields that the schema does not know and says which, after those that were dropped
    /// before.
    ///
    /// # Errors
    /// 400 for an embedded resource whose metadata cannot be handled.
    pub(super) fn unknown_fields(
        &self,
        object: &mut Object,
        before: &[String],
    ) -> Result<Vec<String>, ApiError> {
        let schema = &self.definition.schema;
        let pruned = schema.prune(object.fields_mut());
        let embedded = schema.coerce_embedded(object.fields_mut());
        let embedded = embedded.map_err(|e| self.cannot_handle(&e.to_string()))?;
        let unknown = before.iter().chain(&pruned).chain(&embedded);
        Ok(unknown.map(|p| format!("unknown field \"{p}\"")).collect())
    }

    /// 400 for an object that does not fit the kind at all.
    pub(crate) fn cannot_handle(&self, why: &str) -> ApiError {
        let definition = &self.definition;
        ApiError::cannot_be_handled(&definition.names.kind, &definition.version, why)
    }
}
