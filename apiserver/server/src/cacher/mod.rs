//! The watch cache: the current objects of one resource and the events that led to them.
//!
//! One task feeds it from [`Storage::watch`]; readers never ask the store for data. The store's
//! encoded bytes are shared by every GET, LIST and watch. Mirrors
//! `k8s.io/apiserver/pkg/storage/cacher`.
//!
//! Known deviation: an older state is made by undoing the ring's events, where upstream keeps a
//! snapshot for each of them.

mod entry;
mod event;
mod feed;
mod past;
mod selection;
mod view;
mod watcher;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use apimachinery::ApiError;
use parking_lot::RwLock;
use storage::{Revision, Storage};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

pub use entry::{Codec, Entry};
pub use event::EventType;
pub use past::{PastPage, PastRange};
pub use selection::Selection;
pub use view::{Conversion, View};
pub use watcher::{WatchParameters, WatchStart, Watcher, error_frame};

use event::{CacheEvent, Frames};

use crate::metrics::CacheCounts;

/// Events that the ring keeps, so that watches can resume: upstream's largest ring.
const RING_CAPACITY: usize = 102_400;
/// What the objects of these events may weigh, as they are stored: in memory they take up to twice as much, and
/// a server has 256 MiB unless somebody gives it more. Without it somebody who changes large objects could
/// fill any memory.
const RING_BYTES_MAX: usize = 64 << 20;
/// Newest events whose frames are kept for the next watch: watches that follow need no others.
const FRAMES_CAPACITY: usize = 512;
/// What the objects of those may weigh; a frame weighs about as much, once for each form that is watched.
const FRAMES_BYTES_MAX: usize = 16 << 20;
/// How long a read waits for the cache to reach a revision, as upstream's `blockTimeout`.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);

/// The watch cache of one resource.
#[derive(Debug)]
pub struct Cacher {
    /// Held only to look things up and to apply a batch, never over an await.
    state: RwLock<State>,
    /// How far the cache is: wakes watches and waiting readers.
    progress: watch::Sender<Progress>,
    ring_capacity: usize,
    counts: CacheCounts,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Arc<str>, Arc<Entry>>,
    ring: VecDeque<Arc<CacheEvent>>,
    /// The weight of the events in the ring, and of those whose frames are kept.
    ring_bytes: usize,
    frames_bytes: usize,
    /// The frames of the newest events in the ring, in the same order.
    frames: VecDeque<Arc<Frames>>,
    /// The sequence number of the first event in the ring; it only grows.
    first_sequence: u64,
    /// Every event after this revision is in the ring.
    floor: Revision,
    revision: Revision,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Whether the objects were loaded once.
    ready: bool,
    revision: Revision,
    /// Grows with every bookmark period; one ticker serves all watches.
    bookmark_tick: u64,
}

impl Cacher {
    /// A cache of everything under `prefix`; its feeding task ends with `shutdown`.
    pub fn start(
        codec: Arc<Codec>,
        storage: Arc<dyn Storage>,
        prefix: String,
        shutdown: CancellationToken,
    ) -> (Arc<Self>, tokio::task::JoinHandle<()>) {
        Self::with_ring_capacity(RING_CAPACITY, codec, storage, prefix, shutdown)
    }

    fn with_ring_capacity(
        ring_capacity: usize,
        codec: Arc<Codec>,
        storage: Arc<dyn Storage>,
        prefix: String,
        shutdown: CancellationToken,
    ) -> (Arc<Self>, tokio::task::JoinHandle<()>) {
        let progress = watch::Sender::new(Progress::default());
        let cacher = Arc::new(Self {
            state: RwLock::default(),
            progress,
            ring_capacity,
            counts: CacheCounts::default(),
        });
        let feed = feed::Feed {
            cacher: Arc::clone(&cacher),
            codec,
            storage,
            prefix,
        };
        let task = tokio::spawn(async move {
            shutdown.run_until_cancelled(feed.run()).await;
        });
        (cacher, task)
    }

    /// Whether the objects were loaded once.
    pub fn is_ready(&self) -> bool {
        self.progress.borrow().ready
    }

    /// What the cache has done so far.
    pub(crate) fn counts(&self) -> &CacheCounts {
        &self.counts
    }

