//! Taking the API apart: what comes back, and in which order things go.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::testing::Cluster;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::core::v1::Pod, kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;

use super::installation::{
    API, API_SERVICE, NAMESPACE, apply_api, exclusive, kubectl, wait_available,
};

const PATIENCE: Duration = Duration::from_mins(1);
/// kubelet looks after the Secrets that pods mount every 60 to 90 seconds. A pod that started just
/// before the authority was replaced serves what nobody trusts until then.
const SWAPPED_WITHIN: Duration = Duration::from_mins(2);

/// B2: whatever is deleted comes back as another object, and the API with it.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn deleting_any_child_brings_it_back() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    let owner = owner_uid(&cluster).await?;
    let children = children(&cluster, &owner).await?;
    assert!(children.len() >= 9, "too few children: {children:?}");
    for (place, child) in &children {
        let uid = async || {
            let path = "jsonpath={.metadata.uid}";
            cluster
                .kubectl(["get", child, "-n", place, "-o", path])
                .await
                .ok()?
                .success()
                .ok()
        };
        let before = uid().await.with_context(|| format!("{child} has no UID"))?;
        cluster
            .kubectl(["delete", child, "-n", place, "--wait=false"])
            .await?
            .success()?;
        let what = format!("{child} to come back");
        let is_new = async || uid().await.filter(|now| *now != before);
        cluster.wait_for(&what, PATIENCE, is_new).await?;
    }
    cluster
        .wait_for(
            "the API to be available again",
            SWAPPED_WITHIN,
            async || kubectl(&cluster, "get dr -A").await.ok(),
        )
        .await?;
    wait_available(&cluster).await
}

/// B3, mistake 10: whatever somebody does to the registration is put right, also what weakens it.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_changed_apiservice_is_put_right() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    let spec = async || {
        let args = ["get", "apiservice", API_SERVICE, "-o", "jsonpath={.spec}"];
        cluster.kubectl(args).await.ok()?.success().ok()
    };
    let before = spec().await.context("it has a spec")?;
    for patch in [
        r#"{"spec":{"caBundle":null,"insecureSkipTLSVerify":true}}"#,
        r#"{"spec":{"groupPriorityMinimum":5,"versionPriority":3}}"#,
        r#"{"spec":{"service":{"name":"elsewhere"}}}"#,
    ] {
        let args = [
            "patch",
            "apiservice",
            API_SERVICE,
            "--type=merge",
            "-p",
            patch,
        ];
        cluster.kubectl(args).await?.success()?;
        let what = format!("the registration to be as before {patch}");
        let restored = async || spec().await.filter(|now| *now == before);
        cluster.wait_for(&what, PATIENCE, restored).await?;
    }
    wait_available(&cluster).await
}

/// B10, invariant 2: the APIService goes first, nothing stays, and nobody else is held up.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn deleting_the_extensionapi_takes_the_apiservice_first_and_leaves_nothing() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    let unrelated = cluster.namespace("unrelated").await?;
    let owner = owner_uid(&cluster).await?;
    let client = cluster.client().await?;
    let instance = format!("app.kubernetes.io/instance={API}");
    let services = Api::<APIService>::all(client.clone());
    let pods = Api::<Pod>::namespaced(client, NAMESPACE);
    let name = format!("metadata.name={API_SERVICE}");
    let of_service = deletions(&services, &name, "").await?;
    let of_pods = deletions(&pods, "", &instance).await?;

    let delete_api = cluster.kubectl(["delete", "extensionapi", API, "--timeout=60s"]);
    let delete_namespace =
        cluster.kubectl(["delete", "namespace", &unrelated.name, "--timeout=60s"]);
    let (api, namespace) = tokio::join!(delete_api, delete_namespace);
    api?.success()?;
    namespace?.success()?;

    let (service_gone, pods_gone) = tokio::join!(of_service, of_pods);
    let (service_gone, pods_gone) = (service_gone?, pods_gone?);
    assert!(
        service_gone < pods_gone,
        "the APIService went at revision {service_gone}, the last pod at {pods_gone}"
    );
    let left = children(&cluster, &owner).await?;
    assert!(left.is_empty(), "left behind: {left:?}");
    println!("available {:.1?} after apply", apply_api(&cluster).await?);
    Ok(())
}

