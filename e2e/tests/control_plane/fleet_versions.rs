//! One resource in two versions, and selection by its fields.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

use super::{
    example::Example,
    fleet::{FLEET, create, shared},
};

const PATIENCE: Duration = Duration::from_secs(30);

async fn fleets(example: &Example, namespace: &str, version: &str) -> Result<Api<DynamicObject>> {
    let resource = FLEET.resource(version);
    let client = example.cluster.client().await?;
    Ok(Api::namespaced_with(client, namespace, &resource))
}

/// The next event as verb and object.
async fn next(
    events: &mut (impl TryStreamExt<Ok = WatchEvent<DynamicObject>, Error = kube::Error> + Unpin),
) -> Result<(&'static str, DynamicObject)> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await;
        return Ok(
            match event.context("no event")??.context("the watch ended")? {
                WatchEvent::Added(object) => ("added", object),
                WatchEvent::Modified(object) => ("modified", object),
                WatchEvent::Deleted(object) => ("deleted", object),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(error) => bail!("the watch failed: {error:?}"),
            },
        );
    }
}

/// An object that one version made is the same in the other but for what it calls itself; so are
/// lists and watches, at one resource version.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn both_versions_show_the_same_objects() -> Result<()> {
    let (example, namespace) = shared().await?;
    let cluster = &example.cluster;
    let older = fleets(example, &namespace.name, "v1beta1").await?;
    let version = older
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version;
    let version = version.context("a list has a version")?;
    let events = older.watch(&WatchParams::default(), &version).await?;
    let mut events = std::pin::pin!(events);
    create(
        cluster,
        &namespace,
        ("tuna", json!({ "region": "pacific" })),
    )
    .await?;

    let get = async |resource: &str| {
        let args = [
            "get",
            resource,
            "tuna",
            "-o=json",
            "--show-managed-fields",
            "-n",
            &namespace.name,
        ];
        let shown = cluster.kubectl(args).await?.success()?;
        anyhow::Ok(serde_json::from_str::<Value>(&shown)?)
    };
    let preferred = get("fleets").await?;
    assert_eq!(preferred["apiVersion"], "fleet.example.com/v1");
    let mut expected = preferred.clone();
    expected["apiVersion"] = json!("fleet.example.com/v1beta1");
    assert_eq!(get("fleets.v1beta1.fleet.example.com").await?, expected);

    let listed = older.list(&ListParams::default()).await?;
    let listed = listed.items.first().context("one fleet")?;
    assert_eq!(serde_json::to_value(listed)?, expected);
    let (verb, seen) = next(&mut events).await?;
    assert_eq!((verb, serde_json::to_value(seen)?), ("added", expected));

    let patch = Patch::Merge(json!({ "spec": { "region": "indian" } }));
    let changed = older.patch("tuna", &PatchParams::default(), &patch).await?;
    let preferred = get("fleets").await?;
    assert_eq!(preferred["spec"]["region"], "indian");
    assert_eq!(
        preferred["metadata"]["resourceVersion"].as_str(),
        changed.resource_version().as_deref()
    );
    Ok(())
}

/// L6: a field that the kind declares selects; another one is 400.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_lists_by_a_declared_field() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    for (name, region) in [
        ("tuna", "pacific"),
        ("cod", "atlantic"),
        ("sole", "pacific"),
    ] {
        create(cluster, &namespace, (name, json!({ "region": region }))).await?;
    }
    let list = async |selector: &str| {
        let selector = format!("--field-selector={selector}");
        let args = ["get", "fl", "-o", "name", &selector, "-n", &namespace.name];
        cluster.kubectl(args).await
    };
    let prefix = "fleet.fleet.example.com";
    let selected = list("spec.region=pacific").await?.success()?;
    assert_eq!(selected, format!("{prefix}/sole\n{prefix}/tuna\n"));
    let selected = list("spec.region!=pacific").await?.success()?;
    assert_eq!(selected, format!("{prefix}/cod\n"));
    let selected = list("spec.region=pacific,metadata.name=tuna")
        .await?
        .success()?;
    assert_eq!(selected, format!("{prefix}/tuna\n"));
    let refused = list("spec.replicas=1").await?.failure()?;
    assert!(
        refused.contains("field label not supported: spec.replicas"),
        "{refused}"
    );
    Ok(())
}

/// W3: an object that leaves the selector is deleted for the watcher, at the version of the change
/// and as it was; one that enters is added.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_watch_by_a_field_sees_objects_enter_and_leave() -> Result<()> {
    let (example, namespace) = shared().await?;
    create(
        &example.cluster,
        &namespace,
        ("tuna", json!({ "region": "pacific" })),
    )
    .await?;
    let (newer, older) = (
        fleets(example, &namespace.name, "v1").await?,
        fleets(example, &namespace.name, "v1beta1").await?,
    );
    let version = newer
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version;
    let version = version.context("a list has a version")?;
    let selected = WatchParams::default().fields("spec.region=pacific");
    let watched = [
        newer.watch(&selected, &version).await?,
        older.watch(&selected, &version).await?,
    ];
    let sail = async |region: &str| {
        let patch = Patch::Merge(json!({ "spec": { "region": region } }));
        newer.patch("tuna", &PatchParams::default(), &patch).await
    };
    let left = sail("indian").await?;
    sail("atlantic").await?;
    let entered = sail("pacific").await?;
    for events in watched {
        let mut events = std::pin::pin!(events);
        let (verb, object) = next(&mut events).await?;
        assert_eq!(
            (verb, object.resource_version()),
            ("deleted", left.resource_version())
        );
        assert_eq!(object.data["spec"]["region"], "pacific");
        let (verb, object) = next(&mut events).await?;
        assert_eq!(
            (verb, object.resource_version()),
            ("added", entered.resource_version())
        );
    }
    Ok(())
}
