//! Watches through the aggregator.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt, TryStreamExt};
use kube::{
    Api, ResourceExt,
    api::{
        DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
};
use serde_json::json;

use super::{
    certificates::front_proxy_client,
    records::{record, records},
    server::shared,
};

const PATIENCE: Duration = Duration::from_secs(30);
/// The server looks at its files every five seconds.
const RENEWED_WITHIN: Duration = Duration::from_secs(30);

/// A watch from now on.
async fn watch(
    api: &Api<DynamicObject>,
) -> Result<impl Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + Unpin + use<>> {
    let list = api.list(&ListParams::default()).await?;
    let version = list
        .metadata
        .resource_version
        .context("a list has a version")?;
    Ok(api.watch(&WatchParams::default(), &version).await?.boxed())
}

/// The next event as verb, name and version; bookmarks are passed over.
async fn next(
    events: &mut (impl Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + Unpin),
) -> Result<(String, u64)> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await;
        let event = event.context("no event")??.context("the watch ended")?;
        let (verb, object) = match event {
            WatchEvent::Added(object) => ("added", object),
            WatchEvent::Modified(object) => ("modified", object),
            WatchEvent::Deleted(object) => ("deleted", object),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(error) => bail!("the watch failed: {error:?}"),
        };
        let version = object
            .resource_version()
            .context("it has a version")?
            .parse()?;
        return Ok((format!("{verb} {}", object.name_any()), version));
    }
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_watch_through_the_aggregator_sees_every_change_once_and_in_order() -> Result<()> {
    let server = shared().await?;
    let namespace = server.cluster.namespace("watching").await?;
    let api = records(server.cluster.client().await?, &namespace.name);
    let mut events = watch(&api).await?;
    let mut expected = Vec::new();
    for index in 0..40 {
        let name = format!("r{index}");
        api.create(&PostParams::default(), &record(&name)).await?;
        expected.push(format!("added {name}"));
        if index % 2 == 0 {
            let patch = json!({ "spec": { "query": "changed" } });
            api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                .await?;
            expected.push(format!("modified {name}"));
        }
        if index % 3 == 0 {
            api.delete(&name, &DeleteParams::default()).await?;
            expected.push(format!("deleted {name}"));
        }
    }
    let mut last = 0;
    for expected in expected {
        let (event, version) = next(&mut events).await?;
        assert_eq!(event, expected);
        assert!(version > last, "{event} has version {version} after {last}");
        last = version;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_new_certificate_reaches_new_connections_and_ends_no_watch() -> Result<()> {
    let server = shared().await?;
    let namespace = server.cluster.namespace("watching").await?;
    let api = records(server.cluster.client().await?, &namespace.name);
    let mut aggregated = watch(&api).await?;
    // The aggregator's user without a name is nobody, so this one names itself by its certificate.
    let admin = records(server.direct_as_admin().await?, &namespace.name);
    let mut direct = watch(&admin).await?;
    api.create(&PostParams::default(), &record("before"))
        .await?;

    let old = server.leaf().await?;
    server.renew_certificate()?;
    let renewed = server
        .cluster
        .wait_for("the new certificate", RENEWED_WITHIN, async || {
            server.leaf().await.ok().filter(|leaf| *leaf != old)
        });
    renewed.await?;

    api.create(&PostParams::default(), &record("after")).await?;
    for name in ["added before", "added after"] {
        assert_eq!(next(&mut aggregated).await?.0, name);
        assert_eq!(next(&mut direct).await?.0, name);
    }
    Ok(())
}

/// A front proxy that names no user is not a user itself.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn the_aggregators_certificate_alone_is_nobody() -> Result<()> {
    let server = shared().await?;
    let client = server.direct(front_proxy_client(&server.cluster)?).await?;
    let error = records(client, "default")
        .list(&ListParams::default())
        .await
        .unwrap_err();
    let kube::Error::Api(status) = error else {
        bail!("{error}")
    };
    assert!(matches!(status.code, 401 | 403), "{status:?}");
    Ok(())
}
