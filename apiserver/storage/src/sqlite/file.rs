//! The file: one process has it, and its connections are all made here.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    error::{damaged, sentence},
    schema,
};

/// How long a statement waits for another program's lock, such as a checkpoint of the `sqlite3` shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest look at the whole file at the start; a part of the time that a cluster gives a server to
/// get ready. It reads some hundred megabytes a second.
const CHECK_TIME: Duration = Duration::from_secs(5);
/// Of a new file. Records of 2 kB fill twice as large pages as SQLite's own by three, not one; the
/// file is a third smaller and written faster.
const PAGE_BYTES: u32 = 8192;
/// The write-ahead log is cut to this many bytes after it was larger.
const WAL_BYTES: i64 = 64 * 1024 * 1024;
/// Statements that a connection keeps: more than there are.
const STATEMENTS: usize = 32;

/// A file that this process alone has, until this and every connection to it are dropped.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile {
    path: Arc<Path>,
    /// Held, not read.
    _lock: Arc<File>,
}

/// A connection to it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    /// After the connection, so that nobody else has the file while it closes.
    _file: DatabaseFile,
}

impl DatabaseFile {
    /// Takes the file for this process, made if it is not there.
    ///
    /// # Errors
    /// A sentence that names the file and says what to do.
    pub(super) fn take(path: &Path) -> Result<Self, String> {
        let path = resolve(path)?;
        // Not the file itself: closing it would end the locks that SQLite has on it.
        let mut beside = path.clone().into_os_string();
        beside.push("-lock");
        let beside = PathBuf::from(beside);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&beside)
            .map_err(|e| {
                format!(
                    "{} cannot be opened ({e}): let this user write in the directory",
                    beside.display()
                )
            })?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => format!(
                "another process has {} open: end it, or name another file; servers that shall \
                 share their records need PostgreSQL",
                path.display()
            ),
            TryLockError::Error(e) => format!(
                "{} cannot be locked ({e}): use a disk of this machine, not a network file system",
                beside.display()
            ),
        })?;
        Ok(Self {
            path: path.into(),
            _lock: Arc::new(lock),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The one connection that writes, with the file checked and its tables there.
    ///
    /// # Errors
    /// A sentence that names the file and says what to do.
    pub(super) fn prepare(&self) -> Result<Session, String> {
        let mut session = self
            .connect(&format!(
                "PRAGMA page_size = {PAGE_BYTES}; PRAGMA synchronous = FULL"
            ))
            .map_err(|e| sentence(&self.path, &e))?;
        let connection = &mut session.connection;
        schema::check(&self.path, connection)?;
        let mode: Result<String, _> =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        let mode = mode.map_err(|e| sentence(&self.path, &e))?;
        if mode != "wal" {
            return Err(format!(
                "{} cannot have a write-ahead log: use a disk of this machine, not a network file \
                 system",
                self.path.display()
            ));
        }
        self.check(connection)?;
        schema::ensure(&self.path, connection)?;
        // Its name has to be there after a crash as its contents are.
        let directory = self.path.parent().map(File::open);
        if let Some(Err(e)) = directory.map(|opened| opened.and_then(|d| d.sync_all())) {
            return Err(format!(
                "the directory of {} cannot be synced: {e}",
                self.path.display()
            ));
        }
        Ok(session)
    }

    /// A connection that only reads.
    pub(super) fn reader(&self) -> rusqlite::Result<Session> {
        self.connect("PRAGMA query_only = ON")
    }

    /// A connection that copies the file. It must not write, which SQLite would not let it do if it
    /// could only read.
    pub(super) fn copier(&self) -> rusqlite::Result<Session> {
        self.connect("")
    }

    fn connect(&self, settings: &str) -> rusqlite::Result<Session> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(settings)?;
        let limit = format!("PRAGMA journal_size_limit = {WAL_BYTES}");
        connection.query_row(&limit, [], |_| Ok(()))?;
        Ok(Session {
            connection,
            _file: self.clone(),
        })
    }

    /// Reads the file once, as far as there is time.
    fn check(&self, connection: &Connection) -> Result<(), String> {
        let interrupt = connection.get_interrupt_handle();
        let (done, is_done) = mpsc::channel::<()>();
        let timer = thread::spawn(move || {
            if is_done.recv_timeout(CHECK_TIME) == Err(mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let found: Result<String, _> =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        drop(done);
        let _ = timer.join();
        match found {
            Ok(found) if found == "ok" => Ok(()),
            Ok(found) => Err(damaged(&self.path.display(), &found.replace('\n', " "))),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                tracing::info!(
                    path = %self.path.display(),
                    seconds = CHECK_TIME.as_secs(),
                    "the file is too large to be checked completely at the start"
                );
                Ok(())
            }
            Err(e) => Err(sentence(&self.path, &e)),
        }
    }
}

/// What tells one file from another that has its name later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|data| Self(data.dev(), data.ino()))
    }
}

/// The one name of a file, so that two names of it have one lock.
fn resolve(path: &Path) -> Result<PathBuf, String> {
    let cannot = |what: &Path, e: io::Error| format!("{}: {e}", what.display());
    if path.is_dir() {
        return Err(format!(
            "{} is a directory: name a file in it",
            path.display()
        ));
    }
    if fs::symlink_metadata(path).is_ok() {
        return fs::canonicalize(path).map_err(|e| cannot(path, e));
    }
    let Some(name) = path.file_name() else {
        return Err("the name of the file is empty".to_owned());
    };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let directory = fs::canonicalize(directory).map_err(|e| {
        format!(
            "the directory of {} cannot be used ({e}): make it, or name another file",
            path.display()
        )
    })?;
    Ok(directory.join(name))
}
