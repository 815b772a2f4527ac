//! How values are ordered, compared, printed in paths and encoded as JSON.
//!
//! Mirrors `sigs.k8s.io/structured-merge-diff/v6/value` and the encoder that it uses: numbers are
//! compared by value whatever their encoding, and `<`, `>`, `&` and the line separators are escaped.

use std::{cmp::Ordering, collections::BTreeSet, fmt::Write as _};

use serde_json::{Map, Number, Value};

use crate::go_format::quote;

/// The order of values: numbers, strings, booleans, lists, maps, null.
pub(crate) fn compare(lhs: &Value, rhs: &Value) -> Ordering {
    match (lhs, rhs) {
        (Value::Number(l), Value::Number(r)) => compare_numbers(l, r),
        (Value::String(l), Value::String(r)) => l.cmp(r),
        (Value::Bool(l), Value::Bool(r)) => l.cmp(r),
        (Value::Array(l), Value::Array(r)) => l
            .iter()
            .zip(r)
            .map(|(l, r)| compare(l, r))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| l.len().cmp(&r.len())),
        (Value::Object(l), Value::Object(r)) => compare_maps(l, r),
        _ => rank(lhs).cmp(&rank(rhs)),
    }
}

/// Whether two values are the same; 1 and 1.0 are.
pub(crate) fn equals(lhs: &Value, rhs: &Value) -> bool {
    match (lhs, rhs) {
        (Value::Number(l), Value::Number(r)) => compare_numbers(l, r).is_eq(),
        (Value::Array(l), Value::Array(r)) => {
            l.len() == r.len() && l.iter().zip(r).all(|(l, r)| equals(l, r))
        }
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len()
                && l.iter()
                    .all(|(key, l)| r.get(key).is_some_and(|r| equals(l, r)))
        }
        _ => lhs == rhs,
    }
}

/// A value as it stands in a path that people read.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => number(n),
        Value::String(s) => quote(s),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(display).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(map) => map.iter().fold(String::new(), |text, (key, value)| {
            text + key + "=" + &display(value)
        }),
    }
}

/// JSON in the form that stands inside a serialised path and in the last-applied annotation.
pub(crate) fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&number(n)),
        Value::String(s) => push_json_string(out, s, EscapeMarkup::Yes),
        Value::Array(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_json(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_json_string(out, key, EscapeMarkup::Yes);
                out.push(':');
                push_json(out, item);
            }
            out.push('}');
        }
    }
}

/// Whether `<`, `>`, `&` and the line separators are escaped; names of keys in a path are not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EscapeMarkup {
    Yes,
    No,
}

pub(super) fn push_json_string(out: &mut String, text: &str, markup: EscapeMarkup) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => push_escape(out, c),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if markup == EscapeMarkup::Yes => {
                push_escape(out, c);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_escape(out: &mut String, c: char) {
    write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes every write");
}

/// A float has no point when it is whole, and an exponent of two digits when it is huge or tiny.
fn number(n: &Number) -> String {
    let Some(float) = n.as_f64().filter(|_| n.is_f64()) else {
        return n.to_string();
    };
    let size = float.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

fn compare_numbers(lhs: &Number, rhs: &Number) -> Ordering {
    if let (Some(l), Some(r)) = (lhs.as_i64(), rhs.as_i64()) {
        return l.cmp(&r);
    }
    let (l, r) = (lhs.as_f64(), rhs.as_f64());
    l.partial_cmp(&r).unwrap_or(Ordering::Equal)
}

/// Key by key in the order of the names; a map with a smaller name that the other lacks is less.
fn compare_maps(lhs: &Map<String, Value>, rhs: &Map<String, Value>) -> Ordering {
    let keys: BTreeSet<&String> = lhs.keys().chain(rhs.keys()).collect();
    for (i, key) in keys.into_iter().enumerate() {
        let order = match (lhs.get(key), rhs.get(key)) {
            _ if i == lhs.len() => Ordering::Less,
            _ if i == rhs.len() => Ordering::Greater,
            (None, _) => Ordering::Greater,
            (_, None) => Ordering::Less,
            (Some(l), Some(r)) => compare(l, r),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!(1), json!(1.5))]
    #[case(json!(1.5), json!(2))]
    #[case(json!(-1), json!("a"))]
    #[case(json!("a"), json!("b"))]
    #[case(json!("z"), json!(false))]
    #[case(json!(false), json!(true))]
    #[case(json!(true), json!([]))]
    #[case(json!([1]), json!([1, 2]))]
    #[case(json!([9]), json!({}))]
    #[case(json!({"a": 1}), json!({"b": 1}))]
    #[case(json!({}), json!({"a": 1}))]
    #[case(json!({"a": 1}), json!({"a": 1, "b": 0}))]
    #[case(json!({"z": 1}), json!(null))]
    fn values_have_the_order_of_upstream(#[case] less: Value, #[case] more: Value) {
        assert_eq!(compare(&less, &more), Ordering::Less);
        assert_eq!(compare(&more, &less), Ordering::Greater);
        assert!(!equals(&less, &more));
    }

    #[test]
    fn a_whole_float_is_its_integer() {
        assert!(equals(&json!({"a": [1.0]}), &json!({"a": [1]})));
        assert_eq!(compare(&json!(1.0), &json!(1)), Ordering::Equal);
    }

    #[rstest]
    #[case(json!("a<b>&\u{2028}\u{1}\n\u{7f}é"), r#""a\u003cb\u003e\u0026\u2028\u0001\n"#)]
    #[case(json!(1.0), "1")]
    #[case(json!(1e21), "1e+21")]
    #[case(json!(1.5e-7), "1.5e-07")]
    #[case(json!(9_007_199_254_740_993_u64), "9007199254740993")]
    #[case(json!({"b": [null, true], "a": 0.25}), r#"{"a":0.25,"b":[null,true]}"#)]
    fn json_is_written_as_upstream_writes_it(#[case] value: Value, #[case] start: &str) {
        let mut out = String::new();
        push_json(&mut out, &value);
        assert!(out.starts_with(start), "{out}");
    }
}
