//! What the operator leaves alone: what others hold, and namespaces that it may not use.

use anyhow::{Context, Result};
use e2e::testing::Cluster;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::Service, kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{Api, ResourceExt, api::DeleteParams};
use serde_json::json;

use super::{
    extension_api::{Fixture, LATER, SOON, Wanted, unique},
    operator::{OPERANDS, absent, shared},
};

/// Waits for a conflict with that reason, and that nothing was written for it.
async fn assert_refused(fixture: &Fixture, reason: &str, mentioned: &str) -> Result<()> {
    let conflict = fixture.wait_reason(("Conflict", reason), LATER).await?;
    assert_eq!(conflict.status, "True", "{conflict:?}");
    assert!(conflict.message.contains(mentioned), "{conflict:?}");
    let ready = fixture.wait_reason(("Ready", reason), SOON).await?;
    assert_eq!(ready.status, "False", "{ready:?}");
    assert_eq!(
        fixture.owned().await?,
        Vec::<String>::new(),
        "written in spite of {reason}"
    );
    Ok(())
}

async fn assert_recovers(fixture: &Fixture) -> Result<()> {
    fixture.wait_condition(("Conflict", "False"), LATER).await?;
    fixture.wait_children().await
}

/// B4.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn of_two_claims_the_older_wins_until_it_is_deleted() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let winner = Fixture::create(&cluster, "older").await?;
    winner.wait_children().await?;
    // Age counts in whole seconds.
    let created = winner
        .read()
        .await?
        .metadata
        .creation_timestamp
        .context("it has an age")?
        .0;
    let later = cluster.wait_for("the next second", SOON, async || {
        (Timestamp::now().as_second() > created.as_second()).then_some(())
    });
    later.await?;
    let name = unique("younger");
    let wanted = Wanted {
        name: &name,
        group: &winner.group,
        namespace: OPERANDS,
    };
    let loser = Fixture::create_as(&cluster, wanted).await?;
    assert_refused(&loser, "ClaimedByOther", &winner.name).await?;
    winner.wait_condition(("Conflict", "False"), SOON).await?;

    let delete = ["delete", "extensionapi", &winner.name, "--timeout=60s"];
    cluster.kubectl(delete).await?.success()?;
    assert_recovers(&loser).await
}

fn definition(group: &str) -> String {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("things.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "plural": "things", "kind": "Thing" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                           "schema": { "openAPIV3Schema": { "type": "object" } } }],
        },
    })
    .to_string()
}

/// Deletes it and waits until its registration is gone as well: kube-apiserver needs a while.
async fn delete_definition(cluster: &Cluster, group: &str) -> Result<()> {
    let name = format!("things.{group}");
    let delete = ["delete", "crd", &name, "--timeout=60s"];
    cluster.kubectl(delete).await?.success()?;
    let registration = format!("apiservice/v1.{group}");
    let gone = ["wait", "--for=delete", &registration, "--timeout=60s"];
    cluster.kubectl(gone).await?.success()?;
    Ok(())
}

/// F6.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_definition_of_the_same_version_is_a_conflict_until_it_goes() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let name = unique("defined");
    let group = format!("{name}.example.com");
    cluster.apply(&definition(&group)).await?;
    let wanted = Wanted {
        name: &name,
        group: &group,
        namespace: OPERANDS,
    };
    let fixture = Fixture::create_as(&cluster, wanted).await?;
    assert_refused(&fixture, "CRDExists", &format!("things.{group}")).await?;

    delete_definition(&cluster, &group).await?;
    assert_recovers(&fixture).await
}

