//! What the tests of this crate share.

use apimachinery::{PrinterColumn, ResourceDefinition, ResourceNames, Scope, schema::Schema};
use serde_json::json;

/// A small namespaced kind with a status.
pub(crate) fn thing_definition() -> ResourceDefinition {
    ResourceDefinition {
        group: "test.io".to_owned(),
        version: "v1".to_owned(),
        names: ResourceNames {
            kind: "Thing".to_owned(),
            list_kind: "ThingList".to_owned(),
            plural: "things".to_owned(),
            singular: "thing".to_owned(),
            short_names: vec!["th".to_owned()],
            categories: vec!["all".to_owned()],
        },
        scope: Scope::Namespaced,
        schema: Schema::parse(json!({
            "type": "object", "required": ["spec"], "properties": {
                "spec": {"type": "object", "required": ["size"], "properties": {
                    "size": {"type": "integer", "minimum": 0},
                    "colour": {"type": "string"},
                }},
                "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
            },
        }))
        .unwrap(),
        status_subresource: true,
        scale: None,
        subresources: Vec::new(),
        selectable_fields: Vec::new(),
        columns: vec![PrinterColumn {
            name: "Size".to_owned(),
            column_type: "integer".to_owned(),
            json_path: ".spec.size".to_owned(),
            description: "How large it is.".to_owned(),
            priority: 0,
        }],
    }
}
