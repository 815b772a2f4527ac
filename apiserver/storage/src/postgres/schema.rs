//! The tables, and that they are of the version that this program knows.
//!
//! A newer schema is refused and never changed: it belongs to a newer release that runs beside this
//! one. Every connection looks, so a release that was left behind stops when its connections end.

use tokio_postgres::{Client, error::SqlState};

use super::error::{because, is_denied};

/// The version of the tables that this program reads and writes.
pub(super) const VERSION: i32 = 1;

/// Makes the tables of a database that has none.
const CREATE: &str = include_str!("schema.sql");

/// Servers that start at the same time make the tables one after the other. The number is the one
/// thing that they agree on: "extapi" in ASCII.
const MIGRATION_LOCK: i64 = 0x6578_7461_7069;

const READ_VERSION: &str = "SELECT schema_version FROM extension_api.meta";

/// Makes the tables if there are none, and checks their version.
///
/// # Errors
/// A sentence that says why they cannot be used.
pub(super) async fn ensure(client: &mut Client) -> Result<(), String> {
    if let Some(found) = version(client).await? {
        return check(found);
    }
    let cannot_create = |error: tokio_postgres::Error| {
        let remedy = if is_denied(&error) {
            "; run schema.sql as the owner of the database, or make a schema extension_api that \
             this role owns"
        } else {
            ""
        };
        format!(
            "cannot make the tables of extension_api: {}{remedy}",
            because(&error)
        )
    };
    let transaction = client.transaction().await.map_err(cannot_create)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
        .await
        .map_err(cannot_create)?;
    // Whoever had the lock before may have made them.
    let exists = "SELECT to_regclass('extension_api.meta') IS NOT NULL";
    let made = transaction.query_one(exists, &[]).await;
    if !made.map_err(cannot_create)?.get::<_, bool>(0) {
        let created = transaction.batch_execute(CREATE).await;
        created.map_err(cannot_create)?;
        tracing::info!(version = VERSION, "made the tables of extension_api");
    }
    transaction.commit().await.map_err(cannot_create)?;
    match version(client).await? {
        Some(found) => check(found),
        None => Err("the tables of extension_api went away while they were made".to_owned()),
    }
}

/// Whether this program knows a schema of this version.
///
/// # Errors
/// A sentence that says what to do.
pub(super) fn check(found: i32) -> Result<(), String> {
    if found == VERSION {
        Ok(())
    } else {
        Err(format!(
            "the database has version {found} of the tables and this release knows version \
             {VERSION}: run the release that made them, or a newer one"
        ))
    }
}

/// `None` where there are no tables.
async fn version(client: &Client) -> Result<Option<i32>, String> {
    match client.query_opt(READ_VERSION, &[]).await {
        Ok(Some(row)) => Ok(Some(row.get(0))),
        Ok(None) => Err(
            "extension_api.meta has no row, so the revisions are lost: restore a backup, or drop \
             the schema extension_api to start empty"
                .to_owned(),
        ),
        Err(error) => match error.code() {
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => Ok(None),
            _ => Err(format!(
                "cannot read the version of the tables: {}",
                because(&error)
            )),
        },
    }
}
