//! Ranges and multiples of numbers.
//!
//! Mirrors `k8s.io/kube-openapi/pkg/validation/validate/values.go`, including that a bound with a
//! fraction is cut when the value is an integer.

use std::cmp::Ordering;

use serde_json::{Number, Value, json};

use super::{Node, NumberFormat, ValueType, outcome::Outcome};
use crate::{
    field::FieldErrorKind,
    go_format::{self, GoNumber},
};

/// Beyond these a float is no exact integer, 2^53 - 1.
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// Whether a float is an integer, as far as JSON can say.
pub(super) fn is_integer(float: f64) -> bool {
    float.abs() <= INTEGER_MAX && float.fract() == 0.0
}

pub(super) fn check(node: &Node, number: &Number, path: &str) -> Outcome {
    let value = GoNumber::of(number);
    let rules = &node.validation;
    let mut out = Outcome::default();
    if let Some(problem) = range_problem(node, value, "Checked", path) {
        out.whole(problem);
    }
    if let Some(factor) = rules.multiple_of {
        match range_problem(node, GoNumber::Float(factor), "MultipleOf", path) {
            Some(problem) => {
                out.whole(problem);
                multiple_of(GoNumber::Float(value.as_f64()), factor, path, &mut out);
            }
            None => multiple_of(value, factor, path, &mut out),
        }
    }
    if let Some(bound) = rules.minimum {
        let limit = Limit {
            bound,
            exclusive: rules.exclusive_minimum,
            side: Side::Minimum,
        };
        limit.check(node, value, path, &mut out);
    }
    if let Some(bound) = rules.maximum {
        let limit = Limit {
            bound,
            exclusive: rules.exclusive_maximum,
            side: Side::Maximum,
        };
        limit.check(node, value, path, &mut out);
    }
    out.matches += 1;
    out
}

/// Whether a number fits its type and format; `what` begins the sentence.
fn range_problem(node: &Node, value: GoNumber, what: &str, path: &str) -> Option<String> {
    let [value_type] = node.types() else {
        return None;
    };
    let format = node.validation.number_format;
    let integer = match value {
        GoNumber::Integer(integer) => Some(integer),
        GoNumber::Float(float) if float.fract() == 0.0 => to_i64(float),
        GoNumber::Float(_) => None,
    };
    let fits = match (value_type, format) {
        (ValueType::Integer, Some(NumberFormat::Int32)) => {
            integer.is_some_and(|i| i32::try_from(i).is_ok())
        }
        (ValueType::Integer, _) => integer.is_some(),
        (ValueType::Number, Some(NumberFormat::Float)) => {
            value.as_f64().abs() <= f64::from(f32::MAX)
        }
        _ => true,
    };
    let name = value_type.name();
    (!fits).then(|| match format {
        Some(format) => format!(
            "{what} value must be of type {name} with format {} in {path}",
            format.name()
        ),
        None => format!("{what} value must be of type {name} (default format) in {path}"),
    })
}

/// An integral float as an integer, if there is one of 64 bits.
fn to_i64(float: f64) -> Option<i64> {
    format!("{float:.0}").parse().ok()
}

/// A bound as Go converts it: cut.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cutting and saturating is what is wanted"
)]
fn cut(bound: f64) -> i64 {
    bound as i64
}

fn multiple_of(value: GoNumber, factor: f64, path: &str, out: &mut Outcome) {
    let (positive, multiple, value, factor_text) = match value {
        GoNumber::Integer(integer) => {
            let factor = cut(factor);
            let multiple = factor > 0 && integer % factor == 0;
            (factor > 0, multiple, json!(integer), json!(factor))
        }
        GoNumber::Float(float) => {
            let quotient = if factor < 1.0 {
                1.0 / factor * float
            } else {
                float / factor
            };
            (
                factor > 0.0,
                is_integer(quotient),
                json!(float),
                json!(factor),
            )
        }
    };
    if !positive {
        let detail = format!(
            "factor MultipleOf declared for {path} must be positive: {}",
            text(&factor_text)
        );
        out.at(path, FieldErrorKind::Invalid(factor_text), detail);
    } else if !multiple {
        let factor = text(&factor_text);
        let detail = format!("{path} in body should be a multiple of {factor}");
        out.at(path, FieldErrorKind::Invalid(value), detail);
    }
}

fn text(number: &Value) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => go_format::float(float),
        _ => number.to_string(),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Minimum,
    Maximum,
}

struct Limit {
    bound: f64,
    exclusive: bool,
    side: Side,
}

impl Limit {
    fn check(&self, node: &Node, value: GoNumber, path: &str, out: &mut Outcome) {
        let what = match self.side {
            Side::Minimum => "Minimum boundary",
            Side::Maximum => "Maximum boundary",
        };
        let mut value = value;
        if let Some(problem) = range_problem(node, GoNumber::Float(self.bound), what, path) {
            out.whole(problem);
            value = GoNumber::Float(value.as_f64());
        }
        let (order, shown, bound) = match value {
            GoNumber::Integer(integer) => {
                let bound = cut(self.bound);
                (Some(integer.cmp(&bound)), json!(integer), bound.to_string())
            }
            GoNumber::Float(float) => (
                float.partial_cmp(&self.bound),
                json!(float),
                go_format::float(self.bound),
            ),
        };
        let (inside, words) = match (self.side, self.exclusive) {
            (Side::Maximum, false) => (order.is_none_or(Ordering::is_le), "less than or equal to"),
            (Side::Maximum, true) => (order.is_none_or(Ordering::is_lt), "less than"),
            (Side::Minimum, false) => (
                order.is_none_or(Ordering::is_ge),
                "greater than or equal to",
            ),
            (Side::Minimum, true) => (order.is_none_or(Ordering::is_gt), "greater than"),
        };
        if !inside {
            let detail = format!("{path} in body should be {words} {bound}");
            out.at(path, FieldErrorKind::Invalid(shown), detail);
        }
    }
}
