//! Owner references that an object has twice.
//!
//! Mirrors `dedupOwnerReferences` in `k8s.io/apiserver/pkg/endpoints/handlers/rest.go`.

use std::collections::HashSet;

use apimachinery::Object;
use serde_json::Value;

/// Where the duplicates stood, as the warning says it: in what the client sent.
pub(super) const IN_THE_BODY: &str = "duplicate entries";
/// In what became of it, which is all that a patch or an apply looks at.
pub(super) const IN_THE_RESULT: &str = "duplicate entries after mutating admission happens";

/// Drops all but the first of references that are equal in every field, and gives the warning for
/// the client.
pub(super) fn drop_duplicates(object: &mut Object, place: &str) -> Option<String> {
    let references = object.metadata_field("ownerReferences")?.as_array()?;
    let mut seen = HashSet::new();
    let (kept, dropped): (Vec<_>, Vec<_>) = references.iter().partition(|r| seen.insert(*r));
    if dropped.is_empty() {
        return None;
    }
    let uids = dropped
        .iter()
        .map(|r| r["uid"].as_str().unwrap_or_default());
    let warning = format!(
        ".metadata.ownerReferences contains {place}; API server dedups owner references in 1.20+, \
         and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) \
         observed: {}",
        uids.collect::<Vec<_>>().join(", ")
    );
    let kept = kept.into_iter().cloned().collect();
    object.set_metadata_field("ownerReferences", Some(Value::Array(kept)));
    Some(warning)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// V12: only what is equal in every field is a duplicate.
    #[test]
    fn the_first_of_equal_references_is_kept() {
        let reference = |uid: &str, name: &str| json!({"kind": "K", "name": name, "uid": uid});
        let given = [("1", "a"), ("2", "a"), ("1", "a"), ("1", "b"), ("2", "a")];
        let given = given.map(|(uid, name)| reference(uid, name));
        let object = json!({"metadata": {"ownerReferences": given}});
        let mut object = Object::from_value(object).unwrap();
        let warning = drop_duplicates(&mut object, IN_THE_BODY).unwrap();
        assert!(warning.starts_with(".metadata.ownerReferences contains duplicate entries; "));
        assert!(warning.ends_with("observed: 1, 2"), "{warning}");
        let kept = object.metadata_field("ownerReferences").unwrap();
        let names = kept
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["name"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "a", "b"]);
        assert_eq!(drop_duplicates(&mut object, IN_THE_BODY), None);
    }
}
