//! What every backend must do, as functions over any [`Storage`].
//!
//! [`storage_contract_tests!`](crate::storage_contract_tests) makes one test per function for a
//! backend, and [`replica_contract_tests!`](crate::replica_contract_tests) those for a backend that
//! several processes can share, which are in [`replicas`]. The cases follow
//! `k8s.io/apiserver/pkg/storage/testing`, whose names they keep where they test the same.

#[cfg(all(test, any(feature = "postgres", feature = "sqlite")))]
pub(crate) mod model;
pub mod replicas;

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};

use crate::{Event, Range, Revision, Storage, StorageError, WatchItem};

/// Makes a module of tests that run the whole contract on a backend.
///
/// The second argument is an asynchronous function from the number of events to remember to a new,
/// empty store whose revisions count from 0.
#[macro_export]
macro_rules! storage_contract_tests {
    ($module:ident, $new:expr) => {
        #[cfg(test)]
        mod $module {
            use super::*;
            $crate::storage_contract_tests!(@each $new,
                test_create, test_create_existing, test_update, test_update_conflict,
                test_delete, test_delete_missing, test_list_order_and_pages,
                test_list_at_revision, test_list_compacted, test_watch_from_zero,
                test_watch_resume, test_watch_prefix_and_progress, test_watch_compacted,
                test_delete_event_has_own_revision, test_concurrent_writes_lose_nothing,
            );
        }
    };
    (@each $new:expr, $($name:ident,)*) => {
        $(#[tokio::test]
        async fn $name() {
            let new = $new;
            let store = new($crate::contract::LOG_CAPACITY).await;
            $crate::contract::$name(&store).await;
        })*
    };
}

/// Events that the stores under test remember.
pub const LOG_CAPACITY: usize = 100;

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn create(store: &impl Storage, key: &str, value: &'static str) -> Revision {
    store
        .create(key.to_owned(), bytes(value))
        .await
        .expect("a new key can be created")
}

async fn keys(store: &impl Storage, range: Range) -> Vec<String> {
    let page = store.list(range).await.expect("the range can be listed");
    page.records
        .iter()
        .map(|record| record.key.to_string())
        .collect()
}

/// Takes events until there are `count`.
async fn events(watch: &mut BoxStream<'static, WatchItem>, count: usize) -> Vec<Event> {
    let mut all = Vec::new();
    while all.len() < count {
        let batch = watch
            .next()
            .await
            .expect("the watch goes on")
            .expect("the watch is healthy");
        all.extend(batch.events);
    }
    assert_eq!(all.len(), count, "more events than expected: {all:?}");
    all
}

/// A created key has its value and the store's newest revision.
pub async fn test_create(store: &impl Storage) {
    let revision = create(store, "/a/1", "x").await;
    let record = store
        .get("/a/1".to_owned())
        .await
        .expect("get")
        .expect("it exists");
    assert_eq!((record.value, record.revision), (bytes("x"), revision));
    assert_eq!(store.current_revision().await, Ok(revision));
    assert_eq!(store.get("/a/2".to_owned()).await, Ok(None));
}

/// A second create fails and changes nothing.
pub async fn test_create_existing(store: &impl Storage) {
    let revision = create(store, "/a/1", "x").await;
    let error = store.create("/a/1".to_owned(), bytes("y")).await;
    assert_eq!(error, Err(StorageError::AlreadyExists("/a/1".to_owned())));
    assert_eq!(store.current_revision().await, Ok(revision));
}

/// An update takes a newer revision.
pub async fn test_update(store: &impl Storage) {
    let first = create(store, "/a/1", "x").await;
    let second = store
        .update("/a/1".to_owned(), bytes("y"), first)
        .await
        .expect("update");
    assert!(second > first);
    let record = store
        .get("/a/1".to_owned())
        .await
        .expect("get")
        .expect("it exists");
    assert_eq!((record.value, record.revision), (bytes("y"), second));
}

