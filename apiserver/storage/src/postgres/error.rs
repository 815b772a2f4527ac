//! What the driver's errors say.

use std::error::Error;

use tokio_postgres::error::SqlState;

use crate::StorageError;

/// The reason of an error in words, without what only repeats its cause.
pub(super) fn because(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    match error.source() {
        Some(source) => chain(source),
        None => error.to_string(),
    }
}

/// An error and its causes, each said once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// The role may not do it.
pub(super) fn is_denied(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}

/// The database did not do it. For a write: it may have happened or not.
pub(super) fn unavailable(error: &tokio_postgres::Error) -> StorageError {
    StorageError::Unavailable(because(error))
}

/// The database did not answer in time.
pub(super) fn too_late(what: &str) -> StorageError {
    StorageError::Unavailable(format!("the database did not {what} in time"))
}
