//! Request bodies.

use apimachinery::{
    ApiError, StatusReason,
    decode::{self, Decoded},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

/// Largest body, as upstream's `MaxRequestBodyBytes`.
const BODY_MAX: usize = 3 * 1024 * 1024;

/// Reads a body.
///
/// # Errors
/// 413 for one over the limit, 400 for one that breaks off.
pub(super) async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(BODY_MAX)),
        Err(error) => Err(ApiError::bad_request("the body could not be read").with_internal(error)),
    }
}

/// The media type without its parameters, as the client wrote it.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = value.unwrap_or_default().split(';').next();
    media.unwrap_or_default().trim()
}

/// Decodes a body of JSON or YAML; no type at all counts as JSON.
///
/// # Errors
/// 415 with the list of accepted types, 400 that says where the body is malformed.
pub(super) fn body(headers: &HeaderMap, body: &[u8], kind: &str) -> Result<Decoded, ApiError> {
    let decoded = match content_type(headers).to_ascii_lowercase().as_str() {
        "" | "application/json" => decode::json(body),
        "application/yaml" => decode::yaml(body),
        _ => return Err(unsupported_media_type("application/json, application/yaml")),
    };
    decoded.map_err(|e| unrecognized(kind, &e))
}

/// 415 with the list of accepted types.
pub(super) fn unsupported_media_type(accepted: &str) -> ApiError {
    ApiError::new(
        StatusReason::UnsupportedMediaType,
        format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted}"
        ),
    )
}

/// 400 for a body that is no object of the kind.
pub(super) fn unrecognized(kind: &str, why: &str) -> ApiError {
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why}"
    ))
}
