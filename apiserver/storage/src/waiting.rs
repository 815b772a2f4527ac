//! Writes that wait for the transaction that takes them: the bounds of the queue and of a batch.

use std::time::Duration;

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use crate::{Revision, StorageError, batch::Change};

/// Most writes that wait: more than a server lets in at a time, so that only a mistake meets it.
pub(super) const QUEUE_MAX: usize = 1024;
/// Most writes in a transaction: a longer one holds up its first writes, and other replicas.
const BATCH_MAX: usize = 256;
/// A transaction takes no more writes once its values have this many bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A write that has waited for longer is not begun: its client is told to try again.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the outcome of a write goes.
pub(super) type Answer = oneshot::Sender<Result<Revision, StorageError>>;

/// A write that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    change: Change,
    since: Instant,
    answer: Answer,
}

/// Writes for one transaction, in the order in which they came.
#[derive(Debug)]
pub(super) struct Batch {
    waiting: Vec<Waiting>,
    bytes: usize,
}

/// Nobody can wait any more.
pub(super) fn queue_is_full() -> StorageError {
    StorageError::Unavailable(format!("{QUEUE_MAX} writes wait already"))
}

/// Tells every write its outcome.
pub(super) fn tell(answers: Vec<Answer>, results: Vec<Result<Revision, StorageError>>) {
    for (answer, result) in answers.into_iter().zip(results) {
        // Whoever went away meanwhile does not hear of it.
        let _ = answer.send(result);
    }
}

impl Waiting {
    pub(super) fn since_now(change: Change, answer: Answer) -> Self {
        Self {
            change,
            since: Instant::now(),
            answer,
        }
    }

    fn bytes(&self) -> usize {
        self.change.value.as_ref().map_or(0, Bytes::len)
    }
}

impl Batch {
    pub(super) fn of(first: Waiting) -> Self {
        Self {
            bytes: first.bytes(),
            waiting: vec![first],
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < BATCH_MAX && self.bytes < BATCH_BYTES
    }

    pub(super) fn push(&mut self, next: Waiting) {
        self.bytes += next.bytes();
        self.waiting.push(next);
    }

    /// The writes that somebody still waits for; those that have waited for too long are told that it
    /// is too `late`.
    pub(super) fn begin(self, late: impl Fn() -> StorageError) -> (Vec<Change>, Vec<Answer>) {
        let mut changes = Vec::with_capacity(self.waiting.len());
        let mut answers = Vec::with_capacity(self.waiting.len());
        for waiting in self.waiting {
            if waiting.since.elapsed() > QUEUE_TIMEOUT {
                let _ = waiting.answer.send(Err(late()));
            } else if !waiting.answer.is_closed() {
                changes.push(waiting.change);
                answers.push(waiting.answer);
            }
        }
        (changes, answers)
    }
}
