//! `JSONPath` as printer columns use it: `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Mirrors `k8s.io/client-go/util/jsonpath` with missing keys allowed. Deviations: there is one
//! expression without braces, no `range`, and a string is no list of bytes. Members of objects come
//! in the order of their names.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::{Value, json};

use crate::go_format::GoNumber;

/// Most characters of a path, and so the deepest nesting of filters in it.
const LENGTH_MAX: usize = 1024;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Self>>),
    Exists(Vec<Self>),
    Compare(Vec<Self>, Operator, Vec<Self>),
    Literal(Value),
    /// A word that means nothing: it parses, and finds nothing.
    Identifier(String),
}

/// `[start:end:step]`. An index is the slice up to the next element.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slice {
    start: Option<i64>,
    end: End,
    step: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    At(i64),
    AfterStart,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Unknown,
}

impl JsonPath {
    /// Parses a path that starts with a dot; the error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        if !text.starts_with('.') {
            return Err("must be a simple json path starting with .".to_owned());
        }
        if text.len() > LENGTH_MAX {
            return Err(format!("must be no more than {LENGTH_MAX} characters"));
        }
        Ok(Self {
            steps: parse_steps(text)?,
        })
    }

    /// The values at the path. The error says why there can be none, such as an index behind the end
    /// of a list.
    pub fn find<'a>(&self, object: &'a Value) -> Result<Vec<Cow<'a, Value>>, String> {
        walk(&self.steps, vec![Cow::Borrowed(object)])
    }
}

// === parsing ===

fn parse_steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("[?(") {
            let (step, tail) = parse_filter(tail)?;
            steps.push(step);
            rest = tail;
            continue;
        }
        if let Some(tail) = rest.strip_prefix("..") {
            if steps.last() == Some(&Step::Recursive) {
                return Err("invalid multiple recursive descent".to_owned());
            }
            steps.push(Step::Recursive);
            rest = tail;
            if tail.starts_with(is_word) {
                let (step, tail) = parse_field(tail);
                steps.push(step);
                rest = tail;
            }
            continue;
        }
        let tail = &rest[c.len_utf8()..];
        rest = match c {
            ' ' | '@' | '$' => tail,
            '[' => parse_array(tail, &mut steps)?,
            '"' | '\'' => {
                let (text, tail) = parse_quote(tail, c)?;
                steps.push(Step::Literal(text.into()));
                tail
            }
            '.' => {
                let (step, tail) = parse_field(tail);
                steps.push(step);
                tail
            }
            '+' | '-' | '0'..='9' => {
                let (number, tail) = parse_number(rest)?;
                steps.push(Step::Literal(number));
                tail
            }
            c if is_word(c) => {
                let end = rest.find(is_terminator).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                steps.push(match word.parse::<bool>() {
                    Ok(truth) => Step::Literal(truth.into()),
                    Err(_) => Step::Identifier(word.to_owned()),
                });
                tail
            }
            c => return Err(format!("unrecognized character in action: {c:?}")),
        };
    }
    Ok(steps)
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_terminator(c: char) -> bool {
    " \t\r\n.,[]$@{}".contains(c)
}

/// A member's name, in which a backslash takes the next character as it is.
fn parse_field(text: &str) -> (Step, &str) {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = !escaped && is_terminator(c);
        escaped = !escaped && c == '\\';
        ends
    });
    let (name, tail) = text.split_at(end.unwrap_or(text.len()));
    let step = match name {
        "*" => Step::Wildcard,
        name => Step::Field(name.replace('\\', "")),
    };
    (step, tail)
}

fn parse_number(text: &str) -> Result<(Value, &str), String> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let end = text[sign..].find(|c: char| c != '.' && !c.is_ascii_digit());
    let (number, tail) = text.split_at(end.map_or(text.len(), |end| end + sign));
    let value = match (number.parse::<i64>(), number.parse::<f64>()) {
        (Ok(integer), _) => integer.into(),
        (_, Ok(float)) => json!(float),
        _ => return Err(format!("cannot parse number {number}")),
    };
    Ok((value, tail))
}

/// A quoted string after its first quote.
fn parse_quote(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, &text[at + 1..])),
            '\n' => break,
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('\\' | '"' | '\''))) => value.push(c),
                _ => return Err("unquote string: invalid syntax".to_owned()),
            },
            c => value.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

