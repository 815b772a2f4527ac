//! Who owns what after a write: `sigs.k8s.io/structured-merge-diff/v6/merge`, for one version.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    conflict::Conflicts,
    encoding::{ManagerId, VersionedSet},
    prune::prune,
    timestamps::equal_but_managed_fields,
};
use crate::{
    fieldpath::{Set, value::equals},
    typed::{Comparison, ObjectType, TypeErrors},
};

type JsonObject = Map<String, Value>;

/// Every manager's fields.
pub(super) type ManagedSets = BTreeMap<ManagerId, VersionedSet>;

/// Follows the writes of one kind in one version through one endpoint.
pub(super) struct Updater<'a> {
    pub(super) object_type: &'a ObjectType,
    pub(super) api_version: &'a str,
    /// Fields that the endpoint does not write, so that nobody owns them by it.
    pub(super) reset_fields: &'a Set,
}

/// Why an apply is refused.
pub(super) enum Refusal {
    Conflicts(Conflicts),
    /// The live object is at odds with its schema.
    Types(String),
}

/// The live object after an apply, without its managed fields.
pub(super) enum Merged {
    Changed(JsonObject),
    Same(JsonObject),
    /// Nothing changed but how a number is written, so the live object stays.
    Rewritten,
}

impl Merged {
    fn new(live: &JsonObject, new: JsonObject) -> Self {
        if equal_but_managed_fields(live, &new, &|l, r| l == r) {
            Self::Same(new)
        } else if equal_but_managed_fields(live, &new, &equals) {
            Self::Rewritten
        } else {
            Self::Changed(new)
        }
    }
}

/// What an apply does to managers that own a field with another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnConflict {
    Refuse,
    Take,
}

impl Updater<'_> {
    /// Takes what changed away from everybody. Gives what changed too, which the writer owns.
    pub(super) fn update(
        &self,
        live: &JsonObject,
        new: &JsonObject,
        managers: ManagedSets,
    ) -> Result<(ManagedSets, Set), TypeErrors> {
        let mut managers = self.reconcile(managers)?;
        let comparison = self.compare(live, new)?;
        let Comparison {
            removed,
            modified,
            added,
        } = &comparison;
        let changed = modified.union(added);
        take(&mut managers, None, &changed, removed);
        Ok((managers, changed))
    }

    /// Merges `applied` into `live` for `manager`.
    pub(super) fn apply(
        &self,
        live: &JsonObject,
        applied: &JsonObject,
        managers: ManagedSets,
        manager: &ManagerId,
        on_conflict: OnConflict,
    ) -> Result<(Merged, ManagedSets), Refusal> {
        let mut managers = self.reconcile(managers).map_err(refuse("reconcile"))?;
        let merged = self
            .object_type
            .merge(live, applied)
            .map_err(refuse("failed to merge config"))?;
        let mut set = self
            .object_type
            .to_field_set(applied)
            .map_err(refuse("failed to get field set"))?;
        set.subtract_recursively(self.reset_fields);
        let fields = VersionedSet {
            set,
            api_version: self.api_version.to_owned(),
        };
        let last = managers.insert(manager.clone(), fields);
        let new = match last {
            Some(last) => self
                .prune(merged, &managers, manager, &last.set)
                .map_err(refuse("failed to prune fields"))?,
            None => merged,
        };
        let comparison = self
            .compare(live, &new)
            .map_err(refuse("failed to compare objects"))?;
        let Comparison {
            removed,
            modified,
            added,
        } = &comparison;
        let changed = modified.union(added);
        if on_conflict == OnConflict::Refuse {
            let conflicts = conflicts(&managers, manager, &changed);
            if !conflicts.is_empty() {
                return Err(Refusal::Conflicts(conflicts));
            }
        }
        take(&mut managers, Some(manager), &changed, removed);
        Ok((Merged::new(live, new), managers))
    }

    fn compare(&self, live: &JsonObject, new: &JsonObject) -> Result<Comparison, TypeErrors> {
        let comparison = self.object_type.compare(live, new)?;
        Ok(comparison.exclude(self.reset_fields))
    }

    /// Drops the entries of other versions and follows changes of the schema.
    fn reconcile(&self, mut managers: ManagedSets) -> Result<ManagedSets, TypeErrors> {
        managers.retain(|_, fields| fields.api_version == self.api_version);
        for fields in managers.values_mut() {
            if let Some(reconciled) = self.object_type.reconcile(&fields.set)? {
                fields.set = reconciled;
            }
        }
        Ok(managers)
    }

    /// Removes what the manager applied last time, does not apply now, and nobody else owns.
    fn prune(
        &self,
        merged: JsonObject,
        managers: &ManagedSets,
        manager: &ManagerId,
        last: &Set,
    ) -> Result<JsonObject, TypeErrors> {
        // What is applied again stays, so most of the time there is nothing to do.
        let given_up = managers
            .get(manager)
            .is_none_or(|now| !last.is_subset(&now.set));
        if last.is_empty() || !given_up {
            return Ok(merged);
        }
        let owned: Vec<&Set> = managers.values().map(|fields| &fields.set).collect();
        prune(self.object_type, merged, &owned, last)
    }
}

fn refuse(doing: &'static str) -> impl FnOnce(TypeErrors) -> Refusal {
    move |errors| Refusal::Types(format!("{doing}: {errors}"))
}

fn conflicts(managers: &ManagedSets, manager: &ManagerId, changed: &Set) -> Conflicts {
    let conflicts = managers
        .iter()
        .filter(|(id, _)| *id != manager)
        .filter_map(|(id, fields)| {
            let conflict = fields.set.intersection(changed);
            (!conflict.is_empty()).then(|| (id.clone(), conflict))
        });
    Conflicts(conflicts.collect())
}

/// Takes fields away from everybody but the writer; who has none left goes, also the writer.
fn take(managers: &mut ManagedSets, writer: Option<&ManagerId>, changed: &Set, removed: &Set) {
    for (id, fields) in managers.iter_mut() {
        if writer == Some(id) {
            continue;
        }
        for lost in [changed, removed] {
            fields.set.subtract(lost);
        }
    }
    managers.retain(|_, fields| !fields.set.is_empty());
}
