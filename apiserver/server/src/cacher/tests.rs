use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use storage::MemoryStorage;
use tokio::time::Instant;

use super::*;
use crate::testing::thing_definition;
use apimachinery::{ListOptions, Object, selector::LabelSelector};

const PREFIX: &str = "/g/things/";

struct Fixture {
    store: Arc<MemoryStorage>,
    cacher: Arc<Cacher>,
    shutdown: CancellationToken,
}

impl Fixture {
    async fn new(ring_capacity: usize) -> Self {
        let store = Arc::new(MemoryStorage::default());
        let shutdown = CancellationToken::new();
        let (cacher, _task) = Cacher::with_ring_capacity(
            ring_capacity,
            Codec::new(&thing_definition()),
            Arc::<MemoryStorage>::clone(&store),
            PREFIX.to_owned(),
            shutdown.clone(),
        );
        // What is written from now on is an event and not part of the first load.
        cacher.wait_until(Revision(0)).await.unwrap();
        Self {
            store,
            cacher,
            shutdown,
        }
    }

    async fn create(&self, name: &str, label: &str) -> Revision {
        let revision = self
            .store
            .create(key(name), object(name, label))
            .await
            .unwrap();
        self.cacher.wait_until(revision).await.unwrap();
        revision
    }

    async fn update(&self, name: &str, label: &str, from: Revision) -> Revision {
        let revision = self
            .store
            .update(key(name), object(name, label), from)
            .await
            .unwrap();
        self.cacher.wait_until(revision).await.unwrap();
        revision
    }

    fn watch(&self, selector: &str, start: WatchStart) -> Result<Watcher, ApiError> {
        Watcher::start(&self.cacher, self.parameters(selector, start))
    }

