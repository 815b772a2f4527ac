//! The field manager of a resource.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    cap::cap_update_managers,
    encoding::{Managed, ManagerId, Operation, Sent, VersionedSet},
    last_applied::{KUBECTL, fields_of_last_applied, update_last_applied},
    updater::{ManagedSets, Merged, OnConflict, Refusal, Updater},
};
use crate::{
    Object, ResourceDefinition,
    fieldpath::Set,
    status::{ApiError, StatusReason},
    typed::{Duplicates, ObjectType, TypeErrors},
};

const MANAGED_FIELDS: &str = "managedFields";

/// Who owns what an object had before anybody applied to it and before fields were tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// A client that gives no name.
const UNKNOWN: &str = "unknown";

/// Keeps `metadata.managedFields` of a resource's objects, and applies to them.
#[derive(Debug)]
pub struct FieldManager {
    object_type: ObjectType,
    kind: String,
    api_version: String,
    /// What nobody ever owns.
    untracked: Set,
    /// What a write to the object does not change.
    main_reset_fields: Set,
    /// What a write to `status` does not change.
    status_reset_fields: Set,
    no_fields: Set,
    /// What an object is before it is created.
    empty: Map<String, Value>,
}

impl FieldManager {
    /// The manager of a resource.
    pub fn new(definition: &ResourceDefinition) -> Self {
        let main_reset_fields: &[&[&str]] = if definition.status_subresource {
            &[&["status"]]
        } else {
            &[]
        };
        Self {
            object_type: ObjectType::new(&definition.schema),
            kind: definition.names.kind.clone(),
            api_version: definition.api_version(),
            untracked: Set::from_field_paths(&[
                &["apiVersion"],
                &["kind"],
                &["metadata"],
                &["metadata", "clusterName"],
                &["metadata", "creationTimestamp"],
                &["metadata", "generation"],
                &["metadata", MANAGED_FIELDS],
                &["metadata", "name"],
                &["metadata", "namespace"],
                &["metadata", "resourceVersion"],
                &["metadata", "selfLink"],
                &["metadata", "uid"],
            ]),
            main_reset_fields: Set::from_field_paths(main_reset_fields),
            status_reset_fields: Set::from_field_paths(&[&["metadata"], &["spec"]]),
            no_fields: Set::default(),
            empty: Map::new(),
        }
    }

    /// Sets `metadata.managedFields` of an object that is written, by any way but apply. `live` is
    /// the stored object, `None` on create; `subresource` is empty for the object itself.
    ///
    /// Entries that the client sent are taken, and `[{}]` starts anew. An object
    /// that does not fit the schema loses all entries; validation refuses it afterwards.
    pub fn update(
        &self,
        live: Option<&Object>,
        new: &mut Object,
        manager: &str,
        subresource: &str,
        now: Timestamp,
    ) {
        let live_fields = live.and_then(|o| o.metadata_field(MANAGED_FIELDS));
        let before = if subresource.is_empty() {
            managed_after_client(live_fields, new.metadata_field(MANAGED_FIELDS))
        } else {
            Managed::decode_or_empty(live_fields)
        };
        new.set_metadata_field(MANAGED_FIELDS, None);
        // An object that was never tracked is not tracked from the middle of its life on.
        let is_create = live.is_none_or(|o| o.uid().is_empty());
        if before.fields.is_empty() && !is_create {
            return;
        }
        let write = Write {
            manager,
            subresource,
            now,
        };
        let live = live.map_or(&self.empty, Object::fields);
        if let Ok(after) = self.track_update(live, new.fields(), before, &write) {
            new.set_metadata_field(MANAGED_FIELDS, after.encode());
        }
    }

