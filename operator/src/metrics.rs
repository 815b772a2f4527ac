//! What the operator counts. Names follow controller-runtime's, with a prefix of our own.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Bounds of the duration histogram, in seconds: a reconcile of an unchanged world is a few reads,
/// one that waits for a probe is a few seconds.
const DURATION_BUCKETS: [f64; 8] = [0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];

/// The label of failed reconciles.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ErrorLabels {
    /// Which step failed.
    pub category: &'static str,
}

/// The operator's metrics. Clones share the numbers.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Counter,
    errors: Family<ErrorLabels, Counter>,
    durations: Histogram,
    writes: Counter,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("extension_api_operator");
        let reconciles = Counter::default();
        let errors = Family::default();
        let durations = Histogram::new(DURATION_BUCKETS);
        let writes = Counter::default();
        let leader = Gauge::default();
        registry.register(
            "reconcile",
            "Reconciles that ended, well or not",
            reconciles.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that failed, by step",
            errors.clone(),
        );
        registry.register(
            "reconcile_time_seconds",
            "How long reconciles took",
            durations.clone(),
        );
        registry.register(
            "writes",
            "Objects written; none while nothing changes",
            writes.clone(),
        );
        registry.register("leader", "Whether this process acts", leader.clone());
        Self {
            registry: Arc::new(registry),
            reconciles,
            errors,
            durations,
            writes,
            leader,
        }
    }
}

impl Metrics {
    /// Counts a reconcile that ended.
    pub fn reconciled(&self, took: Duration) {
        self.reconciles.inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Counts a reconcile that failed.
    pub fn failed(&self, category: &'static str) {
        self.errors.get_or_create(&ErrorLabels { category }).inc();
    }

    /// Counts an object that was written.
    pub fn wrote(&self) {
        self.writes.inc();
    }

    /// Says that this process acts.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// All metrics in the text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Metrics;

    /// The documentation lists every metric with its type, and nothing else: the chart's dashboard and alerts
    /// are compared with it.
    #[test]
    fn the_documentation_lists_every_metric() {
        let metrics = Metrics::default();
        metrics.failed("apply");
        let text = metrics.text().unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut exposed: Vec<String> = types
            .map(|declared| match declared.split_once(' ').unwrap() {
                (name, "counter") => format!("{name}_total counter"),
                (name, metric_type) => format!("{name} {metric_type}"),
            })
            .collect();
        let document = include_str!("../../docs/metrics.md");
        let operator = document
            .split("\n## ")
            .find(|s| s.starts_with("The operator"));
        let rows = operator
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("| `"));
        let mut documented: Vec<String> = rows
            .map(|row| {
                let cells: Vec<_> = row
                    .split('|')
                    .map(|cell| cell.trim().trim_matches('`'))
                    .collect();
                format!("{} {}", cells[1], cells[2])
            })
            .collect();
        exposed.sort();
        documented.sort();
        assert_eq!(documented, exposed);
    }

    #[test]
    fn what_happened_is_in_the_text() {
        let metrics = Metrics::default();
        metrics.reconciled(Duration::from_millis(3));
        metrics.failed("apply");
        let text = metrics.text().unwrap();
        assert!(
            text.contains("extension_api_operator_reconcile_total 1"),
            "{text}"
        );
        assert!(
            text.contains(r#"extension_api_operator_reconcile_errors_total{category="apply"} 1"#)
        );
    }
}
