//! The one task that follows the log, for every watch of this process.
//!
//! The log is the truth: it is read from where it was left, so nothing is missed and nothing comes
//! twice. What is heard of new revisions, by NOTIFY or from this process's own reads and writes,
//! only makes the task look at once; without it, it looks every [`POLL_PERIOD`].

use std::{convert::Infallible, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};

use super::{
    connection::{CHANNEL, Connector},
    error::{too_late, unavailable},
    reader::{LogPage, Reader},
};
use crate::{Event, Revision, StorageError};

/// Longest time without a look at the log. Also how soon the end of an outage shows.
const POLL_PERIOD: Duration = Duration::from_secs(1);
/// Longest look, after which the connection counts as dead: a full page on a slow network.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause before the next connection is made.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Pages that wait for a watch; one that falls behind reads the log by itself. Each page has
/// 8 MiB and an event at most, and is dropped when every watch has it.
const PAGES_MAX: usize = 16;
/// Events over the log's capacity that are there before old ones are deleted, many at once.
const TRIM_SLACK: u64 = 1000;

/// What the task tells the watches.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// All events after one revision, up to and with another.
    Events {
        after: Revision,
        events: Arc<[Event]>,
        covers: Revision,
    },
    /// The task begins here, or begins again after a gap: who is not here has to read the log.
    Begins,
}

/// Whether the database can be used; what is wrong, in a sentence, where not.
#[derive(Debug)]
pub(super) struct Condition(Mutex<Result<(), String>>);

/// The task.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) connector: Arc<Connector>,
    pub(super) log_capacity: u64,
    pub(super) condition: Arc<Condition>,
    pub(super) news: broadcast::Sender<News>,
    /// The log is longer than it should be.
    pub(super) is_long: Arc<Notify>,
}

pub(super) fn channel() -> broadcast::Sender<News> {
    broadcast::Sender::new(PAGES_MAX)
}

// === impl Tail ===

impl Tail {
    /// Follows the log, and starts again after every failure; never ends by itself.
    pub(super) async fn run(self) {
        let mut position = None;
        let mut pauses = pauses();
        loop {
            let before = position;
            let Err(error) = self.follow(&mut position).await;
            match error {
                StorageError::Unavailable(reason) => self.condition.set(Err(reason)),
                // The log was trimmed or the database put back meanwhile: watches have to know.
                error => {
                    tracing::warn!(%error, "the event log went on without this server");
                    position = None;
                }
            }
            if position != before {
                pauses = self::pauses();
            }
            tokio::time::sleep(pauses.next().unwrap_or(RETRY_PAUSE.1)).await;
        }
    }

    async fn follow(&self, position: &mut Option<Revision>) -> Result<Infallible, StorageError> {
        let reader = Reader::connect(&self.connector, self.log_capacity).await?;
        let listen = format!("LISTEN {CHANNEL}");
        let listening = reader.connection.batch_execute(&listen).await;
        listening.map_err(|e| unavailable(&e))?;
        let mut heard = self.connector.heard.subscribe();
        loop {
            heard.mark_unchanged();
            let page = tokio::time::timeout(LOOK_TIMEOUT, reader.log(*position)).await;
            let page = page.map_err(|_| too_late("answer"))??;
            self.condition.set(Ok(()));
            let (meta, is_cut) = (page.meta, page.is_cut);
            let at = self.publish(page, position);
            if meta.revision.0 - meta.compacted.0.min(meta.revision.0)
                > self.log_capacity + TRIM_SLACK
            {
                self.is_long.notify_one();
            }
            if is_cut {
                continue;
            }
            let newer = async { while heard.changed().await.is_ok() && *heard.borrow() <= at {} };
            let _ = tokio::time::timeout(POLL_PERIOD, newer).await;
        }
    }

    /// Tells the watches of a page, if it has news, and moves the position behind it.
    fn publish(&self, page: LogPage, position: &mut Option<Revision>) -> Revision {
        let LogPage { events, covers, .. } = page;
        let news = match *position {
            None => Some(News::Begins),
            Some(after) if covers > after => Some(News::Events {
                after,
                events: events.into(),
                covers,
            }),
            Some(_) => None,
        };
        *position = Some(covers);
        if let Some(news) = news {
            // Without a watch nobody hears it.
            let _ = self.news.send(news);
        }
        covers
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(RETRY_PAUSE.0)
        .with_max_delay(RETRY_PAUSE.1)
        .without_max_times()
        .with_jitter()
        .build()
}

// === impl Condition ===

impl Default for Condition {
    fn default() -> Self {
        Self(Mutex::new(Err(
            "the database was not reached yet".to_owned()
        )))
    }
}

impl Condition {
    pub(super) fn get(&self) -> Result<(), String> {
        self.0.lock().clone()
    }

    /// Says so in the log when it has changed.
    fn set(&self, new: Result<(), String>) {
        let mut condition = self.0.lock();
        if *condition == new {
            return;
        }
        match &new {
            Ok(()) => tracing::info!("the database can be used"),
            Err(error) => tracing::warn!(error, "the database cannot be used"),
        }
        *condition = new;
    }
}
