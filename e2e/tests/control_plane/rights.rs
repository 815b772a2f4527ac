//! What the account of a server may do, and that the operator gives it no more.

use anyhow::{Context, Result};
use e2e::testing::Cluster;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};

use super::{
    extension_api::{Fixture, LATER, SOON},
    operator::{NAMESPACE, OPERANDS, exclusive, shared},
};

/// What the chart calls the role in a release of the chart's name.
const ROLE: &str = "extension-api-operator-admission";

/// kubectl's answer to whether an account may do something.
async fn may(cluster: &Cluster, (namespace, account): (&str, &str), deed: &str) -> Result<bool> {
    let user = format!("--as=system:serviceaccount:{namespace}:{account}");
    let args = ["auth", "can-i"]
        .into_iter()
        .chain(deed.split(' '))
        .chain([user.as_str()]);
    let answer = cluster.kubectl(args).await?.stdout;
    Ok(answer.trim() == "yes")
}

/// V13: the server looks namespaces up. The operator grants that without having it.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_servers_account_may_read_namespaces_and_the_operator_may_not() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let fixture = Fixture::create(&cluster, "rights").await?;
    fixture.wait_children().await?;
    let server = (OPERANDS, fixture.name.as_str());
    for deed in [
        "get namespaces",
        "list namespaces",
        "watch namespaces",
        "watch resourcequotas -n default",
        "update resourcequotas --subresource=status -n default",
    ] {
        let permitted = cluster.wait_for(deed, SOON, async || {
            may(&cluster, server, deed).await.ok()?.then_some(())
        });
        permitted.await?;
    }
    for deed in [
        "create namespaces",
        "update resourcequotas -n default",
        "update namespaces",
        "delete namespaces",
        "list secrets -n operands",
        "list configmaps -n default",
    ] {
        assert!(!may(&cluster, server, deed).await?, "{deed}");
    }
    let operator = (NAMESPACE, "extension-api-operator");
    assert!(!may(&cluster, operator, "list namespaces").await?);
    Ok(())
}

/// B3: a binding keeps the role that it was made with, so one to another role is made anew. A
/// release of another name leaves such bindings behind.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_binding_to_another_role_is_put_right() -> Result<()> {
    let (cluster, mut guard) = exclusive().await?;
    let fixture = Fixture::create(&cluster, "misbound").await?;
    fixture.wait_children().await?;
    // Nobody is to be faster.
    let operator = guard.take().context("it runs")?;
    operator.stop(&cluster).await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(fixture.client.clone());
    let name = format!("extensionapi:{}:admission", fixture.name);
    let mut other = bindings.get(&name).await?;
    assert_eq!(other.role_ref.name, ROLE);
    bindings.delete(&name, &DeleteParams::default()).await?;
    other.role_ref.name = "another-release-admission".to_owned();
    let old = std::mem::take(&mut other.metadata);
    other.metadata.name = old.name;
    other.metadata.labels = old.labels;
    other.metadata.owner_references = old.owner_references;
    bindings.create(&PostParams::default(), &other).await?;
    drop(guard);

    let (_, _guard) = shared().await?;
    let right = cluster.wait_for("the binding to be of the right role", LATER, async || {
        let binding = bindings.get_opt(&name).await.ok()??;
        (binding.role_ref.name == ROLE).then_some(())
    });
    right.await
}
