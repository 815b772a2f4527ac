//! Patches against the examples of their RFCs and against a second, plain implementation.

use apimachinery::decode::DEPTH_MAX;
use proptest::{collection, prelude::*};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn merged(mut object: Value, patch: Value) -> Value {
    Patch::merge(patch).unwrap().apply(&mut object).unwrap();
    object
}

fn patched(mut object: Value, operations: &Value) -> Result<Value, u16> {
    let patch = Patch::json(operations.to_string().as_bytes());
    let applied = patch.and_then(|patch| patch.apply(&mut object));
    applied.map(|()| object).map_err(|error| error.code())
}

/// RFC 7386, section 2.
fn reference_merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = match target {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let old = target.remove(name).unwrap_or(Value::Null);
        if !value.is_null() {
            target.insert(name.clone(), reference_merge(old, value));
        }
    }
    Value::Object(target)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        "[ab/~]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    let members = collection::btree_map("[abc]", value(), 0..4);
    members.prop_map(|map| Value::Object(map.into_iter().collect()))
}

proptest! {
    /// A1: a merge patch does what its RFC says.
    #[test]
    fn a_merge_patch_is_that_of_the_rfc(target in object(), patch in object()) {
        let expected = reference_merge(target.clone(), &patch);
        prop_assert_eq!(merged(target, patch), expected);
    }

    /// A1: what the operations say of each other holds: a value that was added is there, and goes
    /// again with its removal; a copy is equal and leaves its source; a move leaves nothing.
    #[test]
    fn operations_undo_each_other(target in object(), value in value()) {
        let added = patched(target.clone(), &json!([{"op": "add", "path": "/new", "value": value}]));
        let added = added.unwrap();
        prop_assert_eq!(&added["new"], &value);
        let removed = patched(added.clone(), &json!([{"op": "remove", "path": "/new"}]));
        prop_assert_eq!(removed.unwrap(), target.clone());
        let moved = json!([{"op": "move", "from": "/new", "path": "/x"},
            {"op": "copy", "from": "/x", "path": "/new"}, {"op": "test", "path": "/new", "value": value},
            {"op": "remove", "path": "/x"}]);
        prop_assert_eq!(patched(added.clone(), &moved).unwrap(), added);
    }
}

/// A1: the shapes of RFC 7386, appendix A.
#[rstest]
#[case(json!({"k": "v"}), json!({"k": "w"}), json!({"k": "w"}))]
#[case(json!({"k": "v"}), json!({"l": "w"}), json!({"k": "v", "l": "w"}))]
#[case(json!({"k": "v"}), json!({"k": null}), json!({}))]
#[case(json!({"k": "v", "l": "w"}), json!({"k": null}), json!({"l": "w"}))]
#[case(json!({"k": ["v"]}), json!({"k": "w"}), json!({"k": "w"}))]
#[case(json!({"k": "w"}), json!({"k": ["v"]}), json!({"k": ["v"]}))]
#[case(json!({"k": {"l": "v"}}), json!({"k": {"l": "w", "m": null}}), json!({"k": {"l": "w"}}))]
#[case(json!({"k": [{"l": 1}]}), json!({"k": [1]}), json!({"k": [1]}))]
#[case(json!({"e": null}), json!({"k": 1}), json!({"e": null, "k": 1}))]
#[case(json!({}), json!({"k": {"l": {"m": null}}}), json!({"k": {"l": {}}}))]
#[case(json!({"k": 1}), json!({"k": {"l": null, "m": 2}}), json!({"k": {"m": 2}}))]
fn merge_patches_replace_lists_and_remove_by_null(
    #[case] object: Value,
    #[case] patch: Value,
    #[case] result: Value,
) {
    assert_eq!(merged(object, patch), result);
}

/// A1: the shapes of RFC 6902, appendix A.
#[rstest]
#[case::add_a_member(json!({"k": 1}), json!([{"op": "add", "path": "/l", "value": 2}]),
    json!({"k": 1, "l": 2}))]
#[case::add_an_item(json!({"k": [1, 3]}), json!([{"op": "add", "path": "/k/1", "value": 2}]),
    json!({"k": [1, 2, 3]}))]
#[case::remove_a_member(json!({"k": 1, "l": 2}), json!([{"op": "remove", "path": "/l"}]), json!({"k": 1}))]
#[case::remove_an_item(json!({"k": [1, 2, 3]}), json!([{"op": "remove", "path": "/k/1"}]),
    json!({"k": [1, 3]}))]
#[case::replace(json!({"k": 1, "l": 2}), json!([{"op": "replace", "path": "/k", "value": 3}]),
    json!({"k": 3, "l": 2}))]
