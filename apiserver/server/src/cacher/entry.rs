//! One object in the cache.
//!
//! An entry shares the store's own bytes and knows where their metadata begins; what a client gets
//! is put together from them and the codec when it is sent.

use std::sync::Arc;

use apimachinery::{ResourceDefinition, ServedForm, object::ObjectHeader};
use bytes::Bytes;
use serde_json::Value;
use storage::{Record, Revision};

/// How the stored objects of a resource are read, and served in one version.
#[derive(Debug)]
pub struct Codec {
    form: ServedForm,
    /// Names and JSON pointers of the fields that a selector can name, beside name and namespace.
    selectable: Vec<(String, String)>,
}

/// An object at one revision: its encoded bytes and the little that selectors look at.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key in the store.
    pub key: Arc<str>,
    /// The revision of the write, which is its `resourceVersion`.
    pub revision: Revision,
    /// Name, namespace and labels.
    pub header: ObjectHeader,
    /// The values of the codec's selectable fields, in its order.
    fields: Box<[Box<str>]>,
    stored: Bytes,
    tail: usize,
    codec: Arc<Codec>,
}

impl Codec {
    /// The codec of a resource.
    pub fn new(definition: &ResourceDefinition) -> Arc<Self> {
        let pointer = |path: &String| (path.clone(), format!("/{}", path.replace('.', "/")));
        Arc::new(Self {
            form: ServedForm::new(&definition.api_version(), &definition.names.kind),
            selectable: definition.selectable_fields.iter().map(pointer).collect(),
        })
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// A sentence for the log when the record is not a stored object.
    pub fn read(self: &Arc<Self>, record: Record) -> Result<Entry, String> {
        let Record {
            key,
            value: stored,
            revision,
        } = record;
        let unreadable = |e| format!("the stored object {key:?} cannot be read: {e}");
        let header = ObjectHeader::from_slice(&stored).map_err(unreadable)?;
        let tail = ServedForm::tail_offset(&stored)
            .ok_or_else(|| format!("the stored object {key:?} has no metadata"))?;
        let fields = if self.selectable.is_empty() {
            Box::default()
        } else {
            let object: Value = serde_json::from_slice(&stored).map_err(unreadable)?;
            let text = |(_, pointer): &(String, String)| match object.pointer(pointer) {
                Some(Value::String(text)) => text.as_str().into(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string().into(),
                _ => Box::default(),
            };
            self.selectable.iter().map(text).collect()
        };
        Ok(Entry {
            key,
            revision,
            header,
            fields,
            stored,
            tail,
            codec: Arc::clone(self),
        })
    }

    /// The bytes that a client gets for stored bytes at a revision; `None` for bytes that are no
    /// stored object.
    pub fn serve(&self, stored: &[u8], revision: Revision) -> Option<Bytes> {
        let tail = stored.get(ServedForm::tail_offset(stored)?..)?;
        let mut served = Vec::with_capacity(self.form.served_len(tail, revision.0));
        self.form.write(tail, revision.0, &mut served);
        Some(served.into())
    }
}

impl Entry {
    /// The stored encoding's length in bytes.
    pub(super) fn stored_len(&self) -> usize {
        self.stored.len()
    }

    /// The served encoding's length in bytes.
    pub fn served_len(&self) -> usize {
        self.codec.form.served_len(self.tail(), self.revision.0)
    }

    /// Appends the served encoding.
    pub fn write_served(&self, out: &mut Vec<u8>) {
        self.codec.form.write(self.tail(), self.revision.0, out);
    }

    /// The served encoding.
    pub fn served(&self) -> Bytes {
        let mut served = Vec::with_capacity(self.served_len());
        self.write_served(&mut served);
        served.into()
    }

    /// The same object as of a later revision: how a deletion shows what was deleted.
    pub(super) fn at(&self, revision: Revision) -> Self {
        Self {
            revision,
            ..self.clone()
        }
    }

    /// The value of a field that a selector can name; empty when it is unset.
    pub(super) fn field(&self, name: &str) -> &str {
        match name {
            "metadata.name" => &self.header.name,
            "metadata.namespace" => &self.header.namespace,
            _ => {
                let mut names = self.codec.selectable.iter();
                let index = names.position(|(selectable, _)| selectable == name);
                let value = index.and_then(|index| self.fields.get(index));
                value.map_or("", |value| value)
            }
        }
    }

    fn tail(&self) -> &[u8] {
        self.stored.get(self.tail..).unwrap_or_default()
    }
}
