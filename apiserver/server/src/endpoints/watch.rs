//! Watch.

use std::{sync::Arc, time::Duration};

use apimachinery::{ApiError, ListOptions, table::IncludeObject};
use futures::{StreamExt, future::ready, stream};
use http::Response;
use jiff::Timestamp;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Call;
use crate::{
    cacher::{
        Conversion, Entry, Selection, View, WatchParameters, WatchStart, Watcher, error_frame,
    },
    limits::Place,
    negotiation::Representation,
    registry::{Store, Subresource},
    response::{self, Body},
};

/// How long a watch lasts when the client does not say, in seconds; spread out, so that not all
/// watches come back at once. As upstream's `minRequestTimeout`.
const TIMEOUT_SECONDS: std::ops::Range<u64> = 1800..3600;
/// The longest watch, a day: clients come back anyway, and any clock can add it.
const TIMEOUT_SECONDS_MAX: u64 = 24 * 3600;

impl Call<'_> {
    pub(super) async fn watch(&self, place: Place) -> Result<Response<Body>, ApiError> {
        let options = ListOptions::from_query(&self.info.query)?;
        let selection = Selection::from_options(&options, self.store.definition())?;
        self.store
            .wait_for(options.resource_version, "watch")
            .await?;
        let view = match self.representation {
            Representation::Object => {
                let definition = self.store.definition();
                let kind = definition.names.kind.clone();
                View::Object(Arc::new((definition.api_version(), kind)))
            }
            Representation::Table(_) => View::Converted(Arc::new(TableView {
                store: Arc::clone(self.store),
                include: self.include()?,
            })),
            Representation::PartialObjectMetadata { .. } => View::Converted(Arc::new(MetadataView)),
        };
        let seconds = options
            .timeout_seconds
            .unwrap_or_else(|| rand::rng().random_range(TIMEOUT_SECONDS))
            .min(TIMEOUT_SECONDS_MAX);
        let parameters = WatchParameters {
            prefix: self.store.prefix(&self.resource.namespace),
            selection,
            bookmarks: options.allow_watch_bookmarks,
            start: WatchStart::from_options(&options),
            view,
            deadline: Instant::now() + Duration::from_secs(seconds),
            shutdown: self.shutdown.clone(),
        };
        let frames = match Watcher::start(self.store.cacher(), parameters) {
            Ok(watcher) => watcher.into_stream(),
            // An event, not an answer of 410, as upstream's cacher: clients of kube list anew only
            // for an event, and would ask for the same revision for ever.
            Err(error) => {
                let frame = error_frame(&error);
                return Ok(response::watch(stream::once(ready(frame))));
            }
        };
        Ok(response::watch(frames.map(move |frame| {
            let _place = &place;
            frame
        })))
    }
}

/// Every event a Table of one row; only the first has column definitions.
struct TableView {
    store: Arc<Store>,
    include: IncludeObject,
}

impl TableView {
    fn table(&self, row: Value, resource_version: &Value) -> Value {
        let metadata = json!({ "resourceVersion": resource_version });
        self.store.table(Subresource::None).table(&metadata, &[row])
    }
}

impl Conversion for TableView {
    fn index(&self) -> usize {
        match self.include {
            IncludeObject::None => 0,
            IncludeObject::Metadata => 1,
            IncludeObject::Object => 2,
        }
    }

    fn object(&self, entry: &Entry) -> Value {
        without_columns(self.first_object(entry))
    }

    fn first_object(&self, entry: &Entry) -> Value {
        let row = self.store.table(Subresource::None).row(
            &decoded(entry),
            self.include,
            Timestamp::now(),
        );
        self.table(row, &json!(entry.revision.to_string()))
    }

    fn bookmark(&self, metadata: Value, is_first: bool) -> Value {
        let table = self.store.table(Subresource::None);
        let resource_version = metadata["resourceVersion"].clone();
        let row = table.bookmark_row(self.store.definition(), &metadata, self.include);
        let shown = self.table(row, &resource_version);
        if is_first {
            shown
        } else {
            without_columns(shown)
        }
    }
}

/// Every event with the object's metadata alone.
struct MetadataView;

impl Conversion for MetadataView {
    fn index(&self) -> usize {
        3
    }

    fn object(&self, entry: &Entry) -> Value {
        apimachinery::table::partial_object_metadata(&decoded(entry))
    }

    fn bookmark(&self, metadata: Value, _is_first: bool) -> Value {
        json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        })
    }
}

fn without_columns(mut table: Value) -> Value {
    table["columnDefinitions"] = Value::Null;
    table
}

fn decoded(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.served()).unwrap_or_default()
}
