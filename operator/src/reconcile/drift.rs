//! Whether a child has to be written. Pure.
//!
//! A reconcile of an unchanged world writes nothing, so what is wanted is compared with what is
//! there first. Defaults that the API server filled in are not drift; anything else about a field
//! that the operator sets is.

use serde::Serialize;
use serde_json::Value;

/// Maps in which an additional key changes the meaning: an additional key in a selector selects
/// fewer pods.
const EXACT_MAPS: [&str; 3] = ["selector", "matchLabels", "nodeSelector"];

/// Whether the object that is there lacks anything that is wanted.
pub(super) fn needs_write<K: Serialize>(wanted: &K, live: Option<&K>) -> bool {
    let Some(live) = live else { return true };
    match (serde_json::to_value(wanted), serde_json::to_value(live)) {
        (Ok(wanted), Ok(live)) => !holds(&wanted, &live),
        _ => true,
    }
}

/// Whether every field that is wanted is there with the wanted value.
fn holds(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(key, value)| {
            let Some(there) = live.get(key) else {
                return false;
            };
            let same_size = value.as_object().map(serde_json::Map::len)
                == there.as_object().map(serde_json::Map::len);
            (same_size || !EXACT_MAPS.contains(&key.as_str())) && holds(value, there)
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len()
                && wanted
                    .iter()
                    .zip(live)
                    .all(|(wanted, live)| holds(wanted, live))
        }
        (wanted, live) => wanted == live,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::needs_write;

    #[rstest]
    #[case::same(json!({"a": 1}), json!({"a": 1}))]
    #[case::defaulted(json!({"spec": {"a": 1}}), json!({"spec": {"a": 1, "b": 2}, "status": {}}))]
    #[case::defaulted_in_list(json!([{"a": 1}]), json!([{"a": 1, "b": 2}]))]
    fn what_the_api_server_adds_is_no_drift(#[case] wanted: Value, #[case] live: Value) {
        assert!(!needs_write(&wanted, Some(&live)));
    }

    /// B3: a changed value, a lost field, an added list item and a narrowed selector are mended.
    #[rstest]
    #[case::value(json!({"a": 1}), json!({"a": 2}))]
    #[case::lost(json!({"a": {"b": 1}}), json!({"a": {}}))]
    #[case::item_added(json!({"subjects": [1]}), json!({"subjects": [1, 2]}))]
    #[case::item_lost(json!({"subjects": [1]}), json!({"subjects": []}))]
    #[case::selector(json!({"selector": {"a": "b"}}), json!({"selector": {"a": "b", "c": "d"}}))]
    fn what_somebody_changed_is_drift(#[case] wanted: Value, #[case] live: Value) {
        assert!(needs_write(&wanted, Some(&live)));
    }

    #[test]
    fn what_is_not_there_is_written() {
        assert!(needs_write(&json!({}), None));
    }
}