    /// How many events the cache can keep.
    pub(crate) fn capacity(&self) -> usize {
        self.ring_capacity
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// The revision that the cache shows.
    pub fn revision(&self) -> Revision {
        self.state.read().revision
    }

    /// Waits until the cache shows this revision or a newer one.
    ///
    /// # Errors
    /// 504 with the cause `ResourceVersionTooLarge` when that takes too long.
    pub async fn wait_until(&self, revision: Revision) -> Result<(), ApiError> {
        let begun = Instant::now();
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|p| p.ready && p.revision >= revision);
        let reached = tokio::time::timeout(FRESHNESS_TIMEOUT, reached).await;
        self.counts.read_wait.observe(begun.elapsed());
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ApiError::resource_version_too_large(
                revision.0,
                self.revision().0,
            )),
        }
    }

    /// One object by its key.
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.state.read().objects.get(key).cloned()
    }

    /// The selected objects under a prefix in the order of their keys, and the revision.
    pub fn list(&self, prefix: &str, selection: &Selection) -> (Vec<Arc<Entry>>, Revision) {
        let state = self.state.read();
        (state.list(prefix, selection), state.revision)
    }

    /// Replaces everything, as after a gap in the store's events.
    fn reset(&self, entries: Vec<Arc<Entry>>, revision: Revision) {
        let mut state = self.state.write();
        state.first_sequence += state.ring.len() as u64 + 1;
        state.ring.clear();
        state.frames.clear();
        (state.ring_bytes, state.frames_bytes) = (0, 0);
        state.objects = entries
            .into_iter()
            .map(|entry| (Arc::clone(&entry.key), entry))
            .collect();
        state.floor = revision;
        state.revision = revision;
        drop(state);
        self.counts.initializations.inc();
        self.announce(revision);
    }

    fn apply(&self, events: Vec<CacheEvent>, revision: Revision) {
        self.counts.received.add(events.len() as u64);
        let mut state = self.state.write();
        for event in events {
            state.apply(Arc::new(event), self.ring_capacity);
        }
        state.revision = revision;
        drop(state);
        self.announce(revision);
    }

    fn announce(&self, revision: Revision) {
        self.progress.send_modify(|p| {
            p.ready = true;
            p.revision = revision;
        });
    }

    fn tick_bookmarks(&self) {
        self.progress.send_modify(|p| p.bookmark_tick += 1);
    }
}

impl State {
    fn list(&self, prefix: &str, selection: &Selection) -> Vec<Arc<Entry>> {
        self.objects
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, entry)| selection.matches(entry))
            .map(|(_, entry)| Arc::clone(entry))
            .collect()
    }

    fn apply(&mut self, event: Arc<CacheEvent>, ring_capacity: usize) {
        match &event.current {
            Some(entry) => self
                .objects
                .insert(Arc::clone(&entry.key), Arc::clone(entry)),
            None => self.objects.remove(event.key()),
        };
        self.ring_bytes += event.weight();
        self.frames_bytes += event.weight();
        self.ring.push_back(event);
        self.frames.push_back(Arc::default());
        while self.frames.len() > FRAMES_CAPACITY.min(ring_capacity)
            || self.frames_bytes > FRAMES_BYTES_MAX
        {
            let oldest = self.ring.get(self.ring.len() - self.frames.len());
            self.frames_bytes -= oldest.map_or(0, |event| event.weight());
            self.frames.pop_front();
        }
        while self.ring.len() > ring_capacity || self.ring_bytes > RING_BYTES_MAX {
            let Some(oldest) = self.ring.pop_front() else {
                break;
            };
            self.ring_bytes -= oldest.weight();
            self.floor = oldest.revision;
            self.first_sequence += 1;
        }
    }

    /// The events from an index of the ring on, with their frames where they are kept.
    fn events_from(
        &self,
        index: usize,
    ) -> impl Iterator<Item = (Arc<CacheEvent>, Option<Arc<Frames>>)> {
        let without_frames = self.ring.len().saturating_sub(self.frames.len());
        let events = self.ring.iter().enumerate().skip(index);
        events.map(move |(index, event)| {
            let kept = index.checked_sub(without_frames);
            let frames = kept.and_then(|kept| self.frames.get(kept));
            (Arc::clone(event), frames.cloned())
        })
    }

    /// The sequence number of the first event after a revision, if none is missing.
    fn sequence_after(&self, revision: Revision) -> Option<u64> {
        if revision < self.floor {
            return None;
        }
        let index = self
            .ring
            .partition_point(|event| event.revision <= revision);
        Some(self.first_sequence + index as u64)
    }
}

#[cfg(test)]
mod tests;