/// What stands after `[`; pushes its steps and gives what is left.
fn parse_array<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str, String> {
    let (inner, tail) = text
        .split_once(']')
        .filter(|(inner, _)| !inner.contains('\n'))
        .ok_or("unterminated array")?;
    if inner.contains(',') {
        let union: Result<Vec<_>, String> = inner
            .split(',')
            .map(|part| parse_steps(&format!("[{}]", part.trim_matches(' '))))
            .collect();
        steps.push(Step::Union(union?));
        return Ok(tail);
    }
    let quoted = inner
        .strip_prefix('\'')
        .and_then(|i| i.strip_suffix('\''))
        .filter(|key| !key.contains('\''));
    match quoted {
        Some(key) => steps.extend(parse_steps(&format!(".{key}"))?),
        None => steps.push(Step::Slice(parse_slice(inner)?)),
    }
    Ok(tail)
}

fn parse_slice(text: &str) -> Result<Slice, String> {
    let text = if text == "*" { ":" } else { text };
    let mut parts = text.split(':');
    let mut next = || parts.next().map(|p| (!p.is_empty()).then_some(p));
    let number = |part: Option<&str>| -> Result<Option<i64>, String> {
        part.map(|p| {
            // No sign but a minus, as upstream's pattern has it.
            let valid = !p.starts_with('+');
            let number = p.parse().ok().filter(|_| valid);
            number.ok_or_else(|| format!("invalid array index {text}"))
        })
        .transpose()
    };
    let start = number(next().flatten())?;
    let end = match next() {
        None => End::AfterStart,
        Some(end) => number(end)?.map_or(End::Last, End::At),
    };
    let step = number(next().flatten())?;
    match parts.next() {
        Some(_) => Err(format!("invalid array index {text}")),
        None => Ok(Slice { start, end, step }),
    }
}

/// A filter after `[?(`.
fn parse_filter(text: &str) -> Result<(Step, &str), String> {
    let mut quote = None;
    let mut closed = false;
    let mut before = '(';
    let mut end = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('\n', _) => break,
            ('"' | '\'', None) => quote = Some(c),
            ('"' | '\'', Some(open)) if before != '\\' && open == c => closed = true,
            (')', quote) if quote.is_some() == closed => {
                end = Some(at);
                break;
            }
            _ => {}
        }
        before = c;
    }
    let end = end.ok_or("unterminated filter")?;
    let (inner, tail) = (&text[..end], &text[end + 1..]);
    let tail = tail.strip_prefix(']').ok_or("unclosed array expect ]")?;
    let is_operator = |c: char| "!<>=".contains(c);
    let Some(at) = inner.find(is_operator).filter(|at| *at > 0) else {
        return Ok((Step::Exists(parse_steps(inner)?), tail));
    };
    let (left, rest) = inner.split_at(at);
    let length = rest.find(|c| !is_operator(c)).unwrap_or(rest.len() - 1);
    let (operator, right) = rest.split_at(length);
    let operator = match operator {
        "==" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        "" => return Ok((Step::Exists(parse_steps(inner)?), tail)),
        _ => Operator::Unknown,
    };
    let step = Step::Compare(parse_steps(left)?, operator, parse_steps(right)?);
    Ok((step, tail))
}

// === evaluation ===

type Values<'a> = Vec<Cow<'a, Value>>;

fn walk<'a>(steps: &[Step], input: Values<'a>) -> Result<Values<'a>, String> {
    steps.iter().try_fold(input, |values, step| match step {
        Step::Field(name) => Ok(values.into_iter().filter_map(|v| member(v, name)).collect()),
        Step::Wildcard => Ok(values.into_iter().flat_map(children).collect()),
        Step::Recursive => {
            let mut found = Vec::new();
            for value in values {
                descend(value, &mut found);
            }
            Ok(found)
        }
        Step::Slice(slice) => slice.walk(values),
        Step::Union(parts) => {
            let mut found = Vec::new();
            for part in parts {
                found.extend(walk(part, values.clone())?);
            }
            Ok(found)
        }
        Step::Exists(left) => filter(values, |item| {
            // Upstream overlooks an error here.
            Ok(walk(left, vec![item]).is_ok_and(|found| found.is_empty()))
                .map(|missing: bool| !missing)
        }),
        Step::Compare(left, operator, right) => filter(values, |item| {
            let left = one(walk(left, vec![item.clone()])?)?;
            let right = one(walk(right, vec![item])?)?;
            match (left, right) {
                (Some(left), Some(right)) => operator.compare(&left, &right),
                _ => Ok(false),
            }
        }),
        Step::Identifier(word) => Err(format!("unrecognized identifier {word}")),
        Step::Literal(literal) => Ok(values.iter().map(|_| Cow::Owned(literal.clone())).collect()),
    })
}

