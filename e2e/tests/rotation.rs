//! The cluster's authorities are replaced while requests come: those that sign the aggregator's
//! certificate, and those that sign users' certificates.
//!
//! kube-apiserver and the server both have to follow: one reads files, the other the ConfigMap that is
//! made of them. These tests need a cluster of their own, since they change those files:
//! `cargo run -p e2e -- run --tier control-plane -- cargo test -p e2e --test rotation -- --ignored`, after
//! `cargo build --workspace --bins`.

#[path = "support/authorities.rs"]
mod authorities;
#[path = "support/certificates.rs"]
mod certificates;
#[expect(dead_code, reason = "other tests need what this one does not")]
#[path = "support/server.rs"]
mod local_server;
#[path = "support/observer.rs"]
mod observer;
#[path = "support/program.rs"]
mod program;
#[path = "support/traffic.rs"]
mod traffic;

use anyhow::{Context, Result, ensure};
use e2e::{pki, testing::Cluster};
use http::StatusCode;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    authorities::{
        Bundle, FOLLOWED_WITHIN, REQUESTS, are_signed_by, issuers, replace_proxy_client,
    },
    certificates::{MASTER, front_proxy_client, user_with_certificate},
    local_server::{GROUP, LocalServer, admin, get},
    observer::Observer,
};

const LABEL: &str = "rotation";

fn path(namespace: &str) -> String {
    format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/datarecords")
}

/// Waits until a user gets this answer straight from the server, over a new connection.
async fn wait_status(
    server: &LocalServer,
    user: &Value,
    headers: &[(&str, &str)],
    expected: StatusCode,
) -> Result<()> {
    let what = format!("the server to answer {expected}");
    let answers = async || {
        let client = server.direct(user.clone()).await.ok()?;
        let answer = get(&client, &path("default"), headers).await.ok()?;
        (answer.status() == expected).then_some(())
    };
    server
        .cluster
        .wait_for(&what, FOLLOWED_WITHIN, answers)
        .await
}

/// Waits until a number of requests for a namespace in a row came with an authority's certificate.
async fn wait_signed_by(server: &LocalServer, namespace: &str, common_name: &str) -> Result<()> {
    let what = format!("requests signed by {common_name}");
    let before = issuers(&server.program.log()?, namespace).len();
    let signed = async || {
        let all = issuers(&server.program.log().ok()?, namespace);
        are_signed_by(&all, before, common_name).then_some(())
    };
    server
        .cluster
        .wait_for(&what, FOLLOWED_WITHIN, signed)
        .await
}

/// I2, M5: the aggregator gets another authority and another certificate, the old one ceases to count, and
/// no request through it fails.
#[tokio::test]
#[ignore = "needs cluster: control plane, of its own"]
async fn the_aggregators_authority_is_replaced_under_load() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let environment = [
        ("LOG_FORMAT", "json".to_owned()),
        ("RUST_LOG", "info,apiserver::transport=debug".to_owned()),
    ];
    let kubeconfig = cluster.kubeconfig.clone();
    let server = LocalServer::start_with(&cluster, "front-proxy", &kubeconfig, &environment)?;
    server.wait_ready().await?;
    server.register().await?;
    let namespace = cluster.namespace(LABEL).await?;
    let name = namespace.name.clone();
    let through = traffic::client(&cluster.kubeconfig).await?;
    let stop = CancellationToken::new();
    let observer = Observer::begin(through.clone(), &name).await?;
    let observer = tokio::spawn(observer.run(stop.clone()));
    let running = traffic::run(through.clone(), name.clone(), LABEL, stop.clone());
    let running = tokio::spawn(running);

    let bundle = Bundle::new(
        &cluster,
        "front-proxy-ca.crt",
        "requestheader-client-ca-file",
    )
    .await?;
    let (old_authority, old) = (bundle.read()?, front_proxy_client(&cluster)?);
    let authority = pki::authority("new-front-proxy-ca")?;
    let identity = pki::client(&authority, None, "front-proxy-client")?;
    let new = user_with_certificate(&identity);
    wait_signed_by(&server, &name, "e2e-front-proxy-ca").await?;
    wait_status(&server, &new, &MASTER, StatusCode::UNAUTHORIZED).await?;

    bundle.add(&authority).await?;
    wait_status(&server, &new, &MASTER, StatusCode::OK).await?;
    replace_proxy_client(&cluster, &identity)?;
    wait_signed_by(&server, &name, "new-front-proxy-ca").await?;

    bundle.drop_authority(&old_authority, &old).await?;
    wait_status(&server, &old, &MASTER, StatusCode::UNAUTHORIZED).await?;
    wait_signed_by(&server, &name, "new-front-proxy-ca").await?;
    wait_status(&server, &new, &MASTER, StatusCode::OK).await?;

    stop.cancel();
    let done = running.await?;
    let seen = observer.await?.context("the watch failed")?;
    print!("{done}");
    ensure!(
        done.failures.is_empty(),
        "{} requests failed",
        done.failures.len()
    );
    ensure!(done.requests() > 3 * REQUESTS, "too few requests");
    seen.is_all_of(LABEL, &done)?;
    let there = traffic::listed(through, &name, LABEL).await?;
    ensure!(there == done.kept, "writes were lost: {there:?}");
    ensure!(server.stop().await? == Some(0), "the exit code");
    Ok(())
}

