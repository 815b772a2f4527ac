//! Field sets: their encoding, and the laws of their algebra.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// A path of the fixtures below: a text for a field, a list for a value of a set, an object for
/// keys, a number for a position.
fn path(elements: &[Value]) -> Vec<PathElement> {
    elements
        .iter()
        .map(|element| match element {
            Value::String(name) => PathElement::field(name),
            Value::Array(value) => PathElement::value(value[0].clone()),
            Value::Object(keys) => {
                let keys = keys.iter().map(|(k, v)| (k.as_str().into(), v.clone()));
                PathElement::key(keys.collect())
            }
            index => PathElement::Index(index.as_i64().unwrap()),
        })
        .collect()
}

/// A3: the serialised form of every kind of element, with the escapes of upstream.
#[rstest]
#[case(json!("a.b/c"), "f:a.b/c")]
#[case(json!(""), "f:")]
#[case(json!("f:\"<\u{2028}"), "f:f:\"<\u{2028}")]
#[case(json!({"b": "<x>", "a": 1}), r#"k:{"a":1,"b":"\u003cx\u003e"}"#)]
#[case(json!({"<&>": null}), r#"k:{"<&>":null}"#)]
#[case(json!(["a\"\u{8}\t"]), r#"v:"a\"\u0008\t""#)]
#[case(json!([1.5]), "v:1.5")]
#[case(json!([true]), "v:true")]
#[case(json!(7), "i:7")]
fn an_element_is_written_as_upstream_writes_it(#[case] element: Value, #[case] text: &str) {
    let [element] = path(&[element]).try_into().unwrap();
    assert_eq!(element.serialize(), text);
    assert_eq!(PathElement::deserialize(text).unwrap(), Some(element));
}

#[rstest]
#[case("")]
#[case("f")]
#[case("name")]
#[case("v:")]
#[case("v:{")]
#[case("k:[]")]
#[case("k:{\"a\"}")]
#[case("i:x")]
fn what_is_no_element_is_refused(#[case] text: &str) {
    assert!(PathElement::deserialize(text).is_err());
}

#[test]
fn a_kind_of_element_of_a_later_version_is_skipped() {
    let fields = json!({"f:a": {}, "z:later": {"f:b": {}}});
    assert_eq!(
        Set::from_fields(&fields).unwrap(),
        Set::from_field_paths(&[&["a"]])
    );
}

/// A3: an own path among its children is a dot.
#[test]
fn a_set_is_a_tree_of_objects() {
    let set = Set::from_paths([
        &*path(&[json!("a")]),
        &path(&[json!("a"), json!({"name": "x"}), json!("b")]),
        &path(&[json!("a"), json!({"name": "x"})]),
        &path(&[json!("c"), json!(["v"])]),
    ]);
    let fields = json!({
        "f:a": {".": {}, "k:{\"name\":\"x\"}": {".": {}, "f:b": {}}},
        "f:c": {"v:\"v\"": {}},
    });
    assert_eq!(set.to_fields(), fields);
    assert_eq!(Set::from_fields(&fields).unwrap(), set);
}

#[test]
fn nesting_deeper_than_json_can_be_is_refused() {
    let nested = |depth| (0..depth).fold(json!({}), |inner, _| json!({"f:a": inner}));
    assert!(Set::from_fields(&nested(DEPTH_MAX)).is_ok());
    assert!(Set::from_fields(&nested(DEPTH_MAX + 1)).is_err());
}

#[test]
fn a_recursive_difference_takes_what_is_below() {
    let set = Set::from_field_paths(&[&["a"], &["a", "b"], &["a", "b", "c"], &["d"]]);
    let other = Set::from_field_paths(&[&["a", "b"], &["x"]]);
    assert_eq!(
        set.difference(&other),
        Set::from_field_paths(&[&["a"], &["a", "b", "c"], &["d"]])
    );
    assert_eq!(
        set.recursive_difference(&other),
        Set::from_field_paths(&[&["a"], &["d"]])
    );
    assert_eq!(
        set.leaves(),
        Set::from_field_paths(&[&["a", "b", "c"], &["d"]])
    );
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "\\PC{0,4}".prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn any_element() -> impl Strategy<Value = PathElement> {
    prop_oneof![
        4 => "[ab.:\"]{0,2}".prop_map(|name| PathElement::field(&name)),
        2 => prop::collection::btree_map("[ab\"]{1,2}", any_scalar(), 1..3).prop_map(|keys| {
            PathElement::key(keys.into_iter().map(|(k, v)| (k.into(), v)).collect())
        }),
        2 => any_scalar().prop_map(PathElement::value),
        1 => (0..3_i64).prop_map(PathElement::Index),
    ]
}

fn any_set() -> impl Strategy<Value = Set> {
    let path = prop::collection::vec(any_element(), 1..4);
    prop::collection::vec(path, 0..12)
        .prop_map(|paths| Set::from_paths(paths.iter().map(Vec::as_slice)))
}

fn paths(set: &Set) -> Vec<Vec<PathElement>> {
    let mut paths = Vec::new();
    set.for_each(&mut |path| paths.push(path.to_vec()));
    paths
}

fn only(set: &Set, keep: impl Fn(&[PathElement]) -> bool) -> Set {
    let paths = paths(set);
    Set::from_paths(paths.iter().map(Vec::as_slice).filter(|p| keep(p)))
}

proptest! {
    /// A3: what is written is read again.
    #[test]
    fn fields_survive_their_encoding(set in any_set()) {
        let text = set.to_fields().to_string();
        let fields: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Set::from_fields(&fields).unwrap(), set);
    }

    #[test]
    fn sets_obey_the_laws(a in any_set(), b in any_set(), c in any_set()) {
        let union = a.union(&b);
        prop_assert_eq!(&union, &b.union(&a));
        prop_assert_eq!(union.union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(a.union(&a), a.clone());
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.intersection(&b), only(&a, |p| b.has(p)));
        prop_assert_eq!(a.difference(&b), only(&a, |p| !b.has(p)));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert_eq!(a.is_subset(&b), a.difference(&b).is_empty());
        let below = |p: &[PathElement]| (1..=p.len()).any(|n| b.has(&p[..n]));
        prop_assert_eq!(a.recursive_difference(&b), only(&a, |p| !below(p)));
        let mut rest = a.clone();
        rest.subtract(&b);
        prop_assert_eq!(rest, a.difference(&b));
        let mut rest = a.clone();
        rest.subtract_recursively(&b);
        prop_assert_eq!(rest, a.recursive_difference(&b));
    }

    #[test]
    fn a_path_is_in_what_it_was_put_into(set in any_set(), path in prop::collection::vec(any_element(), 1..4)) {
        let mut set = set;
        set.insert(&path);
        prop_assert!(set.has(&path));
        prop_assert!(!set.is_empty());
    }

    #[test]
    fn no_text_is_too_strange_to_be_read(text in "\\PC{0,20}", kind in "[fkvi]") {
        let _ = PathElement::deserialize(&text);
        let _ = PathElement::deserialize(&format!("{kind}:{text}"));
        let _ = Set::from_fields(&json!({ text: {} }));
    }
}
