//! Values printed the way Go prints them, since messages that clients compare show values so:
//! `strconv.Quote`, `fmt`'s `%v` and `encoding/json`.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// A JSON number as the API machinery sees it: an integer of 64 bits if it is written as one, else
/// a float (`k8s.io/apimachinery/pkg/util/json`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum GoNumber {
    Integer(i64),
    Float(f64),
}

impl GoNumber {
    pub(crate) fn of(number: &Number) -> Self {
        match number.as_i64() {
            Some(integer) => Self::Integer(integer),
            None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds are floats; upstream loses the same digits"
    )]
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

/// `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => push_escaped(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    let code = u32::from(c);
    let written = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing into a string cannot fail");
}

/// `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        // The first character decides whether marks are escaped, so it is none.
        c => format!("a{c}").escape_debug().count() == 2,
    }
}

/// A float as `%v` prints it.
pub(crate) fn float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        exponent(value, 2)
    } else {
        value.to_string()
    }
}

/// `2e21` as `2e+21`, with at least `digits` digits in a negative exponent.
fn exponent(value: f64, digits: usize) -> String {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, power)) => match power.strip_prefix('-') {
            Some(power) => format!("{mantissa}e-{power:0>digits$}"),
            None => format!("{mantissa}e+{power:0>2}"),
        },
        None => text,
    }
}

/// A value as `encoding/json` prints it: without spaces, keys sorted, `<`, `>` and `&` escaped.
pub(crate) fn json(value: &Value) -> String {
    match value {
        Value::Number(number) => match GoNumber::of(number) {
            GoNumber::Integer(integer) => integer.to_string(),
            GoNumber::Float(float) => json_float(float),
        },
        Value::String(text) => json_string(text),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(json).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(map) => {
            let members: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{}:{}", json_string(k), json(v)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

fn json_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        exponent(value, 1)
    } else {
        value.to_string()
    }
}

fn json_string(text: &str) -> String {
    let plain = Value::from(text).to_string();
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("a\"b\\", r#""a\"b\\""#)]
    #[case("a\nb\u{1}\u{7f}", r#""a\nb\x01\x7f""#)]
    #[case("é\u{a0}\u{301}", "\"é\\u00a0\u{301}\"")]
    fn text_is_quoted_as_go_quotes_it(#[case] text: &str, #[case] quoted: &str) {
        assert_eq!(quote(text), quoted);
    }

    #[rstest]
    #[case(1.0, "1")]
    #[case(1.5, "1.5")]
    #[case(1e21, "1e+21")]
    #[case(1e20, "100000000000000000000")]
    #[case(0.00001, "1e-05")]
    #[case(0.0001, "0.0001")]
    fn floats_are_printed_as_go_prints_them(#[case] value: f64, #[case] text: &str) {
        assert_eq!(float(value), text);
    }

    #[test]
    fn json_is_printed_as_go_prints_it() {
        assert_eq!(
            json(&json!({"b": [1.0, 1e-7, 3], "a": "<x>&"})),
            r#"{"a":"\u003cx\u003e\u0026","b":[1,1e-7,3]}"#
        );
    }
}
