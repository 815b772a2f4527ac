//! What a backend must do whose store several processes share: all of them see one truth.
//!
//! Each function gets two handles on one empty store, as two processes have them.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, future::join_all};

use super::{bytes, create, events};
use crate::{Event, Range, Revision, Storage, StorageError};

/// Makes a module of tests that run the contract of a shared store on a backend.
///
/// The second argument is an asynchronous function from the number of events to remember to two
/// handles on a new, empty store whose revisions count from 0.
#[macro_export]
macro_rules! replica_contract_tests {
    ($module:ident, $new:expr) => {
        #[cfg(test)]
        mod $module {
            use super::*;
            $crate::replica_contract_tests!(@each $new,
                test_writes_are_seen_by_the_other, test_concurrent_writers_make_one_order,
                test_read_index_is_never_stale, test_conflicts_are_seen_across,
                test_compaction_holds_for_both, test_list_shows_one_state_under_writes,
            );
        }
    };
    (@each $new:expr, $($name:ident,)*) => {
        $(#[tokio::test]
        async fn $name() {
            let new = $new;
            let (a, b) = new($crate::contract::LOG_CAPACITY).await;
            $crate::contract::replicas::$name(&a, &b).await;
        })*
    };
}

/// Concurrent writers of each handle; with the writes of each they stay within the log's capacity.
const WRITERS: usize = 4;
const WRITES_EACH: usize = 10;

/// Long enough for any answer; what is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// W8: Every write through one handle is seen by a watch of the other, in order, once.
pub async fn test_writes_are_seen_by_the_other(a: &impl Storage, b: &impl Storage) {
    let mut watch = b.watch("/a/".to_owned(), Revision(0));
    let mut expected = Vec::new();
    for number in 0..20 {
        let key = format!("/a/{number}");
        let created = create(a, &key, "x").await;
        let updated = a.update(key.clone(), bytes("y"), created).await;
        let updated = updated.expect("update");
        let deleted = a.delete(key, updated).await.expect("delete");
        expected.extend([created, updated, deleted]);
        let seen = tokio::time::timeout(PATIENCE, events(&mut watch, 3)).await;
        let seen = seen.expect("the other sees it");
        let revisions: Vec<_> = seen.iter().map(|event| event.revision).collect();
        assert_eq!(revisions, [created, updated, deleted]);
    }
}

/// Writers on both handles at once: every write has a revision of its own, and watches on both
/// handles see the same events, which lead to what is listed.
pub async fn test_concurrent_writers_make_one_order(a: &impl Storage, b: &impl Storage) {
    let mut watches = [
        a.watch("/a/".to_owned(), Revision(0)),
        b.watch("/a/".to_owned(), Revision(0)),
    ];
    let (of_a, of_b) = tokio::join!(
        join_all((0..WRITERS).map(|writer| keep_writing(a, format!("/a/a{writer}")))),
        join_all((0..WRITERS).map(|writer| keep_writing(b, format!("/a/b{writer}")))),
    );
    let revisions: Vec<Revision> = [of_a, of_b].concat().concat();
    let distinct: HashSet<_> = revisions.iter().collect();
    assert_eq!(distinct.len(), 2 * WRITERS * WRITES_EACH);
    let mut histories = Vec::new();
    for watch in &mut watches {
        let history = tokio::time::timeout(PATIENCE, events(watch, revisions.len())).await;
        histories.push(history.expect("the watch sees all"));
    }
    assert_eq!(histories[0], histories[1]);
    let is_ordered = |pair: &[Event]| pair[0].revision < pair[1].revision;
    assert!(histories[0].windows(2).all(is_ordered));
    for storage_page in [
        a.list(Range::prefix("/a/")).await.expect("list"),
        b.list(Range::prefix("/a/")).await.expect("list"),
    ] {
        for record in storage_page.records {
            let last = histories[0].iter().rev().find(|e| e.key == record.key);
            let last = last.expect("what is there was written");
            assert_eq!(
                (last.revision, last.value.as_ref()),
                (record.revision, Some(&record.value))
            );
        }
    }
}

