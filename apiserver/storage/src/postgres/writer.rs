//! The one task that writes: it commits all that waits in one transaction.
//!
//! The transaction locks the row of the newest revision, so that revisions are committed in their
//! order over all replicas, and takes two round trips: lock and look, then write and commit.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_postgres::{
    Statement,
    error::{DbError, Severity},
    types::ToSql,
};

use super::{
    connection::{CHANNEL, Connection, Connector, Purpose},
    error::{because, too_late},
    reader::{revision, signed},
    schema,
};
use crate::{
    Revision, StorageError,
    batch::{Change, Entry, Plan},
};

/// Most writes that wait: more than a server lets in at a time, so that only a mistake meets it.
const QUEUE_MAX: usize = 1024;
/// Most writes in a transaction: one that is longer holds up the other replicas.
const BATCH_MAX: usize = 256;
/// A transaction takes no more writes once its values have this many bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A write that has waited for longer is not begun: its client is told to try again.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest transaction, with what it waits for other replicas. After that nobody knows whether it
/// was committed.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

const LOCK: &str = "SELECT schema_version, revision FROM extension_api.meta FOR UPDATE";

const FIND: &str = "SELECT key, revision FROM extension_api.objects WHERE key = ANY($1)";

/// What stood there is copied within the database, unless it is of this same batch.
const LOG: &str = "INSERT INTO extension_api.events \
        (revision, key, value, previous_value, previous_revision) \
    SELECT new.revision, new.key, new.value, coalesce(new.previous_value, old.value), \
        new.previous_revision \
    FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[]) \
        AS new (revision, key, value, previous_value, previous_revision) \
    LEFT JOIN extension_api.objects AS old \
        ON old.key = new.key AND old.revision = new.previous_revision";

const PUT: &str = "INSERT INTO extension_api.objects (key, value, revision) \
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[]) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";

const REMOVE: &str = "DELETE FROM extension_api.objects WHERE key = ANY($1)";

const ADVANCE: &str = "UPDATE extension_api.meta SET revision = $1 \
    RETURNING pg_notify($2, $1::bigint::text)";

type Answer = oneshot::Sender<Result<Revision, StorageError>>;

/// Takes writes for the task.
#[derive(Clone, Debug)]
pub(super) struct Queue(mpsc::Sender<Waiting>);

#[derive(Debug)]
struct Waiting {
    change: Change,
    since: Instant,
    answer: Answer,
}

/// The task's side.
#[derive(Debug)]
pub(super) struct Writer {
    connector: Arc<Connector>,
    queue: mpsc::Receiver<Waiting>,
    session: Option<Session>,
}

/// A connection that writes.
#[derive(Debug)]
struct Session {
    connection: Connection,
    lock: Statement,
    find: Statement,
    log: Statement,
    put: Statement,
    remove: Statement,
    advance: Statement,
}

/// Why a batch was not committed, as far as one knows.
enum Failure {
    /// Nothing was written, and the connection has ended: another one may do it.
    Disconnected(String),
    /// The database refused, and nothing was written.
    Refused(String),
    /// The commit was sent, or may have been.
    Unknown(String),
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
        let waiting = Waiting {
            change,
            since: Instant::now(),
            answer,
        };
        self.0
            .try_send(waiting)
            .map_err(|_| StorageError::Unavailable(format!("{QUEUE_MAX} writes wait already")))?;
        answered
            .await
            .unwrap_or_else(|_| Err(StorageError::Unavailable("the store was closed".to_owned())))
    }
}

// === impl Writer ===

