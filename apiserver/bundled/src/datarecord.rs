//! The DataRecord kind: `data.kubedojo.io/v1alpha1`.

use std::collections::BTreeMap;

use apimachinery::{PrinterColumn, ResourceDefinition, ResourceNames, Scope, schema::Schema};
use jiff::{SignedDuration, Timestamp};
use kube::core::schema::{OptionalEnum, StructuralSchemaRewriter};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

/// API group.
pub(crate) const GROUP: &str = "data.kubedojo.io";
/// API version.
pub(crate) const VERSION: &str = "v1alpha1";
/// Plural name.
pub(crate) const PLURAL: &str = "datarecords";

/// A record whose data comes from outside the cluster's own store.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is read; objects travel as JSON")]
struct DataRecord {
    /// What to fetch and what was found.
    spec: DataRecordSpec,
    /// How current the data is.
    status: Option<DataRecordStatus>,
}

/// What to fetch and what was found.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is read; objects travel as JSON")]
struct DataRecordSpec {
    /// System that the data comes from, such as postgres, redis or consul.
    source: String,
    /// What the source is asked, in its own language.
    query: Option<String>,
    /// The data that the query gave.
    data: Option<BTreeMap<String, String>>,
}

/// How current the data is.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only the schema is read; objects travel as JSON")]
struct DataRecordStatus {
    /// When the data was last fetched.
    #[schemars(with = "Option<DateTime>")]
    last_sync_time: Option<()>,
    /// Whether the data is as the source has it.
    sync_status: Option<SyncStatus>,
}

/// Whether the data is as the source has it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is read; objects travel as JSON")]
enum SyncStatus {
    /// It is.
    Current,
    /// It was, when it was last fetched.
    Stale,
}

/// A time in RFC 3339.
struct DateTime;

impl JsonSchema for DateTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DateTime".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// The kind as the server serves it.
///
/// # Errors
/// A sentence that names what the machinery does not understand in the schema.
pub(crate) fn definition() -> Result<ResourceDefinition, String> {
    let column =
        |name: &str, column_type: &str, json_path: &str, description: &str| PrinterColumn {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            json_path: json_path.to_owned(),
            description: description.to_owned(),
            priority: 0,
        };
    Ok(ResourceDefinition {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        names: ResourceNames {
            kind: "DataRecord".to_owned(),
            list_kind: "DataRecordList".to_owned(),
            plural: PLURAL.to_owned(),
            singular: "datarecord".to_owned(),
            short_names: vec!["dr".to_owned()],
            categories: vec!["all".to_owned(), "kubedojo".to_owned()],
        },
        scope: Scope::Namespaced,
        schema: schema()?,
        status_subresource: true,
        scale: None,
        subresources: Vec::new(),
        selectable_fields: Vec::new(),
        columns: vec![
            column(
                "Source",
                "string",
                ".spec.source",
                "System that the data comes from.",
            ),
            column(
                "Status",
                "string",
                ".status.syncStatus",
                "Whether the data is current.",
            ),
            column(
                "Last Sync",
                "date",
                ".status.lastSyncTime",
                "When it was last fetched.",
            ),
            column(
                "Age",
                "date",
                ".metadata.creationTimestamp",
                "When the record was made.",
            ),
        ],
    })
}

fn schema() -> Result<Schema, String> {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let settings = settings
        .with_transform(OptionalEnum)
        .with_transform(StructuralSchemaRewriter);
    Schema::parse(
        settings
            .into_generator()
            .into_root_schema_for::<DataRecord>()
            .to_value(),
    )
}

/// The three records that a first look shows: namespace and object.
pub(crate) fn examples(now: Timestamp) -> [(&'static str, Value); 3] {
    let record = |name: &str, spec: Value, sync_status: &str, synced: Timestamp| {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "DataRecord",
            "metadata": { "name": name },
            "spec": spec,
            "status": {
                "lastSyncTime": apimachinery::time::format_time(synced), "syncStatus": sync_status,
            },
        })
    };
    let five_minutes_ago = now - SignedDuration::from_mins(5);
    [
        (
            "default",
            record(
                "user-config",
                json!({
                    "source": "postgres",
                    "query": "SELECT * FROM config WHERE env='production'",
                    "data": { "max_connections": "100", "timeout_ms": "5000", "log_level": "info" },
                }),
                "Current",
                now,
            ),
        ),
        (
            "default",
            record(
                "feature-flags",
                json!({
                    "source": "redis", "query": "HGETALL feature:flags",
                    "data": { "dark_mode": "true", "new_dashboard": "false", "beta_api": "true" },
                }),
                "Current",
                now,
            ),
        ),
        (
            "monitoring",
            record(
                "metrics-config",
                json!({
                    "source": "consul", "query": "kv/monitoring/config",
                    "data": { "scrape_interval": "15s", "retention_days": "30" },
                }),
                "Stale",
                five_minutes_ago,
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_structural_and_as_published() {
        insta::assert_json_snapshot!("schema", definition().unwrap().schema.json());
    }

    #[test]
    fn every_example_satisfies_the_schema() {
        let definition = definition().unwrap();
        for (_, example) in examples(Timestamp::UNIX_EPOCH) {
            let mut object = example.as_object().unwrap().clone();
            assert_eq!(definition.schema.prune(&mut object), Vec::<String>::new());
            assert_eq!(definition.schema.validate(&object), Vec::new());
        }
    }
}
