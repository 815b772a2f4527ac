//! The verbs over HTTP: decode, call the registry, encode.
//!
//! Mirrors `k8s.io/apiserver/pkg/endpoints/handlers`.

mod decode;
mod delete;
mod read;
mod watch;
mod write;

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, table::IncludeObject};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    limits::Place,
    negotiation::{self, Representation},
    registry::{FieldValidation, Store, Subresource, WriteOptions},
    request::{RequestInfo, ResourceRequest},
    response::{self, Body},
};

/// One request for a resource that exists.
pub(crate) struct Call<'a> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) info: &'a RequestInfo,
    pub(crate) resource: &'a ResourceRequest,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) shutdown: &'a CancellationToken,
}

impl Call<'_> {
    /// Does what the request asks. `place` is held as long as a watch runs.
    pub(crate) async fn answer(
        self,
        body: Incoming,
        place: Place,
    ) -> Result<Response<Body>, ApiError> {
        let subresource = self.subresource()?;
        let verb = self.info.verb.as_str();
        self.check_scope(verb)?;
        match (verb, subresource) {
            ("get", _) => self.get().await,
            ("list", Subresource::None) => self.list().await,
            ("watch", Subresource::None) => self.watch(place).await,
            ("create", Subresource::None) => self.create(body).await,
            ("update", _) => self.update(body, subresource).await,
            ("patch", _) => self.patch(body, subresource).await,
            ("delete", Subresource::None) => self.delete(body).await,
            ("deletecollection", Subresource::None) => self.delete_collection(body).await,
            _ => Err(ApiError::method_not_supported(self.store.resource(), verb)),
        }
    }

    fn subresource(&self) -> Result<Subresource, ApiError> {
        let definition = self.store.definition();
        match self.resource.subresource.as_str() {
            "" => Ok(Subresource::None),
            "status" if definition.status_subresource => Ok(Subresource::Status),
            _ => Err(ApiError::not_found(
                self.store.resource(),
                &self.resource.name,
            )),
        }
    }

    /// A namespace where there is none, or none where there must be one, is no path of ours.
    fn check_scope(&self, verb: &str) -> Result<(), ApiError> {
        let namespaced = self.store.definition().is_namespaced();
        let has_namespace = !self.resource.namespace.is_empty();
        let good = match (namespaced, has_namespace) {
            (true, false) => matches!(verb, "list" | "watch"),
            (namespaced, has_namespace) => namespaced == has_namespace,
        };
        if good {
            Ok(())
        } else {
            Err(ApiError::path_not_found())
        }
    }

    fn write_options(&self) -> Result<WriteOptions, ApiError> {
        let values = self.info.query.iter().filter(|(key, _)| key == "dryRun");
        let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
        dry_run(&values).map(|dry_run| WriteOptions { dry_run })
    }

    fn field_validation(&self) -> Result<FieldValidation, ApiError> {
        FieldValidation::parse(self.info.parameter("fieldValidation").unwrap_or_default())
    }

    /// One object in the representation that the client asked for.
    fn object(&self, status: StatusCode, object: bytes::Bytes) -> Result<Response<Body>, ApiError> {
        let representation = negotiation::representation(self.headers)?;
        if representation == Representation::Object {
            return Ok(response::bytes(status, response::JSON, object));
        }
        let object: Value = serde_json::from_slice(&object).map_err(ApiError::internal)?;
        let shown = match representation {
            Representation::Table => {
                let metadata = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                let row = self
                    .store
                    .table()
                    .row(&object, self.include()?, Timestamp::now());
                self.store.table().table(&metadata, &[row])
            }
            _ => apimachinery::table::partial_object_metadata(&object),
        };
        Ok(response::json(status, &shown))
    }

    fn include(&self) -> Result<IncludeObject, ApiError> {
        IncludeObject::parse(self.info.parameter("includeObject").unwrap_or_default())
            .map_err(ApiError::bad_request)
    }
}

/// Whether a write is only tried: every value must be `All`.
fn dry_run(values: &[&str]) -> Result<bool, ApiError> {
    match values.iter().find(|value| **value != "All") {
        None => Ok(!values.is_empty()),
        Some(other) => {
            let error = FieldError::not_supported("dryRun", &json!(other), &["All"]);
            Err(ApiError::invalid(
                "meta.k8s.io",
                "CreateOptions",
                "",
                &[error],
            ))
        }
    }
}

/// Tells the client about fields that were dropped: RFC 7234 `Warning`.
fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}
