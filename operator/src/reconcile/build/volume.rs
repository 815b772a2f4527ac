//! The claim on the volume that holds the records of a server with storage in a file.
//!
//! It has no owner: what people have written outlives the `ExtensionAPI`.

use std::collections::BTreeMap;

use crds::SqliteVolume;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use crate::reconcile::validate::{Plan, PlannedServer, PlannedStorage};

const COMPONENT: &str = "data";

/// The claim, if there is to be one.
pub(super) fn data_claim(plan: &Plan) -> Option<PersistentVolumeClaim> {
    let SqliteVolume {
        size,
        storage_class_name,
    } = planned(plan)?;
    let owner = &plan.owner;
    let requests = BTreeMap::from([("storage".to_owned(), Quantity(size.clone()))]);
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            owner_references: None,
            ..owner.metadata(&owner.namespace, owner.data_claim(), COMPONENT)
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(requests),
                limits: None,
            }),
            storage_class_name: storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

/// The volume that the server keeps its records on.
pub(super) fn planned(plan: &Plan) -> Option<&SqliteVolume> {
    match &plan.server {
        PlannedServer::Bundled {
            storage: PlannedStorage::Sqlite(volume),
            ..
        } => Some(volume),
        _ => None,
    }
}
