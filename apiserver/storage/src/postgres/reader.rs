//! What is read from the database. Each read is one statement and so sees one state.

use std::sync::Arc;

use bytes::Bytes;
use futures::{TryStreamExt, pin_mut};
use tokio_postgres::{Row, Statement, types::ToSql};

use super::{
    connection::{Connection, Connector, Purpose},
    error::unavailable,
    schema,
};
use crate::{Event, Page, Range, Record, Revision, StorageError};

/// Most events in a page of the log.
const LOG_PAGE: i64 = 512;
/// A page of the log ends when its values have this many bytes, so that large objects do not fill
/// the memory; it always has one event.
const LOG_PAGE_BYTES: i64 = 8 * 1024 * 1024;

const GET: &str = "SELECT value, revision FROM extension_api.objects WHERE key = $1";

const REVISION: &str = "SELECT revision FROM extension_api.meta WHERE id";

/// The rows come in order, but nothing promises it of a join. Ordering them once more would put
/// long lists on the database's disk, so that is left to [`Reader::list`].
const LIST: &str = "SELECT meta.schema_version, meta.revision, meta.compacted, \
        found.key, found.value, found.revision \
    FROM extension_api.meta LEFT JOIN LATERAL ( \
        SELECT key, value, revision FROM extension_api.objects \
        WHERE key >= $1 AND key < $2 AND key > $3 \
        ORDER BY key LIMIT $4 \
    ) AS found ON true WHERE meta.id";

/// What is not newer than the revision stands as it stood; of all else the first event after it
/// says what stood there.
const LIST_AT: &str = "SELECT meta.schema_version, meta.revision, meta.compacted, \
        found.key, found.value, found.revision \
    FROM extension_api.meta LEFT JOIN LATERAL ( \
        SELECT * FROM ( \
            (SELECT key, value, revision FROM extension_api.objects \
                WHERE key >= $1 AND key < $2 AND key > $3 AND revision <= $5 \
                ORDER BY key LIMIT $4) \
            UNION ALL \
            (SELECT key, previous_value, previous_revision FROM ( \
                SELECT DISTINCT ON (key) key, previous_value, previous_revision \
                FROM extension_api.events \
                WHERE revision > $5 AND key >= $1 AND key < $2 AND key > $3 \
                ORDER BY key, revision \
            ) AS undone WHERE previous_revision IS NOT NULL ORDER BY key LIMIT $4) \
        ) AS past ORDER BY key LIMIT $4 \
    ) AS found ON true WHERE meta.id";

const LOG: &str = "SELECT meta.schema_version, meta.revision, meta.compacted, \
        page.revision, page.key, page.value, page.previous_value, page.previous_revision \
    FROM extension_api.meta LEFT JOIN LATERAL ( \
        SELECT * FROM ( \
            SELECT *, sum(bytes) OVER (ORDER BY revision) - bytes AS before FROM ( \
                SELECT *, coalesce(octet_length(value), 0) \
                    + coalesce(octet_length(previous_value), 0) AS bytes \
                FROM extension_api.events WHERE revision > $1 ORDER BY revision LIMIT $2 \
            ) AS newer \
        ) AS summed WHERE before < $3 \
    ) AS page ON true WHERE meta.id";

/// A connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    get: Statement,
    revision: Statement,
    list: Statement,
    list_at: Statement,
    log: Statement,
    /// Events that count as known, however many there still are.
    log_capacity: u64,
}

/// A part of the log after a revision.
#[derive(Debug)]
pub(super) struct LogPage {
    pub(super) events: Vec<Event>,
    /// Every event up to and with this revision is in the page, or was known before.
    pub(super) covers: Revision,
    /// Whether more follows that was there already.
    pub(super) is_cut: bool,
    pub(super) meta: Meta,
}

/// The row of the table `meta` as a read saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    pub(super) revision: Revision,
    /// Up to here nothing is left.
    pub(super) compacted: Revision,
}

