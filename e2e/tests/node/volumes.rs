//! Records in a file on a volume, which outlives pods and settings.

use std::fs;

use anyhow::Result;
use e2e::{network::NODE_NAME, testing::Cluster};
use serde_json::json;

use super::{
    installation::{API, NAMESPACE, exclusive, kubectl, record},
    storage::{back_to_memory, keep_in, restart},
};

/// A directory of the node as a volume that only our claim gets.
async fn volume(cluster: &Cluster, claim: &str) -> Result<()> {
    let directory = cluster.dir().join("volume");
    fs::create_dir_all(&directory)?;
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME] });
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": claim },
        "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
            "claimRef": { "name": claim, "namespace": NAMESPACE },
            "local": { "path": directory },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
        },
    });
    cluster.apply(&volume.to_string()).await?;
    Ok(())
}

/// B1: a record in a file is there after its pod is replaced, and after the API was kept elsewhere; the
/// claim is made and not taken away.
#[tokio::test]
#[ignore = "needs cluster: node tier"]
async fn records_on_a_volume_outlive_the_pod_and_the_setting() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    let claim = format!("{API}-data");
    volume(&cluster, &claim).await?;
    let storage = json!({ "memory": null, "sqlite": { "volume": { "storageClassName": "" } } });
    keep_in(&cluster, storage.clone(), 1).await?;
    let namespace = cluster.namespace("volumes").await?;
    cluster.apply(&record(&namespace.name, "kept")).await?;
    let uid = "get datarecord kept -o jsonpath={.metadata.uid} -n";
    let uid = format!("{uid} {}", namespace.name);
    let written = kubectl(&cluster, &uid).await?;

    restart(&cluster).await?;
    assert_eq!(
        kubectl(&cluster, &uid).await?,
        written,
        "after the pod was replaced"
    );

    back_to_memory(&cluster).await?;
    let gone = cluster.kubectl(uid.split_whitespace()).await?.failure()?;
    assert!(gone.contains("not found"), "{gone}");
    let owners =
        format!("get pvc {claim} -n {NAMESPACE} -o jsonpath={{.metadata.ownerReferences}}");
    assert_eq!(
        kubectl(&cluster, &owners).await?,
        "",
        "nobody takes the claim along"
    );
    keep_in(&cluster, storage, 1).await?;
    assert_eq!(
        kubectl(&cluster, &uid).await?,
        written,
        "after the API was kept elsewhere"
    );

    back_to_memory(&cluster).await?;
    kubectl(&cluster, &format!("delete pvc {claim} -n {NAMESPACE}")).await?;
    kubectl(&cluster, &format!("delete pv {claim}")).await?;
    Ok(())
}