/// An update from an old revision, or of nothing, fails.
pub async fn test_update_conflict(store: &impl Storage) {
    let first = create(store, "/a/1", "x").await;
    let second = store
        .update("/a/1".to_owned(), bytes("y"), first)
        .await
        .expect("update");
    let stale = store.update("/a/1".to_owned(), bytes("z"), first).await;
    let conflict = StorageError::Conflict {
        key: "/a/1".to_owned(),
        expected: first,
        actual: second,
    };
    assert_eq!(stale, Err(conflict));
    let missing = store.update("/a/2".to_owned(), bytes("z"), first).await;
    assert_eq!(missing, Err(StorageError::NotFound("/a/2".to_owned())));
}

/// A deleted key is gone and its name can be used at once.
pub async fn test_delete(store: &impl Storage) {
    let first = create(store, "/a/1", "x").await;
    let second = store
        .delete("/a/1".to_owned(), first)
        .await
        .expect("delete");
    assert_eq!(store.get("/a/1".to_owned()).await, Ok(None));
    assert!(create(store, "/a/1", "y").await > second);
}

/// A delete of nothing, or from an old revision, fails.
pub async fn test_delete_missing(store: &impl Storage) {
    let missing = store.delete("/a/1".to_owned(), Revision(1)).await;
    assert_eq!(missing, Err(StorageError::NotFound("/a/1".to_owned())));
    let first = create(store, "/a/1", "x").await;
    store
        .update("/a/1".to_owned(), bytes("y"), first)
        .await
        .expect("update");
    let stale = store.delete("/a/1".to_owned(), first).await;
    assert!(
        matches!(stale, Err(StorageError::Conflict { .. })),
        "{stale:?}"
    );
}

/// Keys come in order, only those of the prefix, in pages that say whether there is more.
pub async fn test_list_order_and_pages(store: &impl Storage) {
    for key in ["/a/c", "/b/x", "/a/a", "/a/b", "/aa"] {
        create(store, key, "x").await;
    }
    assert_eq!(
        keys(store, Range::prefix("/a/")).await,
        ["/a/a", "/a/b", "/a/c"]
    );
    let first = Range {
        limit: Some(2),
        ..Range::prefix("/a/")
    };
    let page = store.list(first.clone()).await.expect("list");
    assert!(page.more);
    let rest = Range {
        start_after: Some("/a/b".to_owned()),
        ..first
    };
    let page = store.list(rest).await.expect("list");
    assert!(!page.more);
    assert_eq!(page.records.len(), 1);
}

/// The state at an older revision can be listed: as it was, in order.
pub async fn test_list_at_revision(store: &impl Storage) {
    let a = create(store, "/a/a", "x").await;
    let b = create(store, "/a/b", "x").await;
    store.delete("/a/a".to_owned(), a).await.expect("delete");
    store
        .update("/a/b".to_owned(), bytes("y"), b)
        .await
        .expect("update");
    create(store, "/a/c", "x").await;
    let at = |revision| Range {
        at: Some(revision),
        ..Range::prefix("/a/")
    };
    assert_eq!(keys(store, at(a)).await, ["/a/a"]);
    let page = store.list(at(b)).await.expect("list");
    assert_eq!(page.revision, b);
    let shown: Vec<_> = page
        .records
        .iter()
        .map(|r| (&*r.key, r.value.clone(), r.revision))
        .collect();
    assert_eq!(shown, [("/a/a", bytes("x"), a), ("/a/b", bytes("x"), b)]);
    assert_eq!(keys(store, Range::prefix("/a/")).await, ["/a/b", "/a/c"]);
}

/// A revision that is compacted, or in the future, is an error and not an empty list.
pub async fn test_list_compacted(store: &impl Storage) {
    let a = create(store, "/a/a", "x").await;
    let b = create(store, "/a/b", "x").await;
    store.compact(b).await.expect("compact");
    let at = |revision| Range {
        at: Some(revision),
        ..Range::prefix("/a/")
    };
    let old = store.list(at(a)).await;
    assert!(
        matches!(old, Err(StorageError::Compacted { .. })),
        "{old:?}"
    );
    let future = store.list(at(Revision(b.0 + 10))).await;
    assert!(
        matches!(future, Err(StorageError::FutureRevision { .. })),
        "{future:?}"
    );
    assert_eq!(keys(store, at(b)).await, ["/a/a", "/a/b"]);
}