impl Reader {
    pub(super) async fn connect(
        connector: &Connector,
        log_capacity: u64,
    ) -> Result<Self, StorageError> {
        let connection = connector.connect(Purpose::Read).await;
        let connection = connection.map_err(StorageError::Unavailable)?;
        let statements = tokio::try_join!(
            connection.prepare(GET),
            connection.prepare(REVISION),
            connection.prepare(LIST),
            connection.prepare(LIST_AT),
            connection.prepare(LOG),
        );
        let (get, revision, list, list_at, log) = statements.map_err(|e| unavailable(&e))?;
        Ok(Self {
            connection,
            get,
            revision,
            list,
            list_at,
            log,
            log_capacity,
        })
    }

    pub(super) async fn get(&self, key: Arc<str>) -> Result<Option<Record>, StorageError> {
        let row = self.connection.query_opt(&self.get, &[&&*key]).await;
        let Some(row) = row.map_err(|e| unavailable(&e))? else {
            return Ok(None);
        };
        let read = || -> Result<Record, tokio_postgres::Error> {
            Ok(Record {
                value: Bytes::copy_from_slice(row.try_get(0)?),
                revision: revision(&row, 1)?,
                key,
            })
        };
        read().map(Some).map_err(|e| unavailable(&e))
    }

    pub(super) async fn revision(&self) -> Result<Revision, StorageError> {
        let row = self.connection.query_one(&self.revision, &[]).await;
        row.and_then(|row| revision(&row, 0))
            .map_err(|e| unavailable(&e))
    }

    pub(super) async fn list(&self, range: Range) -> Result<Page, StorageError> {
        let end = prefix_end(&range.prefix);
        // Every key is after the empty one.
        let start_after = range.start_after.as_deref().unwrap_or_default();
        // One more than asked for, to see whether there is more.
        let limit = range
            .limit
            .map(|limit| signed(limit as u64).saturating_add(1));
        let at = range.at.map(|revision| signed(revision.0));
        let mut parameters: Vec<&(dyn ToSql + Sync)> =
            vec![&range.prefix, &end, &start_after, &limit];
        let statement = match &at {
            Some(at) => {
                parameters.push(at);
                &self.list_at
            }
            None => &self.list,
        };
        let rows = self.connection.query_raw(statement, parameters).await;
        let rows = rows.map_err(|e| unavailable(&e))?;
        pin_mut!(rows);
        let mut meta = None;
        let mut records = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(|e| unavailable(&e))? {
            if meta.is_none() {
                meta = Some(self.known(&row, range.at)?);
            }
            records.extend(record(&row, 3).map_err(|e| unavailable(&e))?);
        }
        let meta = meta.ok_or_else(no_meta)?;
        // What is in order already costs one look at each.
        records.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let limit = range.limit.unwrap_or(usize::MAX);
        let more = records.len() > limit;
        records.truncate(limit);
        Ok(Page {
            records,
            revision: range.at.unwrap_or(meta.revision),
            more,
        })
    }

    /// The log after a revision; without one, how far it is.
    pub(super) async fn log(&self, after: Option<Revision>) -> Result<LogPage, StorageError> {
        let start = after.map_or(i64::MAX, |after| signed(after.0));
        let parameters: [&(dyn ToSql + Sync); 3] = [&start, &LOG_PAGE, &LOG_PAGE_BYTES];
        let rows = self.connection.query(&self.log, &parameters).await;
        let rows = rows.map_err(|e| unavailable(&e))?;
        let meta = self.known(rows.first().ok_or_else(no_meta)?, after)?;
        let events: Result<Vec<_>, _> = rows.iter().filter_map(|r| event(r).transpose()).collect();
        let mut events = events.map_err(|e| unavailable(&e))?;
        events.sort_unstable_by_key(|event| event.revision);
        let bytes = |value: Option<&Bytes>| value.map_or(0, Bytes::len);
        let sizes = events.iter().map(|event| {
            bytes(event.value.as_ref()) + bytes(event.previous.as_ref().map(|p| &p.value))
        });
        let is_cut = signed(events.len() as u64) >= LOG_PAGE
            || signed(sizes.sum::<usize>() as u64) >= LOG_PAGE_BYTES;
        let covers = match events.last() {
            Some(last) if is_cut => last.revision,
            _ => meta.revision,
        };
        Ok(LogPage {
            events,
            covers,
            is_cut,
            meta,
        })
    }

