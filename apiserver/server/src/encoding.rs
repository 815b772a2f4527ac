//! How an answer is written when the client wants something else than JSON as it is: YAML, indented,
//! compressed.
//!
//! Answers are made as JSON everywhere else; this is the last step of the chain. Mirrors
//! `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/writers.go`. Watches stay as they are.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use serde_json::Value;

use crate::{
    negotiation::{self, Syntax},
    request::RequestInfo,
    response::{Body, JSON},
};

/// Smaller bodies are not compressed, as upstream's `defaultGzipThresholdBytes`.
const GZIP_MIN: u64 = 128 * 1024;
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
/// Programs whose users read what comes, as upstream's `isPrettyPrint`.
const READERS: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// What the client wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Encoding {
    syntax: Syntax,
    pretty: bool,
    /// Errors come indented, as upstream writes them to a client that takes neither JSON nor YAML as it
    /// is: with `as=Table` alone, or with nothing that there is.
    pretty_errors: bool,
    gzip: bool,
}

impl Encoding {
    /// Reads what the client wants from its request.
    pub(crate) fn requested(headers: &HeaderMap, info: &RequestInfo) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let encodings = text(header::ACCEPT_ENCODING).unwrap_or_default();
        let gzip = encodings.split(',').any(|token| token.trim() == "gzip");
        if info.path.starts_with("/openapi") {
            return Self {
                gzip,
                ..Self::default()
            };
        }
        let asked = info.parameter("pretty").filter(|value| !value.is_empty());
        let pretty = asked.map_or_else(
            || {
                let program = text(header::USER_AGENT).unwrap_or_default();
                READERS.iter().any(|reader| program.starts_with(reader))
            },
            |value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        );
        Self {
            syntax: negotiation::syntax(headers),
            pretty: pretty || negotiation::wants_pretty(headers),
            pretty_errors: negotiation::accepts_plain(headers).is_err(),
            gzip,
        }
    }

    /// Writes an answer as it is wanted. A watch must not come here: its body has no end.
    pub(crate) async fn encode(self, response: Response<Body>) -> Response<Body> {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let is_json = content_type == Some(&JSON);
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        let pretty = self.pretty || (is_error && self.pretty_errors);
        let response = match (self.syntax, pretty) {
            (Syntax::Yaml, _) if is_json => rewrite(response, Some(&YAML), to_yaml).await,
            (Syntax::Json, true) if is_json => rewrite(response, None, to_pretty).await,
            _ => response,
        };
        if self.gzip && response.body().size_hint().lower().max(length(&response)) > GZIP_MIN {
            gzip(response)
        } else {
            response
        }
    }
}

fn length(response: &Response<Body>) -> u64 {
    let value = response.headers().get(header::CONTENT_LENGTH);
    let text = value.and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Writes the whole body anew; as it is when that fails, which for JSON of ours it does not.
async fn rewrite(
    response: Response<Body>,
    content_type: Option<&HeaderValue>,
    write: impl Fn(&Value) -> Option<Vec<u8>>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Ok(collected) = body.collect().await;
    let body = collected.to_bytes();
    let value: Option<Value> = serde_json::from_slice(&body).ok();
    let body = match value.as_ref().and_then(write) {
        Some(rewritten) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            if let Some(content_type) = content_type {
                parts
                    .headers
                    .insert(header::CONTENT_TYPE, content_type.clone());
            }
            Bytes::from(rewritten)
        }
        None => body,
    };
    Response::from_parts(parts, Full::new(body).boxed_unsync())
}

fn to_yaml(value: &Value) -> Option<Vec<u8>> {
    serde_saphyr::to_string(value).ok().map(String::into_bytes)
}

fn to_pretty(value: &Value) -> Option<Vec<u8>> {
    serde_json::to_vec_pretty(value).ok()
}

