//! Takes out of the answers what cannot be equal on both sides, and keeps its relations: equal
//! stays equal, earlier stays earlier.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    exchange::Side,
    texts::{is_age, replace_generated, replace_revisions, replace_times, replace_uids},
};

/// Headers that name the request or the moment, or depend on the length of numbers.
const LEFT_OUT: [&str; 6] = [
    "audit-id",
    "content-length",
    "date",
    "transfer-encoding",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
];
/// What is known of one side's answers in one case.
struct Normaliser {
    side: Side,
    own_namespace: String,
    uids: Vec<String>,
    revisions: BTreeSet<u64>,
}

/// Normalises all that came of a case on one side.
pub(crate) fn normalise(side: &Side, namespace: &str, outcomes: Vec<Value>) -> Vec<Value> {
    let mut normaliser = Normaliser {
        side: side.clone(),
        own_namespace: side.own_namespace(namespace),
        uids: Vec::new(),
        revisions: BTreeSet::new(),
    };
    for outcome in &outcomes {
        normaliser.collect_revisions(outcome);
    }
    let outcomes = outcomes.into_iter();
    outcomes.map(|o| normaliser.value("", o)).collect()
}

impl Normaliser {
    /// The revisions of objects. That of a list is the store's, which other cases move.
    fn collect_revisions(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                let version = value.pointer("/metadata/resourceVersion");
                if let (Some(Value::String(version)), false) = (version, is_list(value)) {
                    self.revisions.extend(version.parse::<u64>().ok());
                }
                if map.get("type") != Some(&json!("BOOKMARK")) {
                    map.values().for_each(|value| self.collect_revisions(value));
                }
            }
            Value::Array(items) => items.iter().for_each(|v| self.collect_revisions(v)),
            _ => {}
        }
    }

    fn value(&mut self, key: &str, value: Value) -> Value {
        match value {
            Value::Object(mut map) if key == "headers" => {
                map.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
                let fields = map.into_iter();
                fields.map(|(k, v)| (k, self.value("", v))).collect()
            }
            Value::Object(mut map) => {
                let value = Value::Object(map.clone());
                if is_list(&value) {
                    self.store_revision(map.get_mut("metadata"));
                } else if map.get("type") == Some(&json!("BOOKMARK")) {
                    let object = map.get_mut("object");
                    self.store_revision(object.and_then(|o| o.get_mut("metadata")));
                    let object = map.get_mut("object");
                    self.store_revision(
                        object.and_then(|o| o.pointer_mut("/rows/0/object/metadata")),
                    );
                } else if map.get("kind") == Some(&json!("Status")) {
                    sort_causes(&mut map);
                }
                let fields = map.into_iter();
                fields
                    .map(|(k, v)| {
                        let v = self.value(&k, v);
                        (k, v)
                    })
                    .collect()
            }
            Value::Array(items) => {
                let items = items.into_iter();
                let mut items: Vec<_> = items.map(|item| self.value("", item)).collect();
                if key == "managedFields" {
                    // They stand in the order of their times, which are of this second or the next.
                    items.sort_by_cached_key(ToString::to_string);
                }
                items.into()
            }
            Value::String(text) => self.text(key, text).into(),
            other => other,
        }
    }

    /// The revision of a list or a bookmark, which is that of the store: other cases move it, so
    /// only the latest object's revision that it includes can be compared.
    fn store_revision(&self, metadata: Option<&mut Value>) {
        if let Some(version) = metadata.and_then(|m| m.get_mut("resourceVersion")) {
            let number = version.as_str().and_then(|v| v.parse::<u64>().ok());
            if let Some(number) = number.filter(|number| *number > 0) {
                *version = self.at_least(number).into();
            }
        }
    }

    fn at_least(&self, revision: u64) -> String {
        format!(
            "<revision {} or later>",
            self.revisions.range(..=revision).count()
        )
    }

    fn text(&mut self, key: &str, text: String) -> String {
        match key {
            "resourceVersion" => return self.revision(&text),
            "continue" => return self.continue_token(&text),
            "storageVersionHash" if text == self.storage_version_hash() => {
                return "<hash of the storage version>".to_owned();
            }
            _ => {}
        }
        if is_age(&text) {
            return "<age>".to_owned();
        }
        let group = self.side.group;
        let text = text.replace(group, "<group>");
        // A message that quotes the beginning of a body cuts the group's last letter off.
        let text = text.replace(&format!("{} ...", &group[..group.len() - 1]), "<group> ...");
        let text = text.replace(&self.own_namespace, "<own>");
        let text = replace_uids(&text, &mut self.uids);
        replace_revisions(&replace_generated(&replace_times(&text)))
    }

    /// An object's revision as its rank among those of objects.
    fn revision(&self, text: &str) -> String {
        match text.parse::<u64>() {
            Ok(revision) if self.revisions.contains(&revision) => {
                format!("<revision {}>", self.revisions.range(..=revision).count())
            }
            _ => text.to_owned(),
        }
    }

    /// The hash differs with the group: upstream's `discovery.StorageVersionHash`.
    fn storage_version_hash(&self) -> String {
        let version = format!("{}/v1alpha1/DataRecord", self.side.group);
        let hash = Sha256::digest(version);
        BASE64_STANDARD.encode(&hash[..8])
    }

    /// A token as what it stands for. Where the server puts the namespace is its own affair.
    fn continue_token(&self, text: &str) -> String {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let Ok(token) = serde_json::from_slice::<Value>(&decoded) else {
            return text.to_owned();
        };
        let revision = self.at_least(token["rv"].as_u64().unwrap_or_default());
        let start = token["start"].as_str().unwrap_or_default();
        let start = start.trim_end_matches('\0').rsplit('/').next();
        format!("<token at {revision}, after {}>", start.unwrap_or_default())
    }
}

/// Sorts the causes and their texts in the message: upstream checks the fields of a schema in the
/// order of a hash map.
fn sort_causes(status: &mut Map<String, Value>) {
    let causes = status
        .get_mut("details")
        .and_then(|details| details.get_mut("causes"));
    let Some(Value::Array(causes)) = causes else {
        return;
    };
    let texts = |causes: &[Value]| {
        let text = |cause: &Value| {
            let [field, message] = ["field", "message"].map(|key| cause[key].as_str());
            format!(
                "{}: {}",
                field.unwrap_or_default(),
                message.unwrap_or_default()
            )
        };
        causes.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    let before = texts(causes);
    causes.sort_by_key(ToString::to_string);
    let after = texts(causes);
    if let Some(Value::String(message)) = status.get_mut("message") {
        *message = message.replace(&before, &after);
    }
}

fn is_list(value: &Value) -> bool {
    let kind = value["kind"].as_str().unwrap_or_default();
    kind.ends_with("List") || kind == "Table"
}
