//! Request bodies.

use apimachinery::{ApiError, Object, StatusReason};
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

/// The media type without its parameters.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// Refuses everything but JSON; no type at all counts as JSON.
///
/// # Errors
/// 415 with the list of accepted types.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    match content_type(headers).as_str() {
        "" | "application/json" => Ok(()),
        other => Err(ApiError::new(
            StatusReason::UnsupportedMediaType,
            format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json; it was {other:?}"
            ),
        )),
    }
}

/// Decodes an object.
///
/// # Errors
/// 400 that says where the body stops being JSON.
pub(super) fn object(body: &[u8], kind: &str) -> Result<Object, ApiError> {
    Object::from_slice(body).map_err(|e| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {e}"
        ))
    })
}
