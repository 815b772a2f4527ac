//! What the verbs do: the rules of Kubernetes between a decoded object and the store.
//!
//! Reads come from the watch cache, writes go to the store with an expected revision. Mirrors
//! `k8s.io/apiserver/pkg/registry/generic/registry/store.go` and `pkg/registry/rest`.

mod apply;
mod create;
mod delete;
mod error;
mod field_validation;
mod owner_references;
mod patch;
mod prepare;
mod read;
mod scale;
mod strategy;
mod update;

use std::sync::Arc;

use apimachinery::{
    ApiError, GroupResource, Object, ResourceDefinition, managed_fields::FieldManager,
    table::TableConverter,
};
use bytes::Bytes;
use storage::{Revision, Storage};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    cacher::{Cacher, Codec},
};

pub use apply::{Applied, Apply};
pub use delete::{DeleteOptions, Deleted, PropagationPolicy};
pub use field_validation::FieldValidation;
pub use patch::Patch;
pub use read::ListResult;
use scale::Scale;
pub use scale::ScaleChange;
pub use strategy::{SchemaOnly, Strategy};

/// Largest object, encoded: patches add up, so the limit on bodies alone does not bound it.
const OBJECT_MAX: usize = 3 * 1024 * 1024;

/// One resource: its definition, its place in the store and its cache.
#[derive(Debug)]
pub struct Store {
    definition: ResourceDefinition,
    resource: GroupResource,
    strategy: Arc<dyn Strategy>,
    admission: Arc<dyn Admission>,
    storage: Arc<dyn Storage>,
    cacher: Arc<Cacher>,
    codec: Arc<Codec>,
    table: TableConverter,
    field_manager: FieldManager,
    scale: Option<Scale>,
}

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// The object; its status stays as it is where status is a subresource.
    None,
    /// Only the status.
    Status,
    /// Only the replicas, as an `autoscaling/v1` `Scale`.
    Scale,
}

/// How a write is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Do everything but write.
    pub dry_run: bool,
    /// Who owns the fields that the write sets.
    pub manager: String,
}

/// An object that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The served bytes.
    pub object: Bytes,
    /// Whether there was none before.
    pub created: bool,
    /// What the client should know.
    pub warnings: Vec<String>,
}

impl Subresource {
    /// As `managedFields` and paths name it; empty for the object itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

impl Store {
    /// A resource in a store, with a cache that is fed until `shutdown`.
    ///
    /// # Errors
    /// A sentence that names what is wrong with the definition.
    pub fn start(
        definition: ResourceDefinition,
        strategy: Arc<dyn Strategy>,
        admission: Arc<dyn Admission>,
        storage: Arc<dyn Storage>,
        shutdown: CancellationToken,
    ) -> Result<(Arc<Self>, tokio::task::JoinHandle<()>), String> {
        let table = TableConverter::new(&definition)?;
        let field_manager = FieldManager::new(&definition);
        let scale = definition.scale.as_ref().map(Scale::new).transpose()?;
        let resource = definition.group_resource();
        let prefix = format!("/{}/{}/", resource.group, resource.resource);
        let codec = Codec::new(&definition);
        let (cacher, feed) =
            Cacher::start(Arc::clone(&codec), Arc::clone(&storage), prefix, shutdown);
        let store = Arc::new(Self {
            definition,
            resource,
            strategy,
            admission,
            storage,
            cacher,
            codec,
            table,
            field_manager,
            scale,
        });
        Ok((store, feed))
    }

    /// What the resource is.
    pub fn definition(&self) -> &ResourceDefinition {
        &self.definition
    }

    /// The plural and the group.
    pub fn resource(&self) -> &GroupResource {
        &self.resource
    }

    /// The watch cache.
    pub fn cacher(&self) -> &Arc<Cacher> {
        &self.cacher
    }

    /// How objects are printed, or their scales.
    pub fn table(&self, subresource: Subresource) -> &TableConverter {
        let scale = self
            .scale
            .as_ref()
            .filter(|_| subresource == Subresource::Scale);
        scale.map_or(&self.table, |scale| &scale.table)
    }

    /// The keys of a namespace, or of all when the namespace is empty.
    pub fn prefix(&self, namespace: &str) -> String {
        let GroupResource { group, resource } = &self.resource;
        if namespace.is_empty() {
            format!("/{group}/{resource}/")
        } else {
            format!("/{group}/{resource}/{namespace}/")
        }
    }

    fn key(&self, namespace: &str, name: &str) -> String {
        format!("{}{name}", self.prefix(namespace))
    }

    /// The newest state of an object, from the store itself: what a write starts from.
    async fn current(&self, key: &str, name: &str) -> Result<Current, ApiError> {
        let current = self.find(key, name).await?;
        current.ok_or_else(|| ApiError::not_found(&self.resource, name))
    }

    /// As [`current`](Self::current), `None` when there is none.
    async fn find(&self, key: &str, name: &str) -> Result<Option<Current>, ApiError> {
        let record = self.storage.get(key.to_owned()).await;
        let Some(record) = record.map_err(|e| self.storage_error(e, "get", name))? else {
            return Ok(None);
        };
        let object = Object::from_slice(&record.value)
            .map_err(|e| ApiError::internal(format!("the stored object {key:?} is broken: {e}")))?;
        Ok(Some(Current {
            object,
            stored: record.value,
            revision: record.revision,
        }))
    }

    /// The stored encoding of an object.
    ///
    /// # Errors
    /// 413 for an object over the limit.
    fn encode(object: &Object) -> Result<Bytes, ApiError> {
        let bytes = object.encode_stored();
        if bytes.len() > OBJECT_MAX {
            Err(ApiError::too_large(OBJECT_MAX))
        } else {
            // A copy of just this length: it is kept as long as the object.
            Ok(Bytes::copy_from_slice(&bytes))
        }
    }

    /// The bytes that a client gets for an object that was just written.
    fn served(&self, stored: &[u8], revision: Revision) -> Result<Bytes, ApiError> {
        self.codec
            .serve(stored, revision)
            .ok_or_else(|| ApiError::internal("an encoded object has no metadata"))
    }

    fn invalid(&self, name: &str, errors: &[apimachinery::FieldError]) -> ApiError {
        ApiError::invalid(
            &self.resource.group,
            &self.definition.names.kind,
            name,
            errors,
        )
    }
}

/// An object as the store has it.
struct Current {
    object: Object,
    stored: Bytes,
    revision: Revision,
}

impl Current {
    /// The object as clients see it: in this version, with its resource version.
    fn as_served(&self, store: &Store) -> Object {
        let mut object = self.object.clone();
        object.set("apiVersion", Some(store.definition.api_version().into()));
        object.set_metadata_field("resourceVersion", Some(self.revision.to_string().into()));
        object
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod tests;
