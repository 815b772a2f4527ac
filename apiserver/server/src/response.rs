//! Response bodies.

use std::{convert::Infallible, sync::Arc};

use apimachinery::ApiError;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use serde_json::Value;

use crate::cacher::Entry;

/// What follows the last item of a list.
pub(crate) const LIST_END: &[u8] = b"]}\n";

/// The body of every response.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// `Content-Type` of JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Size of a chunk of a list: large enough that frames cost nothing, small enough to bound memory.
const CHUNK: usize = 64 * 1024;

/// A whole body of some type.
pub(crate) fn bytes(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A JSON value, with the line feed at the end that upstream's encoder writes.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut body = value.to_string();
    body.push('\n');
    bytes(status, JSON, body.into())
}

/// A short text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut response = bytes(status, plain, body.into());
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// An error as `metav1.Status`.
pub(crate) fn error(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &error.to_status());
    add_warnings(&mut response, error.warnings());
    if let Some(seconds) = error.retry_after_seconds() {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Most characters of all warnings together before long ones are cut, and of each one then:
/// upstream's `truncateAtTotalRunes` and `truncateItemRunes`.
const WARNINGS_MAX: usize = 4096;
const WARNING_MAX: usize = 256;

/// Tells the client what it should know: RFC 7234 `Warning`. Too many are first cut, then left out.
/// Mirrors `k8s.io/apiserver/pkg/endpoints/filters/warning.go`.
pub(crate) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    let mut unique: Vec<&String> = Vec::with_capacity(warnings.len());
    for warning in warnings {
        if !unique.contains(&warning) {
            unique.push(warning);
        }
    }
    let total: usize = unique.iter().map(|warning| warning.chars().count()).sum();
    let mut written = 0;
    for warning in unique {
        let limit = if total > WARNINGS_MAX {
            WARNING_MAX
        } else {
            usize::MAX
        };
        if written >= WARNINGS_MAX {
            return;
        }
        let text: String = warning.chars().take(limit).collect();
        written += text.chars().count();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// The frames of a watch, each sent at once.
pub(crate) fn watch(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames = frames.map(|frame| Ok(Frame::data(frame)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A list: `head`, the objects' own bytes with commas between, and the end; put together chunk by
/// chunk as the client takes them.
pub(crate) fn list(head: String, entries: Vec<Arc<Entry>>) -> Response<Body> {
    let commas = entries.len().saturating_sub(1);
    let length = head.len()
        + entries.iter().map(|e| e.served_len()).sum::<usize>()
        + commas
        + LIST_END.len();
    let parts = ListParts {
        head: Some(head),
        entries,
        next: 0,
        ended: false,
    };
    let chunks = stream::unfold(parts, |mut parts| async {
        let chunk = parts.next_chunk()?;
        Some((Ok(Frame::data(chunk)), parts))
    });
    let mut response = Response::new(StreamBody::new(chunks).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

struct ListParts {
    head: Option<String>,
    entries: Vec<Arc<Entry>>,
    next: usize,
    ended: bool,
}

impl ListParts {
    fn next_chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut chunk = Vec::with_capacity(CHUNK);
        if let Some(head) = self.head.take() {
            chunk.extend_from_slice(head.as_bytes());
        }
        while let Some(entry) = self.entries.get(self.next) {
            if !chunk.is_empty() && chunk.len() + entry.served_len() >= CHUNK {
                return Some(chunk.into());
            }
            if self.next > 0 {
                chunk.push(b',');
            }
            entry.write_served(&mut chunk);
            self.next += 1;
        }
        chunk.extend_from_slice(LIST_END);
        self.ended = true;
        Some(chunk.into())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;
    use storage::{Record, Revision};

    use super::*;
    use crate::{cacher::Codec, testing::thing_definition};

    pub(crate) fn entry(name: usize, size: usize) -> Arc<Entry> {
        let text = "x".repeat(size);
        let stored = format!("{{\"metadata\":{{\"name\":\"{name}\"}},\"spec\":\"{text}\"}}");
        let record = Record {
            key: "/key".into(),
            value: stored.into(),
            revision: Revision(7),
        };
        Arc::new(Codec::new(&thing_definition()).read(record).unwrap())
    }

    /// L5, R5: whatever the sizes, the chunks make one JSON document of the promised length.
    #[tokio::test]
    async fn a_list_in_chunks_is_one_document_of_the_promised_length() {
        for sizes in [
            vec![],
            vec![10],
            vec![10, 20, 30],
            vec![CHUNK; 3],
            vec![CHUNK - 100, 50, 1, CHUNK * 2, 7],
            vec![1000; 500],
        ] {
            let entries: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(i, s)| entry(i, *s))
                .collect();
            let response = list("{\"items\":[".to_owned(), entries);
            let promised = response.headers()[header::CONTENT_LENGTH].clone();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(promised, body.len().to_string(), "{sizes:?}");
            let document: Value = serde_json::from_slice(&body).unwrap();
            let items = document["items"].as_array().unwrap();
            assert_eq!(items.len(), sizes.len());
            for (i, item) in items.iter().enumerate() {
                let metadata = json!({"resourceVersion": "7", "name": i.to_string()});
                assert_eq!(item["metadata"], metadata);
            }
        }
    }
}
