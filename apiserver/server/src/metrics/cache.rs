//! The watch caches: `k8s.io/apiserver/pkg/storage/cacher/metrics`, and the numbers of objects that
//! `pkg/storage/etcd3/metrics` has.
//!
//! A cache counts by itself and is read when somebody asks. Upstream's labels have no version, so the
//! versions of a resource, which have a cache each, are counted together.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apimachinery::GroupResource;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::exposition::Counter;
use crate::cacher::Cacher;

/// Bounds of the time that a read waits, in seconds.
const READ_WAIT_BUCKETS: [f64; 13] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0,
];
/// What is left of a revision, so that a float can show it: upstream keeps 15 digits.
const REVISION_MODULUS: u64 = 1_000_000_000_000_000;

/// What one cache counts.
#[derive(Debug, Default)]
pub(crate) struct CacheCounts {
    /// Times that everything was loaded.
    pub(crate) initializations: Counter,
    /// Events from the store.
    pub(crate) received: Counter,
    /// Events that watches began with.
    pub(crate) initial: Counter,
    /// Watches that were ended because they were too slow.
    pub(crate) terminated: Counter,
    /// How long reads waited for the cache.
    pub(crate) read_wait: ReadWait,
}

/// A histogram that can be added to another.
#[derive(Debug, Default)]
pub(crate) struct ReadWait {
    /// The last one has no bound.
    buckets: [AtomicU64; READ_WAIT_BUCKETS.len() + 1],
    microseconds: AtomicU64,
}

impl ReadWait {
    /// Counts a read that waited this long.
    pub(crate) fn observe(&self, waited: Duration) {
        let seconds = waited.as_secs_f64();
        let bucket = READ_WAIT_BUCKETS.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let waited = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(waited, Ordering::Relaxed);
    }
}

/// Reads the caches of all resources.
#[derive(Debug, Default)]
pub(super) struct CacheCollector {
    /// The caches of a resource, one for each version.
    pub(super) caches: BTreeMap<(String, String), Vec<Arc<Cacher>>>,
}

/// A number of one resource.
type Read = fn(&[Arc<Cacher>]) -> i64;

/// Name, help, type and value of what is exposed for every resource.
const FAMILIES: [(&str, &str, MetricType, Read); 7] = [
    (
        "apiserver_resource_objects",
        "Objects in the store; -1 before they were loaded",
        MetricType::Gauge,
        objects,
    ),
    (
        "apiserver_init_events_total",
        "Events that watches began with",
        MetricType::Counter,
        |caches| sum(caches, |counts| &counts.initial),
    ),
    (
        "apiserver_terminated_watchers_total",
        "Watches that were ended because they fell behind",
        MetricType::Counter,
        |caches| sum(caches, |counts| &counts.terminated),
    ),
    (
        "apiserver_watch_cache_events_received_total",
        "Events that the watch cache got from the store",
        MetricType::Counter,
        |caches| sum(caches, |counts| &counts.received),
    ),
    (
        "apiserver_watch_cache_initializations_total",
        "Times that the watch cache was loaded",
        MetricType::Counter,
        |caches| sum(caches, |counts| &counts.initializations),
    ),
    (
        "apiserver_watch_cache_resource_version",
        "Revision that the watch cache shows, its last 15 digits",
        MetricType::Gauge,
        |caches| {
            let revisions = caches.iter().map(|cache| cache.revision().0);
            number(revisions.min().unwrap_or_default() % REVISION_MODULUS)
        },
    ),
    (
        "watch_cache_capacity",
        "Events that the watch cache can keep",
        MetricType::Gauge,
        |caches| {
            caches
                .first()
                .map_or(0, |cache| number(cache.capacity() as u64))
        },
    ),
];

fn objects(caches: &[Arc<Cacher>]) -> i64 {
    match caches.first() {
        Some(cache) if cache.is_ready() => number(cache.len() as u64),
        _ => -1,
    }
}

fn sum(caches: &[Arc<Cacher>], counter: fn(&CacheCounts) -> &Counter) -> i64 {
    number(
        caches
            .iter()
            .map(|cache| counter(cache.counts()).get())
            .sum(),
    )
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.caches.is_empty() {
            return Ok(());
        }
        for (name, help, metric_type, read) in FAMILIES {
            let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
            for ((group, resource), caches) in &self.caches {
                let labels = [("group", group.as_str()), ("resource", resource.as_str())];
                family.encode_family(&labels)?.encode_gauge(&read(caches))?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "apiserver_storage_objects",
            "The same as apiserver_resource_objects, under the name that it had before",
            None,
            MetricType::Gauge,
        )?;
        for ((group, resource), caches) in &self.caches {
            let resource = GroupResource {
                group: group.clone(),
                resource: resource.clone(),
            };
            family
                .encode_family(&[("resource", resource.to_string())])?
                .encode_gauge(&objects(caches))?;
        }
        let mut family = encoder.encode_descriptor(
            "apiserver_watch_cache_read_wait_seconds",
            "How long reads waited until the watch cache was new enough",
            None,
            MetricType::Histogram,
        )?;
        for ((group, resource), caches) in &self.caches {
            let labels = [("group", group.as_str()), ("resource", resource.as_str())];
            encode_read_wait(family.encode_family(&labels)?, caches)?;
        }
        Ok(())
    }
}

fn encode_read_wait(mut encoder: MetricEncoder<'_>, caches: &[Arc<Cacher>]) -> fmt::Result {
    let waits = || caches.iter().map(|cache| &cache.counts().read_wait);
    let bounds = READ_WAIT_BUCKETS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds
        .enumerate()
        .map(|(index, bound)| {
            let counted = waits().filter_map(|wait| wait.buckets.get(index));
            (
                bound,
                counted.map(|count| count.load(Ordering::Relaxed)).sum(),
            )
        })
        .collect();
    let microseconds = waits().map(|wait| wait.microseconds.load(Ordering::Relaxed));
    let seconds = Duration::from_micros(microseconds.sum()).as_secs_f64();
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
}