async fn keep_writing(store: &impl Storage, key: String) -> Vec<Revision> {
    let mut revisions = vec![create(store, &key, "0").await];
    for number in 1..WRITES_EACH {
        let value = Bytes::from(number.to_string());
        let last = revisions[number - 1];
        let next = store.update(key.clone(), value, last).await;
        revisions.push(next.expect("nobody else writes this key"));
    }
    revisions
}

/// Once a write through one handle is acknowledged, the other's current revision has reached it,
/// also where many ask at once.
pub async fn test_read_index_is_never_stale(a: &impl Storage, b: &impl Storage) {
    let readers = async || {
        for _ in 0..20 {
            b.current_revision().await.expect("it is known");
        }
    };
    let writer = async {
        for number in 0..20 {
            let written = create(a, &format!("/a/{number}"), "x").await;
            let known = b.current_revision().await.expect("it is known");
            assert!(known >= written, "{known} is older than {written}");
            let record = b.get(format!("/a/{number}")).await.expect("get");
            assert_eq!(record.expect("it is there").revision, written);
        }
    };
    tokio::join!(writer, readers(), readers());
}

/// A write on what the other handle has changed meanwhile is refused, and says what is there.
pub async fn test_conflicts_are_seen_across(a: &impl Storage, b: &impl Storage) {
    let first = create(a, "/a/1", "x").await;
    let taken = b.create("/a/1".to_owned(), bytes("y")).await;
    assert_eq!(taken, Err(StorageError::AlreadyExists("/a/1".to_owned())));
    let second = b.update("/a/1".to_owned(), bytes("y"), first).await;
    let second = second.expect("update");
    let conflict = StorageError::Conflict {
        key: "/a/1".to_owned(),
        expected: first,
        actual: second,
    };
    assert_eq!(a.delete("/a/1".to_owned(), first).await, Err(conflict));
    a.delete("/a/1".to_owned(), second).await.expect("delete");
    let missing = b.update("/a/1".to_owned(), bytes("z"), second).await;
    assert_eq!(missing, Err(StorageError::NotFound("/a/1".to_owned())));
}

/// What one handle has compacted is forgotten for the other too.
pub async fn test_compaction_holds_for_both(a: &impl Storage, b: &impl Storage) {
    let first = create(a, "/a/1", "x").await;
    let second = create(a, "/a/2", "x").await;
    a.compact(second).await.expect("compact");
    let item = b.watch("/a/".to_owned(), first).next().await;
    assert!(
        matches!(item, Some(Err(StorageError::Compacted { .. }))),
        "{item:?}"
    );
    let past = Range {
        at: Some(first),
        ..Range::prefix("/a/")
    };
    let past = b.list(past).await;
    assert!(
        matches!(past, Err(StorageError::Compacted { .. })),
        "{past:?}"
    );
}

/// A list while the other handle writes is one state: each of its records is the newest of its key
/// at the list's revision.
pub async fn test_list_shows_one_state_under_writes(a: &impl Storage, b: &impl Storage) {
    let writing = join_all((0..WRITERS).map(|writer| keep_writing(a, format!("/a/{writer}"))));
    let listing = async {
        let mut pages = Vec::new();
        for _ in 0..20 {
            pages.push(b.list(Range::prefix("/a/")).await.expect("list"));
        }
        pages
    };
    let (_, pages) = tokio::join!(writing, listing);
    let mut watch = b.watch("/a/".to_owned(), Revision(0));
    let history = events(&mut watch, WRITERS * WRITES_EACH).await;
    for page in pages {
        let before = history.iter().filter(|e| e.revision <= page.revision);
        let keys: HashSet<_> = before.clone().map(|event| &event.key).collect();
        assert_eq!(keys.len(), page.records.len());
        for record in page.records {
            let last = before.clone().rfind(|event| event.key == record.key);
            assert_eq!(last.map(|event| event.revision), Some(record.revision));
        }
    }
}
