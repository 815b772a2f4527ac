//! Whom the server believes: it follows kube-system/extension-apiserver-authentication.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{pki, testing::Cluster};
use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    account::account_kubeconfig,
    certificates::{MASTER, front_proxy_client, user_with_certificate},
    local_server::{LocalServer, get},
    records,
    server::shared,
};

/// A watch that was refused is tried again every few seconds; a permission counts after a while.
const TRUSTED_WITHIN: Duration = Duration::from_mins(1);
/// H2, H4: without the binding in kube-system there is nobody to believe, and no traffic is wanted.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_server_is_ready_once_it_may_read_whom_to_trust() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let namespace = cluster.namespace("trust").await?;
    let name = namespace.name.as_str();
    let account = format!("--serviceaccount={name}:default");
    let delegator = [
        "create",
        "clusterrolebinding",
        name,
        "--clusterrole=system:auth-delegator",
        &account,
    ];
    cluster.kubectl(delegator).await?.success()?;
    let kubeconfig = account_kubeconfig(&cluster, name, "default").await?;
    let server = LocalServer::start(&cluster, name, &kubeconfig)?;

    // That it was refused is in the log before it can be known in any other way.
    let refused = cluster.wait_for("the ConfigMap to be refused", TRUSTED_WITHIN, async || {
        server
            .log()
            .ok()?
            .contains("cannot watch ConfigMap")
            .then_some(())
    });
    refused.await?;
    // That may be before it listens.
    let answers = cluster.wait_for("the server to answer", TRUSTED_WITHIN, async || {
        server.anonymous_status("/readyz").await.ok()
    });
    assert_eq!(answers.await?, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(server.anonymous_status("/livez").await?, StatusCode::OK);
    let proxy = server.direct(front_proxy_client(&cluster)?).await?;
    let path = records::path("default");
    let status = get(&proxy, &path, &MASTER).await?.status();
    assert!(
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
        "{status}"
    );

    let role = "--role=extension-apiserver-authentication-reader";
    let reader = [
        "create",
        "rolebinding",
        name,
        role,
        &account,
        "-n",
        "kube-system",
    ];
    cluster.kubectl(reader).await?.success()?;
    let ready = cluster.wait_for("the server to be ready", TRUSTED_WITHIN, async || {
        let status = server.anonymous_status("/readyz").await.ok()?;
        (status == StatusCode::OK).then_some(())
    });
    ready.await?;
    let proxy = server.direct(front_proxy_client(&cluster)?).await?;
    assert_eq!(get(&proxy, &path, &MASTER).await?.status(), StatusCode::OK);
    assert_eq!(server.stop().await?, Some(0));
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_new_front_proxy_authority_counts_without_a_restart() -> Result<()> {
    let server = shared().await?;
    let cluster = &server.cluster;
    let authority = pki::authority("another-front-proxy-ca")?;
    let identity = pki::client(&authority, None, "front-proxy-client")?;
    let path = records::path("default");
    let client = server.direct(user_with_certificate(&identity)).await?;
    assert_eq!(
        get(&client, &path, &MASTER).await?.status(),
        StatusCode::UNAUTHORIZED
    );

    // kube-apiserver keeps authorities that others have added.
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await?, "kube-system");
    let name = "extension-apiserver-authentication";
    let key = "requestheader-client-ca-file";
    let bundle = maps
        .get(name)
        .await?
        .data
        .unwrap_or_default()
        .remove(key)
        .context("no bundle")?;
    let both = format!("{}\n{}", bundle.trim_end(), authority.pem());
    let change = json!({ "data": { key: both } });
    maps.patch(name, &PatchParams::default(), &Patch::Merge(change))
        .await?;

    let believed = cluster.wait_for("the new authority to count", TRUSTED_WITHIN, async || {
        let client = server.direct(user_with_certificate(&identity)).await.ok()?;
        let status = get(&client, &path, &MASTER).await.ok()?.status();
        (status == StatusCode::OK).then_some(())
    });
    believed.await?;
    let old = server.direct(front_proxy_client(cluster)?).await?;
    assert_eq!(get(&old, &path, &MASTER).await?.status(), StatusCode::OK);
    Ok(())
}