impl Writer {
    /// Writes until every [`Queue`] is gone.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let batch = self.gather(first);
            let mut changes = Vec::with_capacity(batch.len());
            let mut answers = Vec::with_capacity(batch.len());
            for waiting in batch {
                if waiting.since.elapsed() > QUEUE_TIMEOUT {
                    let _ = waiting.answer.send(Err(too_late("take the write")));
                } else if !waiting.answer.is_closed() {
                    changes.push(waiting.change);
                    answers.push(waiting.answer);
                }
            }
            if !changes.is_empty() {
                let results = self.write(changes).await;
                for (answer, result) in answers.into_iter().zip(results) {
                    // Whoever went away meanwhile does not hear of it.
                    let _ = answer.send(result);
                }
            }
        }
    }

    /// The first write and what waits behind it, as far as a transaction goes.
    fn gather(&mut self, first: Waiting) -> Vec<Waiting> {
        let size = |waiting: &Waiting| waiting.change.value.as_ref().map_or(0, bytes::Bytes::len);
        let mut bytes = size(&first);
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX && bytes < BATCH_BYTES {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            bytes += size(&next);
            batch.push(next);
        }
        batch
    }

    /// The answer to each write.
    async fn write(&mut self, changes: Vec<Change>) -> Vec<Result<Revision, StorageError>> {
        match self.attempt(&changes).await {
            Ok(results) => results,
            // One that cannot be written must not take the others with it.
            Err(Failure::Refused(_)) if changes.len() > 1 => {
                let mut results = Vec::with_capacity(changes.len());
                for change in changes {
                    results.push(match self.attempt(&[change]).await {
                        Ok(mut alone) => alone.remove(0),
                        Err(failure) => Err(failure.into()),
                    });
                }
                results
            }
            Err(failure) => {
                let error = StorageError::from(failure);
                changes.iter().map(|_| Err(error.clone())).collect()
            }
        }
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

// === impl Session ===

impl Session {
    async fn connect(connector: &Connector) -> Result<Self, String> {
        let connection = connector.connect(Purpose::Write).await?;
        let statements = tokio::try_join!(
            connection.prepare(LOCK),
            connection.prepare(FIND),
            connection.prepare(LOG),
            connection.prepare(PUT),
            connection.prepare(REMOVE),
            connection.prepare(ADVANCE),
        );
        let (lock, find, log, put, remove, advance) = statements.map_err(|e| because(&e))?;
        Ok(Self {
            connection,
            lock,
            find,
            log,
            put,
            remove,
            advance,
        })
    }

    async fn commit(&self, changes: &[Change]) -> Result<Plan, Failure> {
        let (newest, found) = self.look(changes).await?;
        let plan = Plan::new(changes, &found, newest);
        if plan.events.is_empty() {
            let ended = self.connection.batch_execute("ROLLBACK").await;
            ended.map_err(|e| Failure::nothing_written(&e))?;
        } else {
            self.put(&plan).await?;
        }
        Ok(plan)
    }

    /// Locks the revision and says which of the keys exist. Nothing is written yet.
    async fn look(
        &self,
        changes: &[Change],
    ) -> Result<(Revision, HashMap<String, Revision>), Failure> {
        let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
        let parameters: [&(dyn ToSql + Sync); 1] = [&keys];
        // All three go out together. The last one sees what others have committed before the lock
        // was had, since in this level each statement sees the newest state.
        let (begun, locked, found) = tokio::join!(
            self.connection
                .batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
            self.connection.query_one(&self.lock, &[]),
            self.connection.query(&self.find, &parameters),
        );
        let read = || -> Result<_, tokio_postgres::Error> {
            begun?;
            let (locked, found) = (locked?, found?);
            let rows = found
                .iter()
                .map(|row| Ok((row.try_get(0)?, revision(row, 1)?)));
            let version: i32 = locked.try_get(0)?;
            let found: Result<_, tokio_postgres::Error> = rows.collect();
            Ok((version, revision(&locked, 1)?, found?))
        };
        let (version, newest, found) = read().map_err(|e| Failure::nothing_written(&e))?;
        schema::check(version).map_err(Failure::Refused)?;
        Ok((newest, found))
    }

    /// Writes and commits.
    async fn put(&self, plan: &Plan) -> Result<(), Failure> {
        let log = LogColumns::of(&plan.events);
        let (mut keys, mut values, mut revisions) = (Vec::new(), Vec::new(), Vec::new());
        let mut gone = Vec::new();
        for (key, object) in &plan.objects {
            match object {
                Some((value, revision)) => {
                    keys.push(key.as_str());
                    values.push(&value[..]);
                    revisions.push(signed(revision.0));
                }
                None => gone.push(key.as_str()),
            }
        }
        let newest = signed(plan.revision.0);
        let log_parameters: [&(dyn ToSql + Sync); 5] = [
            &log.revisions,
            &log.keys,
            &log.values,
            &log.previous_values,
            &log.previous_revisions,
        ];
        let put_parameters: [&(dyn ToSql + Sync); 3] = [&keys, &values, &revisions];
        let remove_parameters: [&(dyn ToSql + Sync); 1] = [&gone];
        let advance_parameters: [&(dyn ToSql + Sync); 2] = [&newest, &CHANNEL];
        // The log copies what stood there, so it comes before the objects.
        let (logged, put, removed, advanced, committed) = tokio::join!(
            self.connection.execute(&self.log, &log_parameters),
            self.connection.execute(&self.put, &put_parameters),
            self.connection.execute(&self.remove, &remove_parameters),
            self.connection.execute(&self.advance, &advance_parameters),
            self.connection.batch_execute("COMMIT"),
        );
        // The commit of a transaction that has failed is a rollback, and says that it went well.
        for written in [logged, put, removed, advanced] {
            written.map_err(|e| match e.as_db_error() {
                Some(_) => Failure::nothing_written(&e),
                None => Failure::Unknown(because(&e)),
            })?;
        }
        committed.map_err(|e| Failure::Unknown(because(&e)))
    }
}

/// The columns of the new rows of the log.
#[derive(Default)]
struct LogColumns<'a> {
    revisions: Vec<i64>,
    keys: Vec<&'a str>,
    values: Vec<Option<&'a [u8]>>,
    previous_values: Vec<Option<&'a [u8]>>,
    previous_revisions: Vec<Option<i64>>,
}

impl<'a> LogColumns<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        let mut columns = Self::default();
        for entry in entries {
            let previous = entry.previous.as_ref();
            columns.revisions.push(signed(entry.revision.0));
            columns.keys.push(&entry.key);
            columns.values.push(entry.value.as_deref());
            columns
                .previous_values
                .push(previous.and_then(|p| p.value.as_deref()));
            columns
                .previous_revisions
                .push(previous.map(|p| signed(p.revision.0)));
        }
        columns
    }
}

// === impl Failure ===

impl Failure {
    /// Of an error that came before the commit could be done.
    fn nothing_written(error: &tokio_postgres::Error) -> Self {
        let severity = error.as_db_error().map(DbError::parsed_severity);
        match severity {
            // The database ends the connection with it.
            None | Some(Some(Severity::Fatal | Severity::Panic)) => {
                Self::Disconnected(because(error))
            }
            Some(_) => Self::Refused(because(error)),
        }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Disconnected(reason) | Failure::Refused(reason) => {
                Self::Unavailable(format!("nothing was written: {reason}"))
            }
            Failure::Unknown(reason) => {
                Self::Unavailable(format!("the write may have happened: {reason}"))
            }
        }
    }
}
