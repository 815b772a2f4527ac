//! The one task that writes: it commits all that waits in one transaction, and tells each write what
//! became of it.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{
    connection::Connector,
    error::too_late,
    transaction::{Failure, Session},
};
use crate::{
    Revision, StorageError,
    batch::Change,
    waiting::{Batch, QUEUE_MAX, Waiting, queue_is_full, tell},
};

/// Longest transaction, with what it waits for other replicas. After that nobody knows whether it
/// was committed.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes writes for the task.
#[derive(Clone, Debug)]
pub(super) struct Queue(mpsc::Sender<Waiting>);

/// The task's side.
#[derive(Debug)]
pub(super) struct Writer {
    connector: Arc<Connector>,
    queue: mpsc::Receiver<Waiting>,
    session: Option<Session>,
}

pub(super) fn queue(connector: Arc<Connector>) -> (Queue, Writer) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let writer = Writer {
        connector,
        queue,
        session: None,
    };
    (Queue(sender), writer)
}

// === impl Queue ===

impl Queue {
    pub(super) async fn write(&self, change: Change) -> Result<Revision, StorageError> {
        // The text that PostgreSQL keeps has no NUL. No name has one either.
        if change.key.contains('\0') {
            return Err(match change.expected {
                Some(_) => StorageError::NotFound(change.key),
                None => StorageError::Unavailable("a key holds the character NUL".to_owned()),
            });
        }
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send(Waiting::since_now(change, answer))
            .map_err(|_| queue_is_full())?;
        answered
            .await
            .unwrap_or_else(|_| Err(StorageError::closed()))
    }
}

// === impl Writer ===

impl Writer {
    /// Writes until every [`Queue`] is gone.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let batch = self.gather(first);
            let (changes, answers) = batch.begin(|| too_late("take the write"));
            if !changes.is_empty() {
                tell(answers, self.write(changes).await);
            }
        }
    }

    /// The first write and what waits behind it, as far as a transaction goes.
    fn gather(&mut self, first: Waiting) -> Batch {
        let mut batch = Batch::of(first);
        while batch.has_room() {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            batch.push(next);
        }
        batch
    }

    /// The answer to each write.
    async fn write(&mut self, changes: Vec<Change>) -> Vec<Result<Revision, StorageError>> {
        match self.attempt(&changes).await {
            Ok(results) => results,
            Err(Failure::Unwritable(_)) if changes.len() > 1 => self.write_each(changes).await,
            Err(failure) => {
                let error = StorageError::from(failure);
                changes.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    /// One by one, so that a write that is not to be done does not take the others with it. It
    /// ends with the first failure that is not the write's own.
    async fn write_each(&mut self, changes: Vec<Change>) -> Vec<Result<Revision, StorageError>> {
        let mut results = Vec::with_capacity(changes.len());
        let mut general = None;
        for change in changes {
            let alone = match &general {
                Some(failure) => Err(Failure::clone(failure)),
                None => self.attempt(&[change]).await,
            };
            match alone {
                Ok(mut alone) => results.push(alone.remove(0)),
                Err(failure) => {
                    if !matches!(failure, Failure::Unwritable(_)) {
                        general.get_or_insert_with(|| failure.without_commit());
                    }
                    results.push(Err(failure.into()));
                }
            }
        }
        results
    }

    /// Commits a batch, on a new connection where the one at hand had ended before.
    async fn attempt(
        &mut self,
        changes: &[Change],
    ) -> Result<Vec<Result<Revision, StorageError>>, Failure> {
        if let Some(session) = self.session.take_if(|s| !s.connection.is_closed()) {
            match self.commit(session, changes).await {
                Err(Failure::Disconnected(_)) => {}
                decided => return decided,
            }
        }
        let session = Session::connect(&self.connector).await;
        let session = session.map_err(Failure::Disconnected)?;
        self.commit(session, changes).await
    }

    async fn commit(
        &mut self,
        session: Session,
        changes: &[Change],
    ) -> Result<Vec<Result<Revision, StorageError>>, Failure> {
        let plan = tokio::time::timeout(COMMIT_TIMEOUT, session.commit(changes)).await;
        let plan = plan.map_err(|_| Failure::Unknown(too_late("commit").to_string()))??;
        // After a failure the session is in a transaction that has failed, and is not kept.
        self.session = Some(session);
        self.connector.hear(plan.revision);
        Ok(plan.results)
    }
}
