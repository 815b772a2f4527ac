//! Bad input is refused by the API server itself, with a sentence that says what to do.

use anyhow::Result;

use super::installation::shared;

/// An ExtensionAPI that is good but for what a test changes.
struct Manifest<'a> {
    group: &'a str,
    versions: &'a str,
    server: &'a str,
    replicas: u32,
}

const GOOD: Manifest<'_> = Manifest {
    group: "widgets.example.com",
    versions: "[{name: v1}]",
    server: "{image: {image: 'cluster.test/widgets:1'}}",
    replicas: 1,
};

/// The API server's answer to a dry run.
async fn refusal(manifest: Manifest<'_>) -> Result<String> {
    let Manifest {
        group,
        versions,
        server,
        replicas,
    } = manifest;
    let text = format!(
        "{{apiVersion: extensions.kubedojo.io/v1alpha1, kind: ExtensionAPI, metadata: {{name: bad}}, \
         spec: {{group: {group}, versions: {versions}, namespace: kubedojo-system, \
         server: {server}, replicas: {replicas}}}}}"
    );
    let (cluster, _guard) = shared().await?;
    let args = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
    cluster.kubectl_with_input(args, &text).await?.failure()
}

#[track_caller]
fn assert_says(refusal: &str, parts: &[&str]) {
    for part in parts {
        assert!(refusal.contains(part), "{part:?} not in: {refusal}");
    }
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_good_manifest_is_accepted() -> Result<()> {
    let error = refusal(GOOD).await.unwrap_err().to_string();
    assert_says(&error, &["should have failed", "created (server dry run)"]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_group_without_a_dot_is_refused() -> Result<()> {
    let refusal = refusal(Manifest {
        group: "widgets",
        ..GOOD
    })
    .await?;
    assert_says(&refusal, &["spec.group", "dot"]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn the_group_apps_is_refused() -> Result<()> {
    assert_says(
        &refusal(Manifest {
            group: "apps",
            ..GOOD
        })
        .await?,
        &["spec.group"],
    );
    Ok(())
}

/// F5: built-in groups cannot be hijacked.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn groups_of_kubernetes_are_refused() -> Result<()> {
    for group in ["metrics.k8s.io", "k8s.io", "x.kubernetes.io"] {
        assert_says(
            &refusal(Manifest { group, ..GOOD }).await?,
            &["spec.group", "reserved"],
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn no_version_is_refused() -> Result<()> {
    assert_says(
        &refusal(Manifest {
            versions: "[]",
            ..GOOD
        })
        .await?,
        &["spec.versions"],
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_duplicate_version_is_refused() -> Result<()> {
    let refusal = refusal(Manifest {
        versions: "[{name: v1}, {name: v1}]",
        ..GOOD
    })
    .await?;
    assert_says(&refusal, &["spec.versions", "v1"]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn two_kinds_of_server_are_refused() -> Result<()> {
    let server = "{image: {image: 'cluster.test/widgets:1'}, bundled: {storage: {memory: {}}}}";
    let refusal = refusal(Manifest { server, ..GOOD }).await?;
    assert_says(&refusal, &["spec.server", "exactly one"]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn memory_storage_with_two_replicas_is_refused() -> Result<()> {
    let bad = Manifest {
        group: "data.kubedojo.io",
        versions: "[{name: v1alpha1}]",
        server: "{bundled: {storage: {memory: {}}}}",
        replicas: 2,
    };
    assert_says(&refusal(bad).await?, &["spec.replicas", "memory"]);
    Ok(())
}