async fn owner_uid(cluster: &Cluster) -> Result<String> {
    kubectl(
        cluster,
        "get extensionapi datarecords -o jsonpath={.metadata.uid}",
    )
    .await
}

/// Namespace (or none) and `kind/name` of everything that carries the owner's UID, but for what
/// Kubernetes itself makes of it.
async fn children(cluster: &Cluster, owner: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let kinds = [
        ("", "apiservices,clusterrolebindings"),
        ("kube-system", "rolebindings"),
        (NAMESPACE, "deployments,services,serviceaccounts,secrets"),
    ];
    for (namespace, kinds) in kinds {
        let label = format!("extensions.kubedojo.io/owner-uid={owner}");
        let args = ["get", kinds, "-n", namespace, "-l", &label, "-o", "name"];
        let names = cluster.kubectl(args).await?.success()?;
        found.extend(
            names
                .lines()
                .map(|name| (namespace.to_owned(), name.to_owned())),
        );
    }
    Ok(found)
}

/// Waits for the deletion of every object that is selected now; gives the revision of the last.
///
/// The watch has begun when this returns; the future that it gives ends with the last deletion.
async fn deletions<K>(
    api: &Api<K>,
    fields: &str,
    labels: &str,
) -> Result<impl Future<Output = Result<u64>>>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let list = api
        .list(&ListParams::default().fields(fields).labels(labels))
        .await?;
    let version = list
        .metadata
        .resource_version
        .context("a list has a version")?;
    let mut left = list.items.len();
    anyhow::ensure!(left > 0, "nothing is selected by {fields:?} and {labels:?}");
    let parameters = WatchParams::default().fields(fields).labels(labels);
    let mut events = api.watch(&parameters, &version).await?.boxed();
    Ok(async move {
        while let Some(event) = tokio::time::timeout(PATIENCE, events.try_next()).await?? {
            if let WatchEvent::Deleted(object) = event {
                left -= 1;
                if left == 0 {
                    let version = object.resource_version().context("it has a version")?;
                    return Ok(version.parse()?);
                }
            }
        }
        anyhow::bail!("the watch ended with {left} objects left")
    })
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_pod_that_dies_is_replaced_and_the_api_recovers() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    let client = cluster.client().await?;
    let pods = Api::<Pod>::namespaced(client, NAMESPACE);
    let instance = ListParams::default().labels(&format!("app.kubernetes.io/instance={API}"));
    pods.delete_collection(&DeleteParams::default().grace_period(0), &instance)
        .await?;
    cluster
        .wait_for("the seeds to be back", PATIENCE, async || {
            let names = kubectl(&cluster, "get dr -A -o name").await.ok()?;
            (names.lines().count() == 3).then_some(())
        })
        .await?;
    wait_available(&cluster).await
}

/// An image of the user's own takes the place of the bundled server: here the same program, as an
/// image with arguments.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_server_from_an_image_becomes_available() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    kubectl(&cluster, "delete extensionapi datarecords --timeout=60s").await?;
    cluster
        .apply(
            "{apiVersion: extensions.kubedojo.io/v1alpha1, kind: ExtensionAPI, \
             metadata: {name: own}, spec: {group: data.kubedojo.io, \
             versions: [{name: v1alpha1}], namespace: kubedojo-system, replicas: 1, \
             server: {image: {image: 'cluster.test/extension-apiserver:dev', \
             args: [--seed-examples], port: 8443}}}}",
        )
        .await?;
    kubectl(
        &cluster,
        "wait --for=condition=Available extensionapi/own --timeout=60s",
    )
    .await?;
    let names = kubectl(&cluster, "get dr -A -o name").await?;
    assert_eq!(names.lines().count(), 3, "{names}");
    kubectl(&cluster, "delete extensionapi own --timeout=60s").await?;
    apply_api(&cluster).await?;
    Ok(())
}
