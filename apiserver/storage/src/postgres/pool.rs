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
    /// As much as there is; the session's limit ends it.
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

    /// Runs a read, a second time where the first one found that its connection had ended.
    pub(super) async fn read<T>(
        &self,
        size: Size,
        read: impl for<'a> Fn(&'a Reader) -> BoxFuture<'a, Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let turn = tokio::time::timeout(PATIENCE, self.permits.acquire()).await;
        let _permit = turn.map_err(|_| too_late("have a connection free"))?;
        let mut may_repeat = true;
        loop {
            let idle = self.idle.lock().pop();
            let reader = match idle {
                Some(reader) if reader.connection.is_closed() => continue,
                Some(reader) => reader,
                None => Reader::connect(&self.connector, self.log_capacity).await?,
            };
            let result = match size {
                Size::Large => read(&reader).await,
                // Whoever does not answer is not asked again: the connection is dropped.
                Size::Small => tokio::time::timeout(PATIENCE, read(&reader))
                    .await
                    .map_err(|_| too_late("answer"))?,
            };
            if !reader.connection.is_closed() {
                self.idle.lock().push(reader);
            } else if result.is_err() && may_repeat {
                may_repeat = false;
                continue;
            }
            return result;
        }
    }
}
