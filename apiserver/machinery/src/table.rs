//! `meta.k8s.io/v1` Table: what `kubectl get` prints.
//!
//! Mirrors `k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor`. Deviation:
//! a column's path is a plain chain of members; filters and wildcards are refused when the table is
//! made, not at print time.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{definition::ResourceDefinition, time::human_duration};

/// Turns objects of one resource into rows.
#[derive(Clone, Debug)]
pub struct TableConverter {
    columns: Vec<Column>,
    definitions: Value,
}

#[derive(Clone, Debug)]
struct Column {
    pointer: String,
    is_date: bool,
}

/// How much of the object each row carries: `includeObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Only its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl IncludeObject {
    /// Reads the query parameter; the error is a sentence for the client.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(format!(
                "unrecognized includeObject value: {other:?}: use None, Metadata or Object"
            )),
        }
    }
}

impl TableConverter {
    /// A converter for a resource; the error names the column whose path is not understood.
    pub fn new(definition: &ResourceDefinition) -> Result<Self, String> {
        let mut columns = vec![Column {
            pointer: "/metadata/name".to_owned(),
            is_date: false,
        }];
        let mut definitions = vec![json!({
            "name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": "Name must be unique within a namespace.",
        })];
        for column in &definition.columns {
            columns.push(Column {
                pointer: pointer(&column.json_path)
                    .map_err(|e| format!("column {:?}: {e}", column.name))?,
                is_date: column.column_type == "date",
            });
            definitions.push(json!({
                "name": column.name, "type": column.column_type, "format": "",
                "priority": column.priority, "description": column.description,
            }));
        }
        Ok(Self {
            columns,
            definitions: Value::Array(definitions),
        })
    }

    /// One row; `now` is what ages count from.
    pub fn row(&self, object: &Value, include: IncludeObject, now: Timestamp) -> Value {
        let cells: Vec<Value> = self.columns.iter().map(|c| c.cell(object, now)).collect();
        let shown = match include {
            IncludeObject::None => Value::Null,
            IncludeObject::Metadata => partial_object_metadata(object),
            IncludeObject::Object => object.clone(),
        };
        json!({ "cells": cells, "object": shown })
    }

    /// The row of a bookmark: empty cells, and an object with nothing but this metadata.
    pub fn empty_row(&self, definition: &ResourceDefinition, metadata: Value) -> Value {
        let object = json!({
            "kind": definition.names.kind, "apiVersion": definition.api_version(),
            "metadata": metadata,
        });
        json!({ "cells": vec![Value::Null; self.columns.len()], "object": object })
    }

    /// The column definitions.
    pub fn column_definitions(&self) -> &Value {
        &self.definitions
    }

    /// A whole Table with the list's metadata.
    pub fn table(&self, metadata: &Value, rows: &[Value]) -> Value {
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": self.definitions, "rows": rows,
        })
    }
}

/// The object's metadata alone, as `meta.k8s.io/v1` `PartialObjectMetadata`.
pub fn partial_object_metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

impl Column {
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(value) = object.pointer(&self.pointer) else {
            return Value::Null;
        };
        if !self.is_date {
            return match value {
                Value::Array(_) | Value::Object(_) => Value::from(value.to_string()),
                scalar => scalar.clone(),
            };
        }
        match value.as_str().map(str::parse::<Timestamp>) {
            Some(Ok(time)) => Value::from(human_duration(
                now.as_second().saturating_sub(time.as_second()),
            )),
            Some(Err(_)) => Value::from("<invalid>"),
            None => Value::Null,
        }
    }
}

/// `.a.b` as the JSON pointer `/a/b`.
fn pointer(path: &str) -> Result<String, String> {
    let chain = path
        .strip_prefix('.')
        .filter(|c| !c.is_empty() && !c.contains(['[', '*', '(']));
    match chain {
        Some(chain) => Ok(format!("/{}", chain.replace('.', "/"))),
        None => Err(format!(
            "the path {path:?} must be a chain of members such as .spec.source"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        definition::{PrinterColumn, ResourceNames, Scope},
        schema::Schema,
    };

    fn converter() -> TableConverter {
        let column = |name: &str, column_type: &str, json_path: &str| PrinterColumn {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            json_path: json_path.to_owned(),
            description: String::new(),
            priority: 0,
        };
        let names = ResourceNames {
            kind: "K".to_owned(),
            list_kind: "KList".to_owned(),
            plural: "ks".to_owned(),
            singular: "k".to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
        };
        TableConverter::new(&ResourceDefinition {
            group: "g.io".to_owned(),
            version: "v1".to_owned(),
            names,
            scope: Scope::Cluster,
            schema: Schema::parse(json!({"type": "object"})).unwrap(),
            status_subresource: false,
            scale: None,
            selectable_fields: Vec::new(),
            columns: vec![
                column("Source", "string", ".spec.source"),
                column("Age", "date", ".metadata.creationTimestamp"),
            ],
        })
        .unwrap()
    }

    /// R1: cells in the order of the columns, ages in words, and only metadata by default.
    #[test]
    fn a_row_has_a_cell_per_column() {
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"source": "pg"}});
        let now: Timestamp = "2024-01-01T00:05:00Z".parse().unwrap();
        let row = converter().row(&object, IncludeObject::default(), now);
        assert_eq!(row["cells"], json!(["a", "pg", "5m"]));
        assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
        assert!(row["object"].get("spec").is_none());
    }

    #[test]
    fn a_missing_value_is_an_empty_cell() {
        let row = converter().row(
            &json!({"metadata": {"name": "a"}}),
            IncludeObject::None,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(row["cells"], json!(["a", null, null]));
        assert_eq!(row["object"], Value::Null);
    }

    #[test]
    fn a_path_that_is_no_chain_is_refused() {
        assert!(pointer(".spec.items[0]").is_err());
        assert!(pointer("spec").is_err());
    }
}
