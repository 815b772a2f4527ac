//! Does kubectl feel native?

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result};
use kube::Client;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

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

/// S1, through the aggregator.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_missing_record_is_404_with_a_status_body() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let client: Client = cluster.client().await?;
    let path = "/apis/data.kubedojo.io/v1alpha1/namespaces/default/datarecords/nothing";
    let answer = client
        .send(http::Request::get(path).body(kube::client::Body::empty())?)
        .await?;
    assert_eq!(answer.status(), 404);
    let body = answer.into_body().collect_bytes().await?;
    let status: Value = serde_json::from_slice(&body)?;
    assert_eq!(
        (&status["kind"], &status["reason"], &status["message"]),
        (
            &"Status".into(),
            &"NotFound".into(),
            &"datarecords.data.kubedojo.io \"nothing\" not found".into()
        )
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn kubectl_get_watch_shows_a_record_created_meanwhile() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let namespace = cluster.namespace("watch").await?;
    cluster.apply(&record(&namespace.name, "before")).await?;
    let mut watch = Command::new(&cluster.kubectl)
        .args(["get", "dr", "-w", "--no-headers", "-n", &namespace.name])
        .env("KUBECONFIG", &cluster.kubeconfig)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("piped")?).lines();
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await??;
        anyhow::Ok(line.context("the watch ended")?)
    };
    assert!(next().await?.starts_with("before "));
    cluster.apply(&record(&namespace.name, "meanwhile")).await?;
    assert!(next().await?.starts_with("meanwhile "));
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

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn kubectl_apply_edit_label_and_delete_work() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let namespace = cluster.namespace("writes").await?;
    let ns = &namespace.name;
    assert!(cluster.apply(&record(ns, "a")).await?.contains("created"));
    assert!(cluster.apply(&record(ns, "a")).await?.contains("unchanged"));
    kubectl(&cluster, &format!("label dr a -n {ns} tier=gold")).await?;
    let found = kubectl(&cluster, &format!("get dr -n {ns} -l tier=gold -o name")).await?;
    assert_eq!(found.trim(), "datarecord.data.kubedojo.io/a");
    let patch = r#"--patch={"spec":{"source":"other"}}"#;
    kubectl(
        &cluster,
        &format!("patch dr a -n {ns} --type=merge {patch}"),
    )
    .await?;
    let generation = kubectl(
        &cluster,
        &format!("get dr a -n {ns} -o jsonpath={{.metadata.generation}}"),
    )
    .await?;
    assert_eq!(generation, "2");
    kubectl(&cluster, &format!("delete dr a -n {ns}")).await?;
    assert_eq!(
        kubectl(&cluster, &format!("get dr -n {ns} -o name")).await?,
        ""
    );
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
