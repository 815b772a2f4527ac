//! What holds for every object and every manager. What upstream does in single cases is in
//! [`super::replay`].

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Map, Value, json};

use super::*;
use crate::{Object, ResourceDefinition, ResourceNames, Scope, StatusReason, schema::Schema};

const API_VERSION: &str = "data.example.com/v1";

fn field_manager() -> FieldManager {
    let string = json!({"type": "string"});
    let row = json!({"type": "object", "required": ["name"], "properties": {
        "name": string, "value": string,
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": string},
    }});
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "text": string, "other": string,
            "data": {"type": "object", "additionalProperties": string},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": string},
            "list": {"type": "array", "items": string},
            "rows": {"type": "array", "items": row,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        }},
        "status": {"type": "object", "properties": {"phase": string}},
    }});
    FieldManager::new(&ResourceDefinition {
        group: "data.example.com".to_owned(),
        version: "v1".to_owned(),
        names: ResourceNames {
            kind: "Record".to_owned(),
            list_kind: "RecordList".to_owned(),
            plural: "records".to_owned(),
            singular: "record".to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
        },
        scope: Scope::Namespaced,
        schema: Schema::parse(schema).unwrap(),
        status_subresource: true,
        scale: None,
        subresources: Vec::new(),
        selectable_fields: Vec::new(),
        columns: Vec::new(),
    })
}

fn record(spec: &Value) -> Object {
    Object::from_value(json!({
        "apiVersion": API_VERSION, "kind": "Record",
        "metadata": {"name": "a", "namespace": "default"}, "spec": spec,
    }))
    .unwrap()
}

fn stored(mut object: Object) -> Object {
    object.set_metadata_field("uid", Some(json!("u")));
    object
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// Applies one after the other, one second apart, forced or not; the last result.
fn apply_all<'a>(applies: impl IntoIterator<Item = (&'a str, &'a Value)>, force: bool) -> Object {
    let manager = field_manager();
    let mut live: Option<Object> = None;
    for (second, (name, spec)) in (1..).zip(applies) {
        let config = record(spec);
        let object = manager.apply(live.as_ref(), &config, name, "", force, at(second));
        live = Some(stored(object.unwrap()));
    }
    live.unwrap()
}

fn spec(object: &Object) -> Value {
    object.get("spec").cloned().unwrap_or_default()
}

/// The entries without their times.
fn owners(object: &Object) -> Value {
    let mut entries = object
        .metadata_field("managedFields")
        .cloned()
        .unwrap_or_default();
    let entries_mut = entries.as_array_mut().into_iter().flatten();
    for entry in entries_mut.filter_map(Value::as_object_mut) {
        entry.remove("time");
    }
    entries
}

/// A2: an object of another kind or version is told apart before anything else.
#[rstest]
#[case("data.example.com/v2", "Record", "data.example.com/v2, Kind=Record")]
#[case("v1", "Other", "/v1, Kind=Other")]
fn an_object_of_another_kind_is_refused(
    #[case] version: &str,
    #[case] kind: &str,
    #[case] named: &str,
) {
    let mut applied = record(&json!({}));
    applied.set("apiVersion", Some(json!(version)));
    applied.set("kind", Some(json!(kind)));
    let error = field_manager()
        .apply(None, &applied, "one", "", false, at(0))
        .unwrap_err();
    assert_eq!(error.reason(), StatusReason::BadRequest);
    assert_eq!(error.to_string(), format!("invalid object type: {named}"));
}

