//! What a kube-apiserver did with sequences of writes to a custom resource, done again here.
//!
//! `testdata/apply/*.json` were recorded from kube-apiserver 1.36.3: the schema of the resource, and per
//! scenario the steps, each with its answer. A time is the number of the step that set it. `put` lays
//! a body over the stored object and writes it back, or creates it.

use std::{fs, path::Path};

use crate::{
    Object, ResourceDefinition, ResourceNames, Scope,
    managed_fields::{FieldManager, ignore_timestamps, manager_from_user_agent},
    schema::Schema,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const API_VERSION: &str = "golden.example.com/v1";
const USER_AGENT: &str = "golden";

/// A2, A3, A7: byte for byte the same objects, owners, times, conflicts and refusals.
#[test]
fn sequences_of_writes_end_as_with_kube_apiserver() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/apply");
    let mut failures = Vec::new();
    let mut steps = 0;
    for file in fs::read_dir(directory).unwrap() {
        let recording: Value =
            serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        let server = Server::new(recording["schema"].clone());
        for scenario in recording["scenarios"].as_array().unwrap() {
            steps += scenario["steps"].as_array().unwrap().len();
            if let Err(failure) = server.replay(scenario) {
                failures.push(format!("{}: {failure}", scenario["name"]));
            }
        }
    }
    assert!(steps > 100, "only {steps} steps were recorded");
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// What of the server's way of a write the field manager stands in.
struct Server {
    manager: FieldManager,
    schema: Schema,
}

impl Server {
    fn new(schema: Value) -> Self {
        let definition = ResourceDefinition {
            group: "golden.example.com".to_owned(),
            version: "v1".to_owned(),
            names: ResourceNames {
                kind: "Thing".to_owned(),
                list_kind: "ThingList".to_owned(),
                plural: "things".to_owned(),
                singular: "thing".to_owned(),
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
        };
        Self {
            manager: FieldManager::new(&definition),
            schema: definition.schema,
        }
    }

    fn replay(&self, scenario: &Value) -> Result<(), String> {
        let mut stored = None;
        for (i, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            let result = &step["result"];
            if matches!(result["code"].as_u64().unwrap(), 404 | 422) {
                continue; // refused before or after the field manager
            }
            let at = |problem: String| format!("step {i}: {problem}\n{step:#}");
            match (
                self.write(stored.as_ref(), step, time(i)),
                result.get("object"),
            ) {
                (Ok(new), Some(expected)) => {
                    let expected = with_times(expected.clone());
                    let got = served(&new);
                    if got != expected {
                        return Err(at(format!("got {got:#}\nexpected {expected:#}")));
                    }
                    if (stored.as_ref() != Some(&new)) != result["changed"].as_bool().unwrap() {
                        return Err(at("changed or not".to_owned()));
                    }
                    stored = Some(new);
                }
                (Err(error), None) => {
                    let (got, expected) = (error.to_string(), result["message"].as_str().unwrap());
                    let same = up_to_value(&got) == up_to_value(expected);
                    let status = error.to_status();
                    let causes = status["details"]
                        .get("causes")
                        .cloned()
                        .unwrap_or_else(|| json!([]));
                    if !same || sorted(&causes) != sorted(&result["causes"]) {
                        return Err(at(format!("got {got}\n{causes:#}")));
                    }
                }
                (Ok(new), None) => return Err(at(format!("got {new:?}"))),
                (Err(error), Some(_)) => return Err(at(format!("got {error}"))),
            }
        }
        Ok(())
    }

    fn write(
        &self,
        live: Option<&Object>,
        step: &Value,
        now: Timestamp,
    ) -> Result<Object, crate::ApiError> {
        let subresource = step["subresource"].as_str().unwrap_or_default();
        let manager = match step["manager"].as_str().unwrap() {
            "" => manager_from_user_agent(USER_AGENT),
            manager => manager.to_owned(),
        };
        let mut new = if step["op"] == "apply" {
            let force = step["force"] == true;
            let applied = object(&step["body"]);
            self.manager
                .apply(live, &applied, &manager, subresource, force, now)?
        } else {
            let mut new = live.map_or_else(|| object(&step["body"]), |l| overlay(l, &step["body"]));
            drop_empty_metadata(&mut new);
            self.schema.apply_defaults(new.fields_mut());
            self.manager
                .update(live, &mut new, &manager, subresource, now);
            new
        };
        self.schema.apply_defaults(new.fields_mut());
        drop_empty_metadata(&mut new);
        let Some(live) = live else {
            new.set("status", None);
            new.set_metadata_field("uid", Some(json!("u")));
            return Ok(new);
        };
        ignore_timestamps(live, &mut new);
        if subresource == "status" {
            let mut kept = live.clone();
            kept.set("status", new.get("status").cloned());
            kept.set_metadata_field(
                "managedFields",
                new.metadata_field("managedFields").cloned(),
            );
            return Ok(kept);
        }
        new.set("status", live.get("status").cloned());
        Ok(new)
    }
}

fn time(step: usize) -> Timestamp {
    let step = i64::try_from(step).unwrap();
    let first: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    first + SignedDuration::from_secs(step)
}

fn with_times(mut object: Value) -> Value {
    let entries = object["metadata"].get_mut("managedFields");
    for entry in entries.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(step) = entry["time"].as_u64() {
            entry["time"] = json!(time(usize::try_from(step).unwrap()).to_string());
        }
        entry.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    }
    object
}

fn object(body: &Value) -> Object {
    let mut object = Object::as_sent(body.clone()).unwrap();
    object.set("apiVersion", Some(json!(API_VERSION)));
    object.set("kind", Some(json!("Thing")));
    object.set_metadata_field("name", Some(json!("a")));
    object.set_metadata_field("namespace", Some(json!("default")));
    object
}

fn overlay(live: &Object, body: &Value) -> Object {
    let mut new = live.clone();
    for (key, value) in body.as_object().unwrap() {
        if key == "metadata" {
            for (key, value) in value.as_object().unwrap() {
                new.set_metadata_field(key, (!value.is_null()).then(|| value.clone()));
            }
        } else {
            new.set(key, (!value.is_null()).then(|| value.clone()));
        }
    }
    new
}

/// What decoding does to the metadata of an object and of the one that is embedded in it.
fn drop_empty_metadata(object: &mut Object) {
    let fields = object.fields_mut();
    drop_empty(fields.get_mut("metadata"));
    let embedded = fields.get_mut("spec").and_then(|s| s.get_mut("embedded"));
    drop_empty(embedded.and_then(|e| e.get_mut("metadata")));
}

fn drop_empty(metadata: Option<&mut Value>) {
    if let Some(Value::Object(metadata)) = metadata {
        metadata.retain(|_, value| match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            value => !value.is_null(),
        });
    }
}

/// The object without what only this test adds, with numbers as Go writes them.
fn served(object: &Object) -> Value {
    let mut object = object.clone();
    object.set_metadata_field("uid", None);
    let mut value = object.into_value();
    write_whole_floats_as_integers(&mut value);
    value
}

fn write_whole_floats_as_integers(value: &mut Value) {
    match value {
        Value::Number(n) if n.to_string().ends_with(".0") => {
            *value = n.to_string().trim_end_matches(".0").parse().unwrap();
        }
        Value::Array(list) => list.iter_mut().for_each(write_whole_floats_as_integers),
        Value::Object(map) => map.values_mut().for_each(write_whole_floats_as_integers),
        _ => {}
    }
}

/// The message without the value that is wrong, which upstream prints in Go's inner form.
fn up_to_value(message: &str) -> &str {
    message.split(", got ").next().unwrap()
}

fn sorted(causes: &Value) -> Vec<String> {
    let mut causes: Vec<String> = causes
        .as_array()
        .into_iter()
        .flatten()
        .map(|cause| json!([cause["reason"], cause["message"], cause["field"]]).to_string())
        .collect();
    causes.sort();
    causes
}
