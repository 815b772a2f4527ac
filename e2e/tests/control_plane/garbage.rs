//! The garbage collector across our kind and kinds of Kubernetes, where it has to wait or to let go;
//! and a namespace that waits for a record.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Resource, ResourceExt,
    api::{
        DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy,
    },
};
use serde_json::{Value, json};

use super::{
    collection::{COLLECTED_WITHIN, Objects},
    records::{record, resource},
    server::shared,
};

const HOLD: &str = "test.kubedojo.io/hold";

impl Objects {
    async fn new_record(&self, record: &DynamicObject) -> Result<DynamicObject> {
        Ok(self.records.create(&PostParams::default(), record).await?)
    }

    async fn release_record(&self, name: &str) -> Result<()> {
        let none: Value = json!({ "metadata": { "finalizers": null } });
        let patch = Patch::Merge(&none);
        let params = PatchParams::default();
        self.records.patch(name, &params, &patch).await?;
        Ok(())
    }

    /// The collector knows of the records of this namespace once it has collected one.
    async fn wait_collected(&self) -> Result<()> {
        let owner = self.map("probe-owner", None).await?;
        self.owned_record("probe", &owner).await?;
        let background = DeleteParams::background();
        self.maps.delete("probe-owner", &background).await?;
        self.wait_record_gone("probe").await
    }
}

/// A record that blocks the deletion of a ConfigMap that owns it, and cannot go itself.
fn held_dependent(owner: &ConfigMap, block_owner_deletion: bool) -> Result<DynamicObject> {
    let mut dependent = record("owned");
    let mut reference = owner.owner_ref(&()).context("the owner has a UID")?;
    reference.block_owner_deletion = Some(block_owner_deletion);
    dependent.metadata.owner_references = Some(vec![reference]);
    dependent.metadata.finalizers = Some(vec![HOLD.to_owned()]);
    Ok(dependent)
}

/// V9: a record can hold back its owner.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_foreground_deletion_waits_for_the_record_that_blocks_it() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let namespace = cluster.namespace("garbage").await?;
    let objects = Objects::of(&namespace.name).await?;
    objects.wait_collected().await?;
    let owner = objects.map("owner", None).await?;
    objects.new_record(&held_dependent(&owner, true)?).await?;

    objects
        .maps
        .delete("owner", &DeleteParams::foreground())
        .await?;
    let marked = async || {
        objects
            .records
            .get("owned")
            .await
            .ok()?
            .metadata
            .deletion_timestamp
    };
    cluster
        .wait_for("the record to be deleted", COLLECTED_WITHIN, marked)
        .await?;
    let owner = objects.maps.get("owner").await?;
    assert_eq!(owner.finalizers(), ["foregroundDeletion"]);

    objects.release_record("owned").await?;
    objects.wait_record_gone("owned").await?;
    objects.wait_map_gone("owner").await
}

/// V9: and one that does not block does not.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_foreground_deletion_does_not_wait_for_a_record_that_does_not_block_it() -> Result<()> {
    let namespace = shared().await?.cluster.namespace("garbage").await?;
    let objects = Objects::of(&namespace.name).await?;
    objects.wait_collected().await?;
    let owner = objects.map("owner", None).await?;
    objects.new_record(&held_dependent(&owner, false)?).await?;

    objects
        .maps
        .delete("owner", &DeleteParams::foreground())
        .await?;
    objects.wait_map_gone("owner").await?;
    let left = objects.records.get("owned").await?;
    assert_eq!(left.finalizers(), [HOLD]);
    objects.release_record("owned").await?;
    objects.wait_record_gone("owned").await
}

/// V9: the server marks the record, and the collector frees what it owns before it goes.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn what_a_record_leaves_behind_as_orphans_stays_and_has_no_owner() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let namespace = cluster.namespace("garbage").await?;
    let objects = Objects::of(&namespace.name).await?;
    objects.wait_collected().await?;
    let owner = objects.new_record(&record("owner")).await?;
    objects.map("owned", Some(&owner)).await?;
    let mut other = record("owned");
    other.metadata.owner_references = Some(owner.owner_ref(&resource()).into_iter().collect());
    objects.new_record(&other).await?;
    // The collector has to know of the dependents before the owner goes, or it has none to free: what
    // comes after them in the same watches shows that it does.
    objects.new_record(&record("last")).await?;
    let last = objects.records.get("last").await?;
    objects.map("last-owned", Some(&last)).await?;
    let background = DeleteParams::background();
    objects.records.delete("last", &background).await?;
    objects.wait_map_gone("last-owned").await?;

    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    objects.records.delete("owner", &orphan).await?;
    objects.wait_record_gone("owner").await?;
    let map = objects.maps.get("owned").await?;
    assert_eq!(map.owner_references(), []);
    let record = objects.records.get("owned").await?;
    assert_eq!(record.owner_references(), []);
    Ok(())
}

/// V12: a record whose owner never was is garbage as well.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_record_of_an_owner_that_does_not_exist_goes() -> Result<()> {
    let namespace = shared().await?.cluster.namespace("garbage").await?;
    let objects = Objects::of(&namespace.name).await?;
    let mut owner = objects.map("other", None).await?;
    owner.metadata.name = Some("gone".to_owned());
    owner.metadata.uid = Some("00000000-1111-2222-3333-444444444444".to_owned());
    objects.owned_record("stray", &owner).await?;
    objects.wait_record_gone("stray").await
}

/// F1, V13: a namespace waits for the finalizers of its records, says so, and goes when they are gone.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_namespace_waits_for_the_finalizers_of_its_records() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let namespace = cluster.namespace("held").await?;
    let objects = Objects::of(&namespace.name).await?;
    for name in ["held", "other"] {
        let mut held = record(name);
        held.metadata.finalizers = Some(vec![HOLD.to_owned()]);
        objects.new_record(&held).await?;
    }
    objects.new_record(&record("free")).await?;
    let namespaces: Api<Namespace> = Api::all(cluster.client().await?);
    let background = DeleteParams::background();
    namespaces.delete(&namespace.name, &background).await?;

    let condition = async |kind: &str| {
        let status = namespaces.get(&namespace.name).await.ok()?.status?;
        let conditions = status.conditions.unwrap_or_default();
        let condition = conditions.into_iter().find(|c| c.type_ == kind)?;
        (condition.status == "True").then_some(condition.message?)
    };
    let remaining = cluster
        .wait_for("NamespaceContentRemaining", COLLECTED_WITHIN, async || {
            condition("NamespaceContentRemaining").await
        })
        .await?;
    assert_eq!(
        remaining,
        "Some resources are remaining: datarecords.data.kubedojo.io has 2 resource instances"
    );
    let finalizers = condition("NamespaceFinalizersRemaining").await;
    assert_eq!(
        finalizers.as_deref(),
        Some(
            "Some content in the namespace has finalizers remaining: test.kubedojo.io/hold in 2 resource instances"
        )
    );
    let left = objects.records.list(&ListParams::default()).await?;
    let left: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["held", "other"]);
    let late = objects.new_record(&record("late")).await.unwrap_err();
    assert!(
        late.to_string().contains("because it is being terminated"),
        "{late}"
    );

    for name in ["held", "other"] {
        objects.release_record(name).await?;
    }
    let gone = async || {
        let found = namespaces.get_opt(&namespace.name).await.ok()?;
        found.is_none().then_some(())
    };
    cluster
        .wait_for("the namespace to be gone", COLLECTED_WITHIN, gone)
        .await
}
