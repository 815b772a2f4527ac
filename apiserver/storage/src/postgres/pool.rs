//! The connections for reads: a few, made when they are needed, one reader at a time each.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{connection::Connector, error::too_late, reader::Reader};
use crate::StorageError;

/// Most connections for reads. The watch cache answers nearly everything, so these are for the
/// starts of writes, for read indexes, which share look-ups, and for pages of older states; a
/// database has about a hundred connections for all of its clients.
const SIZE: usize = 4;
/// Longest wait for a connection, and for the answer to a small read; as long as a client may well
/// wait before it is told to try again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest large read: the session's limit has to be able to say so first.
const LARGE_PATIENCE: Duration = Duration::from_secs(45);

/// Lends connections.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Arc<Connector>,
    log_capacity: u64,
    permits: Semaphore,
    /// Those that nobody uses; held for a moment only.
    idle: Mutex<Vec<Reader>>,
}

/// How long a read may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    /// One row.
    Small,
    /// As much as there is.
    Large,
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>, log_capacity: u64) -> Self {
        Self {
            connector,
            log_capacity,
            permits: Semaphore::new(SIZE),
            idle: Mutex::default(),
        }
    }

    /// Runs a read. One that fails on a connection that had lain idle is done again on a new one:
    /// the database may have ended the old one long ago.
    pub(super) async fn read<T>(
        &self,
        size: Size,
        read: impl for<'a> Fn(&'a Reader) -> BoxFuture<'a, Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let turn = tokio::time::timeout(PATIENCE, self.permits.acquire()).await;
        let _permit = turn.map_err(|_| too_late("have a connection free"))?;
        let idle = self.idle.lock().pop();
        if let Some(reader) = idle.filter(|reader| !reader.connection.is_closed()) {
            match self.read_on(reader, size, &read).await? {
                Err(StorageError::Unavailable(_)) => {}
                answer => return answer,
            }
        }
        let reader = Reader::connect(&self.connector, self.log_capacity).await?;
        self.read_on(reader, size, &read).await?
    }

    /// Runs a read on a connection, and keeps that if it works.
    ///
    /// # Errors
    /// When there is no answer in time; whoever does not answer is not asked again.
    async fn read_on<T>(
        &self,
        reader: Reader,
        size: Size,
        read: impl for<'a> Fn(&'a Reader) -> BoxFuture<'a, Result<T, StorageError>>,
    ) -> Result<Result<T, StorageError>, StorageError> {
        let patience = match size {
            Size::Small => PATIENCE,
            Size::Large => LARGE_PATIENCE,
        };
        let answer = tokio::time::timeout(patience, read(&reader)).await;
        let answer = answer.map_err(|_| too_late("answer"))?;
        if !matches!(answer, Err(StorageError::Unavailable(_))) {
            self.idle.lock().push(reader);
        }
        Ok(answer)
    }
}
