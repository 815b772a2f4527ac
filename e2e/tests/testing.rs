//! The support for tests on a cluster, and an example of such a test. Run it under
//! `e2e run --tier control-plane -- cargo test -p e2e --test testing -- --ignored`.

use std::time::Duration;

use anyhow::Result;
use e2e::testing::Cluster;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
#[ignore = "needs cluster: talks to its API server"]
async fn what_kubectl_applies_the_client_reads() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let namespace = cluster.namespace("testing").await?;
    let manifest = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: {}}}, data: {{k: v}}}}",
        namespace.name
    );
    cluster.apply(&manifest).await?;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await?, &namespace.name);
    let data = maps.get("a").await?.data.unwrap_or_default();
    assert_eq!(data.get("k").map(String::as_str), Some("v"));
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: talks to its API server"]
async fn a_namespace_goes_away_with_its_test() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let first = cluster.namespace("testing").await?;
    let second = cluster.namespace("testing").await?;
    assert_ne!(first.name, second.name);

    let name = first.name.clone();
    drop(first);
    let namespaces: Api<Namespace> = Api::all(cluster.client().await?);
    cluster
        .wait_for(
            "the namespace to be deleted",
            SOON,
            async || match namespaces.get_opt(&name).await.ok()? {
                Some(namespace) => namespace.metadata.deletion_timestamp.map(drop),
                None => Some(()),
            },
        )
        .await
}

#[tokio::test]
#[ignore = "needs cluster: talks to its API server"]
async fn a_refused_command_says_why_and_where_the_logs_are() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let refused = cluster.kubectl(["get", "configmap", "no-such-map"]).await?;
    assert_eq!(refused.code, Some(1));
    let message = refused.success().unwrap_err().to_string();
    assert!(message.contains("NotFound"), "{message}");
    assert!(
        message.contains(&cluster.logs().display().to_string()),
        "{message}"
    );
    assert!(cluster.logs().join("kube-apiserver.log").exists());
    Ok(())
}
