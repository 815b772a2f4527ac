//! What SQLite's errors mean for who runs the server.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::StorageError;

/// Why something with the file was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite could not do it.
    Sqlite(rusqlite::Error),
    /// It was not to be done; the file is all right.
    Refused(StorageError),
    /// The file is not what this process left. In a sentence that names it.
    Foreign(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    pub(super) fn into_error(self, path: &Path) -> StorageError {
        match self {
            Self::Refused(error) => error,
            other => StorageError::Unavailable(other.sentence(path)),
        }
    }

    pub(super) fn sentence(self, path: &Path) -> String {
        match self {
            Self::Sqlite(error) => sentence(path, &error),
            Self::Refused(error) => error.to_string(),
            Self::Foreign(sentence) => sentence,
        }
    }
}

/// What is wrong with the file and what to do.
pub(super) fn sentence(path: &Path, error: &rusqlite::Error) -> String {
    let path = path.display();
    if is_full(error) {
        return format!("the disk of {path} is full: free space there or make the volume larger");
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => damaged(&path, &error.to_string()),
        Some(ErrorCode::NotADatabase) => format!(
            "{path} is not a database of SQLite: name another file, restore a backup, or move it \
             away to start empty"
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => format!(
            "{path} cannot be written ({error}): let this user write the file, its directory, and \
             the files beside it that end in -wal and -shm"
        ),
        Some(ErrorCode::CannotOpen) => format!(
            "{path} cannot be opened ({error}): its directory must be there and this user must be \
             able to write in it"
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{path} is locked by another program: end that program")
        }
        Some(ErrorCode::SystemIoFailure) => format!(
            "the disk of {path} fails ({error}, code {}): look at the volume and the system's log",
            extended_code(error)
        ),
        _ => format!("{path} cannot be used: {error}"),
    }
}

pub(super) fn damaged(path: &dyn std::fmt::Display, how: &str) -> String {
    format!(
        "{path} is damaged ({how}): restore a backup, or move it away with its -wal and -shm to \
         start empty"
    )
}

/// Whether the file has to be put right by hand.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Whether there is no space. What is there can still be read.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    // The other one is of the index of the write-ahead log, which is made at the start.
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || extended_code(error) == ffi::SQLITE_IOERR_SHMSIZE
}

fn extended_code(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().map_or(0, |error| error.extended_code)
}
