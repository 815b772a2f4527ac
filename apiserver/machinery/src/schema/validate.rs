//! Checking an object against the schema, in the words that a CustomResourceDefinition uses.
//!
//! Mirrors `k8s.io/kube-openapi/pkg/validation/validate` as
//! `k8s.io/apiextensions-apiserver/pkg/apiserver/validation` turns its errors into fields. Members
//! are checked in the order of their names, where upstream's order is that of a Go map.

use serde_json::{Map, Value};

use super::{
    Node, Schema, ValueType, embedded, join,
    list_type::{self, OldItems},
    number,
    outcome::{Outcome, REPORTED_MAX},
};
use crate::{
    field::{FieldError, FieldErrorKind},
    go_format,
};

impl Schema {
    /// Every broken rule of a new object.
    pub fn validate(&self, object: &Map<String, Value>) -> Vec<FieldError> {
        let mut errors = root(&self.root, object, None).into_errors("");
        errors.extend(embedded::validate(&self.root, object));
        errors.extend(list_type::validate(&self.root, object));
        errors.truncate(REPORTED_MAX);
        errors
    }

    /// Every broken rule of a changed object. What was broken before and did not change is let
    /// through (`apiserver/validation/ratcheting.go`), and so are duplicates in lists when the old
    /// object has some.
    pub fn validate_update(
        &self,
        object: &Map<String, Value>,
        old: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let mut errors = root(&self.root, object, Some(old)).into_errors("");
        errors.extend(embedded::validate(&self.root, object));
        if list_type::validate(&self.root, old).is_empty() {
            errors.extend(list_type::validate(&self.root, object));
        }
        errors.truncate(REPORTED_MAX);
        errors
    }

    /// Every broken rule of an object whose status was changed; only the status is looked at.
    pub fn validate_status_update(
        &self,
        object: &Map<String, Value>,
        old: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let mut errors = match (self.root.properties.get("status"), object.get("status")) {
            (Some(node), Some(status)) => {
                ratcheted(node, status, old.get("status"), "").into_errors("status")
            }
            _ => Vec::new(),
        };
        errors.extend(embedded::validate(&self.root, object));
        if list_type::validate(&self.root, old).is_empty() {
            errors.extend(list_type::validate(&self.root, object));
        }
        errors.truncate(REPORTED_MAX);
        errors
    }

    /// Every broken rule of a default value, for the level that it is the default of.
    pub(super) fn validate_default(node: &Node, default: &Value, path: &str) -> Vec<FieldError> {
        let mut errors = check(node, default, None, "").into_errors(path);
        for error in &mut errors {
            if error.field.is_empty() {
                path.clone_into(&mut error.field);
            }
        }
        errors
    }
}

/// Checks a whole object. It becomes a value of its own only for the rare rules that need one.
fn root(node: &Node, object: &Map<String, Value>, old: Option<&Map<String, Value>>) -> Outcome {
    if old == Some(object) {
        return Outcome::default();
    }
    let rules = &node.validation;
    let junctors = [&rules.any_of, &rules.one_of, &rules.all_of];
    if junctors.iter().all(|j| j.is_empty()) && rules.not.is_none() && rules.allowed.is_empty() {
        return members(node, object, old, "");
    }
    let old = old.map(|old| Value::Object(old.clone()));
    check(node, &Value::Object(object.clone()), old.as_ref(), "")
}

/// The outcome, without the errors if the value is what it was.
fn ratcheted(node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let mut out = check(node, value, old, path);
    if !out.is_valid() && old == Some(value) {
        out.broken.clear();
    }
    out
}