/// F6: a definition that comes later is seen as well.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_definition_that_comes_later_is_a_conflict() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let fixture = Fixture::create(&cluster, "predefined").await?;
    fixture.wait_children().await?;
    cluster.apply(&definition(&fixture.group)).await?;
    let conflict = fixture.wait_reason(("Conflict", "CRDExists"), SOON).await?;
    assert_eq!(conflict.status, "True");
    let registry: Api<APIService> = Api::all(fixture.client.clone());
    let automatic = cluster.wait_for("the definition's APIService", SOON, async || {
        registry
            .get_opt(&format!("v1.{}", fixture.group))
            .await
            .ok()?
    });
    let automatic = automatic.await?;
    assert!(
        automatic
            .labels()
            .contains_key("kube-aggregator.kubernetes.io/automanaged")
    );
    assert!(automatic.owner_references().is_empty());

    delete_definition(&cluster, &fixture.group).await?;
    fixture.wait_condition(("Conflict", "False"), LATER).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_foreign_apiservice_is_a_conflict_and_is_not_touched() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let name = unique("foreign");
    let group = format!("{name}.example.com");
    let foreign = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": { "name": format!("v1.{group}") },
        "spec": { "group": group, "version": "v1", "groupPriorityMinimum": 1000,
                  "versionPriority": 15, "insecureSkipTLSVerify": true,
                  "service": { "namespace": OPERANDS, "name": "somebody-elses" } },
    });
    cluster.apply(&foreign.to_string()).await?;
    let registry: Api<APIService> = Api::all(cluster.client().await?);
    let service = format!("v1.{group}");
    let before = registry.get(&service).await?;
    let wanted = Wanted {
        name: &name,
        group: &group,
        namespace: OPERANDS,
    };
    let fixture = Fixture::create_as(&cluster, wanted).await?;
    let refused = assert_refused(&fixture, "APIServiceExists", &service).await;
    let after = registry.get(&service).await?;
    // It reaches nobody, so namespaces cannot go while it is there.
    registry.delete(&service, &DeleteParams::default()).await?;
    refused?;
    assert_eq!((after.uid(), &after.spec), (before.uid(), &before.spec));
    assert_eq!(
        (after.labels(), after.owner_references()),
        (before.labels(), before.owner_references())
    );
    assert_recovers(&fixture).await
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_foreign_object_with_the_name_of_a_child_is_a_conflict_and_is_not_touched() -> Result<()>
{
    let (cluster, _guard) = shared().await?;
    let name = unique("taken");
    let args = [
        "create",
        "service",
        "clusterip",
        &name,
        "--tcp=80",
        "-n",
        OPERANDS,
    ];
    cluster.kubectl(args).await?.success()?;
    let services: Api<Service> = Api::namespaced(cluster.client().await?, OPERANDS);
    let before = services.get(&name).await?;
    let group = format!("{name}.example.com");
    let wanted = Wanted {
        name: &name,
        group: &group,
        namespace: OPERANDS,
    };
    let fixture = Fixture::create_as(&cluster, wanted).await?;
    assert_refused(&fixture, "NameTaken", &format!("Service {name}")).await?;
    assert_eq!(services.get(&name).await?, before);
    services.delete(&name, &DeleteParams::default()).await?;
    assert_recovers(&fixture).await
}

/// Makes an API in a namespace; gives the reason why it is not ready.
async fn refused_in(cluster: &Cluster, prefix: &str, namespace: &str) -> Result<(String, String)> {
    let name = unique(prefix);
    let group = format!("{name}.example.com");
    let wanted = Wanted {
        name: &name,
        group: &group,
        namespace,
    };
    let fixture = Fixture::create_as(cluster, wanted).await?;
    let ready = fixture.wait_condition(("Ready", "False"), SOON).await?;
    let conflict = fixture.wait_condition(("Conflict", "False"), SOON).await?;
    assert_eq!(conflict.reason, "NoConflict");
    Ok((ready.reason, ready.message))
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_namespace_that_is_not_there_is_named() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let (reason, message) = refused_in(&cluster, "nowhere", &absent()).await?;
    assert_eq!(reason, "NamespaceNotFound");
    assert!(
        message.contains(&format!("namespace {} does not exist", absent())),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_namespace_without_rights_is_named_with_the_remedy() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let (reason, message) = refused_in(&cluster, "unmanaged", "default").await?;
    assert_eq!(reason, "NamespaceNotManaged");
    assert!(message.contains("operands.namespaces"), "{message}");
    Ok(())
}
