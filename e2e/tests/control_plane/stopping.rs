//! The end of the operator, and what the next one does.

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt, api::DeleteParams};

use super::{
    extension_api::{Fixture, LATER, SOON},
    operator::{NAMESPACE, exclusive},
};

/// Also B6: a new operator keeps the certificates that it finds.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn sigterm_ends_the_operator_and_the_next_one_keeps_what_is_there() -> Result<()> {
    let (cluster, mut guard) = exclusive().await?;
    let fixture = Fixture::create(&cluster, "stopping").await?;
    fixture.wait_children().await?;
    fixture.wait_condition(("TLSReady", "True"), SOON).await?;
    let secrets = || {
        fixture
            .children()
            .into_iter()
            .filter(|child| child.resource.kind == "Secret")
    };
    let mut before = Vec::new();
    for secret in secrets() {
        before.push(secret.get(&fixture.client).await?.resource_version());
    }

    let operator = guard.take().context("it runs")?;
    assert_eq!(operator.stop(&cluster).await?, Some(0), "the exit code");
    let leases: Api<Lease> = Api::namespaced(fixture.client.clone(), NAMESPACE);
    let holder = leases
        .get("extension-api-operator")
        .await?
        .spec
        .context("a spec")?
        .holder_identity;
    assert_eq!(
        holder.unwrap_or_default(),
        "",
        "the Lease was not given back"
    );
    drop(guard);

    let (_, _guard) = super::operator::shared().await?;
    // Something that only the new one can have done.
    let service = fixture
        .children()
        .pop()
        .context("the Service is the last")?;
    let old = service.get(&fixture.client).await?.uid();
    service
        .api(&fixture.client)
        .delete(&service.name, &DeleteParams::default())
        .await?;
    service
        .wait(&fixture, "to come back", LATER, |object| {
            object.uid() != old
        })
        .await?;
    let mut after = Vec::new();
    for secret in secrets() {
        after.push(secret.get(&fixture.client).await?.resource_version());
    }
    assert_eq!(after, before, "certificates were replaced");
    Ok(())
}
