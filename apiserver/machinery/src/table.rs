//! `meta.k8s.io/v1` Table: what `kubectl get` prints.
//!
//! Mirrors `k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor`.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    definition::{PrinterColumn, ResourceDefinition},
    go_format::{self, GoNumber},
    jsonpath::JsonPath,
    object_meta::parse_time,
    time::human_duration,
};

/// Turns objects of one resource into rows.
#[derive(Clone, Debug)]
pub struct TableConverter {
    columns: Vec<Column>,
    definitions: Value,
}

#[derive(Clone, Debug)]
struct Column {
    path: JsonPath,
    kind: ColumnKind,
}

/// How the value of a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnKind {
    Integer,
    Number,
    Boolean,
    String,
    Date,
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
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must \
                 be 'Metadata', 'Object', 'None', or empty"
            )),
        }
    }
}

impl TableConverter {
    /// A converter for a resource; the error names the column whose path or type is not understood.
    /// A resource without columns shows its age.
    pub fn new(definition: &ResourceDefinition) -> Result<Self, String> {
        let age = [PrinterColumn {
            name: "Age".to_owned(),
            column_type: "date".to_owned(),
            json_path: ".metadata.creationTimestamp".to_owned(),
            description: "When the object was created.".to_owned(),
            priority: 0,
        }];
        let shown = match definition.columns.as_slice() {
            [] => &age,
            columns => columns,
        };
        let mut columns = Vec::new();
        let mut definitions = vec![json!({
            "name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": "Name must be unique within a namespace.",
        })];
        for column in shown {
            let at = |problem: String| format!("column {:?}: {problem}", column.name);
            columns.push(Column {
                path: JsonPath::parse(&column.json_path).map_err(at)?,
                kind: ColumnKind::of(&column.column_type).map_err(at)?,
            });
            let description = match column.description.as_str() {
                "" => format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    column.json_path
                ),
                description => description.to_owned(),
            };
            definitions.push(json!({
                "name": column.name, "type": column.column_type, "format": "",
                "priority": column.priority, "description": description,
            }));
        }
        Ok(Self {
            columns,
            definitions: Value::Array(definitions),
        })
    }

    /// One row; `now` is what ages count from.
    pub fn row(&self, object: &Value, include: IncludeObject, now: Timestamp) -> Value {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let cells: Vec<Value> = std::iter::once(Value::from(name.unwrap_or_default()))
            .chain(self.columns.iter().map(|c| c.cell(object, now)))
            .collect();
        let shown = match include {
            IncludeObject::None => Value::Null,
            IncludeObject::Metadata => partial_object_metadata(object),
            IncludeObject::Object => object.clone(),
        };
        json!({ "cells": cells, "object": shown })
    }

    /// The row of a bookmark: empty cells, and an object with nothing but this metadata. The one that
    /// ends the initial events has it even for a client that wants no objects.
    pub fn bookmark_row(
        &self,
        definition: &ResourceDefinition,
        metadata: &Value,
        include: IncludeObject,
    ) -> Value {
        let object = json!({
            "kind": definition.names.kind, "apiVersion": definition.api_version(),
            "metadata": metadata,
        });
        let ends_initial_events = metadata.get("annotations").is_some();
        let shown = match include {
            IncludeObject::Object => object,
            IncludeObject::None if !ends_initial_events => Value::Null,
            IncludeObject::None | IncludeObject::Metadata => partial_object_metadata(&object),
        };
        let mut cells = vec![Value::Null; self.columns.len() + 1];
        cells[0] = "".into();
        json!({ "cells": cells, "object": shown })
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

impl ColumnKind {
    fn of(name: &str) -> Result<Self, String> {
        match name {
            "integer" => Ok(Self::Integer),
            "number" => Ok(Self::Number),
            "boolean" => Ok(Self::Boolean),
            "string" => Ok(Self::String),
            "date" => Ok(Self::Date),
            other => Err(format!(
                "the type {other:?} must be one of boolean,date,integer,number,string"
            )),
        }
    }
}

impl Column {
    /// The first value at the path; null where there is none or none of the column's type.
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.find(object).unwrap_or_default();
        let Some(value) = found.first() else {
            return Value::Null;
        };
        match (self.kind, value.as_ref()) {
            (ColumnKind::String, value) => Value::from(text(value)),
            (ColumnKind::Integer, Value::Number(number)) => match GoNumber::of(number) {
                GoNumber::Integer(integer) => integer.into(),
                GoNumber::Float(float) => format!("{:.0}", float.trunc())
                    .parse::<i64>()
                    .map_or(Value::Null, Value::from),
            },
            (ColumnKind::Number, number @ Value::Number(_)) => {
                // Go writes a float without a fraction as an integer.
                let integer = go_format::json(number).parse::<i64>();
                integer.map_or_else(|_| number.clone(), Value::from)
            }
            (ColumnKind::Boolean, Value::Bool(truth)) => Value::Bool(*truth),
            (ColumnKind::Date, Value::String(text)) => Value::from(age(text, now)),
            _ => Value::Null,
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match GoNumber::of(number) {
            GoNumber::Integer(integer) => integer.to_string(),
            GoNumber::Float(float) => go_format::float(float),
        },
        other => go_format::json(other),
    }
}

fn age(text: &str, now: Timestamp) -> String {
    if matches!(text, "" | "null") {
        return "<unknown>".to_owned();
    }
    match parse_time(text) {
        Ok(time) => human_duration(now.as_second().saturating_sub(time.as_second())),
        Err(_) => "<invalid>".to_owned(),
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
        TableConverter::new(&definition()).unwrap()
    }

    fn definition() -> ResourceDefinition {
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
        ResourceDefinition {
            group: "g.io".to_owned(),
            version: "v1".to_owned(),
            names,
            scope: Scope::Cluster,
            schema: Schema::parse(json!({"type": "object"})).unwrap(),
            status_subresource: false,
            scale: None,
            subresources: Vec::new(),
            selectable_fields: Vec::new(),
            columns: vec![
                column("Source", "string", ".spec.source"),
                column("Age", "date", ".metadata.creationTimestamp"),
            ],
        }
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

    /// R1, W5: a bookmark has a cell per column too, and the object that the client asked for.
    #[test]
    fn a_bookmark_is_a_row_of_empty_cells() {
        let definition = definition();
        let plain = json!({"resourceVersion": "7"});
        let end = json!({"resourceVersion": "7", "annotations": {"a": "b"}});
        for (metadata, include, kind) in [
            (&plain, IncludeObject::None, Value::Null),
            (&end, IncludeObject::None, json!("PartialObjectMetadata")),
            (
                &plain,
                IncludeObject::Metadata,
                json!("PartialObjectMetadata"),
            ),
            (&end, IncludeObject::Object, json!(definition.names.kind)),
        ] {
            let row = converter().bookmark_row(&definition, metadata, include);
            assert_eq!(row["cells"], json!(["", null, null]));
            assert_eq!(row["object"]["kind"], kind);
        }
    }

    /// What the table convertor of Kubernetes 1.36 printed.
    #[derive(serde::Deserialize)]
    struct Case {
        path: String,
        column_type: String,
        cell: Option<Value>,
        error: Option<String>,
    }

    /// R1: paths and cells are those of additionalPrinterColumns.
    #[test]
    fn cells_are_printed_as_upstream() {
        let object: Value =
            serde_json::from_str(include_str!("testdata/table_object.json")).unwrap();
        let cases: Vec<Case> = serde_json::from_str(include_str!("testdata/table.json")).unwrap();
        let now: Timestamp = "2024-01-01T00:05:00Z".parse().unwrap();
        let mut different = Vec::new();
        for case in cases {
            let said = JsonPath::parse(&case.path).map(|path| {
                let kind = ColumnKind::of(&case.column_type).unwrap();
                Column { path, kind }.cell(&object, now)
            });
            let same = match (&said, &case.error) {
                (Ok(cell), None) => cell == case.cell.as_ref().unwrap_or(&Value::Null),
                (said, error) => said.is_err() && error.is_some(),
            };
            if !same {
                let Case {
                    path,
                    column_type,
                    cell,
                    error,
                } = case;
                different.push(format!(
                    "{path} as {column_type}: {said:?}, there {cell:?} {error:?}"
                ));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
    }

    proptest::proptest! {
        #[test]
        fn no_object_panics(object in crate::schema::properties::value()) {
            let row = converter().row(&object, IncludeObject::default(), Timestamp::UNIX_EPOCH);
            assert_eq!(row["cells"].as_array().map(Vec::len), Some(3));
            for path in [".a[0]", "..b", ".b[?(@.a==1)].k", ".n[-1:]", ".*.*"] {
                let _ = JsonPath::parse(path).unwrap().find(&object);
            }
        }
    }
}
