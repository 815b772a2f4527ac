//! The one thread that writes: it commits all that waits in one transaction.
//!
//! A write is answered, and seen by watches, once the commit is on the disk.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{oneshot, watch};

use super::{
    condition::Condition,
    error::Failure,
    file::{Identity, Session},
    head::{Head, Recent},
    reader::{self, bytes, revision, signed},
};
use crate::{
    Event, Record, Revision, StorageError,
    batch::{Change, Plan},
    waiting::{Answer, Batch, QUEUE_MAX, Waiting, queue_is_full, tell},
};

/// Time until a file that failed is tried again when nobody writes.
const PROBE_PERIOD: Duration = Duration::from_secs(1);
/// Old events that a transaction deletes at most for each one that it adds: more than one, so that
/// the log comes back to its capacity after a compaction or with a smaller capacity.
const TRIM_RATIO: usize = 2;
/// Old events that are deleted at a time while nobody writes.
const TRIM_IDLE: usize = 500;

const FIND: &str = "SELECT revision, value FROM objects WHERE key = ?1";

const PUT: &str = "INSERT INTO objects (key, value, revision) VALUES (?1, ?2, ?3) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";

const REMOVE: &str = "DELETE FROM objects WHERE key = ?1";

const LOG: &str = "INSERT INTO events \
    (revision, key, value, previous_value, previous_revision) VALUES (?1, ?2, ?3, ?4, ?5)";

/// What is deleted is forgotten too, so that a larger capacity later does not make a gap.
const ADVANCE: &str = "UPDATE meta SET revision = ?1, compacted = ?2";

const TRIM: &str = "DELETE FROM events WHERE revision IN \
    (SELECT revision FROM events WHERE revision <= ?1 ORDER BY revision LIMIT ?2)";

/// Takes tasks for the thread.
#[derive(Debug)]
pub(super) struct Queue(SyncSender<Task>);

#[derive(Debug)]
enum Task {
    Write(Waiting),
    /// Answered with the newest revision.
    Compact(Revision, Answer),
}

/// The thread's side.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) session: Session,
    pub(super) path: Arc<std::path::Path>,
    pub(super) identity: Identity,
    pub(super) log_capacity: u64,
    pub(super) recent: Arc<Mutex<Recent>>,
    /// What was committed. It ends the watches when it is dropped.
    pub(super) head: watch::Sender<Head>,
    pub(super) condition: Arc<Condition>,
    /// Whether there may be more old events than go with the next writes.
    pub(super) has_backlog: bool,
}

/// What a transaction has done.
struct Committed {
    results: Vec<Result<Revision, StorageError>>,
    events: Vec<Event>,
    head: Head,
}

// === impl Queue ===

impl Queue {
    pub(super) async fn write(&self, change: Change) -> Result<Revision, StorageError> {
        self.send(|answer| Task::Write(Waiting::since_now(change, answer)))
            .await
    }

    pub(super) async fn compact(&self, up_to: Revision) -> Result<(), StorageError> {
        let compacted = self.send(|answer| Task::Compact(up_to, answer)).await;
        compacted.map(|_| ())
    }

    async fn send(&self, task: impl FnOnce(Answer) -> Task) -> Result<Revision, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(task(answer)).map_err(|e| match e {
            TrySendError::Full(_) => queue_is_full(),
            TrySendError::Disconnected(_) => StorageError::closed(),
        })?;
        answered
            .await
            .unwrap_or_else(|_| Err(StorageError::closed()))
    }
}

// === impl Writer ===

