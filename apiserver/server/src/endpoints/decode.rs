//! Request bodies.

use apimachinery::{
    ApiError, Object, StatusReason,
    decode::{self, Decoded},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

/// Largest body, as upstream's `MaxRequestBodyBytes`.
const BODY_MAX: usize = 3 * 1024 * 1024;

/// Most of a body that an error repeats, in characters.
const SHOWN_MAX: usize = 1024;
/// What an error repeats at its end, as upstream has it.
const SUMMARY: usize = 30;

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

/// The object of a kind that a body says to be.
///
/// # Errors
/// As [`body`]; 400 for an object without a type or of another kind.
pub(crate) fn sent_object(
    headers: &HeaderMap,
    bytes: &[u8],
    kind: &str,
) -> Result<Object, ApiError> {
    let Decoded { value, .. } = body(headers, bytes, kind)?;
    require_type(&value, bytes, kind)?;
    let object = Object::from_value(value).map_err(|e| unrecognized(kind, &e))?;
    if object.kind() == kind {
        Ok(object)
    } else {
        let why = format!("its kind is {:?}", object.kind());
        Err(unrecognized(kind, &why))
    }
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

/// Puts in what the body does not say of its type, as typed servers do
/// (`gvkWithDefaults` of `k8s.io/apimachinery/pkg/runtime/serializer/json`): clients of theirs leave it
/// out. A server of custom resources refuses such a body.
pub(super) fn default_type(value: &mut Value, api_version: &str, kind: &str) {
    let Value::Object(object) = value else { return };
    for (field, default) in [("apiVersion", api_version), ("kind", kind)] {
        let is_absent = match object.get(field) {
            None | Some(Value::Null) => true,
            Some(said) => said.as_str() == Some(""),
        };
        if is_absent {
            object.insert(field.to_owned(), Value::from(default));
        }
    }
}

/// Refuses a body that does not say what it is.
///
/// # Errors
/// 400 that names what is missing and shows the body's beginning.
pub(super) fn require_type(value: &Value, body: &[u8], kind: &str) -> Result<(), ApiError> {
    let Some(missing) = Object::missing_type(value) else {
        return Ok(());
    };
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .take(SHOWN_MAX)
        .collect();
    let why = format!(
        "Object '{missing}' is missing in '{text}' ({})",
        summary(body)
    );
    Err(unrecognized(kind, &why))
}

/// The beginning of a body, in hexadecimal digits if it is not even the beginning of an object.
fn summary(body: &[u8]) -> String {
    let beginning = body.get(..SUMMARY).unwrap_or(body);
    let mut text = match beginning {
        [] => return "<empty>".to_owned(),
        [b'{', ..] => String::from_utf8_lossy(beginning).into_owned(),
        _ => hexadecimal(beginning),
    };
    if body.len() > SUMMARY {
        text += " ...";
    }
    text
}

fn hexadecimal(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|n| char::from_digit(n.into(), 16))
        .collect()
}
