//! The rules for names and labels: `k8s.io/apimachinery/pkg/util/validation` and
//! `pkg/api/validation/objectmeta.go`.
//!
//! A `…_problem` function gives `None` for good input, else the sentence that upstream uses.

use serde_json::{Value, json};

use crate::{field::FieldError, object::Object};

/// Longest DNS-1123 subdomain, in bytes.
pub const DNS1123_SUBDOMAIN_MAX_LENGTH: usize = 253;
/// Longest DNS-1123 or DNS-1035 label, in bytes.
pub const DNS1123_LABEL_MAX_LENGTH: usize = 63;
/// All annotations of an object together, keys and values, in bytes.
pub const TOTAL_ANNOTATION_SIZE_LIMIT: usize = 256 * 1024;

/// What is wrong with a DNS-1123 subdomain, the usual form of an object's name.
pub fn dns1123_subdomain_problem(value: &str) -> Option<String> {
    if value.len() > DNS1123_SUBDOMAIN_MAX_LENGTH {
        return Some(format!(
            "must be no more than {DNS1123_SUBDOMAIN_MAX_LENGTH} characters"
        ));
    }
    let ok = value.split('.').all(is_dns1123_label);
    (!ok).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
         and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    })
}

/// What is wrong with a DNS-1123 label, the form of a namespace's name.
pub fn dns1123_label_problem(value: &str) -> Option<String> {
    if value.len() > DNS1123_LABEL_MAX_LENGTH {
        return Some(format!(
            "must be no more than {DNS1123_LABEL_MAX_LENGTH} characters"
        ));
    }
    (!is_dns1123_label(value)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
         start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// What is wrong with a label or annotation key: an optional DNS prefix, a slash, and a name.
pub fn qualified_name_problem(value: &str) -> Option<String> {
    let (prefix, name) = match value.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, value),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if let Some(problem) = dns1123_subdomain_problem(prefix) {
            return Some(format!("prefix part {problem}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 characters".to_owned());
    }
    (!is_label_text(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            .to_owned()
    })
}

/// What is wrong with a label's value.
pub fn label_value_problem(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!value.is_empty() && !is_label_text(value)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
         and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
         '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned()
    })
}

/// Checks name, namespace, labels, annotations, finalizers and owner references.
pub fn validate_object_meta(object: &Object, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = object.name();
    if name.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if let Some(problem) = dns1123_subdomain_problem(name) {
        errors.push(FieldError::invalid("metadata.name", &json!(name), problem));
    }
    let namespace = object.namespace();
    if namespaced && namespace.is_empty() {
        errors.push(FieldError::required("metadata.namespace", ""));
    } else if namespaced {
        if let Some(problem) = dns1123_label_problem(namespace) {
            errors.push(FieldError::invalid(
                "metadata.namespace",
                &json!(namespace),
                problem,
            ));
        }
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden(
            "metadata.namespace",
            "not allowed on this type",
        ));
    }
    validate_labels(object, &mut errors);
    validate_annotations(object, &mut errors);
    for (i, finalizer) in object.finalizers().enumerate() {
        if let Some(problem) = qualified_name_problem(finalizer) {
            let path = format!("metadata.finalizers[{i}]");
            errors.push(FieldError::invalid(path, &json!(finalizer), problem));
        }
    }
    validate_owner_references(object, &mut errors);
    errors
}

fn validate_labels(object: &Object, errors: &mut Vec<FieldError>) {
    for (key, value) in object.string_map("labels") {
        if let Some(problem) = qualified_name_problem(key) {
            errors.push(FieldError::invalid("metadata.labels", &json!(key), problem));
        }
        if let Some(problem) = label_value_problem(value) {
            errors.push(FieldError::invalid(
                "metadata.labels",
                &json!(value),
                problem,
            ));
        }
    }
}

fn validate_annotations(object: &Object, errors: &mut Vec<FieldError>) {
    let mut total = 0;
    for (key, value) in object.string_map("annotations") {
        total += key.len() + value.len();
        if let Some(problem) = qualified_name_problem(&key.to_lowercase()) {
            errors.push(FieldError::invalid(
                "metadata.annotations",
                &json!(key),
                problem,
            ));
        }
    }
    if total > TOTAL_ANNOTATION_SIZE_LIMIT {
        errors.push(FieldError {
            field: "metadata.annotations".to_owned(),
            kind: crate::field::FieldErrorKind::TooLong,
            detail: format!("may not be more than {TOTAL_ANNOTATION_SIZE_LIMIT} bytes"),
        });
    }
}

fn validate_owner_references(object: &Object, errors: &mut Vec<FieldError>) {
    let mut controllers = 0;
    let references = object
        .metadata_field("ownerReferences")
        .and_then(Value::as_array);
    for (i, reference) in references.into_iter().flatten().enumerate() {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if reference
                .get(key)
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                let path = format!("metadata.ownerReferences[{i}].{key}");
                errors.push(FieldError::invalid(
                    path,
                    &json!(""),
                    format!("{key} must not be empty"),
                ));
            }
        }
        if reference.get("controller") == Some(&Value::Bool(true)) {
            controllers += 1;
        }
    }
    if controllers > 1 {
        errors.push(FieldError::invalid(
            "metadata.ownerReferences",
            &object
                .metadata_field("ownerReferences")
                .cloned()
                .unwrap_or_default(),
            "Only one reference can have Controller set to true",
        ));
    }
}

fn is_dns1123_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a", true)]
    #[case("a.b-c.1", true)]
    #[case("", false)]
    #[case("A", false)]
    #[case("a..b", false)]
    #[case("-a", false)]
    #[case("a/b", false)]
    fn names_are_dns_subdomains(#[case] name: &str, #[case] good: bool) {
        assert_eq!(dns1123_subdomain_problem(name).is_none(), good, "{name}");
    }

    #[rstest]
    #[case("a", true)]
    #[case("x.io/Name_1", true)]
    #[case("/a", false)]
    #[case("x.io/", false)]
    #[case("X.io/a", false)]
    #[case("a/b/c", false)]
    fn keys_are_qualified_names(#[case] key: &str, #[case] good: bool) {
        assert_eq!(qualified_name_problem(key).is_none(), good, "{key}");
    }

    /// V12: owner references are complete and have one controller at most.
    #[test]
    fn owner_references_are_checked() {
        let object = Object::from_value(json!({"metadata": {"name": "a", "namespace": "n",
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1", "controller": true},
            {"apiVersion": "v1", "kind": "Pod", "name": "", "uid": "2", "controller": true},
        ]}}))
        .unwrap();
        let fields: Vec<String> = validate_object_meta(&object, true)
            .into_iter()
            .map(|e| e.field)
            .collect();
        assert_eq!(
            fields,
            [
                "metadata.ownerReferences[1].name",
                "metadata.ownerReferences"
            ]
        );
    }
}
