//! How many entries of updates an object keeps.

use std::collections::BTreeMap;

use super::encoding::{Managed, ManagerId, Operation};

/// Most entries of updates; upstream's `DefaultMaxUpdateManagers`.
const UPDATE_MANAGERS_MAX: usize = 10;

/// Who owns what the managers owned whose entries were merged.
const OLD_UPDATES: &str = "ancient-changes";

/// Merges the oldest entries of updates, per version, until there are few enough. Mirrors
/// `capmanagers.go`.
pub(super) fn cap_update_managers(managed: &mut Managed) {
    let mut updaters: Vec<ManagerId> = managed
        .fields
        .keys()
        .filter(|id| id.operation == Operation::Update)
        .cloned()
        .collect();
    let mut count = updaters.len();
    if count <= UPDATE_MANAGERS_MAX {
        return;
    }
    // The ids are in order already, and that order decides among equals.
    updaters.sort_by_key(|id| managed.seconds(id));
    let mut first_of_version: BTreeMap<String, ManagerId> = BTreeMap::new();
    for id in updaters {
        if count <= UPDATE_MANAGERS_MAX {
            return;
        }
        let Some(fields) = managed.fields.get(&id).cloned() else {
            continue;
        };
        let Some(first) = first_of_version.get(&fields.api_version) else {
            first_of_version.insert(fields.api_version, id);
            continue;
        };
        let bucket = ManagerId::new(OLD_UPDATES, Operation::Update, &fields.api_version, "");
        // The younger of the two goes into the bucket, unless it is the bucket.
        let goes = if bucket == id { first.clone() } else { id };
        let time = managed.times.get(&goes).copied();
        if goes != *first
            && !managed.fields.contains_key(&bucket)
            && let Some(oldest) = managed.fields.remove(first)
        {
            managed.fields.insert(bucket.clone(), oldest);
        }
        let Some(merged) = managed.fields.remove(&goes) else {
            continue;
        };
        if let Some(kept) = managed.fields.get_mut(&bucket) {
            kept.set = kept.set.union(&merged.set);
        }
        count -= 1;
        if goes == *first {
            first_of_version.insert(fields.api_version, bucket);
            continue;
        }
        match time {
            Some(time) => managed.times.insert(bucket, time),
            None => managed.times.remove(&bucket),
        };
    }
}
