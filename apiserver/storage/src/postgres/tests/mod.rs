//! The backend on a real server.

mod connecting;
mod lost_answers;
mod outages;

use std::time::Duration;

use futures::StreamExt;

use super::{
    testing::{Cluster, eventually},
    *,
};
use crate::Event;

/// A handle on a database.
fn open(cluster: &Cluster, database: &str, log_capacity: usize) -> PostgresStorage {
    let source = fixed(&cluster.url("postgres", database));
    PostgresStorage::with_log_capacity(source, log_capacity as u64)
}

fn fixed(url: &str) -> UrlSource {
    let url = DatabaseUrl::parse(url).expect("the URL is right");
    UrlSource::Fixed(Box::new(url))
}

/// A new database with its tables, whose revisions count from 0.
async fn counted_from_zero(cluster: &Cluster) -> String {
    let database = cluster.database().await.expect("a database is made");
    let zero = "UPDATE extension_api.meta SET revision = 0, compacted = 0";
    let made = format!("{};{zero}", include_str!("../schema.sql"));
    let made = cluster.execute(&database, &made).await;
    made.expect("the tables are made");
    database
}

async fn empty(log_capacity: usize) -> PostgresStorage {
    let cluster = Cluster::shared();
    open(cluster, &counted_from_zero(cluster).await, log_capacity)
}

async fn replicas(log_capacity: usize) -> (PostgresStorage, PostgresStorage) {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let other = open(cluster, &database, log_capacity);
    (open(cluster, &database, log_capacity), other)
}

/// What the store says is wrong, once it says these words.
async fn complaint(store: &PostgresStorage, words: &str) -> String {
    let is_said = async || {
        store
            .condition()
            .is_err_and(|reason| reason.contains(words))
    };
    let said = eventually(words, is_said).await;
    said.unwrap_or_else(|e| panic!("{e}, but {:?}", store.condition()));
    store.condition().expect_err("it does not work")
}

crate::storage_contract_tests!(contract_tests, empty);
crate::replica_contract_tests!(replica_tests, replicas);

#[test]
fn it_answers_as_the_memory_backend_does() {
    crate::contract::model::compare(empty);
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

/// Many writers, so that batches form, some of which fail; the whole is what a client may expect.
#[tokio::test]
async fn writes_of_a_batch_have_answers_of_their_own() {
    let store = empty(100).await;
    let write = |key: &str| store.create(key.to_owned(), Bytes::from_static(b"x"));
    write("/a/taken").await.expect("create");
    let (long, nul) = ("/a/".to_owned() + &random_text(9000), "/a/\0".to_owned());
    let results = tokio::join!(
        write("/a/1"),
        write("/a/taken"),
        write("/a/2"),
        write(&long),
        write(&nul),
        write("/a/3"),
        store.delete("/a/none".to_owned(), Revision(1)),
    );
    assert!(results.0.is_ok() && results.2.is_ok() && results.5.is_ok());
    assert!(matches!(results.1, Err(StorageError::AlreadyExists(_))));
    assert!(matches!(results.6, Err(StorageError::NotFound(_))));
    // An index entry of PostgreSQL has 2,704 bytes at most.
    for refused in [results.3, results.4] {
        assert!(matches!(refused, Err(StorageError::Unavailable(_))));
    }
    let page = store.list(Range::prefix("/a/")).await.expect("list");
    assert_eq!(page.records.len(), 4);
}

/// Text that does not compress.
fn random_text(length: u64) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'!' + u8::try_from((state >> 33) % 90).expect("it is below 90"))
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn a_key_with_nul_is_one_that_does_not_exist() {
    let store = empty(100).await;
    assert_eq!(store.get("/a/\0".to_owned()).await, Ok(None));
    store
        .create("/a/1".to_owned(), Bytes::new())
        .await
        .expect("create");
    let page = store.list(Range::prefix("/a\0/")).await.expect("list");
    assert!(page.records.is_empty() && !page.more);
    let range = Range {
        start_after: Some("/a/\0".to_owned()),
        ..Range::prefix("/a/")
    };
    let page = store.list(range).await.expect("list");
    assert_eq!(page.records.len(), 1);
    let gone = store.delete("/a/\0".to_owned(), Revision(1)).await;
    assert!(matches!(gone, Err(StorageError::NotFound(_))));
}

/// More than one page of the log, by number and by bytes, with a watch from its start.
#[tokio::test]
async fn a_watch_reads_a_long_log_in_pages() {
    let store = empty(10_000).await;
    let value = Bytes::from(vec![b'x'; 3 * 1024 * 1024]);
    let large = (0..12).map(|n| store.create(format!("/large/{n:02}"), value.clone()));
    let small = (0..600).map(|n| store.create(format!("/small/{n:03}"), Bytes::new()));
    let written = futures::future::join(
        futures::future::try_join_all(large),
        futures::future::try_join_all(small),
    );
    let (large, small) = written.await;
    let last = large
        .expect("create")
        .into_iter()
        .chain(small.expect("create"))
        .max();
    let last = last.expect("there are some");
    let mut watch = store.watch("/".to_owned(), Revision(0));
    let events = events_until(&mut watch, last).await;
    assert_eq!(events.len(), 612);
}

