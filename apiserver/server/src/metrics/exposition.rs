//! From the registry to the text that Prometheus reads.
//!
//! The registry writes OpenMetrics, where a counter's family has a name without `_total` and bounds are
//! floats. What goes out is the older text format 0.0.4 as Go's client writes it, because Kubernetes has
//! counters without that suffix, and because queries name the bound `le="1"`: Prometheus 2 keeps a
//! bound as it was sent.

use std::{
    fmt::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, TypedMetric, family::Family, histogram::Histogram},
    registry::Registry,
};

/// The format of [`text()`], which every scraper takes.
pub(super) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// One label whose values are known when the server is built.
pub(super) type Label = [(&'static str, &'static str); 1];

/// Histograms by labels.
pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// A number that only grows, exposed under just the name it was registered with. Clones share the number.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts some.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many were counted.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl EncodeMetric for Counter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Counter {
    const TYPE: MetricType = MetricType::Counter;
}

/// Everything in a registry.
pub(super) fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut open_metrics = String::new();
    text::encode_registry(&mut open_metrics, registry)?;
    with_go_bounds(&open_metrics)
}

/// The same text with the bounds of histograms as Go writes them.
fn with_go_bounds(text: &str) -> Result<String, fmt::Error> {
    const BOUND: &str = "le=\"";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BOUND) {
        out.push_str(before);
        out.push_str(BOUND);
        let (bound, after) = after.split_once('"').unwrap_or((after, ""));
        match bound.parse::<f64>() {
            Ok(number) if number.is_finite() => write_go_float(&mut out, number)?,
            _ => out.push_str(bound),
        }
        out.push('"');
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// `strconv.FormatFloat(number, 'g', -1, 64)` for bounds of histograms, of which none is below 0.0001.
fn write_go_float(out: &mut String, number: f64) -> fmt::Result {
    if number < 1e21 && number.abs() < 1e6 {
        return write!(out, "{number}");
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) => write!(out, "{digits}e+{exponent:0>2}"),
        None => write!(out, "{number}"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// As `go run` prints them.
    #[rstest]
    #[case("le=\"0.005\"", "le=\"0.005\"")]
    #[case("le=\"1.0\"", "le=\"1\"")]
    #[case("le=\"1.25\"", "le=\"1.25\"")]
    #[case("le=\"131072.0\"", "le=\"131072\"")]
    #[case("le=\"1000000.0\"", "le=\"1e+06\"")]
    #[case("le=\"31104000.0\"", "le=\"3.1104e+07\"")]
    #[case("le=\"1e10\"", "le=\"1e+10\"")]
    #[case("le=\"+Inf\"} 3\n", "le=\"+Inf\"} 3\n")]
    fn bounds_are_written_as_go_writes_them(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(with_go_bounds(text).unwrap(), expected);
    }

    /// X11: no name is changed: what Kubernetes calls `authentication_attempts` has no `_total` here either,
    /// and what has it has it once.
    #[test]
    fn counters_keep_their_names() {
        let mut registry = Registry::default();
        let counter = Counter::default();
        counter.add(3);
        registry.register("attempts", "Attempts", counter.clone());
        registry.register("requests_total", "Requests", counter);
        let expected = "# HELP attempts Attempts.\n# TYPE attempts counter\nattempts 3\n\
             # HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total 3\n";
        assert_eq!(text(&registry).unwrap(), expected);
    }
}