/// Sends requests straight to the server as whoever the channel names, until it is closed. Gives how many
/// there were; the first that fails is an error.
async fn ask_as(server: &LocalServer, mut users: watch::Receiver<Value>) -> Result<usize> {
    let mut asked = 0;
    loop {
        let user = users.borrow_and_update().clone();
        let client = server.direct(user).await?;
        while !users.has_changed().unwrap_or(true) {
            let status = get(&client, &path("default"), &[]).await?.status();
            ensure!(status == StatusCode::OK, "request {asked}: {status}");
            asked += 1;
        }
        if users.changed().await.is_err() {
            return Ok(asked);
        }
    }
}

/// I2, X5: an authority of users is replaced by another while one of them works, who changes over in
/// between; the old certificate ceases to count, on open connections too.
#[tokio::test]
#[ignore = "needs cluster: control plane, of its own"]
async fn an_authority_of_users_is_replaced_under_load() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let server = LocalServer::start(&cluster, "client-ca", &cluster.kubeconfig)?;
    server.wait_ready().await?;
    let bundle = Bundle::new(&cluster, "client-ca.crt", "client-ca-file").await?;
    let made = ["old-users-ca", "new-users-ca"].map(|name| {
        let authority = pki::authority(name)?;
        let identity = pki::client(&authority, Some("system:masters"), "rotating")?;
        anyhow::Ok((authority, user_with_certificate(&identity)))
    });
    let [old, new] = made;
    let ((old_authority, old), (new_authority, new)) = (old?, new?);
    wait_status(&server, &old, &[], StatusCode::UNAUTHORIZED).await?;
    bundle.add(&old_authority).await?;
    wait_status(&server, &old, &[], StatusCode::OK).await?;
    let idle = server.direct(old.clone()).await?;
    ensure!(get(&idle, &path("default"), &[]).await?.status() == StatusCode::OK);

    let (user, users) = watch::channel(old.clone());
    let others = watch::channel(admin(&cluster).await?);
    let rotate = async {
        bundle.add(&new_authority).await?;
        wait_status(&server, &new, &[], StatusCode::OK).await?;
        user.send(new.clone())?;
        bundle.drop_authority(&old_authority.pem(), &old).await?;
        wait_status(&server, &old, &[], StatusCode::UNAUTHORIZED).await?;
        wait_status(&server, &new, &[], StatusCode::OK).await?;
        drop((user, others.0));
        anyhow::Ok(())
    };
    let (rotated, asked, asked_by_admin) =
        tokio::join!(rotate, ask_as(&server, users), ask_as(&server, others.1));
    rotated?;
    let (asked, asked_by_admin) = (asked?, asked_by_admin?);
    println!("{asked} requests of who changed over, {asked_by_admin} of who did not");
    ensure!(
        asked > REQUESTS && asked_by_admin > REQUESTS,
        "too few requests"
    );
    let status = get(&idle, &path("default"), &[]).await?.status();
    ensure!(
        status == StatusCode::UNAUTHORIZED,
        "an open connection: {status}"
    );
    ensure!(server.stop().await? == Some(0), "the exit code");
    Ok(())
}
