//! What is read from the file. Each read is within a transaction and so sees one state.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    sync::Arc,
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{error::Failure, head::Head};
use crate::{Event, Page, Range, Record, Revision, StorageError};

/// Most events in a page of the log.
const LOG_PAGE: usize = 512;
/// A page of the log ends when its values have this many bytes, so that large objects do not fill
/// the memory; it always has one event.
const LOG_PAGE_BYTES: usize = 16 * 1024 * 1024;

const GET: &str = "SELECT value, revision FROM objects WHERE key = ?1";

const HEAD: &str = "SELECT revision, compacted FROM meta";

const LIST: &str = "SELECT key, value, revision FROM objects WHERE key >= ?1 ORDER BY key";

/// Without the values, which may be larger than the memory.
const LATER: &str = "SELECT key, revision FROM events WHERE revision > ?1 ORDER BY revision";

const PREVIOUS: &str =
    "SELECT key, previous_value, previous_revision FROM events WHERE revision = ?1";

const LOG: &str = "SELECT revision, key, value, previous_value, previous_revision \
    FROM events WHERE revision > ?1 ORDER BY revision";

/// A part of the log after a revision.
#[derive(Debug)]
pub(super) struct LogPage {
    pub(super) events: Vec<Event>,
    /// Every event up to and with this revision is in the page, or was known before.
    pub(super) covers: Revision,
}

pub(super) fn head(connection: &Connection, log_capacity: u64) -> rusqlite::Result<Head> {
    let mut statement = connection.prepare_cached(HEAD)?;
    statement.query_row([], |row| {
        Ok(Head::new(
            revision(row, 0)?,
            revision(row, 1)?,
            log_capacity,
        ))
    })
}

pub(super) fn get(connection: &Connection, key: Arc<str>) -> rusqlite::Result<Option<Record>> {
    let mut statement = connection.prepare_cached(GET)?;
    let found = statement.query_row([&key], |row| {
        Ok(Record {
            value: bytes(row, 0)?,
            revision: revision(row, 1)?,
            key: Arc::clone(&key),
        })
    });
    found.optional()
}

pub(super) fn list(
    connection: &Connection,
    range: &Range,
    log_capacity: u64,
) -> Result<Page, Failure> {
    let head = head(connection, log_capacity)?;
    let revision = range.at.unwrap_or(head.revision);
    head.check(revision).map_err(Failure::Refused)?;
    // The first text after another one is that with a NUL at its end.
    let start = match &range.start_after {
        Some(after) if *after >= range.prefix => format!("{after}\0"),
        _ => range.prefix.clone(),
    };
    let mut past = Past::at(connection, revision, &start, &range.prefix)?;
    let limit = range.limit.unwrap_or(usize::MAX);
    let mut statement = connection.prepare_cached(LIST)?;
    let mut rows = statement.query([&start])?;
    let mut records = Vec::new();
    // One more than asked for shows that there is more.
    while records.len() <= limit {
        let Some(row) = rows.next()? else { break };
        let key = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if !key.starts_with(&range.prefix) {
            break;
        }
        past.emit_before(key, &mut records)?;
        if !past.has_taken(key, &mut records)? {
            records.push(Record {
                key: key.into(),
                value: bytes(row, 1)?,
                revision: self::revision(row, 2)?,
            });
        }
    }
    while records.len() <= limit && past.emit_next(&mut records)? {}
    let more = records.len() > limit;
    records.truncate(limit);
    Ok(Page {
        records,
        revision,
        more,
    })
}