    /// The meta row at the start of a row, if a wanted revision is within what it knows.
    fn known(&self, row: &Row, wanted: Option<Revision>) -> Result<Meta, StorageError> {
        let meta = |row: &Row| -> Result<(i32, Revision, Revision), tokio_postgres::Error> {
            Ok((row.try_get(0)?, revision(row, 1)?, revision(row, 2)?))
        };
        let (version, revision, compacted) = meta(row).map_err(|e| unavailable(&e))?;
        schema::check(version).map_err(StorageError::Unavailable)?;
        let oldest = Revision(revision.0.saturating_sub(self.log_capacity));
        let floor = compacted.max(oldest);
        match wanted {
            Some(wanted) if wanted > revision => Err(StorageError::FutureRevision {
                wanted,
                current: revision,
            }),
            Some(wanted) if wanted < floor => Err(StorageError::Compacted {
                wanted,
                known: floor..=revision,
            }),
            _ => Ok(Meta {
                revision,
                compacted,
            }),
        }
    }
}

/// A revision as PostgreSQL has it. None is ever as large as the bound.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn revision(row: &Row, column: usize) -> Result<Revision, tokio_postgres::Error> {
    let number: i64 = row.try_get(column)?;
    Ok(Revision(u64::try_from(number).unwrap_or_default()))
}

fn no_meta() -> StorageError {
    StorageError::Unavailable("extension_api.meta has no row".to_owned())
}

/// Key, value and revision from a column on; `None` where the join found nothing.
fn record(row: &Row, column: usize) -> Result<Option<Record>, tokio_postgres::Error> {
    let Some(key) = row.try_get::<_, Option<&str>>(column)? else {
        return Ok(None);
    };
    Ok(Some(Record {
        key: key.into(),
        value: Bytes::copy_from_slice(row.try_get(column + 1)?),
        revision: revision(row, column + 2)?,
    }))
}

fn event(row: &Row) -> Result<Option<Event>, tokio_postgres::Error> {
    let Some(number) = row.try_get::<_, Option<i64>>(3)? else {
        return Ok(None);
    };
    let key: Arc<str> = row.try_get::<_, &str>(4)?.into();
    let value: Option<&[u8]> = row.try_get(5)?;
    let previous: Option<&[u8]> = row.try_get(6)?;
    let previous = previous.map(|value| -> Result<_, tokio_postgres::Error> {
        Ok(Record {
            key: Arc::clone(&key),
            value: Bytes::copy_from_slice(value),
            revision: revision(row, 7)?,
        })
    });
    Ok(Some(Event {
        revision: Revision(u64::try_from(number).unwrap_or_default()),
        value: value.map(Bytes::copy_from_slice),
        previous: previous.transpose()?,
        key,
    }))
}

/// The first string after all that start with a prefix, in the order of bytes. A statement with a
/// bound that may be missing would not use the index's order.
fn prefix_end(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Surrogates are skipped by the range.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return end;
        }
    }
    // No key begins with it, since it is not a character.
    char::MAX.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_string() {
        for (prefix, end) in [
            ("/a/", "/a0"),
            ("/ä", "/å"),
            ("\u{d7ff}", "\u{e000}"),
            ("a\u{10ffff}", "b"),
            ("", "\u{10ffff}"),
        ] {
            assert_eq!(prefix_end(prefix), end);
        }
    }
}