impl Writer {
    /// The thread ends, and closes the file, when the queue is dropped.
    pub(super) fn start(self) -> std::io::Result<(Queue, JoinHandle<()>)> {
        let (sender, tasks) = sync_channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || self.run(&tasks))?;
        Ok((Queue(sender), thread))
    }

    fn run(mut self, tasks: &Receiver<Task>) {
        loop {
            match self.next(tasks) {
                Ok(Task::Write(first)) => {
                    if let Some(Task::Compact(up_to, answer)) = self.write_all(first, tasks) {
                        self.compact(up_to, answer);
                    }
                }
                Ok(Task::Compact(up_to, answer)) => self.compact(up_to, answer),
                Err(RecvTimeoutError::Timeout) if self.condition.is_failing() => self.probe(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Old events go while nothing else is to be done.
    fn next(&mut self, tasks: &Receiver<Task>) -> Result<Task, RecvTimeoutError> {
        while self.has_backlog {
            match tasks.try_recv() {
                Ok(task) => return Ok(task),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => self.trim(),
            }
        }
        tasks.recv_timeout(PROBE_PERIOD)
    }

    /// Writes the first change and what waits behind it, as far as a transaction goes. What is no
    /// write ends the batch and is given back.
    fn write_all(&mut self, first: Waiting, tasks: &Receiver<Task>) -> Option<Task> {
        let mut batch = Batch::of(first);
        let mut other = None;
        while batch.has_room() {
            match tasks.try_recv() {
                Ok(Task::Write(next)) => batch.push(next),
                Ok(task @ Task::Compact(..)) => {
                    other = Some(task);
                    break;
                }
                Err(_) => break,
            }
        }
        let late = "nothing was written: the disk did not take the write in time";
        let (changes, answers) = batch.begin(|| StorageError::Unavailable(late.to_owned()));
        if !changes.is_empty() {
            tell(answers, self.write(&changes));
        }
        other
    }

    /// The answer to each write.
    fn write(&mut self, changes: &[Change]) -> Vec<Result<Revision, StorageError>> {
        let (known, log_capacity) = (*self.head.borrow(), self.log_capacity);
        let written = self.transact(|c| put(c, changes, known, log_capacity));
        match written {
            Ok(Committed {
                results,
                events,
                head,
            }) => {
                self.recent.lock().extend(events);
                self.head.send_replace(head);
                results
            }
            Err(error) => changes.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn compact(&mut self, up_to: Revision, answer: Answer) {
        let known = *self.head.borrow();
        let floor = known.floor.max(up_to.min(known.revision));
        let compacted = self.transact(|c| {
            advance(c, known.revision, floor)?;
            Ok(known.revision)
        });
        if compacted.is_ok() {
            self.head.send_modify(|head| head.floor = floor);
            self.has_backlog = true;
        }
        let _ = answer.send(compacted);
    }

    fn trim(&mut self) {
        let floor = self.head.borrow().floor;
        let trimmed = self.transact(|c| Ok(trim(c, floor, TRIM_IDLE)?));
        // After a failure the next writes do it.
        self.has_backlog = trimmed.is_ok_and(|deleted| deleted == TRIM_IDLE);
    }

    /// Writes what is there, to see whether that works again.
    fn probe(&mut self) {
        let Head { revision, floor } = *self.head.borrow();
        // Its outcome is in the condition.
        let _ = self.transact(|c| Ok(advance(c, revision, floor)?));
    }

    /// Commits, or leaves everything as it was.
    fn transact<T>(
        &mut self,
        act: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StorageError> {
        if let Some(sentence) = self.condition.lost() {
            return Err(nothing_written(&sentence));
        }
        if Identity::of(&self.path).ok() != Some(self.identity) {
            let sentence = format!(
                "{} was moved or replaced while this server had it: put it back if it is not \
                 there, and start the server again",
                self.path.display()
            );
            self.condition.lose(&sentence);
            return Err(nothing_written(&sentence));
        }
        let connection = &self.session.connection;
        let known = self.head.borrow().revision;
        let begun = run(connection, "BEGIN IMMEDIATE").map_err(Failure::from);
        let done = begun.and_then(|()| unchanged(connection, known, &self.path));
        let done = done.and_then(|()| act(connection));
        let is_at_commit = done.is_ok();
        let committed = match done {
            Ok(done) => run(connection, "COMMIT")
                .map(|()| done)
                .map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        if committed.is_err() && !connection.is_autocommit() {
            // What cannot be rolled back now is so when the connection closes.
            let _ = run(connection, "ROLLBACK");
        }
        match committed {
            Ok(done) => {
                self.condition.succeeded(&self.path);
                Ok(done)
            }
            Err(failure) => {
                match &failure {
                    Failure::Sqlite(error) => self.condition.failed(&self.path, error),
                    Failure::Foreign(sentence) => self.condition.lose(sentence),
                    Failure::Refused(_) => {}
                }
                // A commit that the disk has not confirmed may be found there after a crash.
                let is_unknown = is_at_commit && !self.condition.is_full();
                let sentence = failure.sentence(&self.path);
                Err(if is_unknown {
                    StorageError::Unavailable(format!("the write may have happened: {sentence}"))
                } else {
                    nothing_written(&sentence)
                })
            }
        }
    }
}

fn nothing_written(sentence: &str) -> StorageError {
    StorageError::Unavailable(format!("nothing was written: {sentence}"))
}

fn run(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}

/// That nobody else has written to the file since this process did.
fn unchanged(
    connection: &Connection,
    known: Revision,
    path: &std::path::Path,
) -> Result<(), Failure> {
    let found = reader::head(connection, u64::MAX)?.revision;
    if found == known {
        return Ok(());
    }
    Err(Failure::Foreign(format!(
        "another program has written to {}, which is at revision {found} and not {known}: end that \
         program and start the server again",
        path.display()
    )))
}

/// Judges the changes on what is there and writes what they come to.
fn put(
    connection: &Connection,
    changes: &[Change],
    known: Head,
    log_capacity: u64,
) -> Result<Committed, Failure> {
    let (found, mut values) = find(connection, changes)?;
    let plan = Plan::new(changes, &found, known.revision);
    let events: Vec<Event> = plan
        .events
        .into_iter()
        .map(|entry| {
            let key: Arc<str> = entry.key.into();
            Event {
                revision: entry.revision,
                value: entry.value,
                previous: entry.previous.and_then(|previous| {
                    Some(Record {
                        key: Arc::clone(&key),
                        value: previous.value.or_else(|| values.remove(&*key))?,
                        revision: previous.revision,
                    })
                }),
                key,
            }
        })
        .collect();
    let head = Head::new(plan.revision, known.floor, log_capacity);
    if !events.is_empty() {
        for event in &events {
            log(connection, event)?;
        }
        for (key, object) in &plan.objects {
            match object {
                Some((value, revision)) => connection.prepare_cached(PUT)?.execute(params![
                    key,
                    &value[..],
                    signed(revision.0)
                ])?,
                None => connection.prepare_cached(REMOVE)?.execute([key])?,
            };
        }
        advance(connection, head.revision, head.floor)?;
        trim(connection, head.floor, events.len() * TRIM_RATIO)?;
    }
    Ok(Committed {
        results: plan.results,
        events,
        head,
    })
}

/// The revisions and values of the keys that exist.
fn find(
    connection: &Connection,
    changes: &[Change],
) -> rusqlite::Result<(HashMap<String, Revision>, HashMap<String, Bytes>)> {
    let (mut found, mut values) = (HashMap::new(), HashMap::new());
    let mut statement = connection.prepare_cached(FIND)?;
    for Change { key, .. } in changes {
        if found.contains_key(key) {
            continue;
        }
        let row = statement.query_row([key], |row| Ok((revision(row, 0)?, bytes(row, 1)?)));
        if let Some((revision, value)) = row.optional()? {
            found.insert(key.clone(), revision);
            values.insert(key.clone(), value);
        }
    }
    Ok((found, values))
}

fn log(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    let previous = event.previous.as_ref();
    connection.prepare_cached(LOG)?.execute(params![
        signed(event.revision.0),
        event.key,
        event.value.as_deref(),
        previous.map(|record| &record.value[..]),
        previous.map(|record| signed(record.revision.0)),
    ])?;
    Ok(())
}

fn advance(connection: &Connection, revision: Revision, floor: Revision) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(ADVANCE)?;
    statement.execute([signed(revision.0), signed(floor.0)])?;
    Ok(())
}

fn trim(connection: &Connection, floor: Revision, most: usize) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(TRIM)?;
    statement.execute([signed(floor.0), signed(most as u64)])
}