/// The log after a revision.
pub(super) fn log(
    connection: &Connection,
    after: Revision,
    log_capacity: u64,
) -> Result<LogPage, Failure> {
    let head = head(connection, log_capacity)?;
    head.check(after).map_err(Failure::Refused)?;
    let mut statement = connection.prepare_cached(LOG)?;
    let mut rows = statement.query([signed(after.0)])?;
    let mut events: Vec<Event> = Vec::new();
    let mut size = 0;
    while let Some(row) = rows.next()? {
        if let Some(last) = events.last()
            && (events.len() == LOG_PAGE || size >= LOG_PAGE_BYTES)
        {
            let covers = last.revision;
            return Ok(LogPage { events, covers });
        }
        let event = event(row)?;
        let length = |value: Option<&Bytes>| value.map_or(0, Bytes::len);
        size += length(event.value.as_ref());
        size += length(event.previous.as_ref().map(|record| &record.value));
        events.push(event);
    }
    Ok(LogPage {
        events,
        covers: head.revision,
    })
}

/// The keys that were written after a revision. Of each, the first event after it says what stood
/// there.
struct Past<'a> {
    connection: &'a Connection,
    undone: Peekable<btree_map::IntoIter<String, i64>>,
}

impl<'a> Past<'a> {
    fn at(
        connection: &'a Connection,
        revision: Revision,
        start: &str,
        prefix: &str,
    ) -> rusqlite::Result<Self> {
        let mut undone = BTreeMap::new();
        let mut statement = connection.prepare_cached(LATER)?;
        let mut rows = statement.query([signed(revision.0)])?;
        while let Some(row) = rows.next()? {
            let key = row.get_ref(0)?.as_str()?;
            if key >= start && key.starts_with(prefix) && !undone.contains_key(key) {
                undone.insert(key.to_owned(), row.get(1)?);
            }
        }
        Ok(Self {
            connection,
            undone: undone.into_iter().peekable(),
        })
    }

    /// What stood at keys that are gone, up to one that is there.
    fn emit_before(&mut self, key: &str, records: &mut Vec<Record>) -> rusqlite::Result<()> {
        while self
            .undone
            .peek()
            .is_some_and(|(undone, _)| undone.as_str() < key)
        {
            self.emit_next(records)?;
        }
        Ok(())
    }

    /// Whether the key was written later; then what stood there is in its place.
    fn has_taken(&mut self, key: &str, records: &mut Vec<Record>) -> rusqlite::Result<bool> {
        if self.undone.peek().is_none_or(|(undone, _)| undone != key) {
            return Ok(false);
        }
        self.emit_next(records)
    }

    /// Whether there was one more.
    fn emit_next(&mut self, records: &mut Vec<Record>) -> rusqlite::Result<bool> {
        let Some((_, event)) = self.undone.next() else {
            return Ok(false);
        };
        let mut statement = self.connection.prepare_cached(PREVIOUS)?;
        let stood = statement.query_row([event], |row| {
            let Some(number) = row.get::<_, Option<i64>>(2)? else {
                return Ok(None);
            };
            Ok(Some(Record {
                key: row.get(0)?,
                value: bytes(row, 1)?,
                revision: unsigned(number),
            }))
        })?;
        records.extend(stood);
        Ok(true)
    }
}

/// A revision as SQLite has it. None is ever as large as the bound.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or_default())
}

pub(super) fn revision(row: &Row<'_>, column: usize) -> rusqlite::Result<Revision> {
    row.get(column).map(unsigned)
}

pub(super) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::from(row.get::<_, Vec<u8>>(column)?))
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let key: Arc<str> = row.get(1)?;
    let previous = match row.get::<_, Option<i64>>(4)? {
        None => None,
        Some(number) => Some(Record {
            key: Arc::clone(&key),
            value: bytes(row, 3)?,
            revision: unsigned(number),
        }),
    };
    Ok(Event {
        revision: revision(row, 0)?,
        value: row.get::<_, Option<Vec<u8>>>(2)?.map(Bytes::from),
        previous,
        key,
    })
}

/// That a revision is neither forgotten nor to come, as the file has it.
pub(super) fn check(
    connection: &Connection,
    wanted: Revision,
    log_capacity: u64,
) -> Result<(), Failure> {
    let known: Result<(), StorageError> = head(connection, log_capacity)?.check(wanted);
    known.map_err(Failure::Refused)
}
