//! What an apply removes: `prune` of `sigs.k8s.io/structured-merge-diff/v6/merge`.
//!
//! Upstream makes two copies of the object and compares their field sets. Seldom is that needed: most
//! of the time the sets alone tell what goes.

use serde_json::{Map, Value};

use crate::{
    fieldpath::Set,
    typed::{ObjectType, PathsChange, TypeErrors},
};

type JsonObject = Map<String, Value>;

/// Removes from `merged` what the manager applied last time and nobody owns now.
pub(super) fn prune(
    object_type: &ObjectType,
    merged: JsonObject,
    owned: &[&Set],
    last: &Set,
) -> Result<JsonObject, TypeErrors> {
    let fields = object_type.to_field_set(&merged)?;
    let fields = object_type.ensure_named_fields_are_members(fields);
    match object_type.gone(&fields, owned, last) {
        Ok(gone) if gone.is_empty() => Ok(merged),
        Ok(gone) => Ok(object_type.remove_items(merged, &gone)),
        Err(PathsChange) => prune_by_copies(object_type, merged, owned, last),
    }
}

/// As upstream does it, step by step.
fn prune_by_copies(
    object_type: &ObjectType,
    merged: JsonObject,
    owned: &[&Set],
    last: &Set,
) -> Result<JsonObject, TypeErrors> {
    let named = |set: Set| object_type.ensure_named_fields_are_members(set);
    let fields_of = |object: &JsonObject| object_type.to_field_set(object).map(named);
    let last = named(last.clone());
    let merged_set = fields_of(&merged)?;
    let pruned = object_type.remove_items(merged.clone(), &last);
    let owned = owned.iter().fold(Set::default(), |all, set| all.union(set));
    let kept = fields_of(&pruned)?.union(&named(owned));
    let pruned = object_type.remove_items(merged.clone(), &merged_set.difference(&kept));
    let gone = merged_set.difference(&fields_of(&pruned)?);
    Ok(object_type.remove_items(merged, &gone.intersection(&last)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{fieldpath::PathElement, schema::Schema};

    fn object_type() -> ObjectType {
        let string = json!({"type": "string"});
        let part = json!({"type": "object", "properties": {"x": string, "y": string}});
        let row = json!({"type": "object", "properties": {
            "name": {"type": "string", "default": "a"}, "cell": string, "part": part,
        }});
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "text": string,
            "data": {"type": "object", "additionalProperties": string},
            "parts": {"type": "object", "additionalProperties": part},
            "rows": {"type": "array", "items": row,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            "tags": {"type": "array", "items": string, "x-kubernetes-list-type": "set"},
            "atomic": {"type": "array", "items": string},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}}});
        ObjectType::new(&Schema::parse(schema).unwrap())
    }

    fn paths() -> Vec<Vec<PathElement>> {
        let row = |name: &str| PathElement::key(vec![("name".into(), json!(name))]);
        let field = PathElement::field;
        let mut paths: Vec<Vec<PathElement>> = vec![
            vec![field("text")],
            vec![field("data")],
            vec![field("parts")],
            vec![field("rows")],
            vec![field("tags")],
            vec![field("atomic")],
            vec![field("atomic"), PathElement::Index(0)],
            vec![field("any")],
            vec![field("any"), field("a")],
            vec![field("any"), field("a"), field("x")],
        ];
        for name in ["a", "b"] {
            paths.push(vec![field("data"), field(name)]);
            paths.push(vec![field("tags"), PathElement::value(json!(name))]);
            for (list, item) in [("parts", field(name)), ("rows", row(name))] {
                let at = |rest: &[&str]| {
                    let rest = rest.iter().map(|name| field(name));
                    [field(list), item.clone()]
                        .into_iter()
                        .chain(rest)
                        .collect()
                };
                paths.extend([at(&[]), at(&["x"]), at(&["name"]), at(&["cell"])]);
                paths.extend([at(&["part"]), at(&["part", "x"]), at(&["part", "y"])]);
            }
        }
        for path in &mut paths {
            path.insert(0, PathElement::field("spec"));
        }
        paths
    }

    fn any_set() -> impl Strategy<Value = Set> {
        let paths = paths();
        let chosen = proptest::sample::subsequence(paths.clone(), 0..=paths.len());
        chosen.prop_map(|paths| Set::from_paths(paths.iter().map(Vec::as_slice)))
    }

    /// An object of parts that are there or not.
    fn any_object() -> impl Strategy<Value = JsonObject> {
        let members = || proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3);
        let of = |names: &[&str], value: &dyn Fn(&str) -> Value| -> Value {
            let members = names.iter().map(|name| ((*name).to_owned(), value(name)));
            Value::Object(members.collect())
        };
        let part = |bits: usize| {
            let there = ["x", "y"]
                .into_iter()
                .enumerate()
                .filter(move |(i, _)| bits >> i & 1 == 1);
            Value::Object(
                there
                    .map(|(_, name)| (name.to_owned(), json!("1")))
                    .collect(),
            )
        };
        (
            members(),
            members(),
            members(),
            members(),
            members(),
            0_usize..128,
        )
            .prop_map(move |(data, parts, rows, tags, any, bits)| {
                let rows: Vec<Value> = rows
                    .iter()
                    .enumerate()
                    .map(|(i, name)| {
                        let mut row = json!({"name": name, "cell": "1", "part": part(bits >> i)});
                        if let (true, Some(row)) = (bits >> i & 4 == 4, row.as_object_mut()) {
                            row.remove("cell");
                            row.remove("part");
                        }
                        row
                    })
                    .collect();
                let spec = json!({
                    "text": "1",
                    "data": of(&data, &|_| json!("1")),
                    "parts": of(&parts, &|_| part(bits)),
                    "rows": rows,
                    "tags": tags,
                    "atomic": tags,
                    "any": of(&any, &|_| part(bits >> 1)),
                });
                JsonObject::from_iter([("spec".to_owned(), spec)])
            })
    }

    proptest! {
        /// A1: whatever the object and its owners, the result is that of upstream's steps.
        #[test]
        fn the_sets_alone_give_what_copies_give(
            object in any_object(), owned in any_set(), other in any_set(), last in any_set(),
        ) {
            let object_type = object_type();
            let owned = [&owned, &other];
            let expected = prune_by_copies(&object_type, object.clone(), &owned, &last).unwrap();
            let found = prune(&object_type, object, &owned, &last).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
