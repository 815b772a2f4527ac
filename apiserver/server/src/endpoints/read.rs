//! GET of an object and of a collection.

use std::sync::Arc;

use apimachinery::{ApiError, ListOptions, StatusReason};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Call, set_meta_version};
use crate::{
    cacher::{Entry, Selection},
    negotiation::Representation,
    registry::{ListResult, Subresource},
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
        let options = ListOptions::from_query(&self.info.query)?;
        let selection = Selection::from_options(&options, self.store.definition())?;
        let namespace = &self.resource.namespace;
        let found = self.store.list(namespace, &selection, &options).await?;
        self.listed(found)
    }

    /// A list in the representation that the client asked for.
    pub(super) fn listed(&self, found: ListResult) -> Result<Response<Body>, ApiError> {
        let mut metadata = list_metadata(&found);
        let decoded = found.entries.iter().map(decoded);
        let (mut shown, version) = match self.representation {
            Representation::Object => {
                // A custom resource's list says so even when there is no next page.
                if found.continue_token.is_none() {
                    metadata["continue"] = json!("");
                }
                let head = self.list_head(&metadata);
                return Ok(response::list(head, found.entries));
            }
            Representation::Table(version) => {
                let (include, now) = (self.include()?, Timestamp::now());
                let table = self.store.table(Subresource::None);
                let rows = decoded.map(|o| o.map(|o| table.row(&o, include, now)));
                let rows = rows.collect::<Result<Vec<_>, _>>()?;
                (table.table(&metadata, &rows), version)
            }
            Representation::PartialObjectMetadata { version, is_list } => {
                if !is_list {
                    return Err(ApiError::new(
                        StatusReason::NotAcceptable,
                        "you requested PartialObjectMetadata, but the requested object is a list",
                    ));
                }
                let partial = |o: Value| apimachinery::table::partial_object_metadata(&o);
                let items = decoded.map(|o| o.map(partial));
                let list = json!({
                    "kind": "PartialObjectMetadataList",
                    "metadata": metadata, "items": items.collect::<Result<Vec<_>, _>>()?,
                });
                (list, version)
            }
        };
        set_meta_version(&mut shown, version);
        Ok(response::json(StatusCode::OK, &shown))
    }

    /// A list of whole objects up to its first item.
    fn list_head(&self, metadata: &Value) -> String {
        let definition = self.store.definition();
        format!(
            "{{\"apiVersion\":{},\"kind\":{},\"metadata\":{metadata},\"items\":[",
            json!(definition.api_version()),
            json!(definition.names.list_kind),
        )
    }

    /// Of the query of a GET only the resource version counts.
    pub(super) fn resource_version_only(&self) -> Vec<(String, String)> {
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
