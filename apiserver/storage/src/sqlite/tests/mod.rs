//! The backend on real files.

mod backup;
mod crashes;
mod damage;
mod full_disk;
mod reopening;

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use tempfile::TempDir;

use super::*;
use crate::Event;

/// The files of the contract tests, which are small.
static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a directory"));
static FILES: AtomicU32 = AtomicU32::new(0);

fn open(path: &Path) -> SqliteStorage {
    SqliteStorage::open(path).expect("the file can be used")
}

fn refusal(path: &Path) -> String {
    SqliteStorage::open(path).expect_err("the file cannot be used")
}

/// Changes a file that nobody has, as the `sqlite3` shell does.
fn execute(path: &Path, statements: &str) {
    let connection = rusqlite::Connection::open(path).expect("it can be opened");
    connection.execute_batch(statements).expect("it is done");
}

async fn empty(log_capacity: usize) -> SqliteStorage {
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = DIRECTORY.path().join(number.to_string());
    drop(open(&path));
    execute(&path, "UPDATE meta SET revision = 0, compacted = 0");
    SqliteStorage::with_log_capacity(&path, log_capacity as u64).expect("it can be used")
}

async fn create(store: &SqliteStorage, key: &str, value: &'static str) -> Revision {
    let created = store.create(key.to_owned(), Bytes::from_static(value.as_bytes()));
    created.await.expect("it is created")
}

/// The events of a watch up to a revision.
async fn events_until(watch: &mut BoxStream<'static, WatchItem>, last: Revision) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let batch = tokio::time::timeout(Duration::from_mins(1), watch.next()).await;
        let batch = batch
            .expect("in time")
            .expect("it goes on")
            .expect("healthy");
        events.extend(batch.events);
        if batch.revision >= last {
            return events;
        }
    }
}

crate::storage_contract_tests!(contract_tests, empty);
crate::replica_contract_tests!(replica_tests, async |log_capacity| {
    let store = empty(log_capacity).await;
    (store.clone(), store)
});

#[test]
fn it_answers_as_the_memory_backend_does() {
    crate::contract::model::compare(empty);
}

/// A batch has an answer for each of its writes, and what fails takes nothing with it.
#[tokio::test]
async fn writes_of_a_batch_have_answers_of_their_own() {
    let store = empty(1000).await;
    let taken = create(&store, "/a/taken", "x").await;
    let writes = (0..200).map(|number| {
        let key = if number % 2 == 0 {
            format!("/a/{number}")
        } else {
            "/a/taken".to_owned()
        };
        store.create(key, Bytes::from_static(b"y"))
    });
    let results = futures::future::join_all(writes).await;
    let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let exists = Err(StorageError::AlreadyExists("/a/taken".to_owned()));
    assert_eq!((done.len(), refused), (100, vec![exists; 100]));
    let revisions: Vec<_> = done.into_iter().flatten().map(|r| r.0).collect();
    let expected: Vec<_> = (taken.0 + 1..=taken.0 + 100).collect();
    assert_eq!(revisions, expected);
}

/// A list while many write is one state: as many records as its revision has seen creates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_under_writes_is_one_state() {
    let store = empty(10_000).await;
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..100 {
                create(&store, &format!("/a/{number}-{writer}"), "x").await;
            }
        })
    });
    let mut writing = futures::future::join_all(writers.collect::<Vec<_>>());
    loop {
        let is_done = (&mut writing).now_or_never().is_some();
        let page = store.list(Range::prefix("/a/")).await.expect("listed");
        assert_eq!(page.records.len() as u64, page.revision.0);
        if is_done {
            return assert_eq!(page.revision, Revision(800));
        }
    }
}

/// A watch that is behind what is in memory reads the file and then follows, without a gap.
#[tokio::test]
async fn a_watch_goes_from_the_file_to_memory_and_on() {
    let store = empty(10_000).await;
    let writes = (0..6000).map(|number| {
        let store = store.clone();
        async move {
            let value = Bytes::from(number.to_string());
            store.create(format!("/a/{number:05}"), value).await
        }
    });
    let mut watch = store.watch("/a/".to_owned(), Revision(0));
    let mut seen = Vec::new();
    // Fewer at a time than may wait.
    let written: Vec<_> = futures::stream::iter(writes).buffered(500).collect().await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    seen.extend(events_until(&mut watch, Revision(6000)).await);
    let last = create(&store, "/a/last", "x").await;
    seen.extend(events_until(&mut watch, last).await);
    let revisions: Vec<_> = seen.iter().map(|event| event.revision.0).collect();
    assert_eq!(revisions, (1..=6001).collect::<Vec<_>>());
}

/// The file keeps as many events as it should, and forgets the others.
#[tokio::test]
async fn the_log_in_the_file_is_bounded() {
    let store = empty(50).await;
    for number in 0..120 {
        create(&store, &format!("/a/{number}"), "x").await;
    }
    let path = store.shared.path.to_path_buf();
    let rows = || {
        let connection = rusqlite::Connection::open(&path).expect("it can be read");
        let count = "SELECT count(*) FROM events";
        let rows = connection.query_row(count, [], |row| row.get::<_, u32>(0));
        rows.expect("it is counted")
    };
    assert_eq!(rows(), 50);
    let newest = store.current_revision().await.expect("known");
    store.compact(newest).await.expect("it is compacted");
    drop(store);
    drop(SqliteStorage::with_log_capacity(&path, 50).expect("it opens"));
    assert_eq!(rows(), 0);
    // A larger capacity later does not bring back what was deleted.
    let store = SqliteStorage::with_log_capacity(&path, 1000).expect("it opens");
    let item = store.watch(String::new(), Revision(60)).next().await;
    let is_compacted = matches!(item, Some(Err(StorageError::Compacted { .. })));
    assert!(is_compacted, "{item:?}");
}

/// After a restore clients may ask for what this store never had.
#[tokio::test]
async fn a_watch_from_the_future_is_refused() {
    let store = empty(100).await;
    let newest = create(&store, "/a/1", "x").await;
    let wanted = Revision(newest.0 + 1);
    let mut watch = store.watch(String::new(), wanted);
    let item = tokio::time::timeout(Duration::from_mins(1), watch.next()).await;
    let item = item.expect("in time");
    let refused = StorageError::FutureRevision {
        wanted,
        current: newest,
    };
    assert!(
        matches!(&item, Some(Err(error)) if *error == refused),
        "{item:?}"
    );
}

/// A watch ends when its store is closed.
#[tokio::test]
async fn closing_ends_the_watches() {
    let store = empty(100).await;
    let mut watch = store.watch("/a/".to_owned(), Revision(0));
    let written = create(&store, "/a/1", "x").await;
    events_until(&mut watch, written).await;
    drop(store);
    let end = watch.next().await;
    assert!(
        matches!(&end, Some(Err(StorageError::Unavailable(reason))) if reason.contains("closed")),
        "{end:?}"
    );
}
