//! How many requests are in flight: the highest number of the last second, as
//! `k8s.io/apiserver/pkg/server/filters/maxinflight.go` reports it, without a task that counts.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};
use tokio::time::Instant;

use super::exposition::Label;

/// Requests in flight, reads and writes apart. Watches do not count.
#[derive(Debug)]
pub(crate) struct Inflight {
    start: Instant,
    read_only: Watermark,
    mutating: Watermark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    ReadOnly,
    Mutating,
}

/// A request in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InflightRequest {
    inflight: Arc<Inflight>,
    kind: RequestKind,
}

#[derive(Debug, Default)]
struct Watermark {
    now: AtomicU64,
    /// The newest second in which a request came, in the upper half, and its highest number.
    newest: AtomicU64,
    /// The second before that one in which a request came, and its highest number.
    earlier: AtomicU64,
}

// === impl Inflight ===

impl Default for Inflight {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            read_only: Watermark::default(),
            mutating: Watermark::default(),
        }
    }
}

impl Inflight {
    /// Counts a request until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, kind: RequestKind) -> InflightRequest {
        self.watermark(kind).enter(self.second());
        InflightRequest {
            inflight: Arc::clone(self),
            kind,
        }
    }

    fn watermark(&self, kind: RequestKind) -> &Watermark {
        match kind {
            RequestKind::ReadOnly => &self.read_only,
            RequestKind::Mutating => &self.mutating,
        }
    }

    /// From 2, so that the second before is not 0, which says that none was.
    fn second(&self) -> u64 {
        self.start.elapsed().as_secs() + 2
    }

    fn highest(&self, kind: RequestKind) -> u64 {
        self.watermark(kind).highest(self.second())
    }
}

impl Drop for InflightRequest {
    fn drop(&mut self) {
        let watermark = self.inflight.watermark(self.kind);
        watermark.now.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Watermark ===

impl Watermark {
    fn enter(&self, second: u64) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        let before = self.newest.fetch_max(second << 32 | now, Ordering::Relaxed);
        if before >> 32 < second {
            self.earlier.store(before, Ordering::Relaxed);
        }
    }

    fn highest(&self, second: u64) -> u64 {
        let recent = [&self.newest, &self.earlier]
            .map(|packed| packed.load(Ordering::Relaxed))
            .into_iter()
            .filter(|packed| packed >> 32 >= second - 1)
            .map(|packed| packed & u64::from(u32::MAX));
        recent
            .max()
            .unwrap_or_default()
            .max(self.now.load(Ordering::Relaxed))
    }
}

/// The numbers, read when they are asked for.
#[derive(Debug)]
pub(super) struct InflightCollector(pub(super) Arc<Inflight>);

impl Collector for InflightCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "apiserver_current_inflight_requests",
            "Highest number of requests in flight in the last second, by kind",
            None,
            MetricType::Gauge,
        )?;
        for (name, kind) in [
            ("readOnly", RequestKind::ReadOnly),
            ("mutating", RequestKind::Mutating),
        ] {
            let label: Label = [("request_kind", name)];
            family
                .encode_family(&label)?
                .encode_gauge(&self.0.highest(kind))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// X11: a peak is seen for a second after it is over, and what still runs for as long as it runs.
    #[tokio::test(start_paused = true)]
    async fn the_peak_of_the_last_second_is_told() {
        let inflight = Arc::new(Inflight::default());
        let mut running: Vec<_> = (0..5)
            .map(|_| inflight.enter(RequestKind::ReadOnly))
            .collect();
        running.truncate(2);
        assert_eq!(inflight.highest(RequestKind::ReadOnly), 5);
        assert_eq!(inflight.highest(RequestKind::Mutating), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(inflight.enter(RequestKind::ReadOnly));
        assert_eq!(inflight.highest(RequestKind::ReadOnly), 5);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(inflight.highest(RequestKind::ReadOnly), 2);
        running.clear();
        assert_eq!(inflight.highest(RequestKind::ReadOnly), 0);
    }
}
