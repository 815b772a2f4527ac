//! `scale`, by everybody who uses it: kubectl, the autoscaler, server-side apply.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    example::Example,
    fleet::{FLEET, create, shared, value},
};

/// kube-controller-manager looks for new resources every 30 seconds, and at an autoscaler every 15.
const AUTOSCALED_WITHIN: Duration = Duration::from_secs(100);

/// C4: with both preconditions that kubectl knows.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_scales_if_what_it_expects_is_there() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    let spec = json!({ "region": "pacific", "replicas": 2 });
    create(cluster, &namespace, ("tuna", spec)).await?;
    let scale = async |flags: [&str; 2]| {
        let args = ["scale", "fleet", "tuna", "-n", &namespace.name];
        cluster.kubectl(args.into_iter().chain(flags)).await
    };
    let replicas = async || value(cluster, &namespace, ("tuna", ".spec.replicas")).await;

    let scaled = scale(["--replicas=4", "--current-replicas=2"]).await?;
    assert!(
        scaled.stderr.contains("4 are wanted of 0 ships"),
        "the kind warns here too: {scaled:?}"
    );
    assert!(
        scaled
            .success()?
            .contains("fleet.fleet.example.com/tuna scaled")
    );
    assert_eq!(replicas().await?, "4");
    let generation = value(cluster, &namespace, ("tuna", ".metadata.generation")).await?;
    assert_eq!(generation, "2");

    let refused = scale(["--replicas=5", "--current-replicas=9"])
        .await?
        .failure()?;
    assert!(
        refused.contains("Expected replicas to be 9, was 4"),
        "{refused}"
    );
    let refused = scale(["--replicas=5", "--resource-version=1"])
        .await?
        .failure()?;
    assert!(
        refused.contains("Expected resource version to be 1"),
        "{refused}"
    );
    assert_eq!(replicas().await?, "4");

    let version = value(cluster, &namespace, ("tuna", ".metadata.resourceVersion")).await?;
    let precondition = format!("--resource-version={version}");
    scale(["--replicas=5", &precondition]).await?.success()?;
    // Without a condition kubectl sends a patch instead of an update.
    scale(["--replicas=6", "--output=name"]).await?.success()?;
    assert_eq!(replicas().await?, "6");
    Ok(())
}

/// C4: what `kubectl get` and `kubectl patch` do with `--subresource`.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_reads_and_patches_scale_and_status() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    let spec = json!({ "region": "pacific", "replicas": 2 });
    create(cluster, &namespace, ("tuna", spec)).await?;
    let get = async |subresource: &str, output: &str| {
        let args = [
            "get",
            "fleet",
            "tuna",
            subresource,
            output,
            "-n",
            &namespace.name,
        ];
        cluster.kubectl(args).await?.success()
    };
    let patch = async |subresource: &str, patch: &str| {
        let args = [
            "patch",
            "fleet",
            "tuna",
            "--type=merge",
            "-n",
            &namespace.name,
            subresource,
            "-p",
            patch,
        ];
        cluster.kubectl(args).await?.success()
    };
    let status = r#"{"status":{"replicas":1},"spec":{"region":"indian"}}"#;
    patch("--subresource=status", status).await?;
    patch("--subresource=scale", r#"{"spec":{"replicas":3}}"#).await?;

    let table = get("--subresource=scale", "-o=wide").await?;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["NAME", "DESIRED", "AVAILABLE", "AGE"], "{table}");
    assert_eq!(rows[1][..3], ["tuna", "3", "1"], "{table}");
    let scale: Value = serde_json::from_str(&get("--subresource=scale", "-o=json").await?)?;
    assert_eq!(scale["apiVersion"], "autoscaling/v1");
    assert_eq!(
        scale["status"],
        json!({ "replicas": 1, "selector": "fleet=tuna" })
    );

    let object = get("--subresource=status", "-o=json").await?;
    let object: Value = serde_json::from_str(&object)?;
    assert_eq!(object["kind"], "Fleet");
    assert_eq!(
        (&object["spec"]["region"], &object["spec"]["replicas"]),
        (&json!("pacific"), &json!(3)),
        "a patch of the status leaves the spec alone"
    );
    Ok(())
}

