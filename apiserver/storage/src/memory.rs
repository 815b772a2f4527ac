//! The memory backend: a map and a bounded log of events behind one lock.
//!
//! It is the reference that the other backends are measured by. Nothing survives the process.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
    stream::BoxStream,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    Event, Page, Range, Record, Revision, Storage, StorageError, WatchBatch, WatchItem,
    watch::Watch,
};

/// Events that are kept for watches that resume: as many as upstream's watch cache keeps at most.
const LOG_CAPACITY: usize = 102_400;
/// What the values of these events may weigh: as much as the watch cache in front keeps.
const LOG_BYTES_MAX: usize = 64 << 20;
/// Events that one watch takes from the log at a time, so that no reader holds the lock for long.
const BATCH_MAX: usize = 512;

/// Keeps everything in memory. Clones share one store.
#[derive(Clone, Debug)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held only for map operations, never over an await.
    state: Mutex<State>,
    /// Wakes watches; the log is the truth.
    head: watch::Sender<Revision>,
    log_capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    revision: Revision,
    records: BTreeMap<Arc<str>, Record>,
    /// One event per revision, without gaps, ending at `revision`.
    log: VecDeque<Event>,
    /// The weight of the log.
    log_bytes: usize,
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::with_log_capacity(LOG_CAPACITY)
    }
}

impl MemoryStorage {
    /// A store that remembers this many events.
    pub fn with_log_capacity(log_capacity: usize) -> Self {
        let head = watch::Sender::new(Revision::default());
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                head,
                log_capacity,
            }),
        }
    }

    /// An empty store for a server, whose revisions go on from the clock, in microseconds.
    ///
    /// Clients still hold revisions that an earlier process gave out. Counted from 0 again they
    /// would lie in the future, where a watch waits for ever or, once the count has passed them,
    /// goes on in a history that it never saw. So they are all too old, and clients list anew.
    pub fn since_now() -> Self {
        let store = Self::default();
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
        store.shared.state.lock().revision = Revision(now);
        store.shared.head.send_replace(Revision(now));
        store
    }

    fn write(
        &self,
        change: impl FnOnce(&mut State) -> Result<Event, StorageError>,
    ) -> BoxFuture<'static, Result<Revision, StorageError>> {
        let mut state = self.shared.state.lock();
        let result = change(&mut state).map(|event| {
            let revision = event.revision;
            state.apply(event, self.shared.log_capacity);
            self.shared.head.send_replace(revision);
            revision
        });
        drop(state);
        ready(result).boxed()
    }
}

impl Storage for MemoryStorage {
    fn create(&self, key: String, value: Bytes) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.write(|state| {
            if state.records.contains_key(key.as_str()) {
                return Err(StorageError::AlreadyExists(key));
            }
            Ok(state.next_event(key.into(), Some(value), None))
        })
    }

    fn update(
        &self,
        key: String,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.write(|state| {
            let previous = state.expect(&key, expected)?;
            let key = Arc::clone(&previous.key);
            Ok(state.next_event(key, Some(value), Some(previous)))
        })
    }

    fn delete(
        &self,
        key: String,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.write(|state| {
            let previous = state.expect(&key, expected)?;
            let key = Arc::clone(&previous.key);
            Ok(state.next_event(key, None, Some(previous)))
        })
    }

    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Record>, StorageError>> {
        let record = self.shared.state.lock().records.get(key.as_str()).cloned();
        ready(Ok(record)).boxed()
    }

    fn list(&self, range: Range) -> BoxFuture<'_, Result<Page, StorageError>> {
        let page = self.shared.state.lock().list(&range);
        ready(page).boxed()
    }

    fn watch(&self, prefix: String, after: Revision) -> BoxStream<'static, WatchItem> {
        let head = self.shared.head.subscribe();
        let watcher = Watcher {
            shared: Arc::clone(&self.shared),
            head,
            prefix,
            position: after,
        };
        watcher.stream()
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, StorageError>> {
        ready(Ok(self.shared.state.lock().revision)).boxed()
    }

    fn compact(&self, up_to: Revision) -> BoxFuture<'_, Result<(), StorageError>> {
        let mut state = self.shared.state.lock();
        while state
            .log
            .front()
            .is_some_and(|event| event.revision <= up_to)
        {
            state.forget_oldest();
        }
        drop(state);
        ready(Ok(())).boxed()
    }
}

// === impl State ===

impl State {
    fn expect(&self, key: &str, expected: Revision) -> Result<Record, StorageError> {
        match self.records.get(key) {
            None => Err(StorageError::NotFound(key.to_owned())),
            Some(record) if record.revision != expected => Err(StorageError::Conflict {
                key: key.to_owned(),
                expected,
                actual: record.revision,
            }),
            Some(record) => Ok(record.clone()),
        }
    }

    fn next_event(&self, key: Arc<str>, value: Option<Bytes>, previous: Option<Record>) -> Event {
        Event {
            key,
            revision: Revision(self.revision.0 + 1),
            value,
            previous,
        }
    }

