//! One event in the ring, as each watch sees it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use storage::{Event, Record, Revision};

use super::{
    entry::{Codec, Entry},
    selection::Selection,
    view::{CONVERTED_VIEWS, View},
};

/// What a watch tells about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// It is new, or has come into the selection.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or has left the selection.
    Deleted,
}

const EVENT_TYPES: usize = 3;

/// A write with the object before and after it, shared by all watches.
#[derive(Debug)]
pub(super) struct CacheEvent {
    pub(super) revision: Revision,
    pub(super) current: Option<Arc<Entry>>,
    pub(super) previous: Option<Arc<Entry>>,
    /// The object as it was, at this event's revision: what a DELETED event carries.
    last: OnceLock<Arc<Entry>>,
}

/// An event in one view as frames, by type; each is encoded when the first watch wants it.
type ViewFrames = [OnceLock<Bytes>; EVENT_TYPES];

/// An event as frames, which all watches share.
#[derive(Debug, Default)]
pub(super) struct Frames {
    objects: ViewFrames,
    /// The converted views, which few watches ask for.
    converted: OnceLock<Box<[ViewFrames; CONVERTED_VIEWS]>>,
}

impl EventType {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

impl CacheEvent {
    /// Makes the cache's view of a write. `cached` is the cache's object of the same key, which most
    /// often is what stood there before.
    ///
    /// # Errors
    /// A sentence for the log when an object in it cannot be read.
    pub(super) fn new(
        codec: &Arc<Codec>,
        event: Event,
        cached: Option<Arc<Entry>>,
    ) -> Result<Self, String> {
        let Event {
            key,
            revision,
            value,
            previous,
        } = event;
        if value.is_none() && previous.is_none() {
            return Err(format!(
                "the delete of {key:?} does not say what was deleted"
            ));
        }
        let current = value.map(|value| Record {
            key,
            value,
            revision,
        });
        let read = |record: Option<Record>| -> Result<_, String> {
            record.map(|r| codec.read(r).map(Arc::new)).transpose()
        };
        let replaced = previous.as_ref().map(|record| record.revision);
        let previous = match cached.filter(|entry| Some(entry.revision) == replaced) {
            Some(cached) => Some(cached),
            None => read(previous)?,
        };
        Ok(Self {
            revision,
            current: read(current)?,
            previous,
            last: OnceLock::new(),
        })
    }

    /// What it adds to the memory: the object that was written, or the last one of a deleted object.
    pub(super) fn weight(&self) -> usize {
        let entry = self.current.as_ref().or(self.previous.as_ref());
        entry.map_or(0, |entry| entry.stored_len())
    }

    pub(super) fn key(&self) -> &str {
        self.current
            .as_ref()
            .or(self.previous.as_ref())
            .map_or("", |entry| &*entry.key)
    }

    /// What a watch with this selection sees of the write, if anything.
    pub(super) fn seen_by(&self, selection: &Selection) -> Option<EventType> {
        let matches = |entry: &Option<Arc<Entry>>| {
            entry.as_ref().is_some_and(|entry| selection.matches(entry))
        };
        match (matches(&self.previous), matches(&self.current)) {
            (false, true) => Some(EventType::Added),
            (true, true) => Some(EventType::Modified),
            (true, false) => Some(EventType::Deleted),
            (false, false) => None,
        }
    }

    /// The object that an event of this type carries.
    fn object(&self, event_type: EventType) -> Option<&Arc<Entry>> {
        if event_type != EventType::Deleted {
            return self.current.as_ref();
        }
        let previous = self.previous.as_ref()?;
        let last = || Arc::new(previous.at(self.revision));
        Some(self.last.get_or_init(last))
    }

    /// The event as one frame of a watch; made once for each view where there is a place to keep it.
    pub(super) fn frame(
        &self,
        event_type: EventType,
        view: &View,
        frames: Option<&Frames>,
    ) -> Option<Bytes> {
        let object = self.object(event_type)?;
        let make = || view.frame(event_type.as_str(), object);
        let place = frames.and_then(|frames| frames.of(view)?.get(event_type as usize));
        Some(place.map_or_else(make, |place| place.get_or_init(make).clone()))
    }

    /// The event as the first frame of a watch, which may differ from what others get.
    pub(super) fn first_frame(
        &self,
        event_type: EventType,
        view: &View,
        frames: Option<&Frames>,
    ) -> Option<Bytes> {
        match view {
            View::Object(_) => self.frame(event_type, view, frames),
            View::Converted(_) => {
                Some(view.first_frame(event_type.as_str(), self.object(event_type)?))
            }
        }
    }
}

impl Frames {
    fn of(&self, view: &View) -> Option<&ViewFrames> {
        match view.index() {
            None => Some(&self.objects),
            Some(index) => self.converted.get_or_init(Box::default).get(index),
        }
    }
}