fn one(mut values: Values<'_>) -> Result<Option<Cow<'_, Value>>, String> {
    if values.len() > 1 {
        return Err("can only compare one element at a time".to_owned());
    }
    Ok(values.pop())
}

fn member<'a>(value: Cow<'a, Value>, name: &str) -> Option<Cow<'a, Value>> {
    match value {
        Cow::Borrowed(value) => value.as_object()?.get(name).map(Cow::Borrowed),
        Cow::Owned(value) => value.as_object()?.get(name).cloned().map(Cow::Owned),
    }
}

fn children(value: Cow<'_, Value>) -> Values<'_> {
    match value {
        Cow::Borrowed(Value::Array(list)) => list.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(list)) => list.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map.into_values().map(Cow::Owned).collect(),
        Cow::Borrowed(_) | Cow::Owned(_) => Vec::new(),
    }
}

/// The value and all below it that have members themselves.
fn descend<'a>(value: Cow<'a, Value>, found: &mut Values<'a>) {
    let below = children(value.clone());
    if !below.is_empty() {
        found.push(value);
        for child in below {
            descend(child, found);
        }
    }
}

fn filter<'a>(
    values: Values<'a>,
    mut keep: impl FnMut(Cow<'a, Value>) -> Result<bool, String>,
) -> Result<Values<'a>, String> {
    let mut found = Vec::new();
    for value in values {
        if !value.is_array() {
            return Err("a value is not array or slice and cannot be filtered".to_owned());
        }
        for item in children(value) {
            if keep(item.clone())? {
                found.push(item);
            }
        }
    }
    Ok(found)
}

impl Slice {
    fn walk(self, values: Values<'_>) -> Result<Values<'_>, String> {
        let mut found = Vec::new();
        for value in values {
            if value.is_null() {
                continue;
            }
            if !value.is_array() {
                return Err("a value is not array or slice".to_owned());
            }
            let list = children(value);
            let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let mut start = self.start.unwrap_or_default();
            let mut end = match self.end {
                End::At(end) => end,
                End::AfterStart => start.saturating_add(1),
                End::Last => length,
            };
            if start < 0 {
                start = start.saturating_add(length);
            }
            if end < 0 || (end == 0 && self.end == End::AfterStart) {
                end = end.saturating_add(length);
            }
            if start == end {
                return Ok(found);
            }
            if !(0..length).contains(&start) || !(0..=length).contains(&end) || start > end {
                return Err(format!(
                    "array index out of bounds: [{start}:{end}] of {length}"
                ));
            }
            let step = match self.step {
                Some(step) if step <= 0 => return Err("step must be > 0".to_owned()),
                Some(step) => step,
                None => 1,
            };
            let index = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
            let part = list.into_iter().take(index(end)).skip(index(start));
            found.extend(part.step_by(index(step)));
        }
        Ok(found)
    }
}

impl Operator {
    /// Compares two scalars of one type; an integer and a float are two.
    fn compare(self, left: &Value, right: &Value) -> Result<bool, String> {
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (Value::Number(left), Value::Number(right)) => {
                match (GoNumber::of(left), GoNumber::of(right)) {
                    (GoNumber::Integer(left), GoNumber::Integer(right)) => Some(left.cmp(&right)),
                    (GoNumber::Float(left), GoNumber::Float(right)) => left.partial_cmp(&right),
                    _ => return Err("incompatible types for comparison".to_owned()),
                }
            }
            (Value::Bool(left), Value::Bool(right)) => match self {
                Self::Equal | Self::NotEqual => Some(left.cmp(right)),
                _ => return Err("invalid type for comparison".to_owned()),
            },
            _ => return Err("invalid type for comparison".to_owned()),
        };
        Ok(match self {
            Self::Equal => order.is_some_and(Ordering::is_eq),
            Self::NotEqual => !order.is_some_and(Ordering::is_eq),
            Self::Less => order.is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order.is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            Self::Unknown => return Err("unrecognized filter operator".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("")]
    #[case("spec")]
    #[case(".a[")]
    #[case(".a[x]")]
    #[case(".a[?(@.b]")]
    #[case(".a[?(@.b)")]
    #[case(".a.....b")]
    #[case(".a{b")]
    #[case(".a[1:2:3:4]")]
    fn a_path_that_is_none_is_refused(#[case] path: &str) {
        assert!(JsonPath::parse(path).is_err(), "{path}");
    }

    proptest! {
        #[test]
        fn no_path_panics(path in r#"\.[a-b.\[\]?()@$*:,'"=!<>0-3 \\-]{0,24}"#, text in "\\PC{0,20}") {
            let object = json!({"a": [{"b": 1, "a": "x"}, null, [1, 2]], "b": {"a": [true]}});
            for path in [path, format!(".{text}")] {
                if let Ok(path) = JsonPath::parse(&path) {
                    let _ = path.find(&object);
                }
            }
        }
    }
}
