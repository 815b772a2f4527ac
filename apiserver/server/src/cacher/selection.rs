//! Which objects a client asks for.

use apimachinery::{
    ApiError, ListOptions, ResourceDefinition,
    selector::{FieldSelector, LabelSelector},
};

use super::entry::Entry;

/// A label and a field selector over one resource.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    /// The objects that the options of a list or a watch select.
    ///
    /// # Errors
    /// 400 for a field that objects of this resource cannot be selected by.
    pub fn from_options(
        options: &ListOptions,
        definition: &ResourceDefinition,
    ) -> Result<Self, ApiError> {
        let known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || definition.selectable_fields.iter().any(|f| f == field)
        };
        let fields = options.field_selector.clone();
        if let Some(unknown) = fields.requirements.iter().find(|r| !known(&r.field)) {
            return Err(ApiError::bad_request(format!(
                "field label not supported: {}",
                unknown.field
            )));
        }
        Ok(Self {
            labels: options.label_selector.clone(),
            fields,
        })
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object is asked for.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.labels.matches(|key| entry.header.labels.get(key))
            && self.fields.matches(|name| entry.field(name))
    }
}
