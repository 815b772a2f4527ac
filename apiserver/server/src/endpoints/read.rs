//! GET of an object and of a collection.

use std::sync::Arc;

use apimachinery::{ApiError, ListOptions};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Call;
use crate::{
    cacher::{Entry, Selection},
    negotiation::{self, Representation},
    registry::ListResult,
    response::{self, Body},
};

impl Call<'_> {
    pub(super) async fn get(&self) -> Result<Response<Body>, ApiError> {
        let options = ListOptions::from_query(&self.resource_version_only())?;
        let (namespace, name) = (&self.resource.namespace, &self.resource.name);
        let entry = self
            .store
            .get(namespace, name, options.resource_version)
            .await?;
        self.object(StatusCode::OK, entry.served())
    }

    pub(super) async fn list(&self) -> Result<Response<Body>, ApiError> {
        let representation = negotiation::representation(self.headers)?;
        let options = ListOptions::from_query(&self.info.query)?;
        let selection = Selection::from_options(&options, self.store.definition())?;
        let found = self
            .store
            .list(&self.resource.namespace, &selection, &options)
            .await?;
        let metadata = list_metadata(&found);
        match representation {
            Representation::Object => {
                let head = self.list_head(&metadata);
                Ok(response::list(head, found.entries))
            }
            Representation::Table => {
                let (include, now) = (self.include()?, Timestamp::now());
                let table = self.store.table();
                let row = |object: Value| table.row(&object, include, now);
                let rows = found.entries.iter().map(|e| decoded(e).map(row));
                let rows = rows.collect::<Result<Vec<_>, _>>()?;
                Ok(response::json(
                    StatusCode::OK,
                    &table.table(&metadata, &rows),
                ))
            }
            Representation::PartialObjectMetadata => {
                let partial = |o: Value| apimachinery::table::partial_object_metadata(&o);
                let items = found.entries.iter().map(|e| decoded(e).map(partial));
                let list = json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items.collect::<Result<Vec<_>, _>>()?,
                });
                Ok(response::json(StatusCode::OK, &list))
            }
        }
    }

    /// A list of whole objects up to its first item.
    pub(super) fn list_head(&self, metadata: &Value) -> String {
        let definition = self.store.definition();
        format!(
            "{{\"apiVersion\":{},\"kind\":{},\"metadata\":{metadata},\"items\":[",
            json!(definition.api_version()),
            json!(definition.names.list_kind),
        )
    }

    /// Of the query of a GET only the resource version counts.
    fn resource_version_only(&self) -> Vec<(String, String)> {
        let query = self.info.query.iter();
        query
            .filter(|(key, _)| key == "resourceVersion")
            .cloned()
            .collect()
    }
}

fn decoded(entry: &Arc<Entry>) -> Result<Value, ApiError> {
    serde_json::from_slice(&entry.served()).map_err(ApiError::internal)
}

fn list_metadata(found: &ListResult) -> Value {
    let mut metadata = json!({ "resourceVersion": found.revision.to_string() });
    if let Some(token) = &found.continue_token {
        metadata["continue"] = json!(token);
    }
    if let Some(remaining) = found.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    metadata
}
