//! The SQLite backend: a file with a table of what is there and a bounded log of what happened.
//!
//! One process has the file, which a lock beside it makes sure of, and one thread of it writes, all
//! that waits in one transaction. So the newest revision is known without asking, and a watch costs
//! no query: it follows the newest events in memory and reads the file only to catch up.
//!
//! Deliberately not here: several processes on one file, and settings of SQLite to choose from. A
//! write is acknowledged once it is on the disk.

mod backup;
mod condition;
mod error;
mod file;
mod head;
mod reader;
mod readers;
mod schema;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::{fmt, path::Path, sync::Arc, thread::JoinHandle};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
    stream::BoxStream,
};
use parking_lot::Mutex;
use tokio::sync::watch as latest;

use crate::{
    Page, Range, Record, Revision, Storage, StorageError, WatchItem, batch::Change,
    watch::Watch as _,
};
use condition::Condition;
use file::{DatabaseFile, Identity};
use head::{Head, Recent};
use readers::Readers;
use watch::Watcher;
use writer::{Queue, Writer};

/// Events that are kept for watches that resume, as in the memory backend.
const LOG_CAPACITY: u64 = 102_400;

/// Keeps everything in a file. Clones share one store, which closes the file with the last of them.
#[derive(Clone, Debug)]
pub struct SqliteStorage {
    shared: Arc<Shared>,
}

struct Shared {
    path: Arc<Path>,
    /// `None` only while the store is closed.
    writer: Option<(Queue, JoinHandle<()>)>,
    readers: Arc<Readers>,
    recent: Arc<Mutex<Recent>>,
    head: latest::Receiver<Head>,
    condition: Arc<Condition>,
    log_capacity: u64,
}

impl SqliteStorage {
    /// The store in a file, which is made if it is not there; its directory has to be. It is looked
    /// through first, which takes up to five seconds with a large file. Reads need a runtime.
    ///
    /// # Errors
    /// A sentence that names the file and says what to do.
    pub fn open(path: &Path) -> Result<Self, String> {
        Self::with_log_capacity(path, LOG_CAPACITY)
    }

    fn with_log_capacity(path: &Path, log_capacity: u64) -> Result<Self, String> {
        let file = DatabaseFile::take(path)?;
        let session = file.prepare()?;
        let cannot = |e: &dyn fmt::Display| format!("{} cannot be used: {e}", path.display());
        let head = reader::head(&session.connection, log_capacity);
        let head = head.map_err(|e| error::sentence(file.path(), &e))?;
        let identity = Identity::of(file.path()).map_err(|e| cannot(&e))?;
        let (sender, receiver) = latest::channel(head);
        let condition = Arc::<Condition>::default();
        let recent = Arc::new(Mutex::new(Recent::since(head.revision)));
        let path: Arc<Path> = file.path().into();
        let writer = Writer {
            session,
            path: Arc::clone(&path),
            identity,
            log_capacity,
            recent: Arc::clone(&recent),
            head: sender,
            condition: Arc::clone(&condition),
            // An earlier process may not have come to the end of it.
            has_backlog: true,
        };
        let writer = writer.start().map_err(|e| cannot(&e))?;
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                writer: Some(writer),
                readers: Arc::new(Readers::new(file, Arc::clone(&condition))),
                recent,
                head: receiver,
                condition,
                log_capacity,
            }),
        })
    }

    /// Copies the state of one moment into a new file, while everything goes on; its revision is
    /// returned. A server that is started with the copy begins a new history in it, so that clients
    /// of the original list anew.
    ///
    /// # Errors
    /// A sentence that names the file and says what to do.
    pub async fn backup(&self, to: &Path) -> Result<Revision, String> {
        let file = self.shared.readers.file().map_err(|e| e.to_string())?;
        let to = to.to_owned();
        let copying = tokio::task::spawn_blocking(move || backup::copy(&file, &to));
        copying.await.unwrap_or_else(|e| Err(e.to_string()))
    }

    fn write(&self, change: Change) -> BoxFuture<'_, Result<Revision, StorageError>> {
        async move { self.shared.queue()?.write(change).await }.boxed()
    }
}

impl Shared {
    fn queue(&self) -> Result<&Queue, StorageError> {
        let writer = self.writer.as_ref();
        writer
            .map(|(queue, _)| queue)
            .ok_or_else(StorageError::closed)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    /// Waits for the write at hand, so that afterwards another process can have the file.
    fn drop(&mut self) {
        self.readers.close();
        if let Some((queue, thread)) = self.writer.take() {
            drop(queue);
            let _ = thread.join();
        }
    }
}

impl Storage for SqliteStorage {
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
        let key: Arc<str> = key.into();
        let get = move |c: &_| Ok(reader::get(c, key)?);
        self.shared.readers.read(get).boxed()
    }

    fn list(&self, range: Range) -> BoxFuture<'_, Result<Page, StorageError>> {
        let log_capacity = self.shared.log_capacity;
        let list = move |c: &_| reader::list(c, &range, log_capacity);
        self.shared.readers.read(list).boxed()
    }

    fn watch(&self, prefix: String, after: Revision) -> BoxStream<'static, WatchItem> {
        let watcher = Watcher {
            readers: Arc::clone(&self.shared.readers),
            recent: Arc::clone(&self.shared.recent),
            head: self.shared.head.clone(),
            log_capacity: self.shared.log_capacity,
            prefix,
            position: after,
        };
        watcher.stream()
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, StorageError>> {
        ready(Ok(self.shared.head.borrow().revision)).boxed()
    }

    fn compact(&self, up_to: Revision) -> BoxFuture<'_, Result<(), StorageError>> {
        async move { self.shared.queue()?.compact(up_to).await }.boxed()
    }

    fn condition(&self) -> Result<(), String> {
        self.shared.condition.get()
    }
}
