//! One transaction: what is written, or why it was not, as far as one knows.
//!
//! It locks the row of the newest revision, so that revisions are committed in their order over all
//! replicas, and takes two round trips: lock and look, then write and commit.

use std::collections::HashMap;

use tokio_postgres::{Statement, error::Severity, types::ToSql};

use super::{
    connection::{CHANNEL, Connection, Connector, Purpose},
    error::because,
    reader::{revision, signed},
    schema,
};
use crate::{
    Revision, StorageError,
    batch::{Change, Entry, Plan},
};

const LOCK: &str = "SELECT schema_version, revision FROM extension_api.meta WHERE id FOR UPDATE";

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

const ADVANCE: &str = "UPDATE extension_api.meta SET revision = $1 WHERE id \
    RETURNING pg_notify($2, $1::bigint::text)";

/// A connection that writes.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    lock: Statement,
    find: Statement,
    log: Statement,
    put: Statement,
    remove: Statement,
    advance: Statement,
}

/// Why a batch was not committed, as far as one knows.
#[derive(Clone)]
pub(super) enum Failure {
    /// Nothing was written, and the connection has ended: another one may do it.
    Disconnected(String),
    /// The database cannot hold one of the values or keys, and nothing was written.
    Unwritable(String),
    /// The database refused for another reason, and nothing was written.
    Refused(String),
    /// The commit was sent, or may have been.
    Unknown(String),
}

// === impl Session ===

impl Session {
    pub(super) async fn connect(connector: &Connector) -> Result<Self, String> {
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

    /// The plan for the changes, once it is committed.
    pub(super) async fn commit(&self, changes: &[Change]) -> Result<Plan, Failure> {
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
        let Some(refused) = error.as_db_error() else {
            return Self::Disconnected(because(error));
        };
        match (refused.parsed_severity(), refused.code().code().get(..2)) {
            // The database ends the connection with it.
            (Some(Severity::Fatal | Severity::Panic), _) => Self::Disconnected(because(error)),
            // Data exceptions and limits of the program.
            (_, Some("22" | "54")) => Self::Unwritable(because(error)),
            _ => Self::Refused(because(error)),
        }
    }

    /// For the writes that were not tried after it.
    pub(super) fn without_commit(&self) -> Self {
        match self {
            Self::Unknown(reason) => Self::Refused(reason.clone()),
            other => other.clone(),
        }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Disconnected(reason)
            | Failure::Unwritable(reason)
            | Failure::Refused(reason) => {
                Self::Unavailable(format!("nothing was written: {reason}"))
            }
            Failure::Unknown(reason) => {
                Self::Unavailable(format!("the write may have happened: {reason}"))
            }
        }
    }
}