    fn parameters(&self, selector: &str, start: WatchStart) -> WatchParameters {
        let label_selector = LabelSelector::parse(selector).unwrap();
        let options = ListOptions {
            label_selector,
            ..ListOptions::default()
        };
        WatchParameters {
            prefix: PREFIX.to_owned(),
            selection: Selection::from_options(&options, &thing_definition()).unwrap(),
            bookmarks: true,
            start,
            view: View::Object(Arc::new(("g/v1".to_owned(), "Thing".to_owned()))),
            deadline: Instant::now() + Duration::from_hours(1),
            shutdown: self.shutdown.clone(),
        }
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn object(name: &str, label: &str) -> Bytes {
    let object = json!({"apiVersion": "g/v1", "kind": "Thing",
        "metadata": {"name": name, "labels": {"l": label}}});
    Object::from_value(object).unwrap().encode_stored().into()
}

async fn next(stream: &mut (impl Stream<Item = Bytes> + Unpin)) -> Value {
    serde_json::from_slice(&stream.next().await.expect("the watch goes on")).unwrap()
}

fn brief(event: &Value) -> (String, String, String) {
    let text = |pointer| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    (
        text("/type"),
        text("/object/metadata/name"),
        text("/object/metadata/resourceVersion"),
    )
}

fn is(event_type: &str, name: &str, revision: Revision) -> (String, String, String) {
    (event_type.to_owned(), name.to_owned(), revision.to_string())
}

/// W2, W8, N2: a watch from a revision sees what follows it, in order, once.
#[tokio::test]
async fn a_watch_resumes_strictly_after_its_revision() {
    let f = Fixture::new(10).await;
    let first = f.create("a", "1").await;
    let second = f.create("b", "1").await;
    let mut watch = Box::pin(f.watch("", WatchStart::After(first)).unwrap().into_stream());
    assert_eq!(brief(&next(&mut watch).await), is("ADDED", "b", second));
    let third = f.update("a", "2", first).await;
    assert_eq!(brief(&next(&mut watch).await), is("MODIFIED", "a", third));
}

/// W3, N9: an object that leaves the selection is DELETED with the new revision and its old body; one
/// that comes in is ADDED.
#[tokio::test]
async fn selector_transitions_are_deletes_and_adds() {
    let f = Fixture::new(10).await;
    let created = f.create("a", "in").await;
    let mut watch = Box::pin(
        f.watch("l=in", WatchStart::After(created))
            .unwrap()
            .into_stream(),
    );
    let left = f.update("a", "out", created).await;
    let event = next(&mut watch).await;
    assert_eq!(brief(&event), is("DELETED", "a", left));
    assert_eq!(
        event.pointer("/object/metadata/labels/l"),
        Some(&json!("in"))
    );
    let back = f.update("a", "in", left).await;
    assert_eq!(brief(&next(&mut watch).await), is("ADDED", "a", back));
}

/// W4: a delete carries the deletion's revision.
#[tokio::test]
async fn a_delete_event_has_the_revision_of_the_delete() {
    let f = Fixture::new(10).await;
    let created = f.create("a", "1").await;
    let mut watch = Box::pin(
        f.watch("", WatchStart::After(created))
            .unwrap()
            .into_stream(),
    );
    let deleted = f.store.delete(key("a"), created).await.unwrap();
    assert_eq!(brief(&next(&mut watch).await), is("DELETED", "a", deleted));
    f.cacher.wait_until(deleted).await.unwrap();
    assert!(f.cacher.get(&key("a")).is_none());
}

/// W6, N1: initial events come in name order and end with one marked bookmark.
#[tokio::test]
async fn initial_events_end_with_a_marked_bookmark() {
    let f = Fixture::new(10).await;
    let b = f.create("b", "1").await;
    let a = f.create("a", "1").await;
    let start = WatchStart::Current { mark_end: true };
    let mut watch = Box::pin(f.watch("", start).unwrap().into_stream());
    assert_eq!(brief(&next(&mut watch).await), is("ADDED", "a", a));
    assert_eq!(brief(&next(&mut watch).await), is("ADDED", "b", b));
    let bookmark = next(&mut watch).await;
    assert_eq!(brief(&bookmark), is("BOOKMARK", "", a));
    assert_eq!(
        bookmark.pointer("/object/metadata/annotations/k8s.io~1initial-events-end"),
        Some(&json!("true"))
    );
    let c = f.create("c", "1").await;
    assert_eq!(brief(&next(&mut watch).await), is("ADDED", "c", c));
}

/// W2: a revision that fell off the ring is 410.
#[tokio::test]
async fn a_watch_from_a_forgotten_revision_is_expired() {
    let f = Fixture::new(2).await;
    let first = f.create("a", "1").await;
    for name in ["b", "c", "d"] {
        f.create(name, "1").await;
    }
    assert_eq!(
        f.watch("", WatchStart::After(first)).unwrap_err().code(),
        410
    );
}

/// M11: large objects are forgotten sooner, so that changing one again and again fills no memory.
#[test]
fn the_ring_is_bounded_by_weight_too() {
    const LARGE: usize = 2 << 20;
    let codec = Codec::new(&thing_definition());
    let mut state = State::default();
    let mut revision = 0;
    // Deletes of what the cache has, because those need not be read again.
    let mut delete = |state: &mut State, value: &Bytes, times: usize| {
        let record = storage::Record {
            key: key("a").into(),
            value: value.clone(),
            revision: Revision(1),
        };
        let cached = Arc::new(codec.read(record.clone()).unwrap());
        for _ in 0..times {
            revision += 1;
            let event = storage::Event {
                key: record.key.clone(),
                revision: Revision(revision),
                value: None,
                previous: Some(record.clone()),
            };
            let event = CacheEvent::new(&codec, event, Some(Arc::clone(&cached))).unwrap();
            state.apply(Arc::new(event), RING_CAPACITY);
        }
    };
    let large = object("a", &"x".repeat(LARGE));
    delete(&mut state, &large, 200);
    assert_eq!(state.ring.len(), RING_BYTES_MAX / large.len());
    assert_eq!(state.frames.len(), FRAMES_BYTES_MAX / large.len());
    assert_eq!(state.floor.0, 200 - state.ring.len() as u64);
    assert!(state.sequence_after(Revision(1)).is_none());
    assert!(state.sequence_after(Revision(199)).is_some());
    delete(&mut state, &object("a", "small"), 2 * FRAMES_CAPACITY);
    assert_eq!(state.frames.len(), FRAMES_CAPACITY);
    let weight: usize = state.ring.iter().map(|event| event.weight()).sum();
    assert_eq!(state.ring_bytes, weight);
}

/// W7, N12: a watch that falls behind is ended with a 410 event and never slows a writer.
#[tokio::test]
async fn a_slow_watch_is_ended_with_410() {
    let f = Fixture::new(2).await;
    let first = f.create("a", "1").await;
    let mut watch = Box::pin(f.watch("", WatchStart::After(first)).unwrap().into_stream());
    for name in ["b", "c", "d"] {
        f.create(name, "1").await;
    }
    let event = next(&mut watch).await;
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event.pointer("/object/code"), Some(&json!(410)));
    assert_eq!(watch.next().await, None);
}

/// X11: a cache counts its loads, the store's events, those that watches begin with, and the watches
/// that it ended.
#[tokio::test]
async fn a_cache_counts_what_it_does() {
    let f = Fixture::new(2).await;
    let first = f.create("a", "1").await;
    f.create("b", "1").await;
    let mut watch = Box::pin(f.watch("", WatchStart::After(first)).unwrap().into_stream());
    let all = WatchStart::Current { mark_end: false };
    drop(f.watch("", all).unwrap());
    for name in ["c", "d", "e"] {
        f.create(name, "1").await;
    }
    while watch.next().await.is_some() {}
    let counts = f.cacher.counts();
    let found = [
        counts.initializations.get(),
        counts.received.get(),
        counts.initial.get(),
        counts.terminated.get(),
    ];
    assert_eq!(found, [1, 5, 1 + 2, 1]);
}

/// W5: bookmarks come with the period and tell the newest revision.
#[tokio::test(start_paused = true)]
async fn bookmarks_tell_how_far_the_watch_is() {
    let f = Fixture::new(10).await;
    let first = f.create("a", "1").await;
    let mut watch = Box::pin(
        f.watch("l=none", WatchStart::After(first))
            .unwrap()
            .into_stream(),
    );
    let second = f.create("b", "1").await;
    assert_eq!(brief(&next(&mut watch).await), is("BOOKMARK", "", second));
}

/// W7: the end of the server ends the watch without an error.
#[tokio::test]
async fn shutdown_ends_a_watch_cleanly() {
    let f = Fixture::new(10).await;
    let first = f.create("a", "1").await;
    let mut watch = Box::pin(f.watch("", WatchStart::After(first)).unwrap().into_stream());
    f.shutdown.cancel();
    assert_eq!(watch.next().await, None);
}

/// L2: a revision in the future is 504 after a while.
#[tokio::test(start_paused = true)]
async fn a_future_revision_times_out() {
    let f = Fixture::new(10).await;
    let first = f.create("a", "1").await;
    let error = f
        .cacher
        .wait_until(Revision(first.0 + 1))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.retry_after_seconds()), (504, Some(1)));
}
