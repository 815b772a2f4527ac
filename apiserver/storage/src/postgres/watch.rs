//! One watch: it reads the log up to its end, and from there on takes what the tail tells.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    pool::{Pool, Size},
    tail::News,
};
use crate::{Event, Revision, StorageError, WatchBatch, WatchItem, watch::Watch};

/// A position in the log.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) pool: Arc<Pool>,
    /// Does not keep the tail's channel open.
    pub(super) news: broadcast::WeakSender<News>,
    pub(super) prefix: String,
    pub(super) position: Revision,
    /// What the tail tells; `None` while the watch is behind it.
    pub(super) live: Option<broadcast::Receiver<News>>,
}

impl Watch for Watcher {
    async fn next_batch(&mut self) -> WatchItem {
        loop {
            let Some(live) = &mut self.live else {
                match self.catch_up().await? {
                    Some(batch) => return Ok(batch),
                    None => continue,
                }
            };
            match live.recv().await {
                Ok(News::Events {
                    after,
                    events,
                    covers,
                }) if after <= self.position => {
                    if covers > self.position {
                        return Ok(self.advance(&events, covers));
                    }
                }
                // There is something between this watch and the tail.
                Ok(_) | Err(RecvError::Lagged(_)) => self.live = None,
                Err(RecvError::Closed) => return Err(StorageError::closed()),
            }
        }
    }
}

impl Watcher {
    /// Reads a page of the log; `None` when there was nothing new.
    async fn catch_up(&mut self) -> Result<Option<WatchBatch>, StorageError> {
        // Before the log is read, so that nothing falls between the two.
        let live = self
            .news
            .upgrade()
            .ok_or_else(StorageError::closed)?
            .subscribe();
        let position = self.position;
        let read = self
            .pool
            .read(Size::Large, |reader| reader.log(Some(position)).boxed());
        let page = read.await?;
        if !page.is_cut {
            self.live = Some(live);
        }
        let is_news = page.covers > self.position;
        Ok(is_news.then(|| self.advance(&page.events, page.covers)))
    }

    fn advance(&mut self, events: &[Event], covers: Revision) -> WatchBatch {
        let wanted = events
            .iter()
            .filter(|event| event.revision > self.position && event.key.starts_with(&self.prefix));
        let events = wanted.cloned().collect();
        self.position = covers;
        WatchBatch {
            events,
            revision: covers,
        }
    }
}
