//! Watch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use apimachinery::{ApiError, ListOptions, table::IncludeObject};
use futures::StreamExt;
use http::Response;
use jiff::Timestamp;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Call;
use crate::{
    cacher::{Encoder, Selection, WatchParameters, WatchStart, Watcher},
    limits::Place,
    negotiation::{self, Representation},
    registry::Store,
    response::{self, Body},
};

/// How long a watch lasts when the client does not say, in seconds; spread out, so that not all
/// watches come back at once. As upstream's `minRequestTimeout`.
const TIMEOUT_SECONDS: std::ops::Range<u64> = 1800..3600;
/// The longest watch, a day: clients come back anyway, and any clock can add it.
const TIMEOUT_SECONDS_MAX: u64 = 24 * 3600;

impl Call<'_> {
    pub(super) async fn watch(&self, place: Place) -> Result<Response<Body>, ApiError> {
        let representation = negotiation::representation(self.headers)?;
        let options = ListOptions::from_query(&self.info.query)?;
        let selection = Selection::from_options(&options)?;
        self.store
            .wait_for(options.resource_version, "watch")
            .await?;
        let definition = self.store.definition();
        let (encoder, api_version_kind) = match representation {
            Representation::Object => (
                None,
                (definition.api_version(), definition.names.kind.clone()),
            ),
            Representation::Table => (
                Some(table_encoder(self.store, self.include()?)),
                meta("Table"),
            ),
            Representation::PartialObjectMetadata => {
                (Some(partial_encoder()), meta("PartialObjectMetadata"))
            }
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
            api_version_kind,
            encoder,
            deadline: Instant::now() + Duration::from_secs(seconds),
            shutdown: self.shutdown.clone(),
        };
        let frames = Watcher::start(self.store.cacher(), parameters)?.into_stream();
        Ok(response::watch(frames.map(move |frame| {
            let _place = &place;
            frame
        })))
    }
}

fn meta(kind: &str) -> (String, String) {
    ("meta.k8s.io/v1".to_owned(), kind.to_owned())
}

/// Every event a Table of one row; only the first has column definitions.
fn table_encoder(store: &Arc<Store>, include: IncludeObject) -> Encoder {
    let store = Arc::clone(store);
    let is_first = AtomicBool::new(true);
    Arc::new(move |entry| {
        let object: Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
        let table = store.table();
        let metadata = json!({ "resourceVersion": entry.revision.to_string() });
        let row = table.row(&object, include, Timestamp::now());
        let mut shown = table.table(&metadata, &[row]);
        if !is_first.swap(false, Ordering::Relaxed) {
            shown["columnDefinitions"] = Value::Null;
        }
        shown.to_string().into()
    })
}

fn partial_encoder() -> Encoder {
    Arc::new(|entry| {
        let object: Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
        apimachinery::table::partial_object_metadata(&object)
            .to_string()
            .into()
    })
}
