//! Create, update and patch.

use apimachinery::ApiError;
use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::{Call, add_warnings, decode};
use crate::{
    registry::{Patch, Subresource},
    response::Body,
};

impl Call<'_> {
    pub(super) async fn create(&self, body: Incoming) -> Result<Response<Body>, ApiError> {
        decode::require_json(self.headers)?;
        let (options, validation) = (self.write_options()?, self.field_validation()?);
        let body = decode::read(body).await?;
        let mut object = decode::object(&body, &self.store.definition().names.kind)?;
        self.store
            .check_body(&self.resource.namespace, &self.resource.name, &object)?;
        let warnings = self.store.check_fields(&mut object, validation)?;
        let created = self
            .store
            .create(&self.resource.namespace, object, options)
            .await?;
        let mut response = self.object(StatusCode::CREATED, created)?;
        add_warnings(&mut response, &warnings);
        Ok(response)
    }

    pub(super) async fn update(
        &self,
        body: Incoming,
        subresource: Subresource,
    ) -> Result<Response<Body>, ApiError> {
        if self.resource.name.is_empty() {
            return Err(ApiError::bad_request("name must be provided"));
        }
        decode::require_json(self.headers)?;
        let (options, validation) = (self.write_options()?, self.field_validation()?);
        let body = decode::read(body).await?;
        let mut object = decode::object(&body, &self.store.definition().names.kind)?;
        let (namespace, name) = (&self.resource.namespace, &self.resource.name);
        self.store.check_body(namespace, name, &object)?;
        let warnings = self.store.check_fields(&mut object, validation)?;
        let updated = self
            .store
            .update(namespace, name, object, subresource, options)
            .await?;
        let mut response = self.object(StatusCode::OK, updated)?;
        add_warnings(&mut response, &warnings);
        Ok(response)
    }

    pub(super) async fn patch(
        &self,
        body: Incoming,
        subresource: Subresource,
    ) -> Result<Response<Body>, ApiError> {
        if self.resource.name.is_empty() {
            return Err(ApiError::bad_request("name must be provided"));
        }
        let (options, validation) = (self.write_options()?, self.field_validation()?);
        let content_type = decode::content_type(self.headers);
        let patch = Patch::decode(&content_type, &decode::read(body).await?)?;
        let (namespace, name) = (&self.resource.namespace, &self.resource.name);
        let patched = self
            .store
            .patch(namespace, name, &patch, subresource, validation, options)
            .await;
        let (patched, warnings) = patched?;
        let mut response = self.object(StatusCode::OK, patched)?;
        add_warnings(&mut response, &warnings);
        Ok(response)
    }
}
