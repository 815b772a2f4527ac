//! One object in the cache, and what selects it.

use apimachinery::{
    ApiError, ListOptions,
    object::{ObjectHeader, splice_resource_version},
    selector::{FieldSelector, LabelSelector},
};
use bytes::Bytes;
use storage::{Record, Revision};

/// An object at one revision: its encoded bytes and the little that selectors look at.
#[derive(Debug)]
pub struct Entry {
    /// The key in the store.
    pub key: String,
    /// The revision of the write, which is its `resourceVersion`.
    pub revision: Revision,
    /// Name, namespace and labels.
    pub header: ObjectHeader,
    /// The served encoding.
    pub bytes: Bytes,
}

/// Which objects a client asks for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Entry {
    /// Reads a stored record.
    ///
    /// # Errors
    /// A sentence for the log when the record is not a stored object.
    pub fn from_record(record: &Record) -> Result<Self, String> {
        Self::from_stored(&record.key, &record.value, record.revision)
    }

    /// Reads stored bytes as of a revision.
    pub fn from_stored(key: &str, stored: &[u8], revision: Revision) -> Result<Self, String> {
        let header = ObjectHeader::from_slice(stored)
            .map_err(|e| format!("the stored object {key:?} cannot be read: {e}"))?;
        let bytes = splice_resource_version(stored, revision.0)
            .ok_or_else(|| format!("the stored object {key:?} has no metadata"))?;
        Ok(Self {
            key: key.to_owned(),
            revision,
            header,
            bytes: bytes.into(),
        })
    }
}

impl Selection {
    /// The objects that the options of a list or a watch select.
    ///
    /// # Errors
    /// 400 for a field that no object can be selected by.
    pub fn from_options(options: &ListOptions) -> Result<Self, ApiError> {
        let (labels, fields) = (
            options.label_selector.clone(),
            options.field_selector.clone(),
        );
        for requirement in &fields.requirements {
            if !matches!(
                requirement.field.as_str(),
                "metadata.name" | "metadata.namespace"
            ) {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {}",
                    requirement.field
                )));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object is asked for.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.labels.matches(&entry.header.labels)
            && self.fields.matches(|field| match field {
                "metadata.name" => entry.header.name.as_str(),
                "metadata.namespace" => entry.header.namespace.as_str(),
                _ => "",
            })
    }
}
