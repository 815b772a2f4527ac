//! OpenAPI v2, made from the v3 documents: what kube-apiserver merges into its own and what older
//! clients read. Without it kube-apiserver's log complains every minute.
//!
//! Only what the v3 documents here contain is converted: one reference in an `allOf`, bodies with
//! one schema for all media types.

use serde_json::{Map, Value, json};

use super::COMPONENTS;

const DEFINITIONS: &str = "#/definitions/";

/// One document of all group versions.
pub(super) fn document(v3: &[&Value]) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for document in v3 {
        for (path, item) in members(&document["paths"]) {
            paths.insert(path.clone(), path_item(item));
        }
        for (name, schema) in members(&document["components"]["schemas"]) {
            definitions.insert(name.clone(), schema_of(schema));
        }
    }
    let info = v3
        .first()
        .map(|document| document["info"].clone())
        .unwrap_or_default();
    json!({ "swagger": "2.0", "info": info, "paths": paths, "definitions": definitions })
}

fn path_item(item: &Value) -> Value {
    let convert = |(key, value): (&String, &Value)| {
        let value = if key == "parameters" {
            parameters(value)
        } else {
            operation(value)
        };
        (key.clone(), value)
    };
    members(item).map(convert).collect()
}

fn operation(operation: &Value) -> Value {
    let mut converted = Map::new();
    for (key, value) in members(operation) {
        match key.as_str() {
            "parameters" | "requestBody" => {}
            "responses" => {
                converted.insert(key.clone(), responses(value));
            }
            _ => {
                converted.insert(key.clone(), value.clone());
            }
        }
    }
    let mut list = parameters(&operation["parameters"]);
    let mut consumes = vec!["application/json"];
    if let Some(body) = operation.get("requestBody") {
        consumes = members(&body["content"])
            .map(|(media_type, _)| media_type.as_str())
            .collect();
        let schema = members(&body["content"])
            .next()
            .map(|(_, content)| schema_of(&content["schema"]));
        let required = body["required"] == true;
        if let Some(list) = list.as_array_mut() {
            list.push(
                json!({ "name": "body", "in": "body", "required": required, "schema": schema }),
            );
        }
    }
    converted.insert("consumes".to_owned(), json!(consumes));
    converted.insert("produces".to_owned(), json!(["application/json"]));
    converted.insert("schemes".to_owned(), json!(["https"]));
    converted.insert("parameters".to_owned(), list);
    Value::Object(converted)
}

/// In v2 a parameter's type stands beside its name.
fn parameters(parameters: &Value) -> Value {
    let flatten = |parameter: &Value| {
        let mut flat = parameter.as_object().cloned().unwrap_or_default();
        if let Some(Value::Object(schema)) = flat.remove("schema") {
            flat.extend(schema);
        }
        Value::Object(flat)
    };
    parameters
        .as_array()
        .into_iter()
        .flatten()
        .map(flatten)
        .collect()
}

fn responses(responses: &Value) -> Value {
    let convert = |(code, response): (&String, &Value)| {
        let mut converted = json!({ "description": response["description"] });
        if let Some((_, content)) = members(&response["content"]).next() {
            converted["schema"] = schema_of(&content["schema"]);
        }
        (code.clone(), converted)
    };
    members(responses).map(convert).collect()
}

fn schema_of(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut converted = Map::new();
            for (key, value) in map {
                match key.as_str() {
                    "nullable" => {}
                    "$ref" => {
                        let name = value.as_str().and_then(|r| r.strip_prefix(COMPONENTS));
                        let reference = format!("{DEFINITIONS}{}", name.unwrap_or_default());
                        converted.insert(key.clone(), Value::from(reference));
                    }
                    // The only member, a reference, takes the place of the list.
                    "allOf" => {
                        for one in value.as_array().into_iter().flatten() {
                            converted
                                .extend(schema_of(one).as_object().cloned().unwrap_or_default());
                        }
                    }
                    _ => {
                        converted.insert(key.clone(), schema_of(value));
                    }
                }
            }
            Value::Object(converted)
        }
        Value::Array(list) => list.iter().map(schema_of).collect(),
        scalar => scalar.clone(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