    fn apply(&mut self, event: Event, log_capacity: usize) {
        self.revision = event.revision;
        match &event.value {
            Some(value) => {
                let record = Record {
                    key: Arc::clone(&event.key),
                    value: value.clone(),
                    revision: event.revision,
                };
                self.records.insert(Arc::clone(&event.key), record);
            }
            None => {
                self.records.remove(&event.key);
            }
        }
        self.log_bytes += weight(&event);
        self.log.push_back(event);
        while self.log.len() > log_capacity || self.log_bytes > LOG_BYTES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.log.pop_front();
        self.log_bytes -= oldest.as_ref().map_or(0, weight);
    }

    /// The oldest revision whose state can be rebuilt, and after which a watch can start.
    fn floor(&self) -> Revision {
        self.log
            .front()
            .map_or(self.revision, |event| Revision(event.revision.0 - 1))
    }

    fn check_known(&self, wanted: Revision) -> Result<(), StorageError> {
        if wanted > self.revision {
            Err(StorageError::FutureRevision {
                wanted,
                current: self.revision,
            })
        } else if wanted < self.floor() {
            Err(StorageError::Compacted {
                wanted,
                known: self.floor()..=self.revision,
            })
        } else {
            Ok(())
        }
    }

    fn list(&self, range: &Range) -> Result<Page, StorageError> {
        let revision = range.at.unwrap_or(self.revision);
        self.check_known(revision)?;
        let past = self.undo_to(revision, &range.prefix);
        let start = match &range.start_after {
            Some(after) if *after >= range.prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(range.prefix.as_str()),
        };
        let in_prefix = |key: &str| key.starts_with(&range.prefix);
        let current = self
            .records
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(_, record)| record)
            .take_while(|record| in_prefix(&record.key))
            .filter(|record| !past.contains_key(&*record.key))
            .cloned();
        let gone = past
            .range::<str, _>((start, Bound::Unbounded))
            .filter_map(|(_, record)| record.cloned());
        let mut records: Vec<Record> = current.chain(gone).collect();
        records.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let more = range.limit.is_some_and(|limit| records.len() > limit);
        records.truncate(range.limit.unwrap_or(usize::MAX));
        Ok(Page {
            records,
            revision,
            more,
        })
    }

    /// For every key that was written after `revision`: what stood there at that revision.
    fn undo_to(&self, revision: Revision, prefix: &str) -> BTreeMap<&str, Option<&Record>> {
        let later = self
            .log
            .iter()
            .rev()
            .take_while(|event| event.revision > revision);
        later
            .filter(|event| event.key.starts_with(prefix))
            .map(|event| (&*event.key, event.previous.as_ref()))
            .collect()
    }
}

/// What an event keeps in memory beside what is there now: the value that it replaced.
fn weight(event: &Event) -> usize {
    let previous = event.previous.as_ref();
    previous.map_or(0, |record| record.value.len())
}

/// One watch: a position in the shared log.
struct Watcher {
    shared: Arc<Shared>,
    head: watch::Receiver<Revision>,
    prefix: String,
    position: Revision,
}

impl Watch for Watcher {
    async fn next_batch(&mut self) -> WatchItem {
        let position = self.position;
        if self.head.wait_for(|head| *head > position).await.is_err() {
            return Err(StorageError::closed());
        }
        let state = self.shared.state.lock();
        state.check_known(position)?;
        let skip = usize::try_from(position.0 - state.floor().0).unwrap_or(usize::MAX);
        let batch = || state.log.iter().skip(skip).take(BATCH_MAX);
        let events = batch()
            .filter(|e| e.key.starts_with(&self.prefix))
            .cloned()
            .collect();
        let revision = batch()
            .next_back()
            .map_or(state.revision, |event| event.revision);
        drop(state);
        self.position = revision;
        Ok(WatchBatch { events, revision })
    }
}

crate::storage_contract_tests!(contract_tests, async |log_capacity| {
    MemoryStorage::with_log_capacity(log_capacity)
});
crate::replica_contract_tests!(replica_tests, async |log_capacity| {
    let store = MemoryStorage::with_log_capacity(log_capacity);
    (store.clone(), store)
});

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    /// W7: large values that change often do not fill the memory with what they were.
    #[tokio::test]
    async fn the_log_is_bounded_by_its_weight() {
        let store = MemoryStorage::default();
        let value = Bytes::from(vec![0; 1 << 20]);
        let key = || "/a/1".to_owned();
        let mut revision = store.create(key(), value.clone()).await.unwrap();
        for _ in 0..100 {
            revision = store.update(key(), value.clone(), revision).await.unwrap();
        }
        let state = store.shared.state.lock();
        assert_eq!(state.log_bytes, LOG_BYTES_MAX);
        assert_eq!(state.log.len(), LOG_BYTES_MAX / value.len());
    }

    /// W2: a client of an earlier process learns that it has to list anew.
    #[tokio::test]
    async fn revisions_of_an_earlier_process_are_too_old() {
        let earlier = MemoryStorage::since_now();
        let create = earlier.create("/a/1".to_owned(), Bytes::from_static(b"{}"));
        let held = create.await.unwrap();
        let mut later = MemoryStorage::since_now();
        while later.current_revision().await.unwrap() <= held {
            later = MemoryStorage::since_now();
        }
        let watch = later.watch("/a/".to_owned(), held).next().await;
        assert!(
            matches!(watch, Some(Err(StorageError::Compacted { .. }))),
            "{watch:?}"
        );
    }
}
