//! One watch: it reads the log of the file up to the newest events, which are in memory, and waits
//! for more.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    head::{Head, Recent},
    reader,
    readers::Readers,
};
use crate::{Revision, StorageError, WatchBatch, WatchItem, watch::Watch};

/// A position in the log.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) readers: Arc<Readers>,
    pub(super) recent: Arc<Mutex<Recent>>,
    pub(super) head: watch::Receiver<Head>,
    pub(super) log_capacity: u64,
    pub(super) prefix: String,
    pub(super) position: Revision,
}

impl Watch for Watcher {
    async fn next_batch(&mut self) -> WatchItem {
        self.wait().await?;
        let recent = self.recent.lock().after(self.position, &self.prefix);
        let (events, covers) = match recent {
            Some(found) => found,
            None => self.read().await?,
        };
        self.position = covers;
        Ok(WatchBatch {
            events,
            revision: covers,
        })
    }
}

impl Watcher {
    /// Until there is something after the position.
    async fn wait(&mut self) -> Result<(), StorageError> {
        loop {
            let head = *self.head.borrow_and_update();
            if self.position < head.revision {
                return head.check(self.position);
            }
            if self.position > head.revision {
                // A read may have seen in the file what is about to be told.
                let (position, log_capacity) = (self.position, self.log_capacity);
                let check = move |c: &_| reader::check(c, position, log_capacity);
                self.readers.read(check).await?;
            }
            self.head
                .changed()
                .await
                .map_err(|_| StorageError::closed())?;
        }
    }

    /// A page of the file's log.
    async fn read(&self) -> Result<(Vec<crate::Event>, Revision), StorageError> {
        let (position, log_capacity) = (self.position, self.log_capacity);
        let read = move |c: &_| reader::log(c, position, log_capacity);
        let mut page = self.readers.read(read).await?;
        page.events.retain(|e| e.key.starts_with(&self.prefix));
        Ok((page.events, page.covers))
    }
}
