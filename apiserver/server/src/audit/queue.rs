//! What stands between requests and a backend: events that wait, bounded in number and in size.
//!
//! Mirrors `k8s.io/apiserver/plugin/pkg/audit/buffered`, whose buffer is bounded in number alone.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::metrics::Counter;

/// What all waiting events of a backend may take together, in bytes: twenty of the largest.
const WAITING_MAX: usize = 128 * 1024 * 1024;

/// An event that waits; its room is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    /// JSON on one line, without the line feed.
    pub(super) event: Bytes,
    _room: OwnedSemaphorePermit,
}

/// What a backend gets.
#[derive(Debug)]
pub(super) enum Message {
    /// An event to write.
    Event(Waiting),
    /// To be answered when all events before it are written.
    Flush(oneshot::Sender<()>),
}

/// The sending end of a queue.
#[derive(Debug)]
pub(super) struct Queue {
    backend: &'static str,
    messages: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    lost: Arc<Losses>,
    hurry: CancellationToken,
}

/// The receiving end of a queue.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) lost: Arc<Losses>,
    /// Whoever waits for another attempt should not any more.
    pub(super) hurry: CancellationToken,
}

/// Counts events that nobody will see.
#[derive(Debug)]
pub(super) struct Losses {
    backend: &'static str,
    count: Counter,
}

impl Queue {
    /// A queue that holds `length` events.
    pub(super) fn new(backend: &'static str, length: usize) -> (Self, Receiver) {
        let (sender, receiver) = mpsc::channel(length);
        let lost = Arc::new(Losses {
            backend,
            count: Counter::default(),
        });
        let hurry = CancellationToken::new();
        let queue = Self {
            backend,
            messages: sender,
            room: Arc::new(Semaphore::new(WAITING_MAX)),
            lost: Arc::clone(&lost),
            hurry: hurry.clone(),
        };
        let receiver = Receiver {
            messages: receiver,
            lost,
            hurry,
        };
        (queue, receiver)
    }

    /// Puts an event in, or drops it where there is no room.
    pub(super) fn offer(&self, event: Bytes) {
        let size = u32::try_from(event.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(size) else {
            return self.lost.add(1, "its queue has no room for its size");
        };
        let waiting = Waiting { event, _room: room };
        if self.messages.try_send(Message::Event(waiting)).is_err() {
            self.lost.add(1, "its queue is full");
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.count.get()
    }

    pub(super) fn backend(&self) -> &'static str {
        self.backend
    }

    /// Waits until everything so far is written, or gave up on; from then on nothing is tried twice.
    pub(super) async fn flush(&self, deadline: Instant) {
        self.hurry.cancel();
        let (done, is_done) = oneshot::channel();
        let flushed = async {
            self.messages.send(Message::Flush(done)).await.ok()?;
            is_done.await.ok()
        };
        if !matches!(timeout_at(deadline, flushed).await, Ok(Some(()))) {
            tracing::error!(
                backend = self.backend,
                "the last audit events were not written in time"
            );
        }
    }
}

impl Losses {
    /// Counts events, and says so ever more rarely, so that the log is not flooded.
    pub(super) fn add(&self, events: u64, why: &str) {
        let before = self.count.get();
        let lost = before + events;
        self.count.add(events);
        if before == 0 || before.ilog2() != lost.ilog2() {
            let backend = self.backend;
            tracing::error!(backend, lost, why, "audit events are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X9: a backend that does not move costs nobody any time, and what it loses is counted.
    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let (queue, mut receiver) = Queue::new("test", 2);
        let begin = Instant::now();
        for number in 0..100_000 {
            queue.offer(Bytes::from(format!("{number}")));
        }
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
        assert_eq!(queue.lost(), 99_998);
        for expected in ["0", "1"] {
            let Some(Message::Event(waiting)) = receiver.messages.recv().await else {
                panic!("no event")
            };
            assert_eq!(waiting.event, expected);
        }
        queue.offer("later".into());
        assert_eq!(queue.lost(), 99_998, "there is room again");
    }

    /// X9: large events are bounded by their size, not by their number.
    #[tokio::test]
    async fn large_events_fill_a_queue_sooner() {
        let (queue, mut receiver) = Queue::new("test", 1000);
        let large = Bytes::from(vec![b'x'; WAITING_MAX / 4]);
        for _ in 0..6 {
            queue.offer(large.clone());
        }
        assert_eq!(queue.lost(), 2);
        drop(receiver.messages.recv().await);
        queue.offer(large);
        assert_eq!(queue.lost(), 2, "there is room again");
    }
}
