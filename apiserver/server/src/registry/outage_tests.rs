//! A store that does not answer, and one that says how much was read from it.

use std::sync::atomic::{AtomicBool, Ordering};

use apimachinery::ListOptions;
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
    stream::BoxStream,
};
use parking_lot::Mutex;
use serde_json::json;
use storage::{MemoryStorage, Page, Range, Record, StorageError, WatchItem};

use super::*;
use crate::{admission::AnyNamespace, cacher::Selection, testing::thing_definition};

const PREFIX: &str = "/test.io/things/default/";

/// A store that can be taken away from its server.
#[derive(Debug, Default)]
struct Unreliable {
    inner: MemoryStorage,
    is_down: AtomicBool,
    /// How many records each list gave.
    listed: Mutex<Vec<usize>>,
}

impl Unreliable {
    fn or_down<'a, T: Send + 'a>(
        &self,
        answer: BoxFuture<'a, Result<T, StorageError>>,
    ) -> BoxFuture<'a, Result<T, StorageError>> {
        if self.is_down.load(Ordering::Relaxed) {
            return ready(Err(StorageError::Unavailable("gone".to_owned()))).boxed();
        }
        answer
    }
}

impl Storage for Unreliable {
    fn create(&self, key: String, value: Bytes) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.or_down(self.inner.create(key, value))
    }

    fn update(
        &self,
        key: String,
        value: Bytes,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.or_down(self.inner.update(key, value, expected))
    }

    fn delete(
        &self,
        key: String,
        expected: Revision,
    ) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.or_down(self.inner.delete(key, expected))
    }

    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Record>, StorageError>> {
        self.or_down(self.inner.get(key))
    }

    fn list(&self, range: Range) -> BoxFuture<'_, Result<Page, StorageError>> {
        let page = self.inner.list(range).inspect(|page| {
            let read = page.as_ref().map_or(0, |page| page.records.len());
            self.listed.lock().push(read);
        });
        self.or_down(page.boxed())
    }

    fn watch(&self, prefix: String, after: Revision) -> BoxStream<'static, WatchItem> {
        self.inner.watch(prefix, after)
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.or_down(self.inner.current_revision())
    }

    fn compact(&self, up_to: Revision) -> BoxFuture<'_, Result<(), StorageError>> {
        self.or_down(self.inner.compact(up_to))
    }
}

fn start(storage: &Arc<Unreliable>) -> Arc<Store> {
    Store::start(
        thing_definition(),
        Arc::new(SchemaOnly),
        Arc::new(AnyNamespace),
        Arc::<Unreliable>::clone(storage),
        CancellationToken::new(),
    )
    .unwrap()
    .0
}

fn thing(name: &str) -> Object {
    let object = json!({"apiVersion": "test.io/v1", "kind": "Thing",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"size": 1}});
    Object::from_value(object).unwrap()
}

fn listing(query: &[(&str, &str)]) -> ListOptions {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let query: Vec<_> = query.iter().map(owned).collect();
    ListOptions::from_query(&query).unwrap()
}

/// S2, N4, N5, N15: every verb says that it can be tried again; nothing is missing, empty, taken or
/// in conflict.
#[tokio::test]
async fn a_store_that_does_not_answer_is_never_an_empty_one() {
    let storage = Arc::new(Unreliable::default());
    let store = start(&storage);
    let options = &WriteOptions::default();
    let made = store.create("default", thing("a"), options).await.unwrap();
    let mut object = Object::from_slice(&made.object).unwrap();
    object.set("spec", Some(json!({"size": 2})));
    let patch = Patch::merge(json!({"spec": {"size": 3}})).unwrap();
    let (all, everything) = (ListOptions::default(), Selection::default());
    let (main, gone) = (Subresource::None, DeleteOptions::default());
    storage.is_down.store(true, Ordering::Relaxed);
    let failures = [
        store.get("default", "a", None).await.map(|_| ()).err(),
        store.get("default", "none", None).await.map(|_| ()).err(),
        store.list("", &everything, &all).await.map(|_| ()).err(),
        store
            .create("default", thing("a"), options)
            .await
            .map(|_| ())
            .err(),
        store
            .create("default", thing("b"), options)
            .await
            .map(|_| ())
            .err(),
        store
            .update("default", "a", object, main, options)
            .await
            .map(|_| ())
            .err(),
        store
            .patch("default", "a", &patch, main, FieldValidation::Warn, options)
            .await
            .map(|_| ())
            .err(),
        store.delete("default", "a", &gone).await.map(|_| ()).err(),
        store
            .delete_collection("", &everything, &all, &gone)
            .await
            .map(|_| ())
            .err(),
    ];
    for (verb, failure) in failures.into_iter().enumerate() {
        let failure = failure.unwrap_or_else(|| panic!("verb {verb} was answered"));
        assert_eq!(
            failure.reason().as_str(),
            "ServerTimeout",
            "verb {verb}: {failure}"
        );
        assert_eq!(
            (failure.code(), failure.retry_after_seconds()),
            (500, Some(2))
        );
    }
    storage.is_down.store(false, Ordering::Relaxed);
    assert!(store.get("default", "a", None).await.is_ok());
}

/// L7: a page of a state that only the store knows reads as much as the page needs, and does not say
/// how many objects follow when that was not counted.
#[tokio::test]
async fn a_limit_bounds_what_is_read() {
    let storage = Arc::new(Unreliable::default());
    for number in 0..2500 {
        let name = format!("a{number:04}");
        let object = thing(&name).encode_stored().into();
        storage
            .inner
            .create(format!("{PREFIX}{name}"), object)
            .await
            .unwrap();
    }
    let store = start(&storage);
    store.wait_for(None, "list").await.unwrap();
    storage.listed.lock().clear();
    let everything = Selection::default();
    let past = [
        ("resourceVersion", "2400"),
        ("resourceVersionMatch", "Exact"),
        ("limit", "2"),
    ];
    let page = store
        .list("default", &everything, &listing(&past))
        .await
        .unwrap();
    assert_eq!((page.entries.len(), page.remaining), (2, None));
    assert_eq!(storage.listed.lock().as_slice(), [1000]);
    let token = page.continue_token.unwrap();
    let next = [("continue", token.as_str()), ("limit", "1500")];
    let page = store
        .list("default", &everything, &listing(&next))
        .await
        .unwrap();
    assert_eq!((page.entries.len(), page.remaining), (1500, None));
    let token = page.continue_token.unwrap();
    let next = [("continue", token.as_str()), ("limit", "500")];
    let page = store
        .list("default", &everything, &listing(&next))
        .await
        .unwrap();
    assert_eq!((page.entries.len(), page.remaining), (500, Some(398)));
}
