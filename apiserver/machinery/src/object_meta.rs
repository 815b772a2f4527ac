//! The form of `metadata`: its fields, their types, and what is said about others.
//!
//! Mirrors `k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta/coerce.go`, which decodes
//! `metadata` into `metav1.ObjectMeta` and encodes it again. So fields of a wrong type are refused in
//! the words of Go's decoder, unknown ones are removed, empty ones are left out, and times are in
//! UTC and whole seconds. The rules for the values are in [`crate::validation`].
//!
//! Deviation: of several mistakes the first is told, where Go prefers an unreadable time.

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use serde_json::{Map, Value, json};

use crate::{
    go_format::{self, GoNumber},
    time::format_time,
};

/// How a field is decoded.
#[derive(Clone, Copy)]
enum Form {
    /// A string; the type's name in Go.
    Text(&'static str),
    Integer,
    Boolean,
    Time,
    TextMap,
    TextList,
    /// A list of objects of this type.
    List(&'static Type),
    /// Anything.
    Raw,
}

/// An object type of `metadata`.
struct Type {
    name: &'static str,
    fields: &'static [(&'static str, Form)],
    /// Fields that are written even if they are empty.
    always: &'static [&'static str],
}

const OBJECT_META: Type = Type {
    name: "ObjectMeta",
    fields: &[
        ("annotations", Form::TextMap),
        ("creationTimestamp", Form::Time),
        ("deletionGracePeriodSeconds", Form::Integer),
        ("deletionTimestamp", Form::Time),
        ("finalizers", Form::TextList),
        ("generateName", Form::Text("string")),
        ("generation", Form::Integer),
        ("labels", Form::TextMap),
        ("managedFields", Form::List(&MANAGED_FIELDS_ENTRY)),
        ("name", Form::Text("string")),
        ("namespace", Form::Text("string")),
        ("ownerReferences", Form::List(&OWNER_REFERENCE)),
        ("resourceVersion", Form::Text("string")),
        ("selfLink", Form::Text("string")),
        ("uid", Form::Text("types.UID")),
    ],
    always: &[],
};

const OWNER_REFERENCE: Type = Type {
    name: "OwnerReference",
    fields: &[
        ("apiVersion", Form::Text("string")),
        ("blockOwnerDeletion", Form::Boolean),
        ("controller", Form::Boolean),
        ("kind", Form::Text("string")),
        ("name", Form::Text("string")),
        ("uid", Form::Text("types.UID")),
    ],
    always: &["apiVersion", "kind", "name", "uid"],
};

const MANAGED_FIELDS_ENTRY: Type = Type {
    name: "ManagedFieldsEntry",
    fields: &[
        ("apiVersion", Form::Text("string")),
        ("fieldsType", Form::Text("string")),
        ("fieldsV1", Form::Raw),
        ("manager", Form::Text("string")),
        ("operation", Form::Text("v1.ManagedFieldsOperationType")),
        ("subresource", Form::Text("string")),
        ("time", Form::Time),
    ],
    always: &[],
};

/// Brings a `metadata` into form and gives the paths of the unknown fields that were removed, such as
/// `ownerReferences[0].colour`, sorted. Null becomes an empty object. The error is a sentence.
pub fn coerce_object_meta(metadata: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    match metadata {
        Value::Null => *metadata = json!({}),
        Value::Object(map) => coerce(&OBJECT_META, map, "", "", &mut unknown)?,
        other => {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type v1.ObjectMeta",
                kind_of(other)
            ));
        }
    }
    unknown.sort();
    Ok(unknown)
}

