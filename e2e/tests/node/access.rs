//! Who gets in, and who does not.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result};
use e2e::testing::Cluster;
use kube::{Client, Config, client::Body};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::installation::{NAMESPACE, kubectl, shared};

const LIST: &str = "/apis/data.kubedojo.io/v1alpha1/namespaces/default/datarecords";

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn a_user_needs_rbac_and_is_named_in_the_servers_log() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let user = "jane-of-the-access-test";
    let refused = cluster
        .kubectl(["get", "dr", "-n", "default", "--as", user])
        .await?
        .failure()?;
    let wording = format!(
        "datarecords.data.kubedojo.io is forbidden: User \"{user}\" cannot list resource \
         \"datarecords\" in API group \"data.kubedojo.io\" in the namespace \"default\""
    );
    assert!(refused.contains(&wording), "{refused}");

    kubectl(
        &cluster,
        "create clusterrole datarecords-reader --verb=get,list,watch --resource=datarecords.data.kubedojo.io",
    )
    .await?;
    kubectl(
        &cluster,
        &format!(
            "create rolebinding jane -n default --clusterrole=datarecords-reader --user={user}"
        ),
    )
    .await?;
    let names = cluster
        .wait_for(
            "the permission to count",
            Duration::from_secs(30),
            async || {
                cluster
                    .kubectl(["get", "dr", "-n", "default", "-o", "name", "--as", user])
                    .await
                    .ok()?
                    .success()
                    .ok()
            },
        )
        .await?;
    assert_eq!(names.lines().count(), 2);

    let log = kubectl(
        &cluster,
        &format!("logs -n {NAMESPACE} deploy/datarecords --tail=-1"),
    )
    .await?;
    let line = log
        .lines()
        .find(|line| line.contains(user) && line.contains("200"))
        .with_context(|| format!("no line for {user}"))?;
    for part in ["list", "datarecords", "default", "system:authenticated"] {
        assert!(line.contains(part), "{part} not in {line}");
    }
    Ok(())
}

/// M1: whoever reaches the pod directly cannot make up who they are.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn forged_headers_straight_to_the_pod_are_refused() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let PortForward { port, .. } = &port_forward(&cluster).await?;
    let mut config = Config::new(format!("https://127.0.0.1:{port}").parse()?);
    config.accept_invalid_certs = true;
    config.default_retry = false;
    let client = Client::try_from(config)?;
    let request = http::Request::get(LIST)
        .header("X-Remote-User", "system:admin")
        .header("X-Remote-Group", "system:masters")
        .body(Body::empty())?;
    let code = client.send(request).await?.status().as_u16();
    assert!(matches!(code, 401 | 403), "answered {code}");
    let request = http::Request::get("/readyz").body(Body::empty())?;
    assert_eq!(
        client.send(request).await?.status(),
        200,
        "the pod was not reached at all"
    );
    Ok(())
}

/// A running `kubectl port-forward`, which ends when nobody reads its output.
struct PortForward {
    port: u16,
    _process: Child,
    _output: Lines<BufReader<ChildStdout>>,
}

/// A port on loopback that leads to the server's pod as long as the process lives.
async fn port_forward(cluster: &Cluster) -> Result<PortForward> {
    let mut process = Command::new(&cluster.kubectl)
        .args([
            "port-forward",
            "-n",
            NAMESPACE,
            "deploy/datarecords",
            ":8443",
        ])
        .env("KUBECONFIG", &cluster.kubeconfig)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = process.stdout.take().context("piped")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await??;
    let line = line.context("kubectl port-forward ended")?;
    let port = line
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let port = port
        .with_context(|| format!("no port in {line:?}"))?
        .parse()?;
    Ok(PortForward {
        port,
        _process: process,
        _output: lines,
    })
}
