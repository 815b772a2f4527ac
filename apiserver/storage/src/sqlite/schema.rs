//! The tables, and that they are of a version that this program knows.
//!
//! The version is SQLite's `user_version`. A newer one is refused and never changed.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::sentence;

/// The steps from one version of the tables to the next one; the first makes them.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// Says whose file it is: "exta" in ASCII, as `application_id`.
const APPLICATION: i32 = 0x6578_7461;

/// Whether this program knows what is in the file. Nothing is written.
///
/// # Errors
/// A sentence that names the file and says what to do.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), String> {
    let read = || {
        let version = number(connection, "PRAGMA user_version")?;
        let application = number(connection, "PRAGMA application_id")?;
        let tables = number(connection, "SELECT count(*) FROM sqlite_schema")?;
        Ok((version, application, tables))
    };
    let (version, application, tables) = read().map_err(|e| sentence(path, &e))?;
    let known = MIGRATIONS.len();
    let path = path.display();
    if tables == 0 && version == 0 {
        return Ok(());
    }
    if application != i64::from(APPLICATION) {
        return Err(format!(
            "{path} is a database of another program: name another file"
        ));
    }
    if usize::try_from(version).is_ok_and(|version| (1..=known).contains(&version)) {
        return Ok(());
    }
    Err(format!(
        "{path} has version {version} of the tables and this release knows version {known}: run \
         the release that wrote it, or a newer one"
    ))
}

/// Makes the tables, or brings them to the version of this program.
///
/// # Errors
/// A sentence that names the file and says what to do.
pub(super) fn ensure(path: &Path, connection: &mut Connection) -> Result<(), String> {
    bring_up(connection).map_err(|e| sentence(path, &e))?;
    let rows = number(connection, "SELECT count(*) FROM meta").map_err(|e| sentence(path, &e))?;
    if rows == 1 {
        return Ok(());
    }
    Err(format!(
        "the table meta of {} has no row, so the revisions are lost: restore a backup, or move the \
         file away to start empty",
        path.display()
    ))
}

fn bring_up(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = number(&transaction, "PRAGMA user_version")?;
    let done = usize::try_from(version).unwrap_or_default();
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    if done < MIGRATIONS.len() {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        let newest = i64::try_from(MIGRATIONS.len()).unwrap_or_default();
        transaction.pragma_update(None, "user_version", newest)?;
    }
    if done == 0 {
        begin(&transaction)?;
    }
    let is_copy: Option<bool> = transaction
        .query_row("SELECT is_copy FROM meta", [], |row| row.get(0))
        .ok();
    if is_copy == Some(true) {
        begin(&transaction)?;
    }
    transaction.commit()
}

/// Revisions go on from the clock, in microseconds: clients may hold revisions of an earlier file,
/// which then are too old and not in the future or in another history.
fn begin(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let now = Timestamp::now().as_microsecond();
    transaction.execute("DELETE FROM events", [])?;
    transaction.execute(
        "INSERT INTO meta (id, revision, compacted, is_copy) VALUES (1, ?1, ?1, 0) \
         ON CONFLICT (id) DO UPDATE SET revision = max(revision + 1000000000, excluded.revision), \
         compacted = max(revision + 1000000000, excluded.revision), is_copy = 0",
        [now],
    )?;
    Ok(())
}

fn number(connection: &Connection, query: &str) -> rusqlite::Result<i64> {
    connection.query_row(query, [], |row| row.get(0))
}
