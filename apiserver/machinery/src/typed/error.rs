//! What is wrong with a value of a type.

use std::fmt;

use serde_json::Value;

use super::trail::Trail;

/// Most errors that are told of one value.
const REPORTED_MAX: usize = 64;

/// The errors of one value, at least one when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypeErrors(Vec<String>);

impl TypeErrors {
    pub(super) fn push(&mut self, at: &Trail<'_>, message: impl fmt::Display) {
        if self.0.len() < REPORTED_MAX {
            let path = at.to_string();
            self.0.push(if path.is_empty() {
                message.to_string()
            } else {
                format!("{path}: {message}")
            });
        }
    }

    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for TypeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            many => {
                f.write_str("errors:")?;
                many.iter().try_for_each(|e| write!(f, "\n  {e}"))
            }
        }
    }
}

/// What a value is, for messages.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}
