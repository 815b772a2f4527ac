//! The headers of W3C's trace context, in requests and in questions to kube-apiserver.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub(super) struct RequestHeaders<'a>(pub(super) &'a HeaderMap);

impl Extractor for RequestHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct QuestionHeaders<'a>(&'a mut HeaderMap);

impl Injector for QuestionHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::try_from(key);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Names the span that a question is asked for, if there is one.
pub(crate) fn name_current_span(headers: &mut HeaderMap) {
    TraceContextPropagator::new()
        .inject_context(&Context::current(), &mut QuestionHeaders(headers));
}
