//! The task that keeps the cache equal to the store.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use storage::{Event, Range, Revision, Storage, StorageError};
use tokio::time::MissedTickBehavior;

use super::{Cacher, entry::Codec, event::CacheEvent};

/// Time between bookmarks, as upstream's `defaultBookmarkFrequency`.
const BOOKMARK_PERIOD: Duration = Duration::from_mins(1);
/// First and longest pause before the store is asked again after a failure.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

pub(super) struct Feed {
    pub(super) cacher: Arc<Cacher>,
    pub(super) codec: Arc<Codec>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) prefix: String,
}

/// Where the feed stands: it has to load everything, or goes on from a revision.
enum Position {
    Load,
    After(Revision),
}

impl Feed {
    /// Loads, follows, and starts again after every failure; never ends by itself.
    pub(super) async fn run(self) {
        let mut position = Position::Load;
        let mut pause = RETRY_PAUSE.0;
        loop {
            let error;
            (position, error) = match position {
                Position::Load => match self.load().await {
                    Ok(revision) => {
                        pause = RETRY_PAUSE.0;
                        (Position::After(revision), None)
                    }
                    Err(error) => (Position::Load, Some(error)),
                },
                Position::After(revision) => match self.follow(revision).await {
                    FeedError::Lost { at, error } => {
                        if at > revision {
                            pause = RETRY_PAUSE.0;
                        }
                        (Position::After(at), Some(error))
                    }
                    FeedError::Restart(error) => (Position::Load, Some(error)),
                },
            };
            if let Some(error) = error {
                tracing::warn!(
                    prefix = self.prefix,
                    error,
                    "the watch cache lost the store"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE.1);
            }
        }
    }

    async fn load(&self) -> Result<Revision, String> {
        let page = self
            .storage
            .list(Range::prefix(&self.prefix))
            .await
            .map_err(|e| e.to_string())?;
        let entries = page
            .records
            .into_iter()
            .map(|record| self.codec.read(record).map(Arc::new));
        self.cacher
            .reset(entries.collect::<Result<_, _>>()?, page.revision);
        Ok(page.revision)
    }

    async fn follow(&self, after: Revision) -> FeedError {
        let mut at = after;
        let mut watch = self.storage.watch(self.prefix.clone(), after);
        let mut bookmarks = tokio::time::interval(BOOKMARK_PERIOD);
        bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        bookmarks.reset();
        loop {
            let item = tokio::select! {
                item = watch.next() => item,
                _ = bookmarks.tick() => {
                    self.cacher.tick_bookmarks();
                    continue;
                }
            };
            match item {
                Some(Ok(batch)) => {
                    let events = batch.events.into_iter();
                    let read = |event: Event| {
                        let cached = self.cacher.get(&event.key);
                        CacheEvent::new(&self.codec, event, cached)
                    };
                    match events.map(read).collect() {
                        Ok(events) => self.cacher.apply(events, batch.revision),
                        Err(error) => return FeedError::Restart(error),
                    }
                    at = batch.revision;
                }
                Some(Err(error @ StorageError::Unavailable(_))) => {
                    return FeedError::Lost {
                        at,
                        error: error.to_string(),
                    };
                }
                Some(Err(error)) => return FeedError::Restart(error.to_string()),
                None => {
                    return FeedError::Lost {
                        at,
                        error: "the watch ended".to_owned(),
                    };
                }
            }
        }
    }
}

/// Why following the store ended.
enum FeedError {
    /// The store went away; nothing is missing up to this revision.
    Lost { at: Revision, error: String },
    /// Events are missing or cannot be read: everything has to be loaded again.
    Restart(String),
}
