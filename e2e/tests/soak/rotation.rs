//! The cluster's authorities are replaced while the pods serve: those that sign the aggregator's
//! certificate, and those that sign users' certificates.

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{pki, testing::Cluster};
use http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    authorities::{
        Bundle, FOLLOWED_WITHIN, REQUESTS, are_signed_by, issuers, replace_proxy_client,
    },
    certificates::{MASTER, front_proxy_client, user_with_certificate},
    disturbances::port_forward,
    installation::{API, NAMESPACE, exclusive, kubectl},
    local_server::{client, get},
    observer::Observer,
    storage::rolled_out,
    traffic,
};

const LABEL: &str = "rotation";
const RECORDS: &str = "/apis/data.kubedojo.io/v1alpha1/datarecords";

/// The server's pod, reached without the aggregator.
struct Pod {
    cluster: Cluster,
    authority: String,
    port: u16,
}

impl Pod {
    /// Waits until a user gets this answer, over a new connection.
    async fn wait_status(
        &self,
        user: &Value,
        headers: &[(&str, &str)],
        expected: StatusCode,
    ) -> Result<()> {
        let what = format!("the pod to answer {expected}");
        let answers = async || {
            let client = client(json!({
                "clusters": [{ "name": "it", "cluster": {
                    "server": format!("https://127.0.0.1:{}", self.port),
                    "certificate-authority-data": self.authority,
                    "tls-server-name": format!("{API}.{NAMESPACE}.svc"),
                } }],
                "users": [{ "name": "it", "user": user }],
            }));
            let answer = get(&client.await.ok()?, RECORDS, headers).await.ok()?;
            (answer.status() == expected).then_some(())
        };
        self.cluster.wait_for(&what, FOLLOWED_WITHIN, answers).await
    }

    /// Waits until a number of requests for a namespace in a row came with an authority's certificate.
    async fn wait_signed_by(&self, namespace: &str, common_name: &str) -> Result<()> {
        let what = format!("requests signed by {common_name}");
        let before = issuers(&self.log().await?, namespace).len();
        let signed = async || {
            let all = issuers(&self.log().await.ok()?, namespace);
            are_signed_by(&all, before, common_name).then_some(())
        };
        self.cluster.wait_for(&what, FOLLOWED_WITHIN, signed).await
    }

    async fn log(&self) -> Result<String> {
        kubectl(
            &self.cluster,
            &format!("logs deployment/{API} -n {NAMESPACE} --tail=-1"),
        )
        .await
    }
}

/// Sets or unsets what the server logs, and waits until its pod is replaced.
async fn log(cluster: &Cluster, variables: &str) -> Result<()> {
    kubectl(
        cluster,
        &format!("set env deployment/{API} -n {NAMESPACE} {variables}"),
    )
    .await?;
    rolled_out(cluster).await
}

/// I2, M5, X5: the pods follow new authorities of the aggregator and of users, and refuse the old ones; no
/// request through the aggregator fails.
#[tokio::test]
#[ignore = "needs cluster: node tier"]
async fn the_clusters_authorities_are_replaced_under_load() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    log(
        &cluster,
        "LOG_FORMAT=json RUST_LOG=info,apiserver::transport=debug",
    )
    .await?;
    let secret =
        format!("get secret {API}-serving-cert -n {NAMESPACE} -o jsonpath={{.data.ca\\.crt}}");
    let (_forward, port) = port_forward(&cluster).await?;
    let pod = Pod {
        cluster: cluster.clone(),
        authority: kubectl(&cluster, &secret).await?,
        port,
    };
    ensure!(
        !BASE64_STANDARD.decode(&pod.authority)?.is_empty(),
        "there is no authority"
    );

    let namespace = cluster.namespace(LABEL).await?;
    let name = namespace.name.clone();
    let through = traffic::client(&cluster.kubeconfig).await?;
    let stop = CancellationToken::new();
    let observer = Observer::begin(through.clone(), &name).await?;
    let observer = tokio::spawn(observer.run(stop.clone()));
    let running = traffic::run(through.clone(), name.clone(), LABEL, stop.clone());
    let running = tokio::spawn(running);

    let rotated = async {
        replace_front_proxy(&pod, &name)
            .await
            .context("the aggregator's")?;
        replace_users(&pod).await.context("the users'")
    };
    let rotated = rotated.await;
    stop.cancel();
    let done = running.await?;
    let seen = observer.await?.context("the watch failed")?;
    print!("{done}");
    rotated?;
    let failures = done.failures.len();
    ensure!(failures == 0, "{failures} requests failed");
    ensure!(done.requests() > 3 * REQUESTS, "too few requests");
    seen.is_all_of(LABEL, &done)?;
    let there = traffic::listed(through, &name, LABEL).await?;
    ensure!(there == done.kept, "writes were lost: {there:?}");
    log(&cluster, "LOG_FORMAT- RUST_LOG-").await
}

async fn replace_front_proxy(pod: &Pod, namespace: &str) -> Result<()> {
    let (file, key) = ("front-proxy-ca.crt", "requestheader-client-ca-file");
    let bundle = Bundle::new(&pod.cluster, file, key).await?;
    let (old_authority, old) = (bundle.read()?, front_proxy_client(&pod.cluster)?);
    let authority = pki::authority("new-front-proxy-ca")?;
    let identity = pki::client(&authority, None, "front-proxy-client")?;
    let new = user_with_certificate(&identity);
    pod.wait_signed_by(namespace, "e2e-front-proxy-ca").await?;
    pod.wait_status(&new, &MASTER, StatusCode::UNAUTHORIZED)
        .await?;

    bundle.add(&authority).await?;
    pod.wait_status(&new, &MASTER, StatusCode::OK).await?;
    replace_proxy_client(&pod.cluster, &identity)?;
    pod.wait_signed_by(namespace, "new-front-proxy-ca").await?;

    bundle.drop_authority(&old_authority, &old).await?;
    pod.wait_status(&old, &MASTER, StatusCode::UNAUTHORIZED)
        .await?;
    pod.wait_signed_by(namespace, "new-front-proxy-ca").await
}

async fn replace_users(pod: &Pod) -> Result<()> {
    let bundle = Bundle::new(&pod.cluster, "client-ca.crt", "client-ca-file").await?;
    let made = ["old-users-ca", "new-users-ca"].map(|name| {
        let authority = pki::authority(name)?;
        let identity = pki::client(&authority, Some("system:masters"), "rotating")?;
        anyhow::Ok((authority, user_with_certificate(&identity)))
    });
    let [old, new] = made;
    let ((old_authority, old), (new_authority, new)) = (old?, new?);
    pod.wait_status(&old, &[], StatusCode::UNAUTHORIZED).await?;
    bundle.add(&old_authority).await?;
    pod.wait_status(&old, &[], StatusCode::OK).await?;

    bundle.add(&new_authority).await?;
    pod.wait_status(&new, &[], StatusCode::OK).await?;
    bundle.drop_authority(&old_authority.pem(), &old).await?;
    pod.wait_status(&old, &[], StatusCode::UNAUTHORIZED).await?;
    pod.wait_status(&new, &[], StatusCode::OK).await
}
