//! Where the installed API keeps its records, changed and put back.

use std::time::Duration;

use anyhow::Result;
use e2e::testing::Cluster;
use serde_json::{Value, json};

use super::installation::{API, NAMESPACE, kubectl, wait_available};

const ROLLED_OUT: &str = "--timeout=180s";

/// Changes the storage, given as a merge patch, and the number of replicas.
pub(crate) async fn keep_in(cluster: &Cluster, storage: Value, replicas: u32) -> Result<()> {
    let spec = json!({ "spec": { "server": { "bundled": { "storage": storage } }, "replicas": replicas } });
    let patch = spec.to_string();
    let args = [
        "patch",
        "extensionapi",
        API,
        "--type=merge",
        "--patch",
        &patch,
    ];
    let generation =
        format!("get deployment {API} -n {NAMESPACE} -o jsonpath={{.metadata.generation}}");
    let before = kubectl(cluster, &generation).await?;
    cluster.kubectl(args).await?.success()?;
    // The rollout that is looked at next has to be that of the change.
    cluster
        .wait_for(
            "the Deployment to change",
            Duration::from_mins(1),
            async || {
                let now = kubectl(cluster, &generation).await.ok()?;
                (now != before).then_some(())
            },
        )
        .await?;
    rolled_out(cluster).await?;
    wait_available(cluster).await
}

/// As it was installed.
pub(crate) async fn back_to_memory(cluster: &Cluster) -> Result<()> {
    keep_in(
        cluster,
        json!({ "memory": {}, "sqlite": null, "postgres": null }),
        1,
    )
    .await
}

/// Replaces every pod, and waits until the old ones are gone too.
pub(crate) async fn restart(cluster: &Cluster) -> Result<()> {
    kubectl(
        cluster,
        &format!("rollout restart deployment {API} -n {NAMESPACE}"),
    )
    .await?;
    rolled_out(cluster).await
}

pub(crate) async fn rolled_out(cluster: &Cluster) -> Result<()> {
    let status = format!("rollout status deployment {API} -n {NAMESPACE} {ROLLED_OUT}");
    kubectl(cluster, &status).await?;
    cluster
        .wait_for("the old pods to end", Duration::from_secs(90), async || {
            let selector = format!("app.kubernetes.io/instance={API}");
            let args = ["get", "pods", "-n", NAMESPACE, "-l", &selector, "-o"];
            let path = "jsonpath={range .items[*]}{.metadata.deletionTimestamp}{end}";
            let said = cluster.kubectl(args.into_iter().chain([path])).await.ok()?;
            said.success().ok()?.is_empty().then_some(())
        })
        .await
}
