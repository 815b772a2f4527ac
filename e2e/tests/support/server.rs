//! The extension API server as a local process, behind the aggregator if it is registered.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{
    pki::{self, Authority, Identity},
    testing::Cluster,
};
use http::{Request, Response, StatusCode};
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::program::{Program, free_port};

pub(crate) const GROUP: &str = "data.kubedojo.io";
pub(crate) const API_SERVICE: &str = "v1alpha1.data.kubedojo.io";
const NAMESPACE: &str = "aggregated";
const SERVICE: &str = "records";
/// Its TLS name; the aggregator dials an address but verifies this.
pub(crate) const SERVER_NAME: &str = "records.aggregated.svc";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A server as a local process.
#[derive(Debug)]
pub(crate) struct LocalServer {
    pub(crate) cluster: Cluster,
    pub(crate) port: u16,
    pub(crate) authority: Authority,
    pub(crate) program: Program,
}

impl LocalServer {
    /// Starts a server that does with the cluster what the kubeconfig allows.
    pub(crate) fn start(cluster: &Cluster, label: &str, kubeconfig: &Path) -> Result<Self> {
        Self::start_with(cluster, label, kubeconfig, &[])
    }

    /// As [`start`](Self::start), with more in its environment, which is read as flags.
    pub(crate) fn start_with(
        cluster: &Cluster,
        label: &str,
        kubeconfig: &Path,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let files = files(cluster, label);
        fs::create_dir_all(&files)?;
        let authority = pki::authority("serving-ca")?;
        write_certificate(&files, &authority)?;
        let port = free_port()?;
        let args = [
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--tls-cert-file={}", files.join("tls.crt").display()),
            format!("--tls-private-key-file={}", files.join("tls.key").display()),
        ];
        let program = Program::start(cluster, ("extension-apiserver", label), &args, environment)?;
        Ok(Self {
            cluster: cluster.clone(),
            port,
            authority,
            program,
        })
    }

    /// A client that talks straight to the server, as a user of a kubeconfig: `{"token": ...}`.
    pub(crate) async fn direct(&self, user: Value) -> Result<Client> {
        direct((SERVER_NAME, self.port), &self.authority, user).await
    }

    /// A client that talks straight to the server as the cluster's administrator, whose certificate
    /// the server knows from the ConfigMap.
    pub(crate) async fn direct_as_admin(&self) -> Result<Client> {
        self.direct(admin(&self.cluster).await?).await
    }

    /// The status of what an anonymous client gets.
    pub(crate) async fn anonymous_status(&self, path: &str) -> Result<StatusCode> {
        Ok(get(&self.direct(json!({})).await?, path, &[])
            .await?
            .status())
    }

    pub(crate) async fn wait_ready(&self) -> Result<()> {
        self.cluster
            .wait_for("the local server to be ready", READY_WITHIN, async || {
                let status = self.anonymous_status("/readyz").await.ok()?;
                (status == StatusCode::OK).then_some(())
            })
            .await
            .with_context(|| format!("its log: {}", self.program.log().unwrap_or_default()))
    }

    pub(crate) async fn stop(self) -> Result<Option<i32>> {
        let cluster = self.cluster.clone();
        self.program.stop(&cluster).await
    }

    /// Puts it behind the aggregator, and waits until that reaches it. A registration of an earlier
    /// server is removed first, so that its condition is not taken for that of this one.
    pub(crate) async fn register(&self) -> Result<()> {
        let args = ["delete", "apiservice", API_SERVICE, "--ignore-not-found"];
        self.cluster.kubectl(args).await?.success()?;
        let ca_bundle = BASE64_STANDARD.encode(self.authority.pem());
        let objects = [
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": SERVICE, "namespace": NAMESPACE },
                "spec": { "type": "ExternalName", "externalName": "localhost" },
            }),
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": { "name": API_SERVICE },
                "spec": {
                    "group": GROUP, "version": "v1alpha1",
                    "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": ca_bundle,
                    "service": { "namespace": NAMESPACE, "name": SERVICE, "port": self.port },
                },
            }),
        ];
        for object in objects {
            self.cluster.apply(&object.to_string()).await?;
        }
        let name = format!("apiservice/{API_SERVICE}");
        let args = ["wait", "--for=condition=Available", &name, "--timeout=30s"];
        self.cluster.kubectl(args).await?.success()?;
        Ok(())
    }
}

/// Where the server of that label has its certificate.
pub(crate) fn files(cluster: &Cluster, label: &str) -> PathBuf {
    cluster.dir().join(format!("extension-apiserver-{label}"))
}

/// Makes a certificate and puts it where the server looks.
pub(crate) fn write_certificate(directory: &Path, authority: &Authority) -> Result<()> {
    let Identity {
        certificate_pem,
        key_pem,
    } = pki::server(authority, SERVICE, &[SERVER_NAME], &[])?;
    fs::write(directory.join("tls.crt"), certificate_pem)?;
    fs::write(directory.join("tls.key"), key_pem)?;
    Ok(())
}

/// The cluster's administrator, as a user of a kubeconfig.
pub(crate) async fn admin(cluster: &Cluster) -> Result<Value> {
    let args = ["config", "view", "--raw", "--minify", "-o", "json"];
    let text = cluster.kubectl(args).await?.success()?;
    let kubeconfig: Value = serde_json::from_str(&text)?;
    Ok(kubeconfig["users"][0]["user"].clone())
}

/// A client for a server of this machine, by its TLS name and port.
pub(crate) async fn direct(
    (server_name, port): (&str, u16),
    authority: &Authority,
    user: Value,
) -> Result<Client> {
    client(json!({
        "clusters": [{ "name": "it", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority-data": BASE64_STANDARD.encode(authority.pem()),
            "tls-server-name": server_name,
        } }],
        "users": [{ "name": "it", "user": user }],
    }))
    .await
}

/// A client for the clusters and users of a kubeconfig; the names of both are `it`.
pub(crate) async fn client(mut kubeconfig: Value) -> Result<Client> {
    kubeconfig["contexts"] =
        json!([{ "name": "it", "context": { "cluster": "it", "user": "it" } }]);
    kubeconfig["current-context"] = json!("it");
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// A GET with headers, whatever the answer is.
pub(crate) async fn get(
    client: &Client,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Response<Body>> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(client.send(request.body(Body::empty())?).await?)
}