/// Coerces the members of one object. `place` is its path with indices, `go_place` as Go says it.
fn coerce(
    form: &Type,
    map: &mut Map<String, Value>,
    place: &str,
    go_place: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let mut problem = None;
    map.retain(|name, value| {
        if problem.is_some() {
            return true;
        }
        let Some((_, field)) = form.fields.iter().find(|(known, _)| known == name) else {
            unknown.push(format!("{place}{name}"));
            return false;
        };
        let go_name = format!("{}.{go_place}{name}", form.name);
        match coerce_field(*field, value, name, &go_name, unknown) {
            Ok(kept) => kept,
            Err(error) => {
                problem = Some(error);
                true
            }
        }
    });
    for name in form.always {
        if !map.contains_key(*name) {
            map.insert((*name).to_owned(), Value::from(""));
        }
    }
    problem.map_or(Ok(()), Err)
}

/// Coerces one field; gives whether it is kept.
fn coerce_field(
    form: Form,
    value: &mut Value,
    name: &str,
    go_name: &str,
    unknown: &mut Vec<String>,
) -> Result<bool, String> {
    if value.is_null() {
        return Ok(false);
    }
    let mismatch = |value: &Value, wanted: &str| {
        let kind = match value {
            Value::Number(_) if wanted == "int64" => format!("number {}", go_format::json(value)),
            _ => kind_of(value).to_owned(),
        };
        format!("json: cannot unmarshal {kind} into Go struct field {go_name} of type {wanted}")
    };
    match (form, &mut *value) {
        (Form::Raw | Form::Boolean, Value::Bool(_)) | (Form::Raw, _) => Ok(true),
        (Form::Text(_), Value::String(text)) => Ok(!text.is_empty()),
        (Form::Integer, Value::Number(number)) => {
            let integer = match GoNumber::of(number) {
                GoNumber::Integer(integer) => Some(integer),
                // As Go writes a float of this kind, it is an integer.
                GoNumber::Float(_) => go_format::json(value).parse().ok(),
            };
            let integer: i64 = integer.ok_or_else(|| mismatch(value, "int64"))?;
            *value = integer.into();
            Ok(integer != 0 || name != "generation")
        }
        (Form::Time, Value::String(text)) => {
            *value = format_time(parse_time(text)?).into();
            Ok(true)
        }
        (Form::TextMap, Value::Object(map)) => {
            for member in map.values_mut() {
                text_member(member, mismatch)?;
            }
            Ok(!map.is_empty())
        }
        (Form::TextList, Value::Array(list)) => {
            for item in list.iter_mut() {
                text_member(item, mismatch)?;
            }
            Ok(!list.is_empty())
        }
        (Form::List(of), Value::Array(list)) => {
            for (i, item) in list.iter_mut().enumerate() {
                if item.is_null() {
                    *item = json!({});
                }
                let Value::Object(map) = item else {
                    return Err(mismatch(item, &format!("v1.{}", of.name)));
                };
                let (place, go_place) = (format!("{name}[{i}]."), format!("{name}."));
                coerce(of, map, &place, &go_place, unknown)?;
            }
            Ok(!list.is_empty())
        }
        (Form::Text(go_type), other) => Err(mismatch(other, go_type)),
        (Form::Integer, other) => Err(mismatch(other, "int64")),
        (Form::Boolean, other) => Err(mismatch(other, "bool")),
        (Form::Time, other) => Err(mismatch(other, "string")),
        (Form::TextMap, other) => Err(mismatch(other, "map[string]string")),
        (Form::TextList, other) => Err(mismatch(other, "[]string")),
        (Form::List(of), other) => Err(mismatch(other, &format!("[]v1.{}", of.name))),
    }
}

