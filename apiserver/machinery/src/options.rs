//! The rules for the options of a request: `CreateOptions`, `UpdateOptions`, `PatchOptions` and
//! `DeleteOptions`, and for `managedFields`, which share some.
//!
//! Mirrors `k8s.io/apimachinery/pkg/apis/meta/v1/validation`.

use serde_json::{Value, json};

use crate::{field::FieldError, go_format};

/// Longest name of a field manager, in bytes.
pub const FIELD_MANAGER_MAX_LENGTH: usize = 128;
/// Longest name of a subresource in `managedFields`, in bytes.
const SUBRESOURCE_MAX_LENGTH: usize = 256;

/// What create, update and patch have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Who owns the fields; empty for the default.
    pub field_manager: String,
    /// The stages that do not happen: `All`, or none.
    pub dry_run: Vec<String>,
    /// `Ignore`, `Warn`, `Strict`, or empty for the default.
    pub field_validation: String,
}

/// What kind of patch the options are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// Server-side apply.
    Apply,
    /// Any other.
    Other,
}

/// The body of a delete, or its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// The old form of `propagation_policy`.
    pub orphan_dependents: Option<bool>,
    /// `Orphan`, `Background` or `Foreground`.
    pub propagation_policy: Option<String>,
    /// The stages that do not happen: `All`, or none.
    pub dry_run: Vec<String>,
}

impl WriteOptions {
    /// Every broken rule for a create or an update.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = validate_field_manager(&self.field_manager, "fieldManager");
        errors.extend(validate_dry_run(&self.dry_run));
        let values = ["", "Ignore", "Strict", "Warn"];
        if !values.contains(&self.field_validation.as_str()) {
            let value = json!(self.field_validation);
            errors.push(FieldError::not_supported(
                "fieldValidation",
                &value,
                &values,
            ));
        }
        errors
    }

    /// Every broken rule for a patch; `force` is whether conflicts are overridden, if it is said.
    pub fn validate_patch(&self, kind: PatchKind, force: Option<bool>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match kind {
            PatchKind::Apply if self.field_manager.is_empty() => {
                let problem = "is required for apply patch";
                errors.push(FieldError::required("fieldManager", problem));
            }
            PatchKind::Other if force.is_some() => {
                let problem = "may not be specified for non-apply patch";
                errors.push(FieldError::forbidden("force", problem));
            }
            PatchKind::Apply | PatchKind::Other => {}
        }
        errors.extend(self.validate());
        errors
    }
}

impl DeleteOptions {
    /// Every broken rule.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let field = "propagationPolicy";
        if let Some(policy) = &self.propagation_policy {
            let value = json!(policy);
            if self.orphan_dependents.is_some() {
                let problem = "orphanDependents and deletionPropagation cannot be both set";
                errors.push(FieldError::invalid(field, &value, problem));
            }
            let values = ["Foreground", "Background", "Orphan"];
            if !values.contains(&policy.as_str()) {
                let values = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(FieldError::not_supported(field, &value, &values));
            }
        }
        errors.extend(validate_dry_run(&self.dry_run));
        errors
    }
}

fn validate_dry_run(values: &[String]) -> Vec<FieldError> {
    if values.iter().all(|v| v == "All") {
        return Vec::new();
    }
    vec![FieldError::not_supported(
        "dryRun",
        &json!(values),
        &["All"],
    )]
}

/// Every broken rule of a field manager's name that stands at `path`.
pub fn validate_field_manager(name: &str, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if name.len() > FIELD_MANAGER_MAX_LENGTH {
        errors.push(FieldError::too_long(path, FIELD_MANAGER_MAX_LENGTH as u64));
    }
    for (position, c) in name.char_indices() {
        if !go_format::is_printable(c) {
            let code = u32::from(c);
            let problem = format!("invalid character U+{code:04X} (at position {position})");
            errors.push(FieldError::invalid(path, &json!(name), problem));
        }
    }
    errors
}

/// Every broken rule of `managedFields` at `path`.
pub fn validate_managed_fields(entries: &[Value], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let at = |field: &str| format!("{path}[{i}].{field}");
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        let operation = text("operation");
        if !matches!(operation, "Apply" | "Update") {
            let problem = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(
                at("operation"),
                &json!(operation),
                problem,
            ));
        }
        let fields_type = text("fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            let problem = "must be `FieldsV1`";
            errors.push(FieldError::invalid(
                at("fieldsType"),
                &json!(fields_type),
                problem,
            ));
        }
        errors.extend(validate_field_manager(text("manager"), &at("manager")));
        if text("subresource").len() > SUBRESOURCE_MAX_LENGTH {
            let max = SUBRESOURCE_MAX_LENGTH as u64;
            errors.push(FieldError::too_long(at("subresource"), max));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    /// A2: an apply needs a field manager; only an apply may force.
    #[test]
    fn patches_need_what_their_kind_needs() {
        let options = WriteOptions::default();
        assert_eq!(
            texts(&options.validate_patch(PatchKind::Apply, Some(true))),
            ["fieldManager: Required value: is required for apply patch"]
        );
        assert_eq!(
            texts(&options.validate_patch(PatchKind::Other, Some(false))),
            ["force: Forbidden: may not be specified for non-apply patch"]
        );
        assert!(options.validate_patch(PatchKind::Other, None).is_empty());
    }

    /// A3, A5, A6: managers are short and printable, levels and stages are known ones.
    #[test]
    fn options_are_refused_in_the_words_of_upstream() {
        let options = WriteOptions {
            field_manager: "a\nb".to_owned(),
            dry_run: vec!["Some".to_owned()],
            field_validation: "strict".to_owned(),
        };
        assert_eq!(
            texts(&options.validate()),
            [
                "fieldManager: Invalid value: \"a\\nb\": invalid character U+000A (at position 1)",
                "dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
                "fieldValidation: Unsupported value: \"strict\": supported values: \"\", \"Ignore\", \
                 \"Strict\", \"Warn\"",
            ]
        );
        let long = WriteOptions {
            field_manager: "x".repeat(129),
            ..WriteOptions::default()
        };
        assert_eq!(
            texts(&long.validate()),
            ["fieldManager: Too long: may not be more than 128 bytes"]
        );
    }

    /// V9: the two ways to say what becomes of dependents exclude each other.
    #[test]
    fn delete_options_say_one_thing() {
        let options = DeleteOptions {
            orphan_dependents: Some(true),
            propagation_policy: Some("Never".to_owned()),
            dry_run: Vec::new(),
        };
        assert_eq!(
            texts(&options.validate()),
            [
                "propagationPolicy: Invalid value: \"Never\": orphanDependents and deletionPropagation \
                 cannot be both set",
                "propagationPolicy: Unsupported value: \"Never\": supported values: \"Foreground\", \
                 \"Background\", \"Orphan\", \"nil\"",
            ]
        );
    }
}
