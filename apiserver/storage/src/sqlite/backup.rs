//! A copy of the file while it is in use.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    error::{is_damage, sentence},
    file::DatabaseFile,
    reader,
};
use crate::Revision;

/// Marks the copy, so that whoever opens it begins a new history: clients may hold revisions that
/// the original gave out after the copy was made.
const MARK: &str = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; \
    UPDATE meta SET is_copy = 1";

/// Copies the state of one moment into a new file, which has its name only once it is whole and on
/// the disk.
///
/// # Errors
/// A sentence that names the file and says what to do.
pub(super) fn copy(file: &DatabaseFile, to: &Path) -> Result<Revision, String> {
    let cannot = |e: io::Error| format!("the backup {} cannot be made: {e}", to.display());
    if fs::symlink_metadata(to).is_ok() {
        return Err(format!(
            "the backup {} is there already: name a new file",
            to.display()
        ));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push("-partial");
    let partial = PathBuf::from(partial);
    let target = partial
        .to_str()
        .ok_or_else(|| format!("the backup {} needs a name that is UTF-8", to.display()))?;
    // Of a backup that was broken off.
    match fs::remove_file(&partial) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
        _ => {}
    }
    let session = file.copier().map_err(|e| sentence(file.path(), &e))?;
    let made = session.connection.execute("VACUUM INTO ?1", [target]);
    let marked = made.and_then(|_| {
        let copy = Connection::open(&partial)?;
        copy.execute_batch(MARK)?;
        reader::head(&copy, u64::MAX)
    });
    let head = marked.map_err(|e| {
        // What there is of it is of no use.
        let _ = fs::remove_file(&partial);
        let at_fault = if is_damage(&e) { file.path() } else { to };
        format!("the backup cannot be made: {}", sentence(at_fault, &e))
    })?;
    let synced = File::open(&partial).and_then(|copy| copy.sync_all());
    let named = synced.and_then(|()| fs::rename(&partial, to));
    let directory = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let kept = named.and_then(|()| File::open(directory)?.sync_all());
    kept.map_err(cannot)?;
    Ok(head.revision)
}
