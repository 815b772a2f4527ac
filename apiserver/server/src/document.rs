//! A document that is made once and served from memory: discovery and OpenAPI.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha512};

use crate::response::{self, Body};

/// Encoded JSON with its `ETag`.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    body: Bytes,
    content_type: HeaderValue,
    hash: String,
}

impl Document {
    pub(crate) fn new(value: &Value, content_type: HeaderValue) -> Self {
        let mut body = value.to_string();
        let hash = hex_upper(&Sha512::digest(&body));
        body.push('\n');
        Self {
            body: body.into(),
            content_type,
            hash,
        }
    }

    /// SHA-512 of the JSON in upper-case hexadecimal.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The document, or 304 for a client that has it.
    pub(crate) fn respond(&self, headers: &HeaderMap) -> Response<Body> {
        let etag = format!("\"{}\"", self.hash);
        let has_it = headers
            .get(header::IF_NONE_MATCH)
            .is_some_and(|v| v.as_bytes() == etag.as_bytes());
        let mut response = if has_it {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            response::bytes(StatusCode::OK, self.content_type.clone(), self.body.clone())
        };
        let headers = response.headers_mut();
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(header::ETAG, etag);
        }
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
        response
    }
}

fn hex_upper(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
