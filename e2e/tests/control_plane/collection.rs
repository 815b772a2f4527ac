//! kube-controller-manager at work on the records: garbage collection and the end of namespaces.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
};

use super::{
    records::{record, records, resource},
    server::shared,
};

/// The garbage collector learns of a new API within 30 s.
pub(crate) const COLLECTED_WITHIN: Duration = Duration::from_secs(90);

/// The records and ConfigMaps of a namespace.
pub(crate) struct Objects {
    pub(crate) records: Api<DynamicObject>,
    pub(crate) maps: Api<ConfigMap>,
}

impl Objects {
    pub(crate) async fn of(namespace: &str) -> Result<Self> {
        let client = shared().await?.cluster.client().await?;
        Ok(Self {
            records: records(client.clone(), namespace),
            maps: Api::namespaced(client, namespace),
        })
    }

    pub(crate) async fn map(&self, name: &str, owner: Option<&DynamicObject>) -> Result<ConfigMap> {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.to_owned());
        map.metadata.owner_references =
            owner.map(|owner| owner.owner_ref(&resource()).into_iter().collect());
        Ok(self.maps.create(&PostParams::default(), &map).await?)
    }

    /// A record with a ConfigMap for its owner.
    pub(crate) async fn owned_record(
        &self,
        name: &str,
        owner: &ConfigMap,
    ) -> Result<DynamicObject> {
        let mut dependent = record(name);
        let reference = owner.owner_ref(&()).context("the owner has a UID")?;
        dependent.metadata.owner_references = Some(vec![reference]);
        Ok(self
            .records
            .create(&PostParams::default(), &dependent)
            .await?)
    }

    pub(crate) async fn wait_record_gone(&self, name: &str) -> Result<()> {
        let cluster = &shared().await?.cluster;
        let gone = cluster.wait_for("the record to be gone", COLLECTED_WITHIN, async || {
            self.records
                .get_opt(name)
                .await
                .ok()?
                .is_none()
                .then_some(())
        });
        gone.await
    }

    pub(crate) async fn wait_map_gone(&self, name: &str) -> Result<()> {
        let cluster = &shared().await?.cluster;
        let gone = cluster.wait_for("the ConfigMap to be gone", COLLECTED_WITHIN, async || {
            self.maps.get_opt(name).await.ok()?.is_none().then_some(())
        });
        gone.await
    }
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_record_goes_with_its_owner() -> Result<()> {
    let namespace = shared().await?.cluster.namespace("collection").await?;
    let objects = Objects::of(&namespace.name).await?;
    let owner = objects.map("owner", None).await?;
    objects.owned_record("owned", &owner).await?;
    objects
        .records
        .create(&PostParams::default(), &record("free"))
        .await?;
    objects
        .maps
        .delete("owner", &DeleteParams::background())
        .await?;
    objects.wait_record_gone("owned").await?;
    assert!(objects.records.get_opt("free").await?.is_some());
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn what_a_record_owns_goes_with_it() -> Result<()> {
    let namespace = shared().await?.cluster.namespace("collection").await?;
    let objects = Objects::of(&namespace.name).await?;
    let owner = objects
        .records
        .create(&PostParams::default(), &record("owner"))
        .await?;
    objects.map("owned", Some(&owner)).await?;
    objects
        .records
        .delete("owner", &DeleteParams::background())
        .await?;
    objects.wait_map_gone("owned").await
}

/// The server marks the record, and the garbage collector removes it after what it owns.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_record_that_is_deleted_in_the_foreground_goes_last() -> Result<()> {
    let namespace = shared().await?.cluster.namespace("collection").await?;
    let objects = Objects::of(&namespace.name).await?;
    let owner = objects
        .records
        .create(&PostParams::default(), &record("owner"))
        .await?;
    let mut dependent = ConfigMap::default();
    dependent.metadata.name = Some("owned".to_owned());
    // Its own finalizer holds the dependent back, so that the order can be seen.
    dependent.metadata.finalizers = Some(vec!["test.kubedojo.io/hold".to_owned()]);
    let mut reference = owner
        .owner_ref(&resource())
        .context("the owner has a UID")?;
    reference.block_owner_deletion = Some(true);
    dependent.metadata.owner_references = Some(vec![reference]);
    objects
        .maps
        .create(&PostParams::default(), &dependent)
        .await?;

    objects
        .records
        .delete("owner", &DeleteParams::foreground())
        .await?;
    let cluster = &shared().await?.cluster;
    let marked = cluster.wait_for(
        "the dependent to be deleted",
        COLLECTED_WITHIN,
        async || {
            objects
                .maps
                .get("owned")
                .await
                .ok()?
                .metadata
                .deletion_timestamp
        },
    );
    marked.await?;
    let owner = objects.records.get("owner").await?;
    assert_eq!(owner.finalizers(), ["foregroundDeletion"]);
    assert!(owner.metadata.deletion_timestamp.is_some());

    let patch = [
        "patch",
        "configmap",
        "owned",
        "-n",
        &namespace.name,
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":null}}"#,
    ];
    cluster.kubectl(patch).await?.success()?;
    objects.wait_map_gone("owned").await?;
    objects.wait_record_gone("owner").await
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn what_an_orphaning_deletion_leaves_has_no_owner() -> Result<()> {
    let namespace = shared().await?.cluster.namespace("collection").await?;
    let objects = Objects::of(&namespace.name).await?;
    let owner = objects.map("owner", None).await?;
    objects.owned_record("owned", &owner).await?;
    // The collector has to know of the record before the owner goes, or it has nothing to free:
    // this one goes first and shows that it does.
    let probe = objects.map("probe-owner", None).await?;
    objects.owned_record("probe", &probe).await?;
    objects
        .maps
        .delete("probe-owner", &DeleteParams::background())
        .await?;
    objects.wait_record_gone("probe").await?;

    let orphan = DeleteParams {
        propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    objects.maps.delete("owner", &orphan).await?;
    objects.wait_map_gone("owner").await?;
    let left = objects.records.get("owned").await?;
    assert!(
        left.owner_references().is_empty(),
        "{:?}",
        left.owner_references()
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn the_records_of_a_namespace_go_with_it() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let (namespace, other) = (
        cluster.namespace("ending").await?,
        cluster.namespace("staying").await?,
    );
    let (objects, others) = (
        Objects::of(&namespace.name).await?,
        Objects::of(&other.name).await?,
    );
    others
        .records
        .create(&PostParams::default(), &record("stays"))
        .await?;
    for index in 0..5 {
        objects
            .records
            .create(&PostParams::default(), &record(&format!("r{index}")))
            .await?;
    }
    let args = ["delete", "namespace", &namespace.name, "--timeout=90s"];
    cluster.kubectl(args).await?.success()?;
    let left = objects.records.list(&ListParams::default()).await?;
    assert!(
        left.items.is_empty(),
        "{} records are left",
        left.items.len()
    );
    assert!(others.records.get_opt("stays").await?.is_some());
    Ok(())
}
