//! Events in a file, one on each line, which is renamed when it is full; or on standard output.
//!
//! Mirrors `plugin/pkg/audit/log` with the rotation of `lumberjack`: `audit.log` becomes
//! `audit-2026-01-02T15-04-05.000.log`. A thread of its own writes, so that no disk holds up requests.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use super::queue::{Message, Queue, Receiver};

/// Events that may wait, as upstream's `defaultBatchBufferSize`.
const QUEUE_LENGTH: usize = 10_000;
/// The time in the name of a file that is full, as lumberjack writes it.
const TIME: &str = "%Y-%m-%dT%H-%M-%S.%3f";

/// Where events are written, and what becomes of full files.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The file; `-` is standard output.
    pub path: PathBuf,
    /// Size in MiB at which the file is renamed; 0 for never.
    pub max_size_mebibytes: u64,
    /// Most files that are kept beside the current one; 0 for all.
    pub max_backups: usize,
    /// Days after which a file that is full is removed; 0 for never.
    pub max_age_days: u32,
}

/// Starts the thread that writes.
pub(super) fn start(options: LogOptions) -> Result<Queue, String> {
    let output: Box<dyn Write + Send> = if options.path.as_os_str() == "-" {
        Box::new(io::stdout())
    } else {
        let path = options.path.display().to_string();
        let file = RotatingFile::open(options);
        Box::new(file.map_err(|e| format!("cannot write the audit log {path}: {e}"))?)
    };
    let (queue, receiver) = Queue::new("log", QUEUE_LENGTH);
    std::thread::Builder::new()
        .name("audit-log".to_owned())
        .spawn(move || write_all(receiver, output))
        .map_err(|e| format!("cannot start the thread of the audit log: {e}"))?;
    Ok(queue)
}

