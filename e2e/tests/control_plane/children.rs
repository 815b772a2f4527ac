//! What the operator writes for an `ExtensionAPI`, and that it stays so. No pod runs on this tier, so
//! nothing is ever registered here.

use anyhow::{Context, Result};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::{
    extension_api::{Child, Fixture, LATER, SOON},
    operator::{Operator, exclusive, shared},
};

/// B1, first half.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn all_children_are_made_and_nothing_is_registered_while_nobody_answers() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let fixture = Fixture::create(&cluster, "made").await?;
    fixture.wait_children().await?;
    for child in fixture.children() {
        let object = child.get(&fixture.client).await?;
        let label = |key: &str| object.labels().get(key).map(String::as_str);
        let described = child.describe();
        assert_eq!(
            label("app.kubernetes.io/managed-by"),
            Some("extension-api-operator"),
            "{described}"
        );
        assert_eq!(
            label("app.kubernetes.io/instance"),
            Some(fixture.name.as_str()),
            "{described}"
        );
        assert_eq!(
            label("extensions.kubedojo.io/owner-uid"),
            Some(fixture.uid.as_str()),
            "{described}"
        );
        let [owner] = object.owner_references() else {
            anyhow::bail!("{described}: not one owner")
        };
        assert_eq!(
            (owner.kind.as_str(), &owner.uid),
            ("ExtensionAPI", &fixture.uid),
            "{described}"
        );
        assert_eq!(owner.controller, Some(true), "{described}");
    }
    fixture.wait_condition(("TLSReady", "True"), SOON).await?;
    let registered = fixture
        .wait_condition(("Registered", "False"), SOON)
        .await?;
    assert!(registered.message.contains("endpoint"), "{registered:?}");
    fixture.wait_condition(("Ready", "False"), SOON).await?;
    let registry: Api<APIService> = Api::all(fixture.client.clone());
    let name = format!("v1.{}", fixture.group);
    assert!(
        registry.get_opt(&name).await?.is_none(),
        "{name} is registered"
    );
    Ok(())
}

/// B1, second half. Counted by the operator, because an apply that changes nothing leaves no trace.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_second_reconcile_writes_nothing() -> Result<()> {
    let (cluster, guard) = exclusive().await?;
    let operator = guard.as_ref().context("it runs")?;
    let fixture = Fixture::create(&cluster, "again").await?;
    fixture.wait_children().await?;
    alone(&fixture).await?;
    settled(&fixture, operator).await?;

    let writes = operator.metric("writes_total").await?;
    let before = versions(&fixture).await?;
    let force = [
        "annotate",
        "extensionapi",
        &fixture.name,
        "test.kubedojo.io/force=now",
    ];
    cluster.kubectl(force).await?.success()?;
    let annotated = fixture.read().await?;
    reconciled(&fixture, operator).await?;
    assert_eq!(versions(&fixture).await?, before);
    assert_eq!(
        fixture.read().await?.resource_version(),
        annotated.resource_version()
    );
    assert!(writes > 0, "writes are not counted");
    let log = operator.log()?;
    let last: Vec<&str> = log.lines().rev().take(5).collect();
    assert_eq!(
        operator.metric("writes_total").await?,
        writes,
        "its log ends with {last:#?}"
    );
    Ok(())
}

/// Waits until what other tests have left is gone, so that all the operator does is for this one.
async fn alone(fixture: &Fixture) -> Result<()> {
    let all: Api<crds::ExtensionAPI> = Api::all(fixture.client.clone());
    let alone = fixture
        .cluster
        .wait_for("the others to be gone", LATER, async || {
            (all.list(&ListParams::default()).await.ok()?.items.len() == 1).then_some(())
        });
    alone.await
}

/// Waits until a whole reconcile has begun and ended after this call.
async fn reconciled(fixture: &Fixture, operator: &Operator) -> Result<()> {
    let before = operator.metric("reconcile_total").await?;
    let again = fixture
        .cluster
        .wait_for("two more reconciles", SOON, async || {
            (operator.metric("reconcile_total").await.ok()? >= before + 2).then_some(())
        });
    again.await
}

/// Waits until the controllers of Kubernetes have done their part, and the operator has seen it.
async fn settled(fixture: &Fixture, operator: &Operator) -> Result<()> {
    let settled = fixture
        .cluster
        .wait_for("nothing to change any more", LATER, async || {
            let before = (
                versions(fixture).await.ok()?,
                fixture.read().await.ok()?.resource_version(),
            );
            reconciled(fixture, operator).await.ok()?;
            let after = (
                versions(fixture).await.ok()?,
                fixture.read().await.ok()?.resource_version(),
            );
            (before == after).then_some(())
        });
    settled.await
}

async fn versions(fixture: &Fixture) -> Result<Vec<Option<String>>> {
    let mut versions = Vec::new();
    for child in fixture.children() {
        versions.push(child.get(&fixture.client).await?.resource_version());
    }
    Ok(versions)
}

/// B2.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn every_child_that_is_deleted_comes_back() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let fixture = Fixture::create(&cluster, "deleted").await?;
    fixture.wait_children().await?;
    for child in fixture.children() {
        let old = child.get(&fixture.client).await?.uid();
        child
            .api(&fixture.client)
            .delete(&child.name, &DeleteParams::background())
            .await?;
        child
            .wait(&fixture, "to come back", SOON, |object| object.uid() != old)
            .await?;
    }
    fixture.wait_condition(("TLSReady", "True"), SOON).await?;
    assert_trusted(&fixture).await
}

