//! One side of the comparison, and how a case runs on it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use bytes::{Buf, Bytes};
use e2e::testing::wait_for;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Map, Value, json};

use super::case::{Message, Step};

/// Longer than any request takes; what takes longer is a difference.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);
/// How long an expected event, or the end of a watch, may take.
const EVENT_WITHIN: Duration = Duration::from_secs(10);
/// Who asks, unless a case says otherwise: upstream makes the default field manager of it.
const USER_AGENT: &str = "differential/1.0";

/// A group on the cluster's kube-apiserver.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) client: Client,
    pub(crate) group: &'static str,
    /// One letter, so that names on both sides have the same length.
    pub(crate) letter: char,
}

/// A case that runs on one side.
pub(crate) struct Run<'a> {
    side: &'a Side,
    namespace: &'a str,
    answers: BTreeMap<&'static str, Value>,
    watch: Option<Watch>,
}

struct Watch {
    body: Body,
    pending: Vec<u8>,
}

impl Side {
    /// The name that `{own}` stands for.
    pub(crate) fn own_namespace(&self, namespace: &str) -> String {
        format!("{namespace}-{}", self.letter)
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(side: &'a Side, namespace: &'a str) -> Self {
        Self {
            side,
            namespace,
            answers: BTreeMap::new(),
            watch: None,
        }
    }

    /// What came of each step: an answer or events, not yet normalised.
    pub(crate) async fn run(mut self, steps: &[Step]) -> Vec<Value> {
        let mut outcomes = Vec::new();
        for step in steps {
            let outcome = self.step(step).await;
            outcomes.push(outcome.unwrap_or_else(|e| json!({ "failure": format!("{e:#}") })));
        }
        outcomes
    }

    async fn step(&mut self, step: &Step) -> Result<Value> {
        match step {
            Step::Send(message) => {
                let answer = self.send_until(message).await?;
                if let Some(label) = message.label {
                    self.answers.insert(label, answer["body"].clone());
                }
                Ok(answer)
            }
            Step::Watch(message) => {
                let response = self.response(message).await?;
                if response.status() != http::StatusCode::OK {
                    return read(response).await;
                }
                let (parts, body) = response.into_parts();
                let pending = Vec::new();
                self.watch = Some(Watch { body, pending });
                Ok(json!({ "status": 200, "headers": headers(&parts.headers) }))
            }
            Step::Events(count) => self.events(*count).await,
            Step::End => self.events(usize::MAX).await,
        }
    }

    async fn send_until(&self, message: &Message) -> Result<Value> {
        let mut answer = self.send(message).await;
        if let Some(status) = message.until {
            let expected = wait_for("the status", REQUEST_WITHIN, async || {
                answer = self.send(message).await;
                let found = answer.as_ref().ok()?["status"].as_u64()?;
                (found == u64::from(status)).then_some(())
            });
            // In vain as well: the comparison then tells.
            expected.await.ok();
        }
        answer
    }

    async fn send(&self, message: &Message) -> Result<Value> {
        let answer = async { read(self.response(message).await?).await };
        let answer = tokio::time::timeout(REQUEST_WITHIN, answer).await;
        answer.context("no whole answer in time")?
    }

    async fn response(&self, message: &Message) -> Result<Response<Body>> {
        let mut uri = self.fill(&message.path);
        if !message.query.is_empty() {
            uri = format!("{uri}?{}", self.fill(&message.query));
        }
        let method = Method::from_bytes(message.method.as_bytes())?;
        let mut request = Request::builder().method(method).uri(uri);
        let named = |name: &str| message.headers.iter().any(|(other, _)| *other == name);
        if !named("user-agent") {
            request = request.header("user-agent", USER_AGENT);
        }
        for (name, value) in &message.headers {
            request = request.header(*name, self.fill(value));
        }
        let body = match str::from_utf8(&message.body) {
            Ok(text) => self.fill(text).into_bytes(),
            Err(_) => message.body.clone(),
        };
        let sent = self.side.client.send(request.body(Body::from(body))?);
        let response = tokio::time::timeout(REQUEST_WITHIN, sent).await;
        // Which error it is depends on the moment at which the connection breaks.
        let response = response.context("no answer in time")?;
        response.ok().context("the connection broke")
    }

    /// Puts values in the place of placeholders. Braces around anything else stay.
    fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let value = after.split_once('}').and_then(|(name, after)| {
                let value = self.value(name)?;
                Some((value, after))
            });
            if let Some((value, after)) = value {
                filled.push_str(&value);
                rest = after;
            } else {
                filled.push('{');
                rest = after;
            }
        }
        filled + rest
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "ns" => return Some(self.namespace.to_owned()),
            "own" => return Some(self.side.own_namespace(self.namespace)),
            "group" => return Some(self.side.group.to_owned()),
            _ => {}
        }
        let (label, path) = name.split_once('.')?;
        let answer = self.answers.get(label)?;
        let pointer = format!("/{}", path.replace('.', "/"));
        Some(match answer.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "missing".to_owned(),
        })
    }

    /// Up to `count` events. Fewer are no failure here: they are a difference if the other side
    /// has more.
    async fn events(&mut self, count: usize) -> Result<Value> {
        let watch = self.watch.as_mut().context("no watch is open")?;
        let mut events = Vec::new();
        while events.len() < count {
            match tokio::time::timeout(EVENT_WITHIN, watch.next()).await {
                Err(_) => {
                    events.push(json!("no further event"));
                    break;
                }
                Ok(Some(event)) => events.push(event),
                Ok(None) => {
                    events.push(json!("the end"));
                    break;
                }
            }
        }
        Ok(json!({ "events": events }))
    }
}

