//! The library's example server, a process of its own behind the aggregator. It can be restarted
//! there without disturbing the tests that share the DataRecord API.

use std::fs;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{
    pki::{self, Identity},
    testing::Cluster,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};

use super::{
    extension_api::SOON,
    local_server::client,
    program::{Program, free_port},
};

pub(crate) const GROUP: &str = "wardle.example.com";
/// The namespace of its Service, which leads to this machine.
const NAMESPACE: &str = "wardle";
const SERVICE: &str = "api";
const SERVER_NAME: &str = "api.wardle.svc";
const API_SERVICES: [&str; 2] = ["v1alpha1", "v1beta1"];

/// The server. Its registration goes with [`Wardle::end`].
#[derive(Debug)]
pub(crate) struct Wardle {
    cluster: Cluster,
    port: u16,
    authority: String,
    args: Vec<String>,
    program: Program,
}

/// Flunders, as kube needs them.
pub(crate) fn flunders(version: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk(GROUP, version, "Flunder");
    ApiResource::from_gvk_with_plural(&kind, "flunders")
}

impl Wardle {
    /// Starts it, registers both versions, and waits until they answer.
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let files = cluster.dir().join("wardle");
        fs::create_dir_all(&files)?;
        let authority = pki::authority("serving-ca")?;
        let Identity {
            certificate_pem,
            key_pem,
        } = pki::server(&authority, SERVICE, &[SERVER_NAME], &[])?;
        fs::write(files.join("tls.crt"), certificate_pem)?;
        fs::write(files.join("tls.key"), key_pem)?;
        let port = free_port()?;
        let args = vec![
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--kubeconfig={}", cluster.kubeconfig.display()),
            format!("--tls-cert-file={}", files.join("tls.crt").display()),
            format!("--tls-private-key-file={}", files.join("tls.key").display()),
        ];
        let wardle = Self {
            program: program(cluster, &args)?,
            cluster: cluster.clone(),
            port,
            authority: BASE64_STANDARD.encode(authority.pem()),
            args,
        };
        let mut objects = vec![
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }),
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": SERVICE, "namespace": NAMESPACE },
                "spec": { "type": "ExternalName", "externalName": "localhost" },
            }),
        ];
        objects.extend(API_SERVICES.map(|version| {
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": { "name": format!("{version}.{GROUP}") },
                "spec": {
                    "group": GROUP, "version": version,
                    "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": wardle.authority,
                    "service": { "namespace": NAMESPACE, "name": SERVICE, "port": port },
                },
            })
        }));
        for object in objects {
            cluster.apply(&object.to_string()).await?;
        }
        wardle.wait().await?;
        Ok(wardle)
    }

    /// Ends it with SIGTERM and starts it again, without any object.
    pub(crate) async fn restart(self) -> Result<Self> {
        self.program.stop(&self.cluster).await?;
        let wardle = Self {
            program: program(&self.cluster, &self.args)?,
            ..self
        };
        wardle.wait().await?;
        Ok(wardle)
    }

    /// A client of the cluster's administrator that goes straight to the server.
    pub(crate) async fn direct(&self) -> Result<Client> {
        let args = ["config", "view", "--raw", "--minify", "-o", "json"];
        let kubeconfig = self.cluster.kubectl(args).await?.success()?;
        let kubeconfig: Value = serde_json::from_str(&kubeconfig)?;
        client(json!({
            "clusters": [{ "name": "it", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority-data": self.authority,
                "tls-server-name": SERVER_NAME,
            } }],
            "users": [{ "name": "it", "user": kubeconfig["users"][0]["user"] }],
        }))
        .await
    }

    /// Takes the registration away, then the server.
    pub(crate) async fn end(self) -> Result<()> {
        let names = API_SERVICES.map(|version| format!("{version}.{GROUP}"));
        let args = ["delete", "apiservice", &names[0], &names[1]];
        self.cluster.kubectl(args).await?.success()?;
        self.program.stop(&self.cluster).await?;
        Ok(())
    }

    /// Waits until both versions answer through the aggregator. An annotation makes that look at
    /// once whether the server is available, instead of every 30 seconds.
    async fn wait(&self) -> Result<()> {
        let client = self.cluster.client().await?;
        for version in API_SERVICES {
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &flunders(version));
            let name = format!("{version}.{GROUP}");
            self.cluster
                .wait_for("flunders to answer", SOON, async || {
                    if api.list(&ListParams::default().limit(1)).await.is_ok() {
                        return Some(());
                    }
                    let look = format!("look={}", jiff::Timestamp::now().as_nanosecond());
                    let args = ["annotate", "--overwrite", "apiservice", &name, &look];
                    let _ = self.cluster.kubectl(args).await;
                    None
                })
                .await
                .with_context(|| format!("its log: {}", self.program.log().unwrap_or_default()))?;
        }
        Ok(())
    }
}

fn program(cluster: &Cluster, args: &[String]) -> Result<Program> {
    Program::start(cluster, ("examples/wardle", "restarted"), args, &[])
}