/// The rows of events that nobody can ask for are deleted, and at least those of the capacity stay.
#[tokio::test]
async fn the_log_stays_near_its_capacity() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let store = open(cluster, &database, 100);
    for round in 0..4 {
        let writes = (0..400).map(|n| store.create(format!("/a/{round}/{n}"), Bytes::new()));
        futures::future::try_join_all(writes).await.expect("create");
    }
    let count = async || {
        let count = "SELECT count(*) FROM extension_api.events";
        let rows = cluster.execute(&database, count).await.expect("count");
        rows[0].parse::<u64>().expect("a number")
    };
    let is_trimmed = async || count().await <= 100 + 1000;
    eventually("the log is trimmed", is_trimmed)
        .await
        .expect("it is");
    assert!(count().await >= 100);
    let at = store.current_revision().await.expect("it is known");
    assert_eq!(at, Revision(1600));
    let after = Revision(1500);
    let first = store.watch("/a/".to_owned(), after).next().await;
    assert_eq!(first.expect("an item").expect("healthy").events.len(), 100);
}

/// A new database's revisions are after all that an earlier one has given out.
#[tokio::test]
async fn revisions_of_an_earlier_database_are_too_old() {
    let cluster = Cluster::shared();
    let database = cluster.database().await.expect("a database is made");
    let store = open(cluster, &database, 100);
    let first = store.create("/a/1".to_owned(), Bytes::new()).await;
    let first = first.expect("create");
    drop(store);
    let drop_all = "DROP SCHEMA extension_api CASCADE";
    cluster.execute(&database, drop_all).await.expect("drop");
    let store = open(cluster, &database, 100);
    assert_eq!(store.get("/a/1".to_owned()).await, Ok(None));
    let watch = store.watch("/a/".to_owned(), first).next().await;
    assert!(
        matches!(watch, Some(Err(StorageError::Compacted { .. }))),
        "{watch:?}"
    );
}

/// Commits of another process are seen without a word from it: the poll is the truth.
#[tokio::test]
async fn a_watch_goes_on_without_notifications() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let store = open(cluster, &database, 100);
    let follows = async || store.condition().is_ok();
    eventually("the log is followed", follows)
        .await
        .expect("it is");
    let mut watch = store.watch("/a/".to_owned(), Revision(0));
    let first = store.create("/a/1".to_owned(), Bytes::new()).await;
    first.expect("create");
    watch.next().await.expect("an item").expect("healthy");
    let silent = "BEGIN; UPDATE extension_api.meta SET revision = 2; \
        INSERT INTO extension_api.objects VALUES ('/a/2', 'x', 2); \
        INSERT INTO extension_api.events VALUES (2, '/a/2', 'x', NULL, NULL); COMMIT";
    cluster.execute(&database, silent).await.expect("write");
    let seen = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    let batch = seen.expect("in time").expect("an item").expect("healthy");
    assert_eq!(&*batch.events[0].key, "/a/2");
}

/// The database says that there is something new: twenty looks of a second each would take longer.
#[tokio::test]
async fn a_write_is_seen_by_another_server_at_once() {
    let (a, b) = replicas(100).await;
    let follows = async || b.condition().is_ok();
    eventually("the log is followed", follows)
        .await
        .expect("it is");
    let mut watch = b.watch("/a/".to_owned(), Revision(0));
    let begun = tokio::time::Instant::now();
    for number in 0..20 {
        let written = a.create(format!("/a/{number}"), Bytes::new()).await;
        events_until(&mut watch, written.expect("create")).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

/// After a restore, as docs/postgres.md describes it, watches and older states begin anew.
#[tokio::test]
async fn after_a_restore_nothing_of_the_lost_history_can_be_resumed() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let store = open(cluster, &database, 100);
    for number in 0..5 {
        let write = store.create(format!("/a/{number}"), Bytes::new());
        write.await.expect("create");
    }
    let lost = store.current_revision().await.expect("it is known");
    drop(store);
    let restored = "DELETE FROM extension_api.objects WHERE revision > 3; \
        DELETE FROM extension_api.events WHERE revision > 3; \
        UPDATE extension_api.meta SET revision = 3;";
    let procedure = include_str!("../../../../../docs/postgres.md");
    let (_, procedure) = procedure
        .split_once("```sql restore\n")
        .expect("it is there");
    let (procedure, _) = procedure.split_once("```").expect("it ends");
    let both = format!("{restored}{procedure}");
    cluster.execute(&database, &both).await.expect("restore");
    let store = open(cluster, &database, 100);
    let watch = store.watch("/a/".to_owned(), lost).next().await;
    assert!(
        matches!(watch, Some(Err(StorageError::Compacted { .. }))),
        "{watch:?}"
    );
    let page = store.list(Range::prefix("/a/")).await.expect("list");
    assert_eq!(page.records.len(), 3);
    let next = store.create("/a/new".to_owned(), Bytes::new()).await;
    assert!(next.expect("create") > lost);
}
