//! The query parameters of writes: `metav1.CreateOptions`, `UpdateOptions` and `PatchOptions`.
//!
//! Rules and messages mirror `k8s.io/apimachinery/pkg/apis/meta/v1/validation`.

use apimachinery::{
    ApiError, FieldError, FieldErrorKind, list_options::is_true,
    managed_fields::manager_from_user_agent,
};
use http::{HeaderMap, header};
use serde_json::json;

use crate::{
    registry::{FieldValidation, WriteOptions},
    request::RequestInfo,
};

/// Longest name of a field manager, in bytes.
const MANAGER_MAX: usize = 128;

/// Which options a write takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptionsKind {
    Create,
    Update,
    /// A patch that is no apply.
    Patch,
    Apply,
}

/// The options of a write.
#[derive(Clone, Debug)]
pub(super) struct SentOptions {
    pub(super) write: WriteOptions,
    pub(super) validation: FieldValidation,
    pub(super) force: bool,
}

impl SentOptions {
    /// Reads and checks the options in a query.
    ///
    /// # Errors
    /// 422 with a cause for each parameter that breaks a rule.
    pub(super) fn read(
        kind: OptionsKind,
        info: &RequestInfo,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        let manager = info.parameter("fieldManager").unwrap_or_default();
        let force = info.parameter("force");
        let mut errors = Vec::new();
        match kind {
            OptionsKind::Apply if manager.is_empty() => {
                errors.push(FieldError::required(
                    "fieldManager",
                    "is required for apply patch",
                ));
            }
            OptionsKind::Patch if force.is_some() => {
                let why = "may not be specified for non-apply patch";
                errors.push(FieldError::forbidden("force", why));
            }
            _ => {}
        }
        check_manager(manager, &mut errors);
        let dry_run = dry_run(&info.parameters("dryRun"), &mut errors);
        let validation = field_validation(info, &mut errors);
        if !errors.is_empty() {
            return Err(ApiError::invalid("meta.k8s.io", kind.name(), "", &errors));
        }
        let program = headers
            .get(header::USER_AGENT)
            .and_then(|v| v.to_str().ok());
        let manager = if manager.is_empty() {
            manager_from_user_agent(program.unwrap_or_default())
        } else {
            manager.to_owned()
        };
        Ok(Self {
            write: WriteOptions { dry_run, manager },
            validation,
            force: force.is_some_and(is_true),
        })
    }
}

impl OptionsKind {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch | Self::Apply => "PatchOptions",
        }
    }
}

/// Whether a write is only tried: every value must be `All`.
pub(super) fn dry_run(values: &[&str], errors: &mut Vec<FieldError>) -> bool {
    if values.iter().any(|value| *value != "All") {
        errors.push(FieldError::not_supported(
            "dryRun",
            &json!(values),
            &["All"],
        ));
    }
    !values.is_empty()
}

fn check_manager(manager: &str, errors: &mut Vec<FieldError>) {
    if manager.len() > MANAGER_MAX {
        errors.push(FieldError {
            field: "fieldManager".to_owned(),
            kind: FieldErrorKind::TooLong,
            detail: format!("may not be more than {MANAGER_MAX} bytes"),
        });
    }
    for (position, character) in manager.chars().enumerate() {
        if character.is_control() {
            let why = format!(
                "invalid character U+{:04X} (at position {position})",
                u32::from(character)
            );
            errors.push(FieldError::invalid("fieldManager", &json!(manager), why));
        }
    }
}

fn field_validation(info: &RequestInfo, errors: &mut Vec<FieldError>) -> FieldValidation {
    match info.parameter("fieldValidation").unwrap_or_default() {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            let supported = ["", "Ignore", "Strict", "Warn"];
            let error = FieldError::not_supported("fieldValidation", &json!(other), &supported);
            errors.push(error);
            FieldValidation::Strict
        }
    }
}
