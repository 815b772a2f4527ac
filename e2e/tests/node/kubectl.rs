//! Does kubectl feel native, right after an installation? All that it can do needs no node: that is
//! `control_plane/kubectl`.

use std::time::Duration;

use anyhow::Result;

use super::installation::{kubectl, record, shared};

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn kubectl_get_in_all_namespaces_returns_the_three_seed_records() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let shown = kubectl(&cluster, "get dr -A").await?;
    let header: Vec<&str> = shown
        .lines()
        .next()
        .unwrap_or_default()
        .split("  ")
        .collect();
    let header: Vec<&str> = header
        .iter()
        .map(|h| h.trim())
        .filter(|h| !h.is_empty())
        .collect();
    assert_eq!(
        header,
        ["NAMESPACE", "NAME", "SOURCE", "STATUS", "LAST SYNC", "AGE"]
    );
    for seed in [
        ["default", "feature-flags", "redis", "Current"],
        ["default", "user-config", "postgres", "Current"],
        ["monitoring", "metrics-config", "consul", "Stale"],
    ] {
        let found = shown
            .lines()
            .any(|line| line.split_whitespace().take(4).eq(seed));
        assert!(found, "{seed:?} not in\n{shown}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn kubectl_get_in_default_returns_two() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let names = kubectl(&cluster, "get dr -n default -o name").await?;
    assert_eq!(
        names.lines().collect::<Vec<_>>(),
        [
            "datarecord.data.kubedojo.io/feature-flags",
            "datarecord.data.kubedojo.io/user-config"
        ]
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn kubectl_get_yaml_returns_the_whole_object() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let yaml = kubectl(&cluster, "get dr user-config -n default -o yaml").await?;
    for part in [
        "apiVersion: data.kubedojo.io/v1alpha1",
        "kind: DataRecord",
        "  name: user-config",
        "  resourceVersion: ",
        "  uid: ",
        "  source: postgres",
        "  query: SELECT * FROM config WHERE env='production'",
        "    max_connections: \"100\"",
        "    timeout_ms: \"5000\"",
        "    log_level: info",
        "  syncStatus: Current",
        "  lastSyncTime: ",
    ] {
        assert!(yaml.contains(part), "{part:?} not in\n{yaml}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn kubectl_describe_jsonpath_and_completion_work() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let described = kubectl(&cluster, "describe dr user-config -n default").await?;
    assert!(
        described.contains("Source:             postgres"),
        "{described}"
    );
    let data = kubectl(
        &cluster,
        "get dr feature-flags -n default -o jsonpath={.spec.data}",
    )
    .await?;
    assert_eq!(
        data,
        r#"{"beta_api":"true","dark_mode":"true","new_dashboard":"false"}"#
    );
    let names = kubectl(&cluster, "__complete get dr -n default user").await?;
    assert_eq!(names.lines().next(), Some("user-config"));
    // kube-apiserver fetches OpenAPI a while after the registration, and then once a minute.
    cluster
        .wait_for("kubectl explain", Duration::from_secs(90), async || {
            let explained = kubectl(&cluster, "explain dr.spec.source").await.ok()?;
            explained
                .contains("System that the data comes from")
                .then_some(())
        })
        .await?;
    Ok(())
}

/// F1: records go with their namespace, and it goes.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_namespace_with_records_can_be_deleted() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let namespace = cluster.namespace("doomed").await?;
    cluster.apply(&record(&namespace.name, "a")).await?;
    kubectl(
        &cluster,
        &format!("delete namespace {} --timeout=60s", namespace.name),
    )
    .await?;
    let left = kubectl(&cluster, &format!("get dr -n {} -o name", namespace.name)).await?;
    assert_eq!(left, "");
    Ok(())
}