/// C4: kube-controller-manager finds the scale, and brings it up to the autoscaler's minimum. What
/// it lacks are metrics.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn the_autoscaler_scales_a_fleet() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    let spec = json!({ "region": "pacific", "replicas": 1 });
    create(cluster, &namespace, ("tuna", spec)).await?;
    let args = [
        "autoscale",
        "fleets.fleet.example.com/tuna",
        "--min=3",
        "--max=4",
        "--cpu=50%",
        "-n",
        &namespace.name,
    ];
    cluster.kubectl(args).await?.success()?;
    let scaled = cluster.wait_for("the fleet to be scaled", AUTOSCALED_WITHIN, async || {
        let replicas = value(cluster, &namespace, ("tuna", ".spec.replicas")).await;
        (replicas.ok()? == "3").then_some(())
    });
    scaled.await?;

    let args = ["get", "hpa", "tuna", "-o", "json", "-n", &namespace.name];
    let judged = cluster.wait_for(
        "the autoscaler's conditions",
        AUTOSCALED_WITHIN,
        async || {
            let hpa = cluster.kubectl(args).await.ok()?.success().ok()?;
            let hpa: Value = serde_json::from_str(&hpa).ok()?;
            let conditions = hpa["status"]["conditions"].as_array()?.clone();
            let brief = |kind: &str| {
                let mut all = conditions.iter();
                let condition = all.find(|condition| condition["type"] == kind)?;
                let text = |field: &str| condition[field].as_str().unwrap_or_default();
                Some(format!("{} {}", text("status"), text("reason")))
            };
            Some((brief("AbleToScale")?, brief("ScalingActive")?))
        },
    );
    let (able, active) = judged.await?;
    assert!(able.starts_with("True "), "{able}");
    assert_eq!(active, "False FailedGetResourceMetric");
    let owner = r#".metadata.managedFields[?(@.subresource=="scale")].manager"#;
    assert_eq!(
        value(cluster, &namespace, ("tuna", owner)).await?,
        "kube-controller-manager"
    );
    Ok(())
}

/// C4: who applies a scale owns the replicas, there and in the object.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn server_side_apply_of_a_scale_conflicts_with_other_owners() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    let spec = json!({ "region": "pacific" });
    create(cluster, &namespace, ("tuna", spec)).await?;
    let resource = FLEET.resource("v1");
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client().await?, &namespace.name, &resource);
    let scale = |replicas: i32| {
        Patch::Apply(json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": { "name": "tuna" }, "spec": { "replicas": replicas },
        }))
    };
    let captain = PatchParams::apply("captain");
    // Whoever has created the fleet owns the default.
    let kube::Error::Api(refused) = api
        .patch_scale("tuna", &captain, &scale(2))
        .await
        .unwrap_err()
    else {
        anyhow::bail!("no answer");
    };
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    let captain = captain.force();
    let applied = api.patch_scale("tuna", &captain, &scale(2)).await?;
    assert_eq!(applied.spec.context("a spec")?.replicas, Some(2));

    let admiral = PatchParams::apply("admiral");
    let kube::Error::Api(refused) = api
        .patch_scale("tuna", &admiral, &scale(3))
        .await
        .unwrap_err()
    else {
        anyhow::bail!("no answer");
    };
    let conflict = r#"conflict with "captain" with subresource "scale": .spec.replicas"#;
    assert!(refused.message.contains(conflict), "{refused:?}");
    api.patch_scale("tuna", &admiral, &scale(2)).await?;

    let object = json!({
        "apiVersion": "fleet.example.com/v1", "kind": "Fleet",
        "metadata": { "name": "tuna" }, "spec": { "region": "pacific", "replicas": 7 },
    });
    let args = ["apply", "--server-side", "-f", "-", "-n", &namespace.name];
    let refused = cluster
        .kubectl_with_input(args, &object.to_string())
        .await?;
    let refused = refused.failure()?;
    assert!(refused.contains(".spec.replicas"), "{refused}");
    Ok(())
}