/// B3: by name of the kind, what somebody does to a child. One that loses both its labels and its
/// owner is somebody else's from then on, so only one of them goes at a time.
fn mutations() -> Vec<(&'static str, Value)> {
    vec![
        ("ServiceAccount", json!({ "metadata": { "labels": null } })),
        (
            "ServiceAccount",
            json!({ "metadata": { "ownerReferences": null } }),
        ),
        ("ClusterRoleBinding", json!({ "subjects": null })),
        (
            "ClusterRoleBinding",
            json!({ "subjects": [
            { "kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io" },
        ] }),
        ),
        ("RoleBinding", json!({ "subjects": null })),
        ("RoleBinding", json!({ "metadata": { "labels": null } })),
        (
            "Service",
            json!({ "spec": { "selector": { "narrowed": "yes" } } }),
        ),
        (
            "Service",
            json!({ "spec": { "ports": [{ "name": "other", "port": 444 }] } }),
        ),
        ("Deployment", json!({ "spec": { "replicas": 5 } })),
        (
            "Deployment",
            json!({ "spec": { "template": { "spec": { "containers": [{ "name": "added", "image": "cluster.test/added:1" }] } } } }),
        ),
        (
            "Deployment",
            json!({ "spec": { "template": { "spec": { "serviceAccountName": "default" } } } }),
        ),
        (
            "Deployment",
            json!({ "metadata": { "ownerReferences": null } }),
        ),
    ]
}

/// B3.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn what_somebody_changes_about_a_child_is_put_right() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let fixture = Fixture::create(&cluster, "changed").await?;
    fixture.wait_children().await?;
    fixture.wait_condition(("TLSReady", "True"), SOON).await?;
    for (kind, mutation) in mutations() {
        let child = child(&fixture, kind, |_| true)?;
        let before = essence(&child.get(&fixture.client).await?);
        let changed = patch(&fixture, &child, &mutation).await?;
        assert_ne!(
            essence(&changed),
            before,
            "{kind}: {mutation} changes nothing"
        );
        let what = format!("to be as before {mutation}");
        child
            .wait(&fixture, &what, SOON, |object| essence(object) == before)
            .await?;
    }
    Ok(())
}

/// B3, B6: a Secret whose content is lost gets a new one that is trusted.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_secret_that_lost_its_content_gets_another() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let fixture = Fixture::create(&cluster, "emptied").await?;
    fixture.wait_children().await?;
    let mutations = [
        (
            "-serving-cert",
            json!({ "data": { "tls.crt": "", "tls.key": "", "ca.crt": null } }),
        ),
        ("-serving-cert", json!({ "data": { "ca.crt": null } })),
        ("-ca", json!({ "data": { "tls.key": "" } })),
    ];
    for (suffix, mutation) in mutations {
        let child = child(&fixture, "Secret", |name| name.ends_with(suffix))?;
        patch(&fixture, &child, &mutation).await?;
        let keys = if suffix == "-ca" {
            &["tls.crt", "tls.key"][..]
        } else {
            &["tls.crt", "tls.key", "ca.crt"]
        };
        let what = format!("to be whole after {mutation}");
        let whole = |object: &DynamicObject| {
            keys.iter().all(|key| {
                object.data["data"][key]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            })
        };
        child.wait(&fixture, &what, SOON, whole).await?;
        assert_trusted(&fixture).await?;
    }
    Ok(())
}

/// Waits until the leaf fits its key and was issued by an authority of the bundle beside it.
async fn assert_trusted(fixture: &Fixture) -> Result<()> {
    let serving = child(fixture, "Secret", |name| name.ends_with("-serving-cert"))?;
    let server_name = format!("{}.{}.svc", fixture.name, super::operator::OPERANDS);
    let trusted = |object: &DynamicObject| verify(&object.data["data"], &server_name).is_ok();
    let object = serving
        .wait(fixture, "to be trusted", SOON, trusted)
        .await?;
    verify(&object.data["data"], &server_name)
}

fn verify(data: &Value, server_name: &str) -> Result<()> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let read = |key: &str| -> Result<Vec<u8>> {
        Ok(BASE64_STANDARD.decode(data[key].as_str().with_context(|| format!("no {key}"))?)?)
    };
    let (certificate, key, bundle) = (read("tls.crt")?, read("tls.key")?, read("ca.crt")?);
    let leaf = CertificateDer::from_pem_slice(&certificate)?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_slice(&key)?;
    rustls::sign::CertifiedKey::from_der(vec![leaf.clone()], key, &provider)?;
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&bundle) {
        roots.add(root?)?;
    }
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()?;
    let name = rustls_pki_types::ServerName::try_from(server_name)?;
    rustls::client::danger::ServerCertVerifier::verify_server_cert(
        verifier.as_ref(),
        &leaf,
        &[],
        &name,
        &[],
        rustls_pki_types::UnixTime::since_unix_epoch(
            jiff::Timestamp::now().as_duration().unsigned_abs(),
        ),
    )?;
    Ok(())
}

fn child(fixture: &Fixture, kind: &str, is_it: impl Fn(&str) -> bool) -> Result<Child> {
    fixture
        .children()
        .into_iter()
        .find(|child| child.resource.kind == kind && is_it(&child.name))
        .with_context(|| format!("no child of kind {kind}"))
}

async fn patch(fixture: &Fixture, child: &Child, patch: &Value) -> Result<DynamicObject> {
    let params = PatchParams {
        field_manager: Some("somebody".to_owned()),
        ..PatchParams::default()
    };
    Ok(child
        .api(&fixture.client)
        .patch(&child.name, &params, &Patch::Strategic(patch))
        .await?)
}

/// An object without what changes by itself.
fn essence(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    value.as_object_mut().unwrap().remove("status");
    let metadata = value["metadata"].as_object_mut().unwrap();
    for key in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(key);
    }
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove("deployment.kubernetes.io/revision");
    }
    value
}