/// A2: a conflict is 409 and names manager and field, for people and for programs.
#[test]
fn a_conflict_names_manager_and_field() {
    let live = apply_all([("one", &json!({"text": "a"}))], false);
    let applied = record(&json!({"text": "b"}));
    let error = field_manager()
        .apply(Some(&live), &applied, "two", "", false, at(9))
        .unwrap_err();
    insta::assert_json_snapshot!(error.to_status(), @r#"
    {
      "apiVersion": "v1",
      "code": 409,
      "details": {
        "causes": [
          {
            "field": ".spec.text",
            "message": "conflict with \"one\"",
            "reason": "FieldManagerConflict"
          }
        ]
      },
      "kind": "Status",
      "message": "Apply failed with 1 conflict: conflict with \"one\": .spec.text",
      "metadata": {},
      "reason": "Conflict",
      "status": "Failure"
    }
    "#);
}

/// A7: entries of a version that is gone do not stand in the way.
#[test]
fn an_entry_of_another_version_is_dropped() {
    let mut live = apply_all([("one", &json!({"text": "a"}))], false);
    let mut entries = live.metadata_field("managedFields").cloned().unwrap();
    entries[0]["apiVersion"] = json!("data.example.com/v0");
    live.set_metadata_field("managedFields", Some(entries));
    let applied = record(&json!({"text": "b"}));
    let object = field_manager()
        .apply(Some(&live), &applied, "two", "", false, at(2))
        .unwrap();
    assert_eq!(owners(&object).as_array().unwrap().len(), 1);
    assert_eq!(owners(&object)[0]["manager"], "two");
}

/// A7: who owned a part of a list that became atomic owns the list.
#[test]
fn a_list_that_became_atomic_is_owned_as_a_whole() {
    let mut live = apply_all([("one", &json!({"list": ["a"]}))], false);
    let mut entries = live.metadata_field("managedFields").cloned().unwrap();
    entries[0]["fieldsV1"] = json!({"f:spec": {"f:list": {"v:\"a\"": {}}}});
    live.set_metadata_field("managedFields", Some(entries));
    let applied = record(&json!({"list": ["b"]}));
    let error = field_manager()
        .apply(Some(&live), &applied, "two", "", false, at(2))
        .unwrap_err();
    assert!(error.to_string().ends_with(": .spec.list"), "{error}");
}

/// A3: an object that nobody tracked is not tracked from an update on.
#[test]
fn an_update_of_an_untracked_object_starts_nothing() {
    let live = stored(record(&json!({"text": "a"})));
    let mut new = stored(record(&json!({"text": "b"})));
    field_manager().update(Some(&live), &mut new, "one", "", at(1));
    assert_eq!(new.metadata_field("managedFields"), None);
}

/// A3: an object that does not fit the schema has no managed fields; validation refuses it later.
#[test]
fn an_object_that_does_not_fit_has_no_managed_fields() {
    let mut new = record(&json!({"text": {"not": "a text"}}));
    new.set_metadata_field("managedFields", Some(json!([{"manager": "x"}])));
    field_manager().update(None, &mut new, "one", "", at(1));
    assert_eq!(new.metadata_field("managedFields"), None);
}

/// A3: the time alone is no change.
#[test]
fn a_write_that_changes_only_a_time_is_none() {
    let old = apply_all([("one", &json!({"text": "a"}))], false);
    let mut new = old.clone();
    let mut entries = new.metadata_field("managedFields").cloned().unwrap();
    entries[0]["time"] = json!("2030-01-01T00:00:00Z");
    new.set_metadata_field("managedFields", Some(entries));
    let mut changed = new.clone();
    ignore_timestamps(&old, &mut new);
    assert_eq!(new, old);

    changed.set("spec", Some(json!({"text": "b"})));
    let before = changed.clone();
    ignore_timestamps(&old, &mut changed);
    assert_eq!(changed, before, "the time goes with a change");
}

#[test]
fn what_a_manager_applied_can_be_taken_out_again() {
    let applied = json!({"text": "a", "rows": [{"name": "x", "value": "1"}], "data": {"k": "v"}});
    let other = json!({"other": "b", "rows": [{"name": "x", "tags": ["t"]}, {"name": "y"}]});
    let live = apply_all([("one", &applied), ("two", &other)], false);
    let manager = field_manager();
    let extracted = manager.extract(&live, "one", "").unwrap();
    assert_eq!(extracted, record(&applied));
    assert_eq!(manager.extract(&live, "three", ""), None);
}

/// A3: more than ten entries of updates are never kept, and no field loses all its owners.
#[test]
fn old_updates_are_merged() {
    let manager = field_manager();
    let mut live: Option<Object> = None;
    let mut data = Map::new();
    for i in 0..25 {
        data.insert(format!("k{i}"), json!("v"));
        let mut new = live.clone().unwrap_or_else(|| record(&json!({})));
        new.set("spec", Some(json!({"data": data})));
        manager.update(live.as_ref(), &mut new, &format!("m{i}"), "", at(i));
        live = Some(stored(new));
    }
    let owners = owners(&live.unwrap());
    assert_eq!(owners.as_array().unwrap().len(), 10);
    assert_eq!(owners[0]["manager"], "ancient-changes");
    let text = owners.to_string();
    assert!(
        (0..25).all(|i| text.contains(&format!("\"f:k{i}\""))),
        "{text}"
    );
}

fn any_names() -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4)
        .prop_shuffle()
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn any_spec() -> impl Strategy<Value = Value> {
    let text = "[12]";
    let row = (any_names(), text, any_names()).prop_map(|(names, value, tags)| {
        let row = |name| json!({"name": name, "value": value, "tags": tags});
        names.into_iter().map(row).collect::<Value>()
    });
    let data = prop::collection::btree_map("[a-d]", text, 0..4).prop_map(|data| json!(data));
    let free = prop::collection::btree_map(
        "[ab]",
        prop_oneof![
            text.prop_map(Value::from),
            any_names().prop_map(|names| json!(names)),
            data.clone(),
        ],
        0..3,
    )
    .prop_map(|free| json!(free));
    let optional = |strategy: BoxedStrategy<Value>| prop::option::of(strategy);
    (
        optional(text.prop_map(Value::from).boxed()),
        optional(data.boxed()),
        optional(any_names().prop_map(|names| json!(names)).boxed()),
        optional(any_names().prop_map(|names| json!(names)).boxed()),
        optional(row.boxed()),
        optional(free.boxed()),
    )
        .prop_map(|(text, data, set, list, rows, free)| {
            let names = ["text", "data", "set", "list", "rows", "free"];
            let values = [text, data, set, list, rows, free];
            names
                .into_iter()
                .zip(values)
                .filter_map(|(n, v)| Some((n, v?)))
                .collect()
        })
}

