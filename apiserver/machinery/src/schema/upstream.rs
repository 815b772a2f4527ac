//! What this module and Kubernetes 1.36 say about the same schemas and objects.
//!
//! `testdata/objects.json` and `testdata/schemas.json` are the answers of the functions that a
//! kube-apiserver calls for a custom resource and for a CustomResourceDefinition. Upstream's order
//! within one object is that of a Go map, so errors are compared as sets.

use serde::Deserialize;
use serde_json::Value;

use super::Schema;
use crate::Object;

#[derive(Deserialize)]
struct ObjectCase {
    schema: Value,
    object: Value,
    error: Option<String>,
    #[serde(default)]
    unknown: Vec<String>,
    result: Option<Value>,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct SchemaCase {
    schema: Value,
    errors: Vec<String>,
}

/// Numbers as Go writes them: 1.0 is 1.
fn normal(value: &Value) -> String {
    crate::go_format::json(value)
}

/// A5, O6: pruning, defaulting and validation are those of a custom resource, in the same words.
#[test]
fn objects_are_treated_as_custom_resources_are() {
    let cases: Vec<ObjectCase> =
        serde_json::from_str(include_str!("testdata/objects.json")).unwrap();
    let mut different = Vec::new();
    for case in cases {
        let schema = Schema::parse(case.schema.clone()).unwrap();
        let (mut object, mut unknown) = Object::decode(case.object.clone()).unwrap();
        let object = object.fields_mut();
        unknown.extend(schema.prune(object));
        let said = match schema.coerce_embedded(object) {
            Err(error) => format!("{error}"),
            Ok(more) => {
                unknown.extend(more);
                schema.apply_defaults(object);
                let errors = schema.validate(object);
                let mut errors: Vec<String> = errors
                    .iter()
                    .map(|e| format!("{} {e}", e.kind.reason()))
                    .collect();
                errors.sort();
                let object = normal(&Value::Object(object.clone()));
                format!("{unknown:?}\n{object}\n{errors:#?}")
            }
        };
        let expected = case.error.unwrap_or_else(|| {
            let mut errors = case.errors;
            errors.sort();
            let object = normal(&case.result.unwrap_or_default());
            format!("{:?}\n{object}\n{errors:#?}", case.unknown)
        });
        if said != expected {
            different.push(format!(
                "{}\n{}\nhere: {said}\nthere: {expected}\n",
                case.schema, case.object
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// A schema that a CustomResourceDefinition may not have is refused with the same sentences.
#[test]
fn schemas_are_refused_as_those_of_a_definition() {
    let cases: Vec<SchemaCase> =
        serde_json::from_str(include_str!("testdata/schemas.json")).unwrap();
    let mut different = Vec::new();
    for case in cases {
        let said = Schema::parse(case.schema.clone()).err().unwrap_or_default();
        let mut expected = case.errors;
        expected.sort();
        if said != expected.join("; ") {
            different.push(format!(
                "{}\nhere: {said}\nthere: {expected:#?}\n",
                case.schema
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
