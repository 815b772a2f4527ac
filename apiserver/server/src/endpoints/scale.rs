//! The `scale` subresource over HTTP.

use apimachinery::{ApiError, ListOptions, Object, decode::Decoded};
use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::{
    Call, decode,
    options::{OptionsKind, SentOptions},
    write::sent_apply,
};
use crate::{
    registry::{ScaleChange, Subresource},
    response::{self, Body},
};

impl Call<'_> {
    pub(super) async fn get_scale(&self) -> Result<Response<Body>, ApiError> {
        let options = ListOptions::from_query(&self.resource_version_only())?;
        let (namespace, name) = self.named()?;
        let version = options.resource_version;
        let scale = self.store.scale(namespace, name, version).await?;
        self.shown_scale(scale.to_string().into(), &[])
    }

    pub(super) async fn update_scale(&self, body: Incoming) -> Result<Response<Body>, ApiError> {
        let options = SentOptions::read(OptionsKind::Update, self.info, self.headers)?;
        let body = self.read(body).await?;
        let Decoded { value, .. } = decode::body(self.headers, &body, "Scale")?;
        decode::require_type(&value, &body, "Scale")?;
        let scale = Object::from_value(value).map_err(|e| decode::unrecognized("Scale", &e))?;
        let change = ScaleChange::Replace(&scale);
        self.change_scale(change, &options, &[]).await
    }

    pub(super) async fn patch_scale(
        &self,
        body: &[u8],
        kind: OptionsKind,
        options: &SentOptions,
    ) -> Result<Response<Body>, ApiError> {
        if kind == OptionsKind::Apply {
            let (apply, warnings) = sent_apply(body, options)?;
            let change = ScaleChange::Apply(&apply);
            return self.change_scale(change, options, &warnings).await;
        }
        let (patch, warnings) = self.sent_patch(body, options)?;
        let change = ScaleChange::Patch(&patch);
        self.change_scale(change, options, &warnings).await
    }

    async fn change_scale(
        &self,
        change: ScaleChange<'_>,
        options: &SentOptions,
        warnings: &[String],
    ) -> Result<Response<Body>, ApiError> {
        let (namespace, name) = self.named()?;
        let changed = self
            .store
            .update_scale(namespace, name, change, &options.write);
        let changed = changed.await?;
        let warnings = [warnings, &changed.warnings].concat();
        self.shown_scale(changed.object, &warnings)
    }

    fn shown_scale(&self, scale: Bytes, warnings: &[String]) -> Result<Response<Body>, ApiError> {
        let mut response = self.part(StatusCode::OK, scale, Subresource::Scale)?;
        response::add_warnings(&mut response, warnings);
        Ok(response)
    }
}