/// Checks one value. The order of the checks is upstream's; each that applies counts as a match.
fn check(node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let mut out = Outcome::default();
    if value.is_null() {
        out.merge(null(node, path));
        return out;
    }
    if !node.types().is_empty() || node.validation.string_format.is_some() {
        out.merge(type_of(node, value, path));
        out.matches += 1;
    }
    out.merge(junctors(node, value, path));
    out.matches += 1;
    match value {
        Value::String(text) => {
            out.merge(string(node, text, path));
            out.matches += 1;
            if let Some(format) = &node.validation.string_format {
                if !format.accepts(text) {
                    wrong_type(&mut out, path, &format.name, text);
                }
                out.matches += 1;
            }
        }
        Value::Number(n) => {
            out.merge(number::check(node, n, path));
            out.matches += 1;
        }
        Value::Array(list) => {
            out.merge(items(node, list, old.and_then(Value::as_array), path));
            out.matches += 1;
        }
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
    allowed(node, value, path, &mut out);
    out.matches += 1;
    if let Value::Object(map) = value {
        out.merge(members(node, map, old.and_then(Value::as_object), path));
        out.matches += 1;
    }
    out.matches += 1;
    out
}

fn null(node: &Node, path: &str) -> Outcome {
    let mut out = Outcome::default();
    if node.types().is_empty() || node.nullable {
        out.matches += 1;
    } else {
        wrong_type(&mut out, path, &type_names(node), "null");
    }
    allowed(node, &Value::Null, path, &mut out);
    out
}

fn wrong_type(out: &mut Outcome, path: &str, wanted: &str, found: &str) {
    let detail = format!(
        "{path} in body must be of type {wanted}: {}",
        go_format::quote(found)
    );
    out.at(path, FieldErrorKind::TypeInvalid(found.into()), detail);
}

fn type_names(node: &Node) -> String {
    let names: Vec<&str> = node.types().iter().map(|t| t.name()).collect();
    names.join(",")
}

fn type_of(node: &Node, value: &Value, path: &str) -> Outcome {
    let mut out = Outcome::default();
    let types = node.types();
    let (found, format) = match value {
        Value::Bool(_) => (ValueType::Boolean, ""),
        Value::Number(n) if n.is_i64() => (ValueType::Integer, "int64"),
        Value::Number(_) => (ValueType::Number, "float64"),
        Value::String(_) => (ValueType::String, ""),
        Value::Array(_) => (ValueType::Array, ""),
        Value::Object(_) | Value::Null => (ValueType::Object, ""),
    };
    let fits = types.contains(&found)
        || match value {
            Value::Number(_) if found == ValueType::Integer => types.contains(&ValueType::Number),
            Value::Number(n) => {
                types.contains(&ValueType::Integer) && n.as_f64().is_some_and(number::is_integer)
            }
            _ => false,
        };
    let wanted_format = match (
        &node.validation.string_format,
        node.validation.number_format,
    ) {
        (Some(format), _) => format.name.as_str(),
        (None, Some(format)) => format.name(),
        (None, None) => "",
    };
    let listed = matches!(value, Value::String(_) | Value::Array(_));
    if !listed && !wanted_format.is_empty() && !fits && format != wanted_format {
        wrong_type(&mut out, path, wanted_format, format);
        return out;
    }
    let any_type = types.is_empty() && listed;
    if !fits && !any_type {
        wrong_type(&mut out, path, &type_names(node), found.name());
        return out;
    }
    out.matches += 1;
    out
}

fn allowed(node: &Node, value: &Value, path: &str, out: &mut Outcome) {
    let allowed = &node.validation.allowed;
    if allowed.is_empty() || (!value.is_null() && allowed.iter().any(|a| equal(a, value))) {
        return;
    }
    let texts: Vec<String> = allowed
        .iter()
        .map(|a| match a {
            Value::String(text) => text.clone(),
            other => go_format::json(other),
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let error = FieldError::not_supported("", value, &texts);
    out.at(path, error.kind, error.detail);
}

/// Equality in which 1 and 1.0 are the same number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn string(node: &Node, text: &str, path: &str) -> Outcome {
    let mut out = Outcome::default();
    let rules = &node.validation;
    let length = text.chars().count() as u64;
    let shown = || FieldErrorKind::Invalid(text.into());
    if let Some(max) = rules.max_length.filter(|max| length > *max) {
        let error = FieldError::too_long("", max);
        out.at(path, error.kind, error.detail);
    } else if let Some(min) = rules.min_length.filter(|min| length < *min) {
        let detail = format!("{path} in body should be at least {min} chars long");
        out.at(path, shown(), detail);
    } else if let Some(pattern) = rules.pattern.as_ref().filter(|p| !p.is_match(text)) {
        let detail = format!("{path} in body should match '{}'", pattern.source());
        out.at(path, shown(), detail);
    }
    out
}

fn items(node: &Node, list: &[Value], old: Option<&Vec<Value>>, path: &str) -> Outcome {
    let mut out = Outcome::default();
    if let Some(items) = &node.items {
        let old = old.map(|old| OldItems::of(node, old));
        for (i, item) in list.iter().enumerate() {
            let old = old.as_ref().and_then(|old| old.counterpart(item));
            out.merge(ratcheted(items, item, old, &format!("{path}[{i}]")));
        }
    }
    let length = list.len() as u64;
    if let Some(min) = node.validation.min_items.filter(|min| length < *min) {
        let detail = format!("{path} in body should have at least {min} items");
        out.at(path, FieldErrorKind::Invalid(length.into()), detail);
    }
    if let Some(max) = node.validation.max_items.filter(|max| length > *max) {
        let error = FieldError::too_many("", list.len(), max);
        out.at(path, error.kind, error.detail);
    }
    out.matches += 1;
    out
}

fn members(
    node: &Node,
    map: &Map<String, Value>,
    old: Option<&Map<String, Value>>,
    path: &str,
) -> Outcome {
    let mut out = Outcome::default();
    let count = map.len() as u64;
    if let Some(min) = node.validation.min_properties.filter(|min| count < *min) {
        let detail = format!("{path} in body should have at least {min} properties");
        out.at(path, FieldErrorKind::Invalid(count.into()), detail);
    }
    if let Some(max) = node.validation.max_properties.filter(|max| count > *max) {
        let error = FieldError::too_many("", map.len(), max);
        out.at(path, error.kind, error.detail);
    }
    for (name, value) in map {
        let Some(child) = node.member(name) else {
            continue;
        };
        let old = old.and_then(|old| old.get(name));
        out.merge(ratcheted(child, value, old, &join(path, name)));
    }
    for name in &node.validation.required {
        if !map.contains_key(name) {
            out.at(&join(path, name), FieldErrorKind::Required, "");
        }
    }
    out
}

/// `anyOf`, `oneOf`, `allOf` and `not`. Of alternatives that all fail, the one that fitted best
/// tells its errors.
fn junctors(node: &Node, value: &Value, path: &str) -> Outcome {
    let rules = &node.validation;
    let quoted = || go_format::quote(path);
    let mut out = Outcome::default();
    if !rules.any_of.is_empty() {
        let mut best: Option<Outcome> = None;
        for alternative in &rules.any_of {
            let outcome = check(alternative, value, None, path);
            let valid = outcome.is_valid();
            if valid || best.as_ref().is_none_or(|b| outcome.matches > b.matches) {
                best = Some(outcome);
            }
            if valid {
                break;
            }
        }
        if best.as_ref().is_some_and(|b| !b.is_valid()) {
            out.whole(format!(
                "{} must validate at least one schema (anyOf)",
                quoted()
            ));
        }
        out.merge(best.unwrap_or_default());
    }
    if !rules.one_of.is_empty() {
        out.merge(one_of(&rules.one_of, value, path));
    }
    if !rules.all_of.is_empty() {
        let mut valid = 0;
        for part in &rules.all_of {
            let outcome = check(part, value, None, path);
            valid += usize::from(outcome.is_valid());
            out.merge(outcome);
        }
        if valid < rules.all_of.len() {
            let suffix = if valid == 0 { ". None validated" } else { "" };
            out.whole(format!(
                "{} must validate all the schemas (allOf){suffix}",
                quoted()
            ));
        }
    }
    if let Some(not) = &rules.not
        && check(not, value, None, path).is_valid()
    {
        out.whole(format!("{} must not validate the schema (not)", quoted()));
    }
    out.matches += 1;
    out
}

fn one_of(alternatives: &[Node], value: &Value, path: &str) -> Outcome {
    let (mut valid, mut failed): (Vec<Outcome>, Option<Outcome>) = (Vec::new(), None);
    for alternative in alternatives {
        let outcome = check(alternative, value, None, path);
        if outcome.is_valid() {
            valid.push(outcome);
        } else if valid.is_empty() && failed.as_ref().is_none_or(|f| outcome.matches > f.matches) {
            failed = Some(outcome);
        }
    }
    let mut out = Outcome::default();
    let found = match valid.len() {
        1 => return valid.pop().unwrap_or_default(),
        0 => "Found none valid".to_owned(),
        n => {
            failed = None;
            format!("Found {n} valid alternatives")
        }
    };
    let quoted = go_format::quote(path);
    out.whole(format!(
        "{quoted} must validate one and only one schema (oneOf). {found}"
    ));
    out.merge(failed.unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::parse(json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "old": {"type": "string", "maxLength": 2},
                "rows": {"type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k"], "items": {
                        "type": "object", "required": ["k"], "properties": {
                            "k": {"type": "string"}, "v": {"type": "string", "maxLength": 2}}}},
                "set": {"type": "array", "x-kubernetes-list-type": "set",
                    "items": {"type": "string"}},
            }},
            "status": {"type": "object", "required": ["phase"], "properties": {
                "phase": {"type": "string", "enum": ["Ready"]}}},
        }}))
        .unwrap()
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    /// V7: what was wrong before a rule came may stay wrong, until it changes.
    #[test]
    fn an_update_may_keep_what_was_broken_before() {
        let rows = |v: &str| json!([{"k": "x", "v": v}, {"k": "y", "v": "long"}]);
        let old = map(json!({"spec": {"old": "long", "rows": rows("ok"), "set": ["a", "a"]}}));
        let new =
            map(json!({"spec": {"old": "long", "rows": rows("also long"), "set": ["b", "b"]}}));
        assert_eq!(
            texts(&schema().validate_update(&new, &old)),
            ["spec.rows[0].v: Too long: may not be more than 2 bytes"]
        );
        assert_eq!(schema().validate(&new).len(), 4);
    }

    /// The paths of a status start at the status, and so do its messages.
    #[test]
    fn a_status_update_looks_at_the_status_alone() {
        let old = map(json!({"spec": {"old": "long"}}));
        let new = map(json!({"spec": {"old": "longer"}, "status": {"phase": 1}}));
        assert_eq!(
            texts(&schema().validate_status_update(&new, &old)),
            [
                "status.phase: Invalid value: \"integer\": phase in body must be of type string: \
                 \"integer\"",
                "status.phase: Unsupported value: 1: supported values: \"Ready\"",
            ]
        );
        let new = map(json!({"status": {}}));
        assert_eq!(
            texts(&schema().validate_status_update(&new, &old)),
            ["status.phase: Required value"]
        );
    }
}