/// A spec of fields that no other spec with another prefix has.
fn apart(prefix: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    for (name, value) in spec.as_object_mut().unwrap() {
        match name.as_str() {
            "data" | "free" => {
                let members = std::mem::take(value.as_object_mut().unwrap());
                *value = members
                    .into_iter()
                    .map(|(k, v)| (format!("{prefix}{k}"), v))
                    .collect();
            }
            "set" => {
                for item in value.as_array_mut().unwrap() {
                    *item = json!(format!("{prefix}{}", item.as_str().unwrap()));
                }
            }
            "rows" => {
                for row in value.as_array_mut().unwrap() {
                    row["name"] = json!(format!("{prefix}{}", row["name"].as_str().unwrap()));
                }
            }
            _ => {}
        }
    }
    let fields = spec.as_object_mut().unwrap();
    fields.retain(|name, value| {
        !matches!(name.as_str(), "text" | "list") && ![json!({}), json!([])].contains(value)
    });
    // An object without any field has no owners, which would make the first apply a special one.
    spec["data"][format!("{prefix}-")] = json!("v");
    spec
}

/// Sorts the lists of type set and map, whose order depends on who came first.
fn sorted(mut spec: Value) -> Value {
    for row in spec
        .get_mut("rows")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        sort(row.get_mut("tags"));
    }
    for name in ["set", "rows"] {
        sort(spec.get_mut(name));
    }
    spec
}

fn sort(list: Option<&mut Value>) {
    if let Some(list) = list.and_then(Value::as_array_mut) {
        list.sort_by_key(ToString::to_string);
    }
}

proptest! {
    /// A2, A3: applying the same again changes nothing, not even a time.
    #[test]
    fn an_apply_is_idempotent(first in any_spec(), second in any_spec()) {
        let once = apply_all([("one", &first), ("two", &second)], true);
        let again = field_manager()
            .apply(Some(&once), &record(&second), "two", "", false, at(99))
            .unwrap();
        prop_assert_eq!(again, once);
    }

    /// A7: managers that share no field may come in any order.
    #[test]
    fn applies_to_different_fields_commute(first in any_spec(), second in any_spec()) {
        let (first, second) = (apart("x", &first), apart("y", &second));
        let one_two = apply_all([("one", &first), ("two", &second)], false);
        let two_one = apply_all([("two", &second), ("one", &first)], false);
        prop_assert_eq!(sorted(spec(&one_two)), sorted(spec(&two_one)));
        let by_manager = |object| {
            let mut entries = owners(object).as_array().cloned().unwrap_or_default();
            entries.sort_by_key(ToString::to_string);
            entries
        };
        prop_assert_eq!(by_manager(&one_two), by_manager(&two_one));
    }

    /// A2: what one manager applied stays while others change their mind without force.
    #[test]
    fn an_apply_never_takes_what_another_manager_owns(
        mine in any_spec(), theirs in any_spec(), then in any_spec(),
    ) {
        let manager = field_manager();
        let mut live = apply_all([("theirs", &theirs), ("mine", &mine)], true);
        let before = manager.extract(&live, "mine", "");
        let applied = record(&then);
        if let Ok(object) = manager.apply(Some(&live), &applied, "theirs", "", false, at(9))
            && !spec(&object).to_string().contains("null")
        {
            // A container that lost its last member is null, which validation refuses.
            live = object;
        }
        prop_assert_eq!(manager.extract(&live, "mine", "").map(|o| sorted(spec(&o))),
            before.map(|o| sorted(spec(&o))));
    }

    /// A3: no entry is too strange to be read, or refused.
    #[test]
    fn strange_entries_do_no_harm(
        key in "[.fkvi:\"{}\\[\\]a1]{0,8}", operation in "Apply|Update|", time in "\\PC{0,8}",
        value in prop_oneof![Just(json!({})), Just(json!(null)), Just(json!([1])), Just(json!("x"))],
    ) {
        let entry = json!({
            "manager": key, "operation": operation, "apiVersion": API_VERSION, "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {key.clone(): value.clone()}}, key: value,
        });
        let mut live = stored(record(&json!({"text": "a"})));
        live.set_metadata_field("managedFields", Some(json!([entry])));
        let mut new = live.clone();
        let manager = field_manager();
        manager.update(Some(&live), &mut new, "one", "", at(1));
        let _ = manager.apply(Some(&live), &record(&json!({"text": "b"})), "two", "", true, at(2));
    }
}
