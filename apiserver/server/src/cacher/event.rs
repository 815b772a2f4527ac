//! One event in the ring, as each watch sees it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use storage::{Event, Revision};

use super::entry::{Entry, Selection};

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

/// A write with the object before and after it, shared by all watches.
#[derive(Debug)]
pub(super) struct CacheEvent {
    pub(super) revision: Revision,
    pub(super) current: Option<Arc<Entry>>,
    previous: Option<Arc<Entry>>,
    /// The object as it was, at this event's revision: what a DELETED event carries.
    last: OnceLock<Arc<Entry>>,
    previous_stored: Bytes,
    /// The event as a JSON frame, by type, encoded when the first watch wants it.
    frames: [OnceLock<Bytes>; 3],
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
    /// Makes the cache's view of a write.
    ///
    /// # Errors
    /// A sentence for the log when an object in it cannot be read.
    pub(super) fn new(event: Event) -> Result<Self, String> {
        let Event {
            key,
            revision,
            value,
            previous,
        } = event;
        let current = value
            .map(|value| Entry::from_stored(&key, &value, revision).map(Arc::new))
            .transpose()?;
        let before = previous
            .as_ref()
            .map(|record| Entry::from_record(record).map(Arc::new))
            .transpose()?;
        if current.is_none() && before.is_none() {
            return Err(format!(
                "the delete of {key:?} does not say what was deleted"
            ));
        }
        let previous_stored = previous.map(|record| record.value).unwrap_or_default();
        let (last, frames) = Default::default();
        Ok(Self {
            revision,
            current,
            previous: before,
            last,
            previous_stored,
            frames,
        })
    }

    pub(super) fn key(&self) -> &str {
        self.current
            .as_ref()
            .or(self.previous.as_ref())
            .map_or("", |entry| entry.key.as_str())
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
    pub(super) fn object(&self, event_type: EventType) -> Option<Arc<Entry>> {
        if event_type != EventType::Deleted {
            return self.current.clone();
        }
        let previous = self.previous.as_ref()?;
        if let Some(last) = self.last.get() {
            return Some(Arc::clone(last));
        }
        let last = Entry::from_stored(&previous.key, &self.previous_stored, self.revision).ok()?;
        Some(Arc::clone(self.last.get_or_init(|| Arc::new(last))))
    }

    /// The event as one frame of a JSON watch; made once, then shared.
    pub(super) fn frame(&self, event_type: EventType) -> Option<Bytes> {
        let cell = &self.frames[event_type as usize];
        if let Some(frame) = cell.get() {
            return Some(frame.clone());
        }
        let object = self.object(event_type)?;
        Some(
            cell.get_or_init(|| encode_frame(event_type.as_str(), &object.bytes))
                .clone(),
        )
    }
}

/// `{"type":…,"object":…}` and a line feed.
pub(super) fn encode_frame(event_type: &str, object: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(object.len() + 32);
    frame.extend_from_slice(b"{\"type\":\"");
    frame.extend_from_slice(event_type.as_bytes());
    frame.extend_from_slice(b"\",\"object\":");
    frame.extend_from_slice(object);
    frame.extend_from_slice(b"}\n");
    frame.into()
}
