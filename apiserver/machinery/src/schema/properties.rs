//! What holds for every object.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Schema;

fn schema() -> Schema {
    let leaf = json!({"type": "string", "maxLength": 3, "pattern": "^[a-c]*$", "default": "a"});
    let pair = json!({"type": "object", "required": ["k"], "properties": {
        "k": {"type": "string", "default": "x"}, "n": {"type": "integer", "nullable": true, "minimum": 0}}});
    Schema::parse(json!({"type": "object", "properties": {
        "a": leaf,
        "b": {"type": "object", "default": {}, "properties": {
            "a": leaf, "b": {"type": "number", "multipleOf": 2}}},
        "k": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": pair},
        "n": {"type": "array", "items": leaf, "x-kubernetes-list-type": "set"},
        "m": {"type": "object", "additionalProperties": pair},
        "e": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true},
        "p": {"x-kubernetes-preserve-unknown-fields": true},
        "i": {"x-kubernetes-int-or-string": true},
    }, "anyOf": [{"required": ["a"]}, {"not": {"required": ["p"]}}]}))
    .unwrap()
}

/// Any JSON, with the names that machinery knows in it.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..5).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[abcx]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop::sample::select(vec![
            "a",
            "b",
            "k",
            "n",
            "m",
            "e",
            "p",
            "i",
            "apiVersion",
            "kind",
            "metadata",
            "name",
            "labels",
            "ownerReferences",
            "managedFields",
            "x",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5).prop_map(|map| {
                map.into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect::<Map<_, _>>()
                    .into()
            }),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    value().prop_map(|value| match value {
        Value::Object(map) => map,
        other => [("a".to_owned(), other)].into_iter().collect(),
    })
}

proptest! {
    #[test]
    fn pruning_twice_is_pruning_once(mut object in object()) {
        let schema = schema();
        schema.prune(&mut object);
        let once = object.clone();
        prop_assert_eq!(schema.prune(&mut object), Vec::<String>::new());
        prop_assert_eq!(object, once);
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(mut object in object()) {
        let schema = schema();
        schema.apply_defaults(&mut object);
        let once = object.clone();
        schema.apply_defaults(&mut object);
        prop_assert_eq!(object, once);
    }

    #[test]
    fn what_is_valid_stays_valid_when_it_is_stored_again(mut object in object()) {
        let schema = schema();
        schema.prune(&mut object);
        schema.apply_defaults(&mut object);
        let before = schema.validate(&object);
        schema.prune(&mut object);
        schema.apply_defaults(&mut object);
        prop_assert_eq!(schema.validate(&object), before);
    }

    #[test]
    fn an_object_that_does_not_change_breaks_no_rule_of_values(object in object()) {
        let errors = schema().validate_update(&object, &object);
        prop_assert!(errors.iter().all(|e| e.field.starts_with('e')), "{:?}", errors);
    }

    #[test]
    fn no_object_panics(mut object in object(), old in object()) {
        let schema = schema();
        schema.validate(&object);
        schema.prune(&mut object);
        let _ = schema.coerce_embedded(&mut object);
        schema.apply_defaults(&mut object);
        schema.validate_update(&object, &old);
        schema.validate_status_update(&object, &old);
    }

    #[test]
    fn no_schema_panics(json in value()) {
        let _ = Schema::parse(json.clone());
        let _ = Schema::parse(json!({"type": "object", "properties": {"a": json}}));
    }
}