impl Watch {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let event = text(&line);
                if !is_plain_bookmark(&event) {
                    return Some(event);
                }
                continue;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.pending.extend(frame.data_ref()?.chunk()),
                Some(Err(_)) => return Some(json!("the connection broke")),
                None if self.pending.is_empty() => return None,
                None => self.pending.push(b'\n'),
            }
        }
    }
}

/// A bookmark that ends no initial events comes when the server likes.
fn is_plain_bookmark(event: &Value) -> bool {
    event["type"] == "BOOKMARK" && !event.to_string().contains("k8s.io/initial-events-end")
}

async fn read(response: Response<Body>) -> Result<Value> {
    let (parts, body) = response.into_parts();
    let body = body.collect_bytes().await.ok();
    let body = body.context("the connection broke")?;
    let mut answer = json!({
        "status": parts.status.as_u16(),
        "headers": headers(&parts.headers),
    });
    let encoding = parts.headers.get("content-encoding");
    let body = match encoding.map(http::HeaderValue::as_bytes) {
        Some(b"gzip") => unzip(&body)?,
        _ => body,
    };
    // How the text is set, which parsing forgets.
    answer["indented"] = body.starts_with(b"{\n").into();
    answer["newline"] = body.ends_with(b"\n").into();
    answer["body"] = text(&body);
    Ok(answer)
}

fn unzip(body: &[u8]) -> Result<Bytes> {
    let mut decoder = flate2::read::GzDecoder::new(body);
    let mut unzipped = Vec::new();
    std::io::copy(&mut decoder, &mut unzipped)?;
    Ok(unzipped.into())
}

/// JSON and YAML as what they say, a stream as its events, other text as lines, and of anything
/// else that it is no text.
fn text(body: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(body) {
        return value;
    }
    match str::from_utf8(body) {
        Ok(text) if text.contains("\nkind: ") => serde_saphyr::from_str(text)
            .unwrap_or_else(|error| json!(format!("broken YAML: {error}"))),
        Ok(text) if !text.contains('\0') => {
            let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| json!(line));
            text.lines().map(event).collect()
        }
        _ => {
            let start = body.iter().take(3).map(|byte| format!("{byte:02x}"));
            json!(format!("binary: {}", start.collect::<String>()))
        }
    }
}

/// Values that are repeated count once: the aggregator sets some headers that the server behind it
/// sets as well.
fn headers(headers: &HeaderMap) -> Value {
    let mut map = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let mut values = values.collect::<Vec<_>>();
        values.dedup();
        map.insert(name.to_string(), values.join(" | ").into());
    }
    Value::Object(map)
}
