//! What is wrong with one field: `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;

use serde_json::Value;

/// One broken rule, with the path of the field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Path such as `spec.data[a]`.
    pub field: String,
    /// Which kind of rule.
    pub kind: FieldErrorKind,
    /// What is wrong or what to do; may be empty.
    pub detail: String,
}

/// The kinds of rules, with the value that breaks one where the message shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldErrorKind {
    /// The field must be set.
    Required,
    /// The value is wrong.
    Invalid(Value),
    /// The value has the wrong type.
    TypeInvalid(Value),
    /// The value is not one of those that are supported; the detail lists them.
    NotSupported(Value),
    /// The value stands twice in a list that is a set or a map.
    Duplicate(Value),
    /// The field may not be set here.
    Forbidden,
    /// The value is longer than allowed.
    TooLong,
}

impl FieldErrorKind {
    /// The `reason` of the status cause.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid(_) => "FieldValueInvalid",
            Self::TypeInvalid(_) => "FieldValueTypeInvalid",
            Self::NotSupported(_) => "FieldValueNotSupported",
            Self::Duplicate(_) => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
        }
    }
}

impl FieldError {
    /// The field must be set.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            kind: FieldErrorKind::Required,
            detail: detail.into(),
        }
    }

    /// The value breaks a rule.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl Into<String>) -> Self {
        let kind = FieldErrorKind::Invalid(value.clone());
        Self {
            field: field.into(),
            kind,
            detail: detail.into(),
        }
    }

    /// The value has the wrong type.
    pub fn type_invalid(
        field: impl Into<String>,
        value: &Value,
        detail: impl Into<String>,
    ) -> Self {
        let kind = FieldErrorKind::TypeInvalid(value.clone());
        Self {
            field: field.into(),
            kind,
            detail: detail.into(),
        }
    }

    /// The value is none of `supported`.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        Self {
            field: field.into(),
            kind: FieldErrorKind::NotSupported(value.clone()),
            detail: format!("supported values: {}", list.join(", ")),
        }
    }

    /// The field may not be set here.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            kind: FieldErrorKind::Forbidden,
            detail: detail.into(),
        }
    }

    /// The message without the field, as it stands in a status cause.
    pub fn body(&self) -> String {
        let (head, value) = match &self.kind {
            FieldErrorKind::Required => ("Required value", None),
            FieldErrorKind::Invalid(v) | FieldErrorKind::TypeInvalid(v) => {
                ("Invalid value", Some(v))
            }
            FieldErrorKind::NotSupported(v) => ("Unsupported value", Some(v)),
            FieldErrorKind::Duplicate(v) => ("Duplicate value", Some(v)),
            FieldErrorKind::Forbidden => ("Forbidden", None),
            FieldErrorKind::TooLong => ("Too long", None),
        };
        let mut text = head.to_owned();
        if let Some(value) = value {
            text.push_str(": ");
            text.push_str(&value.to_string());
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}
