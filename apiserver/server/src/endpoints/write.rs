//! Create, update and patch.

use apimachinery::{ApiError, Object};
use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::{Call, add_warnings, decode};
use crate::{
    registry::{Patch, Subresource},
    response::Body,
};

impl Call<'_> {
    pub(super) async fn create(&self, body: Incoming) -> Result<Response<Body>, ApiError> {
        let options = self.write_options()?;
        let (object, warnings) = self.sent_object(body).await?;
        let created = self
            .store
            .create(&self.resource.namespace, object, options)
            .await?;
        self.written(StatusCode::CREATED, created, &warnings)
    }

    pub(super) async fn update(
        &self,
        body: Incoming,
        subresource: Subresource,
    ) -> Result<Response<Body>, ApiError> {
        let options = self.write_options()?;
        let (namespace, name) = self.named()?;
        let (object, warnings) = self.sent_object(body).await?;
        let updated = self
            .store
            .update(namespace, name, object, subresource, options)
            .await?;
        self.written(StatusCode::OK, updated, &warnings)
    }

    pub(super) async fn patch(
        &self,
        body: Incoming,
        subresource: Subresource,
    ) -> Result<Response<Body>, ApiError> {
        let (options, validation) = (self.write_options()?, self.field_validation()?);
        let (namespace, name) = self.named()?;
        let content_type = decode::content_type(self.headers);
        let patch = Patch::decode(&content_type, &decode::read(body).await?)?;
        let patched = self
            .store
            .patch(namespace, name, &patch, subresource, validation, options)
            .await;
        let (patched, warnings) = patched?;
        self.written(StatusCode::OK, patched, &warnings)
    }

    /// Namespace and name of the object that the URL names.
    fn named(&self) -> Result<(&str, &str), ApiError> {
        if self.resource.name.is_empty() {
            return Err(ApiError::bad_request("name must be provided"));
        }
        Ok((&self.resource.namespace, &self.resource.name))
    }

    /// The object in the body, without the fields that the schema does not know, and the warnings
    /// about those.
    async fn sent_object(&self, body: Incoming) -> Result<(Object, Vec<String>), ApiError> {
        decode::require_json(self.headers)?;
        let validation = self.field_validation()?;
        let body = decode::read(body).await?;
        let mut object = decode::object(&body, &self.store.definition().names.kind)?;
        self.store
            .check_body(&self.resource.namespace, &self.resource.name, &object)?;
        let warnings = self.store.check_fields(&mut object, validation)?;
        Ok((object, warnings))
    }

    fn written(
        &self,
        status: StatusCode,
        object: Bytes,
        warnings: &[String],
    ) -> Result<Response<Body>, ApiError> {
        let mut response = self.object(status, object)?;
        add_warnings(&mut response, warnings);
        Ok(response)
    }
}
