//! Forgetting old events: a number in the table `meta` says what is forgotten, and the rows go
//! after it, a few at a time.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Notify;

use super::{
    error::unavailable,
    pool::{Pool, Size},
    reader::{revision, signed},
};
use crate::{Revision, StorageError};

/// Most rows that one statement deletes: it takes milliseconds.
const DELETE_MAX: i64 = 1000;

/// Later than what is there means all of it.
const FORGET: &str = "UPDATE extension_api.meta \
    SET compacted = greatest(compacted, least($1, revision)) WHERE id RETURNING compacted";

const DELETE: &str = "DELETE FROM extension_api.events WHERE revision IN ( \
    SELECT revision FROM extension_api.events WHERE revision <= $1 ORDER BY revision LIMIT $2)";

/// Forgets everything up to and with a revision, for all replicas.
pub(super) async fn compact(pool: &Pool, up_to: Revision) -> Result<(), StorageError> {
    let up_to = signed(up_to.0);
    let forget = pool.read(Size::Small, |reader| {
        async move {
            let row = reader.connection.query_one(FORGET, &[&up_to]).await;
            row.and_then(|row| revision(&row, 0))
                .map_err(|e| unavailable(&e))
        }
        .boxed()
    });
    let compacted = signed(forget.await?.0);
    loop {
        let delete = pool.read(Size::Large, |reader| {
            async move {
                let connection = &reader.connection;
                let deleted = connection.execute(DELETE, &[&compacted, &DELETE_MAX]).await;
                deleted.map_err(|e| unavailable(&e))
            }
            .boxed()
        });
        if signed(delete.await?) < DELETE_MAX {
            return Ok(());
        }
    }
}

/// Keeps the log at its capacity, whenever the tail finds it too long.
pub(super) async fn trim(pool: Arc<Pool>, log_capacity: u64, is_long: Arc<Notify>) {
    loop {
        is_long.notified().await;
        let newest = pool.read(Size::Small, |reader| reader.revision().boxed());
        let trimmed = match newest.await {
            Ok(newest) => {
                let up_to = newest.0.saturating_sub(log_capacity);
                compact(&pool, Revision(up_to)).await
            }
            Err(error) => Err(error),
        };
        // The tail says so again.
        if let Err(error) = trimmed {
            tracing::warn!(%error, "the event log was not trimmed");
        }
    }
}
