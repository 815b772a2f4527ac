//! Create, update and patch.

use apimachinery::{ApiError, Object, StatusReason, decode::Decoded};
use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::{
    Call, decode,
    options::{OptionsKind, SentOptions},
};
use crate::{
    registry::{Applied, Apply, FieldValidation, Patch, Subresource, WriteOptions, Written},
    response::{self, Body},
};

/// What a PATCH may have as its content type. Unlike others, these are compared as they are written.
const PATCH_TYPES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

const JSON_PATCH: &str = "application/json-patch+json";

impl Call<'_> {
    pub(super) async fn create(&self, body: Incoming) -> Result<Response<Body>, ApiError> {
        let options = SentOptions::read(OptionsKind::Create, self.info, self.headers)?;
        let (object, warnings) = self.sent_object(body, "", options.validation).await?;
        let created = self
            .store
            .create(&self.resource.namespace, object, &options.write)
            .await;
        self.written(created, warnings)
    }

    pub(super) async fn update(
        &self,
        body: Incoming,
        subresource: Subresource,
    ) -> Result<Response<Body>, ApiError> {
        let options = SentOptions::read(OptionsKind::Update, self.info, self.headers)?;
        let (namespace, name) = self.named()?;
        let (object, warnings) = self.sent_object(body, name, options.validation).await?;
        let updated = self
            .store
            .update(namespace, name, object, subresource, &options.write)
            .await;
        self.written(updated, warnings)
    }

    pub(super) async fn patch(
        &self,
        body: Incoming,
        subresource: Subresource,
    ) -> Result<Response<Body>, ApiError> {
        let content_type = decode::content_type(self.headers);
        let kind = match content_type {
            "application/apply-patch+yaml" => OptionsKind::Apply,
            JSON_PATCH | "application/merge-patch+json" => OptionsKind::Patch,
            _ => return Err(decode::unsupported_media_type(PATCH_TYPES)),
        };
        let options = SentOptions::read(kind, self.info, self.headers)?;
        let (namespace, name) = self.named()?;
        let body = self.read(body).await?;
        if subresource == Subresource::Scale {
            return self.patch_scale(&body, kind, &options).await;
        }
        if kind == OptionsKind::Apply {
            let (apply, warnings) = sent_apply(&body, &options)?;
            let applied = self.apply((namespace, name), &apply, subresource, &options.write);
            return self.written(applied.await, warnings);
        }
        let (patch, warnings) = self.sent_patch(&body, &options)?;
        let SentOptions {
            write, validation, ..
        } = &options;
        let patched = self
            .store
            .patch(namespace, name, &patch, subresource, *validation, write)
            .await;
        self.written(patched, warnings)
    }

    /// The JSON patch or merge patch in the body, and the warnings about it.
    pub(super) fn sent_patch(
        &self,
        body: &[u8],
        options: &SentOptions,
    ) -> Result<(Patch, Vec<String>), ApiError> {
        if decode::content_type(self.headers) == JSON_PATCH {
            let patch = Patch::json(body)?;
            let duplicates = apimachinery::decode::json(body).map(|d| d.duplicates);
            let duplicates = duplicates.unwrap_or_default();
            let warnings = duplicate_fields(
                "json patch ",
                &duplicates,
                options.validation,
                Patch::refused_strictly,
            )?;
            return Ok((patch, warnings));
        }
        let Decoded { value, duplicates } = apimachinery::decode::json(body)
            .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
        let warnings =
            duplicate_fields("", &duplicates, options.validation, Patch::refused_strictly)?;
        Ok((Patch::merge(value)?, warnings))
    }

    /// Applies, and creates what is absent if the user may; starts again when somebody else created
    /// it meanwhile.
    async fn apply(
        &self,
        (namespace, name): (&str, &str),
        apply: &Apply,
        subresource: Subresource,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        loop {
            let applied = self
                .store
                .apply(namespace, name, apply, subresource, options);
            let merged = match applied.await? {
                Applied::Written(written) => return Ok(written),
                Applied::Absent(merged) => merged,
            };
            self.authorize_create().await?;
            match self.store.create_applied(namespace, merged, options).await {
                Err(error) if error.reason() == StatusReason::AlreadyExists => {}
                created => return created,
            }
        }
    }

    /// Namespace and name of the object that the URL names.
    pub(super) fn named(&self) -> Result<(&str, &str), ApiError> {
        if self.resource.name.is_empty() {
            return Err(ApiError::bad_request("name must be provided"));
        }
        Ok((&self.resource.namespace, &self.resource.name))
    }

    /// The object in the body, without the fields that the schema does not know, and the warnings
    /// about those.
    async fn sent_object(
        &self,
        body: Incoming,
        name: &str,
        validation: FieldValidation,
    ) -> Result<(Object, Vec<String>), ApiError> {
        let definition = self.store.definition();
        let kind = &definition.names.kind;
        let body = self.read(body).await?;
        let Decoded {
            mut value,
            duplicates,
        } = decode::body(self.headers, &body, kind)?;
        decode::default_type(&mut value, &definition.api_version(), kind);
        let (mut object, unknown) =
            Object::decode(value).map_err(|e| self.store.cannot_handle(&e))?;
        self.store
            .check_body(&self.resource.namespace, name, &object)?;
        let warnings = self
            .store
            .check_fields(&mut object, &duplicates, &unknown, validation)?;
        Ok((object, warnings))
    }

    /// The answer to a write, with what the client should know.
    fn written(
        &self,
        written: Result<Written, ApiError>,
        mut warnings: Vec<String>,
    ) -> Result<Response<Body>, ApiError> {
        let written = match written {
            Ok(written) => written,
            Err(error) => return Err(error.with_warnings(warnings)),
        };
        let status = if written.created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let mut response = self.object(status, written.object)?;
        warnings.extend(written.warnings);
        response::add_warnings(&mut response, &warnings);
        Ok(response)
    }
}

pub(super) fn sent_apply(
    body: &[u8],
    options: &SentOptions,
) -> Result<(Apply, Vec<String>), ApiError> {
    let no_yaml = |e| ApiError::bad_request(format!("error decoding YAML: {e}"));
    let Decoded { value, duplicates } = apimachinery::decode::yaml(body).map_err(no_yaml)?;
    let warnings = duplicate_fields("", &duplicates, options.validation, |e| {
        ApiError::bad_request(format!("error strict decoding YAML: {e}"))
    })?;
    let object = Object::as_sent(value).map_err(no_yaml)?;
    let force = options.force;
    Ok((Apply { object, force }, warnings))
}

/// What the client is told about keys that stood twice in a patch.
fn duplicate_fields(
    prefix: &str,
    duplicates: &[String],
    validation: FieldValidation,
    refused: impl Fn(&str) -> ApiError,
) -> Result<Vec<String>, ApiError> {
    let texts = duplicates
        .iter()
        .map(|path| format!("{prefix}duplicate field \"{path}\""));
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict if !duplicates.is_empty() => {
            let list: Vec<String> = texts.collect();
            Err(refused(&list.join(", ")))
        }
        FieldValidation::Strict | FieldValidation::Warn => Ok(texts.collect()),
    }
}