/// A string in a map or a list, where null is the empty one.
fn text_member(value: &mut Value, mismatch: impl Fn(&Value, &str) -> String) -> Result<(), String> {
    match value {
        Value::String(_) => Ok(()),
        Value::Null => {
            *value = "".into();
            Ok(())
        }
        other => Err(mismatch(other, "string")),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A time as RFC 3339 has it, in the one form that Go reads. The error is Go's for the usual
/// mistakes.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
    const PARTS: [(&str, usize); 11] = [
        ("2006", 4),
        ("-", 1),
        ("01", 2),
        ("-", 1),
        ("02", 2),
        ("T", 1),
        ("15", 2),
        (":", 1),
        ("04", 2),
        (":", 1),
        ("05", 2),
    ];
    let quoted = go_format::quote(text);
    let broken = |rest: &str, part: &str| {
        let rest = go_format::quote(rest);
        format!("parsing time {quoted} as \"{LAYOUT}\": cannot parse {rest} as \"{part}\"")
    };
    let mut numbers = [0_i16; 6];
    let mut found = numbers.iter_mut();
    let mut rest = text;
    for (part, length) in PARTS {
        let Some((head, tail)) = rest.split_at_checked(length) else {
            return Err(broken(rest, part));
        };
        if length == 1 {
            if head != part {
                return Err(broken(rest, part));
            }
        } else if head.bytes().all(|b| b.is_ascii_digit()) {
            if let (Some(number), Ok(parsed)) = (found.next(), head.parse()) {
                *number = parsed;
            }
        } else {
            return Err(broken(rest, part));
        }
        rest = tail;
    }
    let fraction = rest.strip_prefix(['.', ',']).map(|tail| {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        tail.split_at(digits)
    });
    if let Some((digits, tail)) = fraction
        && !digits.is_empty()
    {
        rest = tail;
    }
    let (offset, tail) = zone(rest).ok_or_else(|| broken(rest, "Z07:00"))?;
    if !tail.is_empty() {
        let tail = go_format::quote(tail);
        return Err(format!("parsing time {quoted}: extra text: {tail}"));
    }
    let [year, month, day, hour, minute, second] = numbers;
    for (name, value, range) in [
        ("month", month, 1..=12),
        ("hour", hour, 0..=23),
        ("minute", minute, 0..=59),
        ("second", second, 0..=59),
    ] {
        if !range.contains(&value) {
            return Err(format!("parsing time {quoted}: {name} out of range"));
        }
    }
    let small = |number: i16| i8::try_from(number).unwrap_or(i8::MAX);
    DateTime::new(
        year,
        small(month),
        small(day),
        small(hour),
        small(minute),
        small(second),
        0,
    )
    .ok()
    .and_then(|time| offset.to_timestamp(time).ok())
    .ok_or_else(|| format!("parsing time {quoted}: day out of range"))
}

/// `Z` or `+07:00` at the start, and what is left.
fn zone(text: &str) -> Option<(Offset, &str)> {
    if let Some(tail) = text.strip_prefix('Z') {
        return Some((Offset::UTC, tail));
    }
    let (zone, tail) = text.split_at_checked(6)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i32>().ok().filter(|_| digits)
    };
    let seconds = number(hours)? * 3600 + number(minutes)? * 60;
    let seconds = match zone.get(..1)? {
        "+" => seconds,
        "-" => -seconds,
        _ => return None,
    };
    Some((Offset::from_seconds(seconds).ok()?, tail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// What `GetObjectMetaWithOptions` of Kubernetes 1.36 said about a `metadata`.
    #[derive(Deserialize)]
    struct Case {
        metadata: Value,
        error: Option<String>,
        #[serde(default)]
        unknown: Vec<String>,
        result: Option<Value>,
    }

    /// A5: metadata is decoded, pruned and reported as a custom resource's is.
    #[test]
    fn metadata_is_coerced_as_upstream() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("testdata/object_meta.json")).unwrap();
        for case in cases {
            let mut metadata = case.metadata.clone();
            match coerce_object_meta(&mut metadata) {
                Err(error) => assert_eq!(Some(error), case.error, "{}", case.metadata),
                Ok(unknown) => {
                    assert_eq!(case.error, None, "{}", case.metadata);
                    assert_eq!(unknown, case.unknown, "{}", case.metadata);
                    assert_eq!(Some(metadata), case.result, "{}", case.metadata);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_time_panics(text in "\\PC{0,30}", near in "[-0-9T:Z+.]{0,26}") {
            let _ = parse_time(&text);
            let _ = parse_time(&near);
        }
    }
}
