//! Writes that would change nothing but the time of an entry.

use serde_json::{Map, Value};

use crate::Object;

const MANAGED_FIELDS: &str = "managedFields";
const TIME: &str = "time";

/// Puts the times of `old`'s managers back into `new` if nothing else differs, so that such a write
/// changes nothing. Mirrors `IgnoreManagedFieldsTimestampsTransformer` of
/// `k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager/equality.go`.
pub fn ignore_timestamps(old: &Object, new: &mut Object) {
    let (Some(Value::Array(before)), Some(Value::Array(after))) = (
        old.metadata_field(MANAGED_FIELDS),
        new.metadata_field(MANAGED_FIELDS),
    ) else {
        return;
    };
    let only_times = before != after
        && before.len() == after.len()
        && before.iter().zip(after).all(|(b, a)| equal_but_time(b, a));
    if only_times && equal_but_managed_fields(old.fields(), new.fields(), &exact) {
        new.set_metadata_field(MANAGED_FIELDS, Some(Value::Array(before.clone())));
    }
}

/// Whether two objects are the same but for `metadata.managedFields`.
pub(super) fn equal_but_managed_fields(
    lhs: &Map<String, Value>,
    rhs: &Map<String, Value>,
    equals: &dyn Fn(&Value, &Value) -> bool,
) -> bool {
    equal_but(lhs, rhs, &["metadata", MANAGED_FIELDS], equals)
}

fn exact(lhs: &Value, rhs: &Value) -> bool {
    lhs == rhs
}

fn equal_but_time(lhs: &Value, rhs: &Value) -> bool {
    match (lhs, rhs) {
        (Value::Object(lhs), Value::Object(rhs)) => equal_but(lhs, rhs, &[TIME], &exact),
        _ => lhs == rhs,
    }
}

/// Whether two maps are equal apart from the member at `path`, which may be missing.
fn equal_but(
    lhs: &Map<String, Value>,
    rhs: &Map<String, Value>,
    path: &[&str],
    equals: &dyn Fn(&Value, &Value) -> bool,
) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return true;
    };
    let others = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key(*name));
    others(lhs) == others(rhs)
        && lhs
            .iter()
            .filter(|(key, _)| key != name)
            .all(|(key, l)| rhs.get(key).is_some_and(|r| equals(l, r)))
        && (rest.is_empty()
            || match (lhs.get(*name), rhs.get(*name)) {
                (Some(Value::Object(l)), Some(Value::Object(r))) => equal_but(l, r, rest, equals),
                (l, r) => l == r,
            })
}
