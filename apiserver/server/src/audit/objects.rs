//! The objects of a request and of its answer, as an event shows them.

use apimachinery::decode;
use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::policy::Level;
use crate::response::{self, Body};

/// Largest object in an event, in bytes: whatever can be sent, and lists up to that.
const OBJECT_MAX: usize = 3 * 1024 * 1024;

/// An object, if it is one and is not too large.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) object: Option<Box<RawValue>>,
    /// There is one, but it is too large.
    pub(super) is_left_out: bool,
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) shown: Shown,
    pub(super) metadata: Metadata,
}

/// What an object says about itself, which the path may not.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HasMetadata {
    metadata: Metadata,
}

/// How objects are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) level: Level,
    pub(super) omit_managed_fields: bool,
}

impl Sent {
    /// Reads what was sent; a body that is no object, nor a patch, is not shown.
    pub(super) fn read(body: &Bytes, headers: &HeaderMap, is_patch: bool, style: Style) -> Self {
        let media = headers.get(header::CONTENT_TYPE);
        let is_yaml = media.is_some_and(|m| m.as_bytes().windows(4).any(|part| part == b"yaml"));
        let json = if is_yaml {
            match decode::yaml(body) {
                Ok(decoded) => Bytes::from(decoded.value.to_string()),
                Err(_) => return Self::default(),
            }
        } else {
            body.clone()
        };
        let metadata = if is_patch {
            Metadata::default()
        } else {
            let object = serde_json::from_slice::<HasMetadata>(&json);
            object.unwrap_or_default().metadata
        };
        let shown = if style.level < Level::Request {
            Shown::default()
        } else if is_patch {
            // A patch is shown as it is, also its managed fields.
            show(&json, false)
        } else {
            show(&json, style.omit_managed_fields)
        };
        let is_object = json.trim_ascii_start().starts_with(b"{");
        let shown = if is_patch || is_object {
            shown
        } else {
            Shown::default()
        };
        Self { shown, metadata }
    }
}

/// An answer's object, and its status if that is what it is. The answer is as good as before.
pub(super) async fn answered(
    response: Response<Body>,
    style: Style,
) -> (Response<Body>, Shown, Option<Value>) {
    if response.headers().get(header::CONTENT_TYPE) != Some(&response::JSON) {
        return (response, Shown::default(), None);
    }
    let named = response.headers().get(header::CONTENT_LENGTH);
    let named = named.and_then(|value| value.to_str().ok()?.parse().ok());
    match named.or_else(|| response.body().size_hint().exact()) {
        Some(length) if length <= OBJECT_MAX as u64 => {}
        _ => {
            let shown = Shown {
                object: None,
                is_left_out: style.level >= Level::RequestResponse,
            };
            return (response, shown, None);
        }
    }
    let (parts, body) = response.into_parts();
    let Ok(collected) = body.collect().await;
    let body = collected.to_bytes();
    let status = serde_json::from_slice::<Value>(&body).ok();
    let status = status.filter(|value| value["kind"] == "Status" && value["apiVersion"] == "v1");
    let shown = if style.level >= Level::RequestResponse && body.starts_with(b"{") {
        show(&body, style.omit_managed_fields)
    } else {
        Shown::default()
    };
    let response = Response::from_parts(parts, Full::new(body).boxed_unsync());
    (response, shown, status)
}

/// JSON on one line, if it is an object or a list.
pub(super) fn show(json: &[u8], omit_managed_fields: bool) -> Shown {
    let json = json.trim_ascii();
    if !json.starts_with(b"{") && !json.starts_with(b"[") {
        return Shown::default();
    }
    // A line feed in a text is escaped, so one that stands there is between the parts.
    let object = if omit_managed_fields || json.contains(&b'\n') || json.contains(&b'\r') {
        let value = decode::json(json).ok().map(|decoded| decoded.value);
        value.and_then(|mut value| {
            if omit_managed_fields {
                remove_managed_fields(&mut value);
            }
            serde_json::value::to_raw_value(&value).ok()
        })
    } else {
        serde_json::from_slice::<Box<RawValue>>(json).ok()
    };
    let is_left_out = object.as_ref().is_some_and(|o| o.get().len() > OBJECT_MAX);
    Shown {
        object: object.filter(|_| !is_left_out),
        is_left_out,
    }
}