/// Compresses a body chunk by chunk, as the client takes them.
fn gzip(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let name = HeaderValue::from_static("gzip");
    parts.headers.insert(header::CONTENT_ENCODING, name);
    let vary = HeaderValue::from_static("Accept-Encoding");
    parts.headers.append(header::VARY, vary);

    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let state = (BodyStream::new(body), Some(encoder));
    let chunks = stream::unfold(state, |(mut body, encoder)| async move {
        let mut encoder = encoder?;
        let Some(Ok(frame)) = body.next().await else {
            let last = encoder.finish().unwrap_or_default();
            return Some((Bytes::from(last), (body, None)));
        };
        if let Some(data) = frame.data_ref() {
            // Writing into memory cannot fail.
            let _ = encoder.write_all(data);
        }
        let chunk = std::mem::take(encoder.get_mut());
        Some((Bytes::from(chunk), (body, Some(encoder))))
    });
    let frames = chunks
        .filter(|chunk| std::future::ready(!chunk.is_empty()))
        .map(|chunk| Ok(Frame::data(chunk)));
    Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http::{Method, StatusCode};
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::response;

    async fn answer(value: &Value, target: &str, sent: &[(&str, &str)]) -> (HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let name: header::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let info = RequestInfo::parse(&Method::GET, path, Some(query));
        let response = response::json(StatusCode::OK, value);
        let response = Encoding::requested(&headers, &info).encode(response).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.headers, body.to_vec())
    }

    /// R3: indented for people who ask or use curl, not for others.
    #[rstest]
    #[case("/apis?pretty=true", "kubectl/1", true)]
    #[case("/apis?pretty=1", "", true)]
    #[case("/apis?pretty=no", "curl/8", false)]
    #[case("/apis", "curl/8", true)]
    #[case("/apis", "Mozilla/5.0 (X11)", true)]
    #[case("/apis", "kubectl/1", false)]
    #[case("/openapi/v3", "curl/8", false)]
    #[tokio::test]
    async fn who_reads_gets_it_indented(
        #[case] target: &str,
        #[case] program: &str,
        #[case] pretty: bool,
    ) {
        let value = json!({"a": [1, 2]});
        let (_, body) = answer(&value, target, &[("user-agent", program)]).await;
        assert_eq!(body.contains(&b' '), pretty);
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), value);
    }

    /// R3: a client that takes only a form that errors do not have reads them indented.
    #[rstest]
    #[case("application/json;as=Table;v=v1;g=meta.k8s.io", true)]
    #[case("text/plain", true)]
    #[case("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", false)]
    #[case("*/*", false)]
    #[tokio::test]
    async fn errors_are_indented_for_who_takes_no_error(
        #[case] accept: &str,
        #[case] pretty: bool,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        let info = RequestInfo::parse(&Method::GET, "/apis/g/v/rs", None);
        let encoding = Encoding::requested(&headers, &info);
        for (status, pretty) in [(StatusCode::OK, false), (StatusCode::NOT_FOUND, pretty)] {
            let response = response::json(status, &json!({"a": 1}));
            let body = encoding.encode(response).await.into_body();
            let body = body.collect().await.unwrap().to_bytes();
            assert_eq!(body.starts_with(b"{\n"), pretty, "{status}");
        }
    }

    /// R3: YAML says the same.
    #[tokio::test]
    async fn yaml_says_the_same() {
        let value = json!({"kind": "Status", "code": 404, "message": "a: \"b\" #c\nd",
            "details": {"uid": "1e5", "yes": "no"}, "items": []});
        let (headers, body) =
            answer(&value, "/apis/g/v/rs", &[("accept", "application/yaml")]).await;
        assert_eq!(headers[header::CONTENT_TYPE], "application/yaml");
        assert_eq!(apimachinery::decode::yaml(&body).unwrap().value, value);
        assert!(!body.starts_with(b"{"));
    }

    /// R4: a list that is put together chunk by chunk is compressed in the same way.
    #[tokio::test]
    async fn a_list_is_compressed_as_it_is_made() {
        let entries: Vec<_> = (0..300).map(|i| response::tests::entry(i, 1000)).collect();
        let whole = response::list("{\"items\":[".to_owned(), entries.clone());
        let whole = whole.into_body().collect().await.unwrap().to_bytes();
        let encoding = Encoding {
            gzip: true,
            ..Encoding::default()
        };
        let response = response::list("{\"items\":[".to_owned(), entries);
        let response = encoding.encode(response).await;
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, whole);
    }

    /// R4: only large answers are compressed, and only for who takes gzip without conditions.
    #[rstest]
    #[case("gzip, br", 200_000, true)]
    #[case("br, gzip;q=0.5", 200_000, false)]
    #[case("gzip", 100_000, false)]
    #[tokio::test]
    async fn large_answers_are_compressed(
        #[case] accepted: &str,
        #[case] size: usize,
        #[case] compressed: bool,
    ) {
        let value = json!({"a": "x".repeat(size)});
        let (headers, body) =
            answer(&value, "/apis/g/v/rs", &[("accept-encoding", accepted)]).await;
        let named = headers
            .get(header::CONTENT_ENCODING)
            .map(HeaderValue::as_bytes);
        assert_eq!(named == Some(b"gzip"), compressed);
        let mut text = Vec::new();
        if compressed {
            assert!(body.len() < size / 10);
            assert_eq!(headers[header::VARY], "Accept-Encoding");
            flate2::read::GzDecoder::new(&body[..])
                .read_to_end(&mut text)
                .unwrap();
        } else {
            text = body;
        }
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), value);
    }
}
