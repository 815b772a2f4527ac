//! Who gets in: the server asks the cluster who somebody is and what they may do.

use std::time::Duration;

use anyhow::Result;
use e2e::testing::{Cluster, TestNamespace};
use http::StatusCode;
use serde_json::json;

use super::{certificates::front_proxy_client, local_server::get, records, server::shared};

/// Longer than the server keeps a refusal.
const PERMITTED_WITHIN: Duration = Duration::from_secs(30);

/// Lets somebody read the records of a namespace; `subject` is kubectl's flag for them.
async fn allow(cluster: &Cluster, namespace: &TestNamespace, subject: &str) -> Result<()> {
    let namespace = namespace.name.as_str();
    let resource = "--resource=datarecords.data.kubedojo.io";
    let role = [
        "create",
        "role",
        "reader",
        "--verb=get,list,watch",
        resource,
        "-n",
        namespace,
    ];
    cluster.kubectl(role).await?.success()?;
    let binding = [
        "create",
        "rolebinding",
        "reader",
        "--role=reader",
        subject,
        "-n",
        namespace,
    ];
    cluster.kubectl(binding).await?.success()?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_user_needs_rbac_to_get_through_the_aggregator() -> Result<()> {
    let server = shared().await?;
    let cluster = &server.cluster;
    let namespace = cluster.namespace("access").await?;
    let args = ["get", "dr", "-n", &namespace.name, "--as", "jane"];
    let refused = cluster.kubectl(args).await?.failure()?;
    assert!(
        refused.contains("User \"jane\" cannot list resource \"datarecords\""),
        "{refused}"
    );
    allow(cluster, &namespace, "--user=jane").await?;
    let permitted = cluster.wait_for("the permission to count", PERMITTED_WITHIN, async || {
        cluster.kubectl(args).await.ok()?.success().ok()
    });
    permitted.await?;
    Ok(())
}

/// kube-apiserver has its own say before it passes a request on, so this goes around it: with the
/// aggregator's certificate and another user's name.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn the_server_itself_asks_what_a_user_may_do() -> Result<()> {
    let server = shared().await?;
    let namespace = server.cluster.namespace("access").await?;
    let client = server.direct(front_proxy_client(&server.cluster)?).await?;
    let path = records::path(&namespace.name);
    let john = [("X-Remote-User", "john")];

    let refused = get(&client, &path, &john).await?;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let body = refused.into_body().collect_bytes().await?;
    let body = String::from_utf8_lossy(&body);
    assert!(
        body.contains("cannot list resource") && body.contains("john"),
        "{body}"
    );

    allow(&server.cluster, &namespace, "--user=john").await?;
    let permitted =
        server
            .cluster
            .wait_for("the permission to count", PERMITTED_WITHIN, async || {
                let status = get(&client, &path, &john).await.ok()?.status();
                (status == StatusCode::OK).then_some(())
            });
    permitted.await?;
    let missing = records::path("default");
    assert_eq!(
        get(&client, &missing, &john).await?.status(),
        StatusCode::FORBIDDEN
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_service_account_token_is_reviewed() -> Result<()> {
    let server = shared().await?;
    let cluster = &server.cluster;
    let namespace = cluster.namespace("access").await?;
    let path = records::path(&namespace.name);

    let garbage = server.direct(json!({ "token": "garbage" })).await?;
    assert_eq!(
        get(&garbage, &path, &[]).await?.status(),
        StatusCode::UNAUTHORIZED
    );

    let args = ["create", "token", "default", "-n", &namespace.name];
    let token = cluster.kubectl(args).await?.success()?;
    let client = server.direct(json!({ "token": token.trim() })).await?;
    assert_eq!(
        get(&client, &path, &[]).await?.status(),
        StatusCode::FORBIDDEN
    );
    let account = format!("--serviceaccount={}:default", namespace.name);
    allow(cluster, &namespace, &account).await?;
    let permitted = cluster.wait_for("the permission to count", PERMITTED_WITHIN, async || {
        let status = get(&client, &path, &[]).await.ok()?.status();
        (status == StatusCode::OK).then_some(())
    });
    permitted.await
}
