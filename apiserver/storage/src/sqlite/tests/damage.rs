//! Files that cannot be used, at the start or later: a sentence that names the file and the remedy.

use std::{fs, os::unix::fs::FileExt};

use super::*;

/// A file with some megabytes of records.
async fn filled(path: &Path) {
    let store = open(path);
    for number in 0..500 {
        let value = Bytes::from(vec![b'x'; 4000]);
        let created = store.create(format!("/a/{number}"), value).await;
        created.expect("it is created");
    }
}

/// Overwrites a part of the file.
fn scribble(path: &Path, from: u64, length: usize) {
    let file = fs::OpenOptions::new().write(true).open(path);
    let file = file.expect("it can be opened");
    let written = file.write_all_at(&vec![0xa5; length], from);
    written.expect("it can be written");
}

#[tokio::test]
async fn a_damaged_file_is_refused_at_the_start() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    filled(&path).await;
    let size = fs::metadata(&path).expect("it is there").len();
    scribble(&path, size / 2, 64 * 1024);
    let refused = refusal(&path);
    assert!(refused.contains("records.db is damaged ("), "{refused}");
    assert!(refused.contains("restore a backup"), "{refused}");
    assert!(!refused.contains('\n'), "{refused}");
}

#[test]
fn what_is_no_database_is_refused() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("notes.txt");
    fs::write(&path, "not a database, ".repeat(100)).expect("written");
    let refused = refusal(&path);
    assert!(
        refused.contains("notes.txt is not a database of SQLite"),
        "{refused}"
    );
    let refused = refusal(directory.path());
    assert!(refused.contains("is a directory"), "{refused}");
    for (path, said) in [
        (
            "/nowhere/records.db",
            "the directory of /nowhere/records.db",
        ),
        // Nobody can make files there, root included.
        ("/proc/records.db", "let this user write in the directory"),
        ("", "empty"),
    ] {
        let refused = refusal(Path::new(path));
        assert!(refused.contains(said), "{refused}");
    }
}

/// S2: Damage that shows while the server runs: it says so, serves what it can and writes no more.
#[tokio::test]
async fn damage_that_shows_later_ends_the_writes() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    filled(&path).await;
    let store = open(&path);
    assert_eq!(store.condition(), Ok(()));
    let size = fs::metadata(&path).expect("it is there").len();
    scribble(&path, 4096, usize::try_from(size).expect("small") - 4096);
    let listed = store.list(Range::prefix("")).await;
    let Err(StorageError::Unavailable(reason)) = listed else {
        panic!("{listed:?}");
    };
    assert!(reason.contains("records.db is damaged"), "{reason}");
    assert_eq!(store.condition(), Err(reason));
    let written = store.create("/a/new".to_owned(), Bytes::new()).await;
    assert!(
        matches!(&written, Err(StorageError::Unavailable(r)) if r.starts_with("nothing was written: ")),
        "{written:?}"
    );
}

/// Writes to a file that has no name any more would be lost with the process.
#[tokio::test]
async fn a_file_that_was_moved_or_replaced_takes_no_writes() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    let store = open(&path);
    create(&store, "/a/1", "x").await;
    fs::rename(&path, directory.path().join("moved.db")).expect("moved");
    fs::write(&path, b"").expect("written");
    let written = store.create("/a/2".to_owned(), Bytes::new()).await;
    let Err(StorageError::Unavailable(reason)) = written else {
        panic!("{written:?}");
    };
    assert!(reason.contains("was moved or replaced"), "{reason}");
    let condition = store.condition().expect_err("it is lost");
    assert!(reason.ends_with(&condition), "{condition}");
}

/// What another program writes is in no log, and watches would miss it.
#[tokio::test]
async fn revisions_of_another_program_are_noticed() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    let store = open(&path);
    create(&store, "/a/1", "x").await;
    execute(&path, "UPDATE meta SET revision = revision + 1");
    let written = store.create("/a/2".to_owned(), Bytes::new()).await;
    let Err(StorageError::Unavailable(reason)) = written else {
        panic!("{written:?}");
    };
    assert!(
        reason.contains("another program has written to"),
        "{reason}"
    );
    assert!(reason.contains("start the server again"), "{reason}");
    assert!(store.condition().is_err());
}
