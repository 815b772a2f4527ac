//! The connections that read: a few, each used by one thread of the runtime's blocking pool at a
//! time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    condition::Condition,
    error::Failure,
    file::{DatabaseFile, Session},
};
use crate::StorageError;

/// Connections, and so reads at a time: the watch cache serves almost all that clients read.
const READERS_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    /// `None` once the store is closed, so that another process can have the file.
    file: Mutex<Option<DatabaseFile>>,
    permits: Arc<Semaphore>,
    /// Held only to take or put back.
    idle: Mutex<Vec<Session>>,
    is_closed: AtomicBool,
    condition: Arc<Condition>,
}

impl Readers {
    pub(super) fn new(file: DatabaseFile, condition: Arc<Condition>) -> Self {
        Self {
            file: Mutex::new(Some(file)),
            permits: Arc::new(Semaphore::new(READERS_MAX)),
            idle: Mutex::default(),
            is_closed: AtomicBool::new(false),
            condition,
        }
    }

    /// Reads one state of the file.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StorageError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StorageError::closed())?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let result = readers.read_now(read);
            drop(permit);
            result
        });
        reading
            .await
            .unwrap_or_else(|_| Err(StorageError::closed()))
    }

    fn read_now<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StorageError> {
        let file = self.file()?;
        let result = self.session(&file).and_then(|session| {
            // Ends when it is dropped.
            let transaction = session.connection.unchecked_transaction()?;
            let result = read(&transaction);
            drop(transaction);
            if !matches!(result, Err(Failure::Sqlite(_))) {
                self.put_back(session);
            }
            result
        });
        if let Err(Failure::Sqlite(error)) = &result {
            self.condition.failed(file.path(), error);
        }
        result.map_err(|failure| failure.into_error(file.path()))
    }

    pub(super) fn file(&self) -> Result<DatabaseFile, StorageError> {
        self.file.lock().clone().ok_or_else(StorageError::closed)
    }

    fn session(&self, file: &DatabaseFile) -> Result<Session, Failure> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(session) => Ok(session),
            None => Ok(file.reader()?),
        }
    }

    fn put_back(&self, session: Session) {
        let mut idle = self.idle.lock();
        if !self.is_closed.load(Ordering::Relaxed) {
            idle.push(session);
        }
    }

    /// Nothing is read from now on, and the connections close.
    pub(super) fn close(&self) {
        self.permits.close();
        *self.file.lock() = None;
        let mut idle = self.idle.lock();
        self.is_closed.store(true, Ordering::Relaxed);
        idle.clear();
    }
}