#[case::move_a_member(json!({"k": {"l": 1, "m": 2}, "n": {}}),
    json!([{"op": "move", "from": "/k/m", "path": "/n/o"}]), json!({"k": {"l": 1}, "n": {"o": 2}}))]
#[case::move_an_item(json!({"k": [1, 2, 3, 4]}), json!([{"op": "move", "from": "/k/1", "path": "/k/3"}]),
    json!({"k": [1, 3, 4, 2]}))]
#[case::test_that_holds(json!({"k": "v", "l": [1, {"m": 2}]}),
    json!([{"op": "test", "path": "/k", "value": "v"}, {"op": "test", "path": "/l/1", "value": {"m": 2}}]),
    json!({"k": "v", "l": [1, {"m": 2}]}))]
#[case::add_an_object(json!({"k": 1}), json!([{"op": "add", "path": "/l", "value": {"m": {}}}]),
    json!({"k": 1, "l": {"m": {}}}))]
#[case::an_unknown_member(json!({}), json!([{"op": "add", "path": "/k", "value": 1, "why": 2}]),
    json!({"k": 1}))]
#[case::escapes(json!({"/": 9, "~1": 10}), json!([{"op": "test", "path": "/~01", "value": 10},
    {"op": "replace", "path": "/~1", "value": 8}]), json!({"/": 8, "~1": 10}))]
#[case::append_a_list(json!({"k": [1]}), json!([{"op": "add", "path": "/k/-", "value": [2, 3]}]),
    json!({"k": [1, [2, 3]]}))]
fn json_patches_do_what_they_say(
    #[case] object: Value,
    #[case] operations: Value,
    #[case] result: Value,
) {
    assert_eq!(patched(object, &operations), Ok(result));
}

/// A1: operations that do not fit the object, or are none, are 422; what is no list is 400.
#[rstest]
#[case::test_that_fails(json!([{"op": "test", "path": "/k", "value": 2}]), 422)]
#[case::test_of_another_type(json!([{"op": "test", "path": "/k", "value": "1"}]), 422)]
#[case::nowhere(json!([{"op": "add", "path": "/x/y", "value": 1}]), 422)]
#[case::past_the_end(json!([{"op": "add", "path": "/l/5", "value": 1}]), 422)]
#[case::a_leading_zero(json!([{"op": "add", "path": "/l/01", "value": 1}]), 422)]
#[case::remove_what_is_not_there(json!([{"op": "remove", "path": "/x"}]), 422)]
#[case::move_into_itself(json!([{"op": "move", "from": "/m", "path": "/m/n"}]), 422)]
#[case::unknown_operation(json!([{"op": "spam", "path": "/k"}]), 422)]
#[case::no_value(json!([{"op": "add", "path": "/x"}]), 422)]
#[case::no_list(json!({"op": "add", "path": "/x", "value": 1}), 400)]
fn json_patches_that_do_not_fit_are_refused(#[case] operations: Value, #[case] code: u16) {
    let object = json!({"k": 1, "l": [1], "m": {}});
    assert_eq!(patched(object, &operations), Err(code));
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
}

/// V14: operations that put one value around another cannot make an object that is too deep to be
/// stored, read or dropped.
#[rstest]
#[case::wrapping(1200, |_| vec![
    json!({"op": "move", "from": "/spec", "path": "/old"}),
    json!({"op": "add", "path": "/spec", "value": {}}),
    json!({"op": "move", "from": "/old", "path": "/spec/a"}),
])]
#[case::doubling(14, |i| {
    let end = "/a".repeat(1_usize << i);
    vec![json!({"op": "copy", "from": "/spec", "path": format!("/spec{end}")})]
})]
#[case::a_deep_value(1, |_| vec![
    json!({"op": "add", "path": "/spec/a/a/a/a/a/a/a/a/a/a", "value": nested(116)}),
])]
fn a_patch_cannot_nest_without_end(#[case] steps: u32, #[case] step: fn(u32) -> Vec<Value>) {
    let operations: Vec<Value> = (0..steps).flat_map(step).collect();
    let object = json!({"spec": nested(10)});
    assert_eq!(patched(object, &json!(operations)), Err(422));
}

/// V14: what fits may be moved up and down as often as a patch allows.
#[test]
fn moves_within_bounds_are_never_refused() {
    let there_and_back = [
        json!({"op": "move", "from": "/spec/a", "path": "/spec/b/b/b/b"}),
        json!({"op": "move", "from": "/spec/b/b/b/b", "path": "/spec/a"}),
    ];
    let object = json!({"spec": {"a": nested(DEPTH_MAX / 2), "b": {"b": {"b": {}}}}});
    let operations: Vec<_> = there_and_back.iter().cycle().take(2000).collect();
    assert_eq!(patched(object.clone(), &json!(operations)), Ok(object));
}
