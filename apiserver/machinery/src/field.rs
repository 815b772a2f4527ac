//! What is wrong with one field: `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;

use serde_json::Value;

use crate::go_format::{self, GoNumber};

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
    /// The list or map has more members than allowed: this many.
    TooMany(usize),
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
            Self::TooMany(_) => "FieldValueTooMany",
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
        let list: Vec<String> = supported.iter().map(|s| go_format::quote(s)).collect();
        let detail = match supported {
            [] => String::new(),
            _ => format!("supported values: {}", list.join(", ")),
        };
        Self {
            field: field.into(),
            kind: FieldErrorKind::NotSupported(value.clone()),
            detail,
        }
    }

    /// The value stands in the list before.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            field: field.into(),
            kind: FieldErrorKind::Duplicate(value.clone()),
            detail: String::new(),
        }
    }

    /// The value has more than `max` bytes. Upstream says bytes for characters too.
    pub fn too_long(field: impl Into<String>, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self {
            field: field.into(),
            kind: FieldErrorKind::TooLong,
            detail: format!("may not be more than {max} {unit}"),
        }
    }

    /// The list or map has `actual` members, more than `max`.
    pub fn too_many(field: impl Into<String>, actual: usize, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self {
            field: field.into(),
            kind: FieldErrorKind::TooMany(actual),
            detail: format!("must have at most {max} {unit}"),
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
                ("Invalid value", Some(shown(v)))
            }
            FieldErrorKind::NotSupported(v) => ("Unsupported value", Some(shown(v))),
            FieldErrorKind::Duplicate(v) => ("Duplicate value", Some(shown(v))),
            FieldErrorKind::Forbidden => ("Forbidden", None),
            FieldErrorKind::TooLong => ("Too long", None),
            FieldErrorKind::TooMany(actual) => ("Too many", Some(actual.to_string())),
        };
        let mut text = head.to_owned();
        if let Some(value) = value {
            text.push_str(": ");
            text.push_str(&value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

/// The value that breaks the rule, as a message shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => go_format::quote(text),
        Value::Number(number) => match GoNumber::of(number) {
            GoNumber::Integer(integer) => integer.to_string(),
            GoNumber::Float(float) => go_format::float(float),
        },
        other => go_format::json(other),
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}
