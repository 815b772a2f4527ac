//! In which form a watch shows objects: as they are, or converted.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};
use storage::Revision;

use super::entry::Entry;

/// How many converted forms there are: a Table with each `includeObject`, and metadata alone.
pub(super) const CONVERTED_VIEWS: usize = 4;

/// In which form a watch shows objects.
#[derive(Clone)]
pub enum View {
    /// As they are; with their `apiVersion` and `kind` for bookmarks.
    Object(Arc<(String, String)>),
    /// As something else.
    Converted(Arc<dyn Conversion>),
}

/// Turns objects into what a watch shows of them.
pub trait Conversion: Send + Sync {
    /// Which of the four converted forms it is, from 0 on: conversions with the same number give the same bytes, so
    /// that an event is converted once for all watches.
    fn index(&self) -> usize;

    /// An object in an event after the first one.
    fn object(&self, entry: &Entry) -> Value;

    /// The object of the first event, where that differs.
    fn first_object(&self, entry: &Entry) -> Value {
        self.object(entry)
    }

    /// The object of a bookmark with this metadata.
    fn bookmark(&self, metadata: Value, is_first: bool) -> Value;
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(_) => f.write_str("Object"),
            Self::Converted(conversion) => write!(f, "Converted({})", conversion.index()),
        }
    }
}

impl View {
    pub(super) fn index(&self) -> Option<usize> {
        match self {
            Self::Object(_) => None,
            Self::Converted(conversion) => Some(conversion.index()),
        }
    }

    pub(super) fn frame(&self, event_type: &str, entry: &Entry) -> Bytes {
        match self {
            Self::Object(_) => encode_frame(event_type, entry.served_len(), |out| {
                entry.write_served(out);
            }),
            Self::Converted(conversion) => value_frame(event_type, &conversion.object(entry)),
        }
    }

    pub(super) fn first_frame(&self, event_type: &str, entry: &Entry) -> Bytes {
        match self {
            Self::Object(_) => self.frame(event_type, entry),
            Self::Converted(conversion) => value_frame(event_type, &conversion.first_object(entry)),
        }
    }

    pub(super) fn bookmark(&self, revision: Revision, ends_initial: bool, is_first: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if ends_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = match self {
            Self::Object(type_meta) => {
                let (api_version, kind) = &**type_meta;
                json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata })
            }
            Self::Converted(conversion) => conversion.bookmark(metadata, is_first),
        };
        value_frame("BOOKMARK", &object)
    }
}

/// A frame with an object that is built for it.
pub(super) fn value_frame(event_type: &str, object: &Value) -> Bytes {
    let object = object.to_string();
    encode_frame(event_type, object.len(), |out| {
        out.extend_from_slice(object.as_bytes());
    })
}

/// `{"type":…,"object":…}` and a line feed.
fn encode_frame(event_type: &str, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(length + event_type.len() + 24);
    frame.extend_from_slice(b"{\"type\":\"");
    frame.extend_from_slice(event_type.as_bytes());
    frame.extend_from_slice(b"\",\"object\":");
    write(&mut frame);
    frame.extend_from_slice(b"}\n");
    frame.into()
}