    /// Applies `applied` to the stored object, `None` when there is none, and gives the result with
    /// its `metadata.managedFields`. Defaults are not filled in.
    ///
    /// 400 for an object of another kind or version, one with `managedFields`, or one that does not
    /// fit the schema; 409 with a cause per field that others own with another value, unless
    /// `force` takes it from them; 500 if the stored object does not fit the schema.
    pub fn apply(
        &self,
        live: Option<&Object>,
        applied: &Object,
        manager: &str,
        subresource: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<Object, ApiError> {
        if applied.api_version() != self.api_version || applied.kind() != self.kind {
            let kind = gvk(applied.api_version(), applied.kind());
            return Err(ApiError::bad_request(format!(
                "invalid object type: {kind}"
            )));
        }
        if applied
            .metadata_field(MANAGED_FIELDS)
            .is_some_and(|v| !v.is_null())
        {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        self.object_type
            .validate(applied.fields(), Duplicates::Refused)
            .map_err(|e| {
                let message = format!(
                    "failed to create typed patch object ({}): {e}",
                    self.describe(applied)
                );
                ApiError::bad_request(message)
            })?;
        if let Some(live) = live {
            self.object_type
                .validate(live.fields(), Duplicates::Allowed)
                .map_err(|e| {
                    let message = format!(
                        "failed to create typed live object ({}): {e}",
                        self.describe(live)
                    );
                    ApiError::new(StatusReason::InternalError, message)
                })?;
        }
        let write = Write {
            manager,
            subresource,
            now,
        };
        let on_conflict = if force {
            OnConflict::Take
        } else {
            OnConflict::Refuse
        };
        let mut object = self.merge(live, applied, &write, on_conflict)?;
        if manager == KUBECTL {
            update_last_applied(&mut object, applied);
        }
        Ok(object)
    }

    /// The part of `object` that `manager` applied last through this subresource, with its kind and
    /// name: what to change and apply again. `None` when it never applied. Mirrors
    /// `k8s.io/apimachinery/pkg/util/managedfields/extract.go`.
    pub fn extract(&self, object: &Object, manager: &str, subresource: &str) -> Option<Object> {
        let entries = Managed::decode_or_empty(object.metadata_field(MANAGED_FIELDS));
        let id = ManagerId::new(manager, Operation::Apply, &self.api_version, subresource);
        let fields = entries.fields.get(&id)?;
        let mut extracted = self.object_type.extract_items(object.fields(), &fields.set);
        for name in ["apiVersion", "kind"] {
            if let Some(value) = object.get(name) {
                extracted.insert(name.to_owned(), value.clone());
            }
        }
        let mut extracted = Object::from_value(Value::Object(extracted)).ok()?;
        for name in ["name", "namespace"] {
            extracted.set_metadata_field(name, object.metadata_field(name).cloned());
        }
        Some(extracted)
    }

    fn merge(
        &self,
        live: Option<&Object>,
        applied: &Object,
        write: &Write<'_>,
        on_conflict: OnConflict,
    ) -> Result<Object, ApiError> {
        let entries = live.and_then(|o| o.metadata_field(MANAGED_FIELDS));
        let mut managed = match entries {
            Some(Value::Array(entries)) => Managed::decode(entries).map_err(|e| {
                let message = format!("failed to decode managed fields: {e}");
                ApiError::new(StatusReason::InternalError, message)
            })?,
            _ => Managed::default(),
        };
        let live_fields = live.map_or(&self.empty, Object::fields);
        if managed.fields.is_empty() {
            let before = Write {
                manager: BEFORE_FIRST_APPLY,
                ..*write
            };
            managed = self
                .track_update(&self.empty, live_fields, managed, &before)
                .map_err(|e| {
                    let message = format!("failed to create manager for existing fields: {e}");
                    ApiError::new(StatusReason::InternalError, message)
                })?;
        }
        let id = write.id(Operation::Apply, &self.api_version);
        let updater = self.updater(write.subresource);
        let apply = |managers, on_conflict| {
            updater.apply(live_fields, applied.fields(), managers, &id, on_conflict)
        };
        let again = (write.manager == KUBECTL).then(|| managed.fields.clone());
        let managers = std::mem::take(&mut managed.fields);
        let (object, mut fields) = match (apply(managers, on_conflict), again) {
            (Err(Refusal::Conflicts(conflicts)), Some(managers)) => {
                let allowed =
                    fields_of_last_applied(live_fields, &self.api_version, &self.object_type);
                let conflicts = conflicts.without(&allowed.unwrap_or_default());
                if conflicts.is_empty() {
                    apply(managers, OnConflict::Take)
                } else {
                    Err(Refusal::Conflicts(conflicts))
                }
            }
            (result, _) => result,
        }
        .map_err(|refusal| match refusal {
            Refusal::Conflicts(conflicts) => conflicts.to_error(),
            Refusal::Types(message) => ApiError::new(StatusReason::InternalError, message),
        })?;
        self.strip(&mut fields, &id);
        managed.fields = fields;
        let object = match (object, live) {
            (Merged::Changed(object), _) => {
                managed.times.insert(id, write.now);
                Object::from_value(Value::Object(object))
            }
            (Merged::Rewritten, Some(live)) => Ok(live.clone()),
            (Merged::Same(object), _) => Object::from_value(Value::Object(object)),
            (Merged::Rewritten, None) => Ok(applied.clone()),
        };
        let mut object = object.map_err(|e| ApiError::new(StatusReason::InternalError, e))?;
        object.set_metadata_field(MANAGED_FIELDS, managed.encode());
        Ok(object)
    }

    /// Gives what differs between two objects to the writer of an update.
    fn track_update(
        &self,
        live: &Map<String, Value>,
        new: &Map<String, Value>,
        mut managed: Managed,
        write: &Write<'_>,
    ) -> Result<Managed, TypeErrors> {
        for object in [new, live] {
            self.object_type.validate(object, Duplicates::Allowed)?;
        }
        let (fields, mut changed) =
            self.updater(write.subresource)
                .update(live, new, managed.fields)?;
        managed.fields = fields;
        changed.subtract(&self.untracked);
        if !changed.is_empty() {
            let id = write.id(Operation::Update, &self.api_version);
            let entry = managed
                .fields
                .entry(id.clone())
                .or_insert_with(|| VersionedSet {
                    set: Set::default(),
                    api_version: self.api_version.clone(),
                });
            entry.set = entry.set.union(&changed);
            managed.times.insert(id, write.now);
        }
        cap_update_managers(&mut managed);
        Ok(managed)
    }

    /// Takes from a manager what nobody ever owns.
    fn strip(&self, managers: &mut ManagedSets, id: &ManagerId) {
        if let Some(fields) = managers.get_mut(id) {
            fields.set.subtract(&self.untracked);
            if fields.set.is_empty() {
                managers.remove(id);
            }
        }
    }

    fn updater(&self, subresource: &str) -> Updater<'_> {
        Updater {
            object_type: &self.object_type,
            api_version: &self.api_version,
            reset_fields: match subresource {
                "" => &self.main_reset_fields,
                "status" => &self.status_reset_fields,
                _ => &self.no_fields,
            },
        }
    }

    /// An object as upstream's messages name it: `namespace/name; group/version, Kind=Kind`.
    fn describe(&self, object: &Object) -> String {
        let kind = gvk(&self.api_version, &self.kind);
        format!("{}/{}; {kind}", object.namespace(), object.name())
    }
}

/// Who writes where and when.
#[derive(Clone, Copy)]
struct Write<'a> {
    manager: &'a str,
    subresource: &'a str,
    now: Timestamp,
}

impl Write<'_> {
    fn id(&self, operation: Operation, api_version: &str) -> ManagerId {
        let manager = if self.manager.is_empty() {
            UNKNOWN
        } else {
            self.manager
        };
        ManagerId::new(manager, operation, api_version, self.subresource)
    }
}

/// The entries that a write starts from: those that the client sent if they can be read, else those
/// of the stored object, so that a client that does not know them loses none.
fn managed_after_client(live: Option<&Value>, new: Option<&Value>) -> Managed {
    let sent = match Sent::of(new) {
        Sent::Reset => return Managed::default(),
        Sent::Nothing => None,
        Sent::Entries(entries) => Managed::decode(entries).ok(),
    };
    sent.unwrap_or_else(|| Managed::decode_or_empty(live))
}

/// A kind as upstream prints it.
fn gvk(api_version: &str, kind: &str) -> String {
    if api_version.contains('/') {
        format!("{api_version}, Kind={kind}")
    } else {
        format!("/{api_version}, Kind={kind}")
    }
}