fn write_all(mut receiver: Receiver, mut output: Box<dyn Write + Send>) {
    while let Some(message) = receiver.messages.blocking_recv() {
        match message {
            Message::Event(waiting) => {
                let mut line = Vec::with_capacity(waiting.event.len() + 1);
                line.extend_from_slice(&waiting.event);
                line.push(b'\n');
                if let Err(error) = output.write_all(&line) {
                    receiver.lost.add(1, &error.to_string());
                }
            }
            Message::Flush(done) => {
                if let Err(error) = output.flush() {
                    tracing::error!(%error, "the audit log could not be written to its end");
                }
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
        }
    }
}

/// A file that is renamed before it grows too large. Every write is one whole line.
#[derive(Debug)]
struct RotatingFile {
    options: LogOptions,
    size_max: u64,
    file: File,
    size: u64,
}

impl RotatingFile {
    fn open(options: LogOptions) -> io::Result<Self> {
        let directory = options.path.parent().filter(|d| !d.as_os_str().is_empty());
        if let Some(directory) = directory {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let file = open(&options.path)?;
        let size = file.metadata()?.len();
        let size_max = match options.max_size_mebibytes {
            0 => u64::MAX,
            mebibytes => mebibytes.saturating_mul(1024 * 1024),
        };
        let rotating = Self {
            options,
            size_max,
            file,
            size,
        };
        rotating.remove_old();
        Ok(rotating)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut time = Timestamp::now();
        // Two files that are full within a millisecond have names of their own.
        while self.backup(time).exists() {
            time += SignedDuration::from_millis(1);
        }
        match fs::rename(&self.options.path, self.backup(time)) {
            // Somebody else has moved it away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = open(&self.options.path)?;
        self.remove_old();
        Ok(())
    }

    fn backup(&self, time: Timestamp) -> PathBuf {
        let (stem, extension) = stem_and_extension(&self.options.path);
        let time = time.to_zoned(TimeZone::UTC).strftime(TIME);
        self.options
            .path
            .with_file_name(format!("{stem}-{time}{extension}"))
    }

    /// Removes full files that are too many or too old. What cannot be removed stays.
    fn remove_old(&self) {
        let mut backups = self.backups();
        backups.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        let kept = match self.options.max_backups {
            0 => usize::MAX,
            kept => kept,
        };
        let oldest = match self.options.max_age_days {
            0 => Timestamp::MIN,
            days => Timestamp::now()
                .checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
                .unwrap_or(Timestamp::MIN),
        };
        for (index, (time, path)) in backups.iter().enumerate() {
            if (index >= kept || *time < oldest)
                && let Err(error) = fs::remove_file(path)
            {
                let path = path.display();
                tracing::warn!(%path, %error, "an old audit log cannot be removed");
            }
        }
    }

    fn backups(&self) -> Vec<(Timestamp, PathBuf)> {
        let directory = match self.options.path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let (stem, extension) = stem_and_extension(&self.options.path);
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let backup = |path: PathBuf| {
            let name = path.file_name()?.to_str()?;
            let time = name.strip_prefix(&stem)?.strip_prefix('-')?;
            let time = time.strip_suffix(extension.as_str())?;
            let time = DateTime::strptime(TIME, time).ok()?;
            let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
            Some((time, path))
        };
        entries.filter_map(|entry| backup(entry.path())).collect()
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.size > 0 && self.size.saturating_add(length) > self.size_max {
            if let Err(error) = self.rotate() {
                tracing::error!(%error, "the audit log cannot be renamed: it goes on as it is");
            }
            // Also after a failure: the next attempt is when as much was written again.
            self.size = 0;
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that only its owner can read: events may have secrets of objects in them.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// `audit` and `.log`.
fn stem_and_extension(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let extension = text(path.extension()).map(|extension| format!(".{extension}"));
    (
        text(path.file_stem()).unwrap_or_default(),
        extension.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use tokio::time::Instant;

    use super::*;

    fn options(path: &Path) -> LogOptions {
        LogOptions {
            path: path.to_owned(),
            max_size_mebibytes: 1,
            max_backups: 2,
            max_age_days: 0,
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// X9: a full file is renamed at the end of a line, and only so many are kept.
    #[test]
    fn a_full_file_is_renamed_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/audit.log");
        let mut file = RotatingFile::open(options(&path)).unwrap();
        let line = [vec![b'x'; 400 * 1024 - 1], vec![b'\n']].concat();
        for _ in 0..9 {
            file.write_all(&line).unwrap();
        }
        let found = names(path.parent().unwrap());
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[2], "audit.log");
        for name in &found {
            let content = fs::read(path.with_file_name(name)).unwrap();
            let lines = content.split_inclusive(|c| *c == b'\n');
            assert!(content.len() <= 1024 * 1024);
            assert!(lines.into_iter().all(|l| l == line), "{name}");
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    /// X9: a file goes on where the last process ended, and a line that is larger than a file is kept.
    #[test]
    fn a_file_goes_on_where_it_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        fs::write(&path, "before\n").unwrap();
        let mut file = RotatingFile::open(options(&path)).unwrap();
        file.write_all(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nafter\n");
        file.write_all(&vec![b'x'; 3 * 1024 * 1024]).unwrap();
        assert_eq!(names(directory.path()).len(), 2);
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 * 1024 * 1024);
    }

    /// X9: where files cannot be renamed, nothing is lost.
    #[test]
    fn a_file_that_cannot_be_renamed_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/audit.log");
        let mut file = RotatingFile::open(options(&path)).unwrap();
        let line = vec![b'x'; 700 * 1024];
        file.write_all(&line).unwrap();
        // The file stays open under the other name, and there is no directory for a new one.
        let moved = directory.path().join("moved");
        fs::rename(directory.path().join("logs"), &moved).unwrap();
        file.write_all(&line).unwrap();
        assert_eq!(
            fs::metadata(moved.join("audit.log")).unwrap().len(),
            2 * 700 * 1024
        );
        fs::rename(&moved, directory.path().join("logs")).unwrap();
        file.write_all(&line).unwrap();
        assert_eq!(names(&directory.path().join("logs")).len(), 2);
    }

    /// X9: what is too old goes, and nothing that only looks like a log.
    #[test]
    fn old_files_go_and_foreign_ones_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let recent = (Timestamp::now() - SignedDuration::from_hours(23)).to_zoned(TimeZone::UTC);
        let recent = format!("audit-{}.log", recent.strftime(TIME));
        let others = [
            "audit-notes.log",
            "audit.log.1",
            "other-2020-01-02T03-04-05.678.log",
        ];
        for name in others
            .iter()
            .copied()
            .chain([&*recent, "audit-2020-01-02T03-04-05.678.log"])
        {
            fs::write(path.with_file_name(name), "").unwrap();
        }
        let options = LogOptions {
            max_age_days: 1,
            ..options(&path)
        };
        let _file = RotatingFile::open(options).unwrap();
        let mut expected = vec!["audit.log", &recent];
        expected.extend(others);
        expected.sort_unstable();
        assert_eq!(names(directory.path()), expected);
    }

    /// X9: after a flush everything is in the file; what cannot be written is counted.
    #[tokio::test]
    async fn a_flush_waits_for_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let queue = start(options(&path)).unwrap();
        for number in 0..1000 {
            queue.offer(format!("{{\"n\":{number}}}").into());
        }
        queue.flush(Instant::now() + Duration::from_secs(30)).await;
        let content = fs::read_to_string(&path).unwrap();
        assert_eq!(content.lines().count(), 1000);
        assert_eq!(content.lines().last(), Some("{\"n\":999}"));
        assert_eq!(queue.lost(), 0);

        let full = start(options(Path::new("/dev/full"))).unwrap();
        full.offer("{}".into());
        full.flush(Instant::now() + Duration::from_secs(30)).await;
        assert_eq!(full.lost(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = start(options(Path::new("/proc/audit.log"))).unwrap_err();
        assert!(
            error.starts_with("cannot write the audit log /proc/audit.log: "),
            "{error}"
        );
    }
}
