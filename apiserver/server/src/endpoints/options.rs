//! The query parameters of writes: `metav1.CreateOptions`, `UpdateOptions` and `PatchOptions`.

use apimachinery::{
    ApiError,
    list_options::is_true,
    managed_fields::manager_from_user_agent,
    options::{PatchKind, WriteOptions as Rules},
};
use http::{HeaderMap, header};

use crate::{
    registry::{FieldValidation, WriteOptions},
    request::RequestInfo,
};

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
        let text = |name| info.parameter(name).unwrap_or_default().to_owned();
        let rules = Rules {
            field_manager: text("fieldManager"),
            dry_run: info
                .parameters("dryRun")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            field_validation: text("fieldValidation"),
        };
        let force = info.parameter("force").map(is_true);
        let errors = match kind {
            OptionsKind::Create | OptionsKind::Update => rules.validate(),
            OptionsKind::Patch => rules.validate_patch(PatchKind::Other, force),
            OptionsKind::Apply => rules.validate_patch(PatchKind::Apply, force),
        };
        if !errors.is_empty() {
            return Err(ApiError::invalid("meta.k8s.io", kind.name(), "", &errors));
        }
        let program = headers
            .get(header::USER_AGENT)
            .and_then(|v| v.to_str().ok());
        let manager = if rules.field_manager.is_empty() {
            manager_from_user_agent(program.unwrap_or_default())
        } else {
            rules.field_manager
        };
        Ok(Self {
            write: WriteOptions {
                dry_run: !rules.dry_run.is_empty(),
                manager,
            },
            validation: match rules.field_validation.as_str() {
                "Ignore" => FieldValidation::Ignore,
                "Strict" => FieldValidation::Strict,
                _ => FieldValidation::Warn,
            },
            force: force.unwrap_or_default(),
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