/// A watch from before the first write sees every write in order.
pub async fn test_watch_from_zero(store: &impl Storage) {
    let mut watch = store.watch("/a/".to_owned(), Revision(0));
    let first = create(store, "/a/a", "x").await;
    let second = store
        .update("/a/a".to_owned(), bytes("y"), first)
        .await
        .expect("update");
    let third = store
        .delete("/a/a".to_owned(), second)
        .await
        .expect("delete");
    let seen = events(&mut watch, 3).await;
    let revisions: Vec<_> = seen.iter().map(|e| e.revision).collect();
    assert_eq!(revisions, [first, second, third]);
    assert_eq!(
        (seen[0].value.clone(), seen[0].previous.clone()),
        (Some(bytes("x")), None)
    );
    assert_eq!(
        seen[1].previous.as_ref().map(|p| p.value.clone()),
        Some(bytes("x"))
    );
    assert_eq!(seen[2].value, None);
}

/// A watch resumes strictly after its revision, without a gap and without a repetition.
pub async fn test_watch_resume(store: &impl Storage) {
    let first = create(store, "/a/a", "x").await;
    let second = create(store, "/a/b", "x").await;
    let seen = events(&mut store.watch("/a/".to_owned(), first), 1).await;
    assert_eq!(seen[0].revision, second);
}

/// Other prefixes are not seen, but the position moves on.
pub async fn test_watch_prefix_and_progress(store: &impl Storage) {
    let mut watch = store.watch("/a/".to_owned(), Revision(0));
    create(store, "/b/x", "x").await;
    let last = create(store, "/b/y", "x").await;
    loop {
        let batch = watch
            .next()
            .await
            .expect("the watch goes on")
            .expect("healthy");
        assert!(batch.events.is_empty());
        if batch.revision == last {
            break;
        }
    }
}

/// A watch from a forgotten revision ends with an error.
pub async fn test_watch_compacted(store: &impl Storage) {
    for i in 0..=LOG_CAPACITY {
        create(store, &format!("/a/{i:03}"), "x").await;
    }
    let item = store.watch("/a/".to_owned(), Revision(0)).next().await;
    assert!(
        matches!(item, Some(Err(StorageError::Compacted { .. }))),
        "{item:?}"
    );
}

/// W4: a delete has a revision of its own and carries the last value.
pub async fn test_delete_event_has_own_revision(store: &impl Storage) {
    let first = create(store, "/a/a", "x").await;
    let deleted = store
        .delete("/a/a".to_owned(), first)
        .await
        .expect("delete");
    assert!(deleted > first);
    let seen = events(&mut store.watch("/a/".to_owned(), first), 1).await;
    assert_eq!(seen[0].revision, deleted);
    let previous = seen[0]
        .previous
        .as_ref()
        .expect("a delete knows what stood there");
    assert_eq!(
        (previous.value.clone(), previous.revision),
        (bytes("x"), first)
    );
}

/// Of many writers of one key at one revision exactly one wins each round.
pub async fn test_concurrent_writes_lose_nothing(store: &impl Storage) {
    let mut revision = create(store, "/a/a", "x").await;
    for _ in 0..10 {
        let attempts = (0..8).map(|_| store.update("/a/a".to_owned(), bytes("y"), revision));
        let results = futures::future::join_all(attempts).await;
        let won: Vec<_> = results.into_iter().filter_map(Result::ok).collect();
        assert_eq!(won.len(), 1);
        revision = won[0];
    }
    let seen = events(&mut store.watch("/a/".to_owned(), Revision(0)), 11).await;
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].revision < pair[1].revision)
    );
}
