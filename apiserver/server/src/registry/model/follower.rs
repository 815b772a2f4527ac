//! A watch beside what it should tell.

use std::{collections::VecDeque, pin::Pin};

use apimachinery::Object;
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use serde_json::Value;

use super::{
    actions::{Follow, From},
    reference::{Event, Model, State, is_in},
};

/// A running watch and what it still has to tell.
pub(super) struct Follower {
    frames: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    what: Follow,
    /// The revision up to which the model's events were taken.
    position: u64,
    expected: VecDeque<Told>,
    /// The revision of what was told last.
    last: u64,
}

/// An event as the client reads it.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Object(&'static str, String, State),
    /// The bookmark that ends the initial events, at this revision.
    InitialEnd(u64),
    Bookmark(u64),
}

impl Follower {
    /// A watch that was started in the model's newest state.
    pub(super) fn new(
        frames: impl Stream<Item = Bytes> + Send + 'static,
        what: Follow,
        model: &Model,
    ) -> Self {
        let now = model.revision();
        let mut expected = VecDeque::new();
        let position = match what.from {
            From::Back(revisions) => now.saturating_sub(revisions),
            From::Now => now,
            From::Initial => {
                let all = model.selected(now, what.namespace, what.selector);
                let added = all.into_iter();
                expected.extend(added.map(|(key, state)| Told::Object("ADDED", key.1, state)));
                if what.bookmarks {
                    expected.push_back(Told::InitialEnd(now));
                }
                now
            }
        };
        Self {
            frames: Box::pin(frames),
            what,
            position,
            expected,
            last: 0,
        }
    }

    /// Reads what has come: all that the model knows, once and in order. After a tick a bookmark
    /// has to be there for who asked for them.
    pub(super) fn compare(&mut self, model: &Model, ticked: bool) {
        let new = model.events.iter().filter(|e| e.revision > self.position);
        let told = new.filter_map(|event| self.told(event)).collect::<Vec<_>>();
        self.expected.extend(told);
        self.position = model.revision();
        let mut bookmarks = 0;
        while let Some(frame) = self.frames.next().now_or_never() {
            let told = Told::read(&frame.expect("the watch goes on"));
            if let Told::Bookmark(revision) = told {
                bookmarks += 1;
                assert!(revision >= self.last, "{revision} after {}", self.last);
                self.last = revision;
                continue;
            }
            assert_eq!(Some(&told), self.expected.front(), "{:?}", self.what);
            self.expected.pop_front();
            if self.what.from != From::Initial || self.expected.is_empty() {
                assert!(told.revision() >= self.last, "{told:?}");
                self.last = told.revision();
            }
        }
        assert!(
            self.expected.is_empty(),
            "{:?} of {:?}",
            self.expected,
            self.what
        );
        let wanted = self.what.bookmarks;
        assert!(wanted || bookmarks == 0, "nobody asked for a bookmark");
        assert!(!(wanted && ticked) || bookmarks > 0, "no bookmark");
    }

    fn told(&self, event: &Event) -> Option<Told> {
        if !is_in(&event.key, self.what.namespace) {
            return None;
        }
        let matching = |state: &&State| self.what.selector.matches(&event.key, state);
        let before = event.before.as_ref().filter(matching);
        let after = event.after.as_ref().filter(matching);
        let (event_type, state) = match (before, after) {
            (None, None) => return None,
            (None, Some(after)) => ("ADDED", after.clone()),
            (Some(_), Some(after)) => ("MODIFIED", after.clone()),
            (Some(before), None) => {
                let revision = event.revision;
                let last = State {
                    revision,
                    ..before.clone()
                };
                ("DELETED", last)
            }
        };
        Some(Told::Object(event_type, event.key.1.clone(), state))
    }
}

impl Told {
    fn read(frame: &Bytes) -> Self {
        let event: Value = serde_json::from_slice(frame).unwrap();
        let metadata = &event["object"]["metadata"];
        let revision = metadata["resourceVersion"].as_str().unwrap_or_default();
        let revision = revision.parse().unwrap_or_default();
        let event_type = match event["type"].as_str().unwrap_or_default() {
            "ADDED" => "ADDED",
            "MODIFIED" => "MODIFIED",
            "DELETED" => "DELETED",
            "BOOKMARK" if metadata["annotations"]["k8s.io/initial-events-end"] == "true" => {
                return Self::InitialEnd(revision);
            }
            "BOOKMARK" => return Self::Bookmark(revision),
            other => panic!("{other}: {event}"),
        };
        let object = Object::from_value(event["object"].clone()).unwrap();
        Self::Object(event_type, object.name().to_owned(), State::of(&object))
    }

    fn revision(&self) -> u64 {
        match self {
            Self::Object(_, _, state) => state.revision,
            Self::InitialEnd(revision) | Self::Bookmark(revision) => *revision,
        }
    }
}
