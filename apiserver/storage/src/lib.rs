//! The storage seam: keys, bytes and revisions.
//!
//! A [`Storage`] keeps encoded objects under keys and knows nothing of their kind. It has one
//! revision counter for everything in it, which never goes back; every successful write takes the
//! next revision, and that revision is the object's `resourceVersion`. The shape follows
//! `k8s.io/apiserver/pkg/storage/etcd3` one level lower: what etcd itself gives, not what the
//! registry makes of it.
//!
//! Deliberately not here: selectors, caching, decoding. One watch cache stands in front of every
//! backend and does those.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod batch;
pub mod contract;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod waiting;
mod watch;

use std::{fmt, ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};

pub use memory::MemoryStorage;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStorage;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStorage;

/// Something that keeps bytes under keys and counts revisions. See the module's documentation for
/// the rules; [`contract`] has the tests that every backend passes.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Writes a key that must not exist yet.
    fn create(&self, key: String, value: Bytes) -> BoxFuture<'_, Result<Revision, StorageError>>;

    /// Replaces a key's value if it still is at the `expected` revision.
    fn update(
        &self,
        key: String,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>>;

    /// Removes a key if it still is at the `expected` revision.
    fn delete(
        &self,
        key: String,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>>;

    /// The newest value of a key.
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Record>, StorageError>>;

    /// The keys of a range in order, with the revision that the answer shows.
    fn list(&self, range: Range) -> BoxFuture<'_, Result<Page, StorageError>>;

    /// Everything that happens to keys with this prefix after a revision, in order, once.
    ///
    /// The stream reports a revision also when nothing under the prefix happened, so that a cache
    /// knows how far it is. [`StorageError::Compacted`] comes when the revision is too old.
    fn watch(&self, prefix: String, after: Revision) -> BoxStream<'static, WatchItem>;

    /// The revision of the newest write.
    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, StorageError>>;

    /// Forgets what happened up to and with this revision; current values stay.
    fn compact(&self, up_to: Revision) -> BoxFuture<'_, Result<(), StorageError>>;

    /// Whether the store could be used when this was last tried, without trying it: for readiness.
    /// A backend within the process always can.
    ///
    /// # Errors
    /// A sentence that says what is wrong and, where that is known, what to do.
    fn condition(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A position in the one order of all writes to a store. 0 is before the first write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A key's value at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key, shared by everything that holds the record.
    pub key: Arc<str>,
    /// The bytes as they were written.
    pub value: Bytes,
    /// The revision of the write.
    pub revision: Revision,
}

/// Which keys to list.
#[derive(Clone, Debug)]
pub struct Range {
    /// Keys that start with this.
    pub prefix: String,
    /// Only keys after this one; for the next page.
    pub start_after: Option<String>,
    /// Most records in the answer.
    pub limit: Option<usize>,
    /// The state at this revision, not the newest one.
    pub at: Option<Revision>,
}

/// What a list found.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records in the order of their keys.
    pub records: Vec<Record>,
    /// The revision whose state this is.
    pub revision: Revision,
    /// Whether the limit cut the answer short.
    pub more: bool,
}

/// What a watch reports: the events up to and with a revision.
pub type WatchItem = Result<WatchBatch, StorageError>;

/// Events in order, and how far the watch has come.
#[derive(Clone, Debug)]
pub struct WatchBatch {
    /// What happened; may be empty.
    pub events: Vec<Event>,
    /// Everything up to and with this revision has been reported.
    pub revision: Revision,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key that was written.
    pub key: Arc<str>,
    /// The revision of the write.
    pub revision: Revision,
    /// The new value; `None` for a delete.
    pub value: Option<Bytes>,
    /// What stood there before; `None` for a create.
    pub previous: Option<Record>,
}

/// Why a store could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// A create found the key taken.
    #[error("the key {0:?} exists already")]
    AlreadyExists(String),
    /// An update or delete found no key.
    #[error("the key {0:?} does not exist")]
    NotFound(String),
    /// An update or delete found another revision than expected.
    #[error("the key {key:?} is at revision {actual}, not {expected}")]
    Conflict {
        /// The key.
        key: String,
        /// The revision that the caller had seen.
        expected: Revision,
        /// The revision that the store has.
        actual: Revision,
    },
    /// A revision is asked for that the store has forgotten.
    #[error("revision {wanted} is compacted; known are {} to {}", known.start(), known.end())]
    Compacted {
        /// The revision asked for.
        wanted: Revision,
        /// What the store still has.
        known: RangeInclusive<Revision>,
    },
    /// A revision is asked for that no write has reached.
    #[error("revision {wanted} is in the future; the newest is {current}")]
    FutureRevision {
        /// The revision asked for.
        wanted: Revision,
        /// The newest revision.
        current: Revision,
    },
    /// The store does not answer; the write may or may not have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

impl StorageError {
    fn closed() -> Self {
        Self::Unavailable("the store was closed".to_owned())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Range {
    /// Everything with a prefix, newest state.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            start_after: None,
            limit: None,
            at: None,
        }
    }
}