/// From an object, from the items of a list and from the rows of a Table.
fn remove_managed_fields(value: &mut Value) {
    let remove = |object: &mut Value| {
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.remove("managedFields");
        }
    };
    remove(value);
    if let Some(Value::Array(items)) = value.get_mut("items") {
        items.iter_mut().for_each(remove);
    }
    if let Some(Value::Array(rows)) = value.get_mut("rows") {
        let objects = rows.iter_mut().filter_map(|row| row.get_mut("object"));
        objects.for_each(remove);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn text(shown: &Shown) -> &str {
        shown.object.as_ref().map_or("", |object| object.get())
    }

    fn sent(media: &str, body: &str, is_patch: bool, omit_managed_fields: bool) -> Sent {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media.parse().unwrap())]);
        let style = Style {
            level: Level::Request,
            omit_managed_fields,
        };
        let body = Bytes::copy_from_slice(body.as_bytes());
        Sent::read(&body, &headers, is_patch, style)
    }

    /// X9: what was sent is shown as JSON on one line, and what is no object is not shown.
    #[rstest]
    #[case::json("application/json", "{\"a\": 1.50}", false, "{\"a\": 1.50}")]
    #[case::indented(
        "application/json",
        "{\n  \"a\": \"b\\nc\"\n}",
        false,
        "{\"a\":\"b\\nc\"}"
    )]
    #[case::yaml("application/yaml", "a: {b: [1]}\n", false, "{\"a\":{\"b\":[1]}}")]
    #[case::apply(
        "application/apply-patch+yaml",
        "spec:\n  a: 1\n",
        true,
        "{\"spec\":{\"a\":1}}"
    )]
    #[case::json_patch(
        "application/json-patch+json",
        "[{\"op\":\"x\"}]",
        true,
        "[{\"op\":\"x\"}]"
    )]
    #[case::no_object("application/json", "[1]", false, "")]
    #[case::text("application/json", "\"secret\"", false, "")]
    #[case::broken("application/json", "{\"a\":", false, "")]
    #[case::broken_yaml("application/yaml", "a: b: c", false, "")]
    #[case::nothing("", "", false, "")]
    fn what_was_sent_is_shown_on_one_line(
        #[case] media: &str,
        #[case] body: &str,
        #[case] is_patch: bool,
        #[case] expected: &str,
    ) {
        assert_eq!(text(&sent(media, body, is_patch, false).shown), expected);
    }

    /// X9: managed fields are left out of objects, lists and Tables where that is wanted.
    #[rstest]
    #[case::object(
        r#"{"metadata":{"name":"a","managedFields":[]}}"#,
        r#"{"metadata":{"name":"a"}}"#
    )]
    #[case::list(
        r#"{"items":[{"metadata":{"managedFields":[1]}}],"kind":"List"}"#,
        r#"{"items":[{"metadata":{}}],"kind":"List"}"#
    )]
    #[case::table(
        r#"{"rows":[{"object":{"metadata":{"managedFields":[1]}}}]}"#,
        r#"{"rows":[{"object":{"metadata":{}}}]}"#
    )]
    #[case::strange(
        r#"{"items":3,"metadata":[],"rows":[1]}"#,
        r#"{"items":3,"metadata":[],"rows":[1]}"#
    )]
    fn managed_fields_are_left_out(#[case] json: &str, #[case] expected: &str) {
        assert_eq!(text(&show(json.as_bytes(), true)), expected);
        assert_eq!(text(&show(json.as_bytes(), false)), json);
    }

    #[test]
    fn an_object_that_is_too_large_is_left_out() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(OBJECT_MAX));
        let shown = show(large.as_bytes(), false);
        assert!(shown.object.is_none() && shown.is_left_out);
    }

    /// X9: an answer that is no object is not shown, and none is changed by being looked at.
    #[rstest]
    #[case(json!({"kind": "Thing"}), true)]
    #[case(json!([{"kind": "Thing"}]), false)]
    #[case(json!("secret"), false)]
    #[tokio::test]
    async fn an_answer_that_is_no_object_is_not_shown(#[case] body: Value, #[case] is_shown: bool) {
        let style = Style {
            level: Level::RequestResponse,
            omit_managed_fields: false,
        };
        let response = response::json(http::StatusCode::OK, &body);
        let (response, shown, status) = answered(response, style).await;
        assert_eq!((shown.object.is_some(), status), (is_shown, None));
        let after = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(after, format!("{body}\n"));
    }
}
