//! The verbs over HTTP: decode, call the registry, encode.
//!
//! Mirrors `k8s.io/apiserver/pkg/endpoints/handlers`.

mod decode;
pub(crate) mod delete;
mod options;
mod read;
mod scale;
mod watch;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use apimachinery::{ApiError, StatusReason, table::IncludeObject};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use options::{OptionsKind, SentOptions};

use crate::{
    audit::Recording,
    authorization::{Authorizer, authorize},
    limits::Place,
    negotiation::Representation,
    registry::{Store, Subresource, WriteOptions},
    request::{RequestInfo, ResourceRequest, UserInfo},
    response::{self, Body},
    subresource::{CustomSubresource, SubresourceRequest},
};

pub(crate) use decode::sent_object;

/// One request for a resource that exists.
pub(crate) struct Call<'a> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) info: &'a RequestInfo,
    pub(crate) resource: &'a ResourceRequest,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) user: &'a UserInfo,
    pub(crate) recording: &'a Recording,
    pub(crate) authorizer: &'a dyn Authorizer,
    pub(crate) representation: Representation,
    pub(crate) subresources: &'a BTreeMap<String, Arc<dyn CustomSubresource>>,
    pub(crate) shutdown: &'a CancellationToken,
}

impl Call<'_> {
    /// Does what the request asks. `place` is held as long as a watch runs.
    pub(crate) async fn answer(
        self,
        body: Incoming,
        place: Place,
    ) -> Result<Response<Body>, ApiError> {
        let verb = self.info.verb.as_str();
        if let Some(handler) = self.subresources.get(&self.resource.subresource) {
            self.check_scope(verb)?;
            return self.custom(&**handler, body).await;
        }
        let subresource = self.subresource()?;
        self.check_scope(verb)?;
        match (verb, subresource) {
            ("get", Subresource::Scale) => self.get_scale().await,
            ("get", _) => self.get().await,
            ("list", Subresource::None) => self.list().await,
            ("watch", Subresource::None) => self.watch(place).await,
            ("create", Subresource::None) => self.create(body).await,
            ("update", Subresource::Scale) => self.update_scale(body).await,
            ("update", _) => self.update(body, subresource).await,
            ("patch", _) => self.patch(body, subresource).await,
            ("delete", Subresource::None) => self.delete(body).await,
            ("deletecollection", Subresource::None) => self.delete_collection(body).await,
            _ => Err(ApiError::method_not_supported(self.store.resource(), verb)),
        }
    }

    /// Lets the kind answer for a subresource of its own.
    async fn custom(
        &self,
        handler: &dyn CustomSubresource,
        body: Incoming,
    ) -> Result<Response<Body>, ApiError> {
        let (verb, resource) = (self.info.verb.as_str(), self.resource);
        let mut definitions = self.store.definition().subresources.iter();
        let definition = definitions.find(|s| s.name == resource.subresource);
        let verbs = definition.map_or(&[][..], |definition| &definition.verbs);
        if !verbs.is_empty() && !verbs.iter().any(|known| known == verb) {
            return Err(ApiError::method_not_supported(self.store.resource(), verb));
        }
        let options = match verb {
            _ if verbs.is_empty() => WriteOptions::default(),
            "create" => self.options(OptionsKind::Create)?,
            "update" => self.options(OptionsKind::Update)?,
            "patch" => self.options(OptionsKind::Patch)?,
            _ => WriteOptions::default(),
        };
        let request = SubresourceRequest {
            store: self.store,
            verb,
            namespace: &resource.namespace,
            name: &resource.name,
            path_tail: &resource.path_tail,
            query: &self.info.query,
            user: self.user,
            headers: self.headers,
            body: self.read(body).await?,
            options,
        };
        let answer = handler.answer(request).await?;
        Ok(answer.into_response())
    }

    /// Reads the body, and shows it to whoever records requests.
    async fn read(&self, body: Incoming) -> Result<Bytes, ApiError> {
        let body = decode::read(body).await?;
        self.recording.sent(&body, self.headers);
        Ok(body)
    }

    fn options(&self, kind: OptionsKind) -> Result<WriteOptions, ApiError> {
        Ok(SentOptions::read(kind, self.info, self.headers)?.write)
    }

    fn subresource(&self) -> Result<Subresource, ApiError> {
        let definition = self.store.definition();
        let has_tail = !self.resource.path_tail.is_empty();
        match self.resource.subresource.as_str() {
            _ if has_tail => Err(ApiError::not_found(
                self.store.resource(),
                &self.resource.name,
            )),
            "" => Ok(Subresource::None),
            "status" if definition.status_subresource => Ok(Subresource::Status),
            "scale" if definition.scale.is_some() => Ok(Subresource::Scale),
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

    /// One object in the representation that the client asked for.
    fn object(&self, status: StatusCode, object: Bytes) -> Result<Response<Body>, ApiError> {
        self.part(status, object, Subresource::None)
    }

    /// As [`object`](Self::object), for an object or its scale.
    fn part(
        &self,
        status: StatusCode,
        object: Bytes,
        subresource: Subresource,
    ) -> Result<Response<Body>, ApiError> {
        let (representation, version) = match self.representation {
            Representation::Object => {
                let mut line = Vec::with_capacity(object.len() + 1);
                line.extend_from_slice(&object);
                line.push(b'\n');
                return Ok(response::bytes(status, response::JSON, line.into()));
            }
            Representation::PartialObjectMetadata { is_list: true, .. } => {
                return Err(ApiError::new(
                    StatusReason::NotAcceptable,
                    "you requested PartialObjectMetadataList, but the requested object is not a list",
                ));
            }
            Representation::PartialObjectMetadata { version, .. } => (None, version),
            Representation::Table(version) => (Some(self.include()?), version),
        };
        let object: Value = serde_json::from_slice(&object).map_err(ApiError::internal)?;
        let mut shown = match representation {
            Some(include) => {
                let metadata = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                let table = self.store.table(subresource);
                let row = table.row(&object, include, Timestamp::now());
                table.table(&metadata, &[row])
            }
            None => apimachinery::table::partial_object_metadata(&object),
        };
        set_meta_version(&mut shown, version);
        Ok(response::json(status, &shown))
    }

    /// Whether the user may create what an apply finds absent.
    async fn authorize_create(&self) -> Result<(), ApiError> {
        let mut info = self.info.clone();
        "create".clone_into(&mut info.verb);
        authorize(self.authorizer, self.user, &info).await
    }

    fn include(&self) -> Result<IncludeObject, ApiError> {
        IncludeObject::parse(self.info.parameter("includeObject").unwrap_or_default())
            .map_err(ApiError::bad_request)
    }
}

/// Says the version of `meta.k8s.io` that the client asked for.
fn set_meta_version(shown: &mut Value, version: &str) {
    shown["apiVersion"] = json!(format!("meta.k8s.io/{version}"));
    let rows = shown.get_mut("rows").and_then(Value::as_array_mut);
    let objects = rows.into_iter().flatten().map(|row| &mut row["object"]);
    for object in objects.filter(|object| object["kind"] == "PartialObjectMetadata") {
        object["apiVersion"] = json!(format!("meta.k8s.io/{version}"));
    }
    let items = shown.get_mut("items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        item["apiVersion"] = json!(format!("meta.k8s.io/{version}"));
    }
}
