//! The PostgreSQL backend: a table of what is there, a bounded log of what happened, and one row
//! with the newest revision.
//!
//! Any number of processes work on one database and serve the same truth. Who writes locks the row
//! of the revision until the commit, so revisions are committed in their order and who follows the
//! log never misses one that is committed late.
//!
//! Deliberately not here: polling for each watch, one append-only table of all versions, and
//! retries of a commit whose outcome is unknown.

mod compaction;
mod connection;
mod error;
mod pool;
mod read_index;
mod reader;
mod schema;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod transaction;
mod url;
mod watch;
mod writer;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use tokio::{
    sync::{Notify, broadcast},
    task::JoinSet,
};

pub use connection::UrlSource;
pub use url::DatabaseUrl;

use crate::{
    Page, Range, Record, Revision, Storage, StorageError, WatchItem, batch::Change,
    watch::Watch as _,
};
use connection::Connector;
use pool::{Pool, Size};
use read_index::ReadIndex;
use tail::{Condition, News, Tail};
use watch::Watcher;
use writer::Queue;

/// Events that are kept for watches that resume, as in the memory backend.
const LOG_CAPACITY: u64 = 102_400;

/// Keeps everything in a PostgreSQL database.
pub struct PostgresStorage {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    queue: Queue,
    read_index: ReadIndex,
    news: broadcast::WeakSender<News>,
    condition: Arc<Condition>,
    /// End with the store.
    _tasks: JoinSet<()>,
}

impl PostgresStorage {
    /// A store in a database that need not be there yet: until it can be used, everything is
    /// [`StorageError::Unavailable`] and [`Storage::condition`] says why. Has to be called within a
    /// runtime.
    pub fn start(source: UrlSource) -> Self {
        Self::with_log_capacity(source, LOG_CAPACITY)
    }

    fn with_log_capacity(source: UrlSource, log_capacity: u64) -> Self {
        let connector = Arc::new(Connector::new(source));
        let pool = Arc::new(Pool::new(Arc::clone(&connector), log_capacity));
        let condition = Arc::<Condition>::default();
        let is_long = Arc::new(Notify::new());
        let (queue, writer) = writer::queue(Arc::clone(&connector));
        let news = tail::channel();
        let weak_news = news.downgrade();
        let tail = Tail {
            connector: Arc::clone(&connector),
            log_capacity,
            condition: Arc::clone(&condition),
            news,
            is_long: Arc::clone(&is_long),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        tasks.spawn(tail.run());
        tasks.spawn(compaction::trim(Arc::clone(&pool), log_capacity, is_long));
        let asked = Arc::clone(&pool);
        let read_index = ReadIndex::new(move || {
            let pool = Arc::clone(&asked);
            async move {
                pool.read(Size::Small, |reader| reader.revision().boxed())
                    .await
            }
            .boxed()
        });
        Self {
            connector,
            pool,
            queue,
            read_index,
            news: weak_news,
            condition,
            _tasks: tasks,
        }
    }

    fn write(&self, change: Change) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.queue.write(change).boxed()
    }
}

impl fmt::Debug for PostgresStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStorage")
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}

impl Storage for PostgresStorage {
    fn create(&self, key: String, value: Bytes) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.write(Change::create(key, value))
    }

    fn update(
        &self,
        key: String,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.write(Change::update(key, value, expected))
    }

    fn delete(
        &self,
        key: String,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.write(Change::delete(key, expected))
    }

    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Record>, StorageError>> {
        async move {
            // PostgreSQL refuses to compare with it, and no key has it.
            if key.contains('\0') {
                return Ok(None);
            }
            let key: Arc<str> = key.into();
            self.pool
                .read(Size::Small, |reader| reader.get(Arc::clone(&key)).boxed())
                .await
        }
        .boxed()
    }

    fn list(&self, mut range: Range) -> BoxFuture<'_, Result<Page, StorageError>> {
        async move {
            // No key has a NUL: none is in such a prefix, and none stands between a text and the
            // same text that goes on with it.
            let is_empty = range.prefix.contains('\0');
            if is_empty {
                range.prefix.clear();
                range.limit = Some(0);
            }
            if let Some(after) = &mut range.start_after {
                after.truncate(after.find('\0').unwrap_or(after.len()));
            }
            let page = self
                .pool
                .read(Size::Large, |reader| reader.list(range.clone()).boxed());
            let mut page = page.await?;
            page.more &= !is_empty;
            Ok(page)
        }
        .boxed()
    }

    fn watch(&self, prefix: String, after: Revision) -> BoxStream<'static, WatchItem> {
        let watcher = Watcher {
            pool: Arc::clone(&self.pool),
            news: self.news.clone(),
            prefix,
            position: after,
            live: None,
        };
        watcher.stream()
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, StorageError>> {
        let look_up = self.read_index.get();
        async move {
            let revision = look_up.await?;
            // Whoever asks waits for the watch to get there.
            self.connector.hear(revision);
            Ok(revision)
        }
        .boxed()
    }

    fn compact(&self, up_to: Revision) -> BoxFuture<'_, Result<(), StorageError>> {
        compaction::compact(&self.pool, up_to).boxed()
    }

    fn condition(&self) -> Result<(), String> {
        self.condition.get()
    }
}
